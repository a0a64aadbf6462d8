"""`Deadline`: a moment by which something must have happened, moved more often than it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `over` when its time has come, unless it was set anew, paused or cleared before. For the event loop.

    A timer that is there and rings too early is left to ring in vain: every request has several phases, and a timer
    for each would cost more than reading its header.
    """

    __slots__ = ("_at", "_left", "_loop", "_over", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, over: Callable[[], None]) -> None:
        self._loop = loop
        self._over = over
        self._at: float | None = None  # in loop time; None: it does not run
        self._left: float | None = None  # seconds, while it is paused
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> float:
        """It is in so many seconds from now; return what that is, in loop time."""
        self._left = None
        now = self._loop.time()
        self._at = at = now + seconds
        if self._timer is None or self._timer.when() > at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(at, self._ring)
        return now

    def clear(self) -> None:
        """There is none."""
        self._at = self._left = None

    def pause(self) -> None:
        """Time does not count until `resume`. Safe twice, and when there is none."""
        if self._at is not None:
            self._left = max(0.0, self._at - self._loop.time())
            self._at = None

    def resume(self) -> None:
        """Time counts again. Safe when it was not paused."""
        if self._left is not None:
            self.set(self._left)

    def cancel(self) -> None:
        """It never comes, nor another one."""
        self.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._at is None:
            return
        if self._at > self._loop.time():
            self._timer = self._loop.call_at(self._at, self._ring)
        else:
            self._at = None
            self._over()
