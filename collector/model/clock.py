"""Time as an argument: everything that needs it takes a `Clock`, so that tests can turn the hands."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks in one."""

    def unix_nano(self) -> int:
        """Wall clock: nanoseconds since 1970-01-01 UTC. May jump. For timestamps only."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start. Never goes back. For intervals and timers only."""
        ...


class SystemClock:
    """The clock of this machine."""

    def unix_nano(self) -> int:
        """See `Clock`."""
        return time.time_ns()

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()
