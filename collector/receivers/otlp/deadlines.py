"""Cutting off gRPC calls whose request does not arrive: grpcio has no timeout for that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collector.model.clock import Clock
    from collector.pipeline.component import Thread

_LOOK_EVERY_S: Final = 0.5


class Deadlines:
    """Runs something when a `with` block takes longer than `limit_s`, half a second late at most."""

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._running: dict[object, tuple[float, Callable[[], object]]] = {}
        self._stopped = threading.Event()
        self._thread: Thread | None = None

    def start(self, spawn: Callable[[str, Callable[[], None]], Thread], name: str) -> None:
        """Begin to look."""
        if self._limit_s:
            self._thread = spawn(name, self._run)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    @contextmanager
    def within(self, on_expiry: Callable[[], object]) -> Iterator[None]:
        """Call `on_expiry`, in another thread, if the block lasts too long."""
        key = object()
        with self._lock:
            self._running[key] = (self._clock.monotonic() + self._limit_s, on_expiry)
        try:
            yield
        finally:
            with self._lock:
                self._running.pop(key, None)

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_EVERY_S):
            now = self._clock.monotonic()
            with self._lock:
                expired = [key for key, (deadline, _) in self._running.items() if deadline <= now]
                actions = [self._running.pop(key)[1] for key in expired]
            for action in actions:
                action()
