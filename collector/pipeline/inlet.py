"""Where a receiver's telemetry enters the pipelines; what is behind it can be exchanged while requests pass."""

from __future__ import annotations

import threading

from collector.model.telemetry import Telemetry
from collector.pipeline.component import Consumer
from collector.pipeline.fanout import hand_over


class Way:
    """What is behind an inlet, and how many requests are on it. Takes part in the handover of each: see `fanout`.

    A request is on it from the moment in which it enters until everything is appended to the queues, or nothing.
    """

    waits = waits_long = False
    repeated = None

    def __init__(self, head: Consumer) -> None:
        self.head = head
        self._passing = 0
        self._lock = threading.Lock()
        self._empty = threading.Condition(self._lock)
        self._watched = False  # somebody has ever waited for it to be empty

    def enter(self) -> None:
        """A request begins."""
        with self._lock:
            self._passing += 1

    def leave(self) -> None:
        """A request is through."""
        with self._lock:
            self._passing -= 1
            if self._watched and not self._passing:
                self._empty.notify_all()

    cancel = leave

    def append(self, origin: bytes) -> None:
        """It is through."""
        self.leave()

    def wait(self) -> None:
        """Nothing to wait for."""

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait until no request is on it; whether that came within `timeout_s`."""
        with self._lock:
            self._watched = True
            return self._empty.wait_for(lambda: not self._passing, timeout_s)


class Inlet:
    """A consumer that passes everything on to the head of the way behind it. Thread-safe."""

    def __init__(self, head: Consumer) -> None:
        self._way = Way(head)
        self._lock = threading.Lock()

    def consume(self, data: Telemetry, /) -> None:
        """See `Consumer`. A request goes the whole of one way, whatever happens meanwhile."""
        with self._lock:  # or the way could be found empty between the two
            way = self._way
            way.enter()
        try:
            way.head.consume(data)
        except BaseException:
            way.leave()
            raise
        hand_over(way)  # last of its handover: when it leaves, the queues have the request

    def exchange(self, head: Consumer) -> Way:
        """Send what comes from now on to `head`; return the way before."""
        with self._lock:
            before, self._way = self._way, Way(head)
        return before
