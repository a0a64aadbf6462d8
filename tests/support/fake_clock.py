"""A clock whose hands tests turn."""

from __future__ import annotations


class FakeClock:
    """Stands still until `advance` is called. Both clocks start at a fixed time."""

    def __init__(self, *, monotonic: float = 1000.0, unix_nano: int = 1_700_000_000_000_000_000) -> None:
        self._monotonic = monotonic
        self._unix_nano = unix_nano

    def unix_nano(self) -> int:
        """See `Clock`."""
        return self._unix_nano

    def monotonic(self) -> float:
        """See `Clock`."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._monotonic += seconds
        self._unix_nano += round(seconds * 1e9)
