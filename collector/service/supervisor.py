"""The one maker of threads, and what ends the process: a signal, or a thread that died."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from collector.model.clock import Clock

# Of each thread's stack, in the log.
_CALLS_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the service ends. `failed` makes the exit code 1."""

    reason: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Reload:
    """Why the configuration is to be read again."""

    reason: str


Event = Stop | Reload


class Supervisor:
    """Starts threads, watches them, and turns signals into events for the main thread."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        # A SimpleQueue because its `put` is safe in a signal handler; an `Event` or a `Condition` would
        # deadlock if the signal came while the main thread held their lock (Python docs, queue.SimpleQueue).
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._signals = 0

    def spawn(self, name: str, body: Callable[[], None]) -> threading.Thread:
        """Run `body` in a thread. If it raises, the service stops, in order, with exit code 1.

        A body that returns has done its work: that is how threads end.
        """

        def supervised() -> None:
            try:
                body()
            except BaseException as error:  # noqa: BLE001  nothing above this frame could notice
                self._log.error("A thread died.", thread=name, exc_info=error)
                self._events.put(Stop(f"thread {name!r} died: {type(error).__name__}: {error}", failed=True))

        # Daemon threads: once the time to shut down has passed, the process must not wait for them.
        thread = threading.Thread(target=supervised, name=name, daemon=True)
        with self._lock:
            self._threads = [known for known in self._threads if known.is_alive() or known.ident is None]
            self._threads.append(thread)
        thread.start()
        return thread

    def running(self) -> list[str]:
        """Names of the threads that run."""
        with self._lock:
            return [thread.name for thread in self._threads if thread.is_alive()]

    def stop(self, reason: str, *, failed: bool = False) -> None:
        """Ask the main thread to end the service. From any thread."""
        self._events.put(Stop(reason, failed))

    def ask_for_reload(self, reason: str) -> None:
        """Ask the main thread to read the configuration again. From any thread."""
        self._events.put(Reload(reason))

    def exit_at(self, deadline: float, clock: Clock) -> threading.Event:
        """End the process with exit code 1 at the monotonic time `deadline`, unless the event returned is set before.

        For a component whose `shutdown` hangs: an orchestrator would kill it later, and say less. The log says
        where each thread is.
        """
        stopped = threading.Event()

        def watch() -> None:
            if not stopped.wait(max(0.0, deadline - clock.monotonic())):
                self._log.error("The stop took too long: exiting.", threads=self.running(), at=_whereabouts())
                os._exit(1)

        threading.Thread(target=watch, name="deadline", daemon=True).start()
        return stopped

    def next_event(self, timeout_s: float) -> Event | None:
        """Wait for the next event; None if there was none for `timeout_s`. For the main thread."""
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def catch_signals(self) -> None:
        """Turn SIGTERM, SIGINT and SIGHUP into events from here on. Must be called in the main thread.

        The first SIGTERM or SIGINT is a `Stop`; the second ends the process there and then, with what is
        queued in memory, by the exit code a shell would give it.
        """
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_hangup)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            # Not the logger: the interrupted code may hold its lock.
            os.write(2, b"Second signal: exiting at once; what was still queued in memory is lost.\n")
            os._exit(128 + number)
        self._events.put(Stop(signal.Signals(number).name, failed=False))

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        self._events.put(Reload(signal.Signals(number).name))


def _whereabouts() -> dict[str, list[str]]:
    """Where each thread is, innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        names.get(ident, str(ident)): [
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_stack(top)[-_CALLS_SHOWN:]
        ]
        for ident, top in sys._current_frames().items()  # noqa: SLF001  documented, for just this
    }
