"""When a batch is full, and when it has waited long enough. No thread, no clock of its own."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

from collector.pipeline.memory_plan import delivery_bytes

# The share by which the intervals of collectors differ.
_SPREAD: Final = 0.1
# How many times what makes a batch full it takes along where more is waiting: what a batch costs besides its items is
# divided by so many. Beyond so many bytes there is little left to gain, and memory to lose.
_BEHIND: Final = 5
_BEHIND_BYTES: Final = 6 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """The triggers of a batch. Whichever comes first sends it.

    `items_min` items are waiting (0: no such trigger) · the oldest has waited `interval_s` seconds · one more
    record would exceed `items_max` items (0: no such limit), `bytes_max` bytes, or `memory_max` bytes of memory until
    it is stored (0: no such limit). A single record larger than a maximum goes alone. Where more is waiting, as after
    an outage, a batch takes along up to `items_max` items, or five times `items_min`, and up to 6 MiB.

    `ahead`: whether the batch behind one that is sent may be made ready meanwhile.
    """

    items_min: int = 10_000
    items_max: int = 0
    interval_s: float = 1.0
    bytes_max: int = 32 * 1024 * 1024
    memory_max: int = 0
    ahead: bool = True

    def full(self, items: int, size: int) -> bool:
        """Whether waiting records with so many items and bytes are a batch without waiting longer."""
        return self._reaches(self.items_min or self.items_max, items, size)

    def _reaches(self, enough: int, items: int, size: int) -> bool:
        return (
            0 < enough <= items
            or size >= self.bytes_max
            or 0 < self.memory_max <= delivery_bytes(items, size)
        )

    def complete(self, items: int, size: int) -> bool:
        """Whether a batch of so many items and bytes takes nothing along, whatever is waiting."""
        enough = self.items_max or _BEHIND * self.items_min
        return size >= _BEHIND_BYTES or self._reaches(enough, items, size)

    def fits(self, items: int, size: int) -> bool:
        """Whether a batch of so many items and bytes is within the maxima."""
        return (
            (not self.items_max or items <= self.items_max)
            and size <= self.bytes_max
            and not self.is_large(items, size)
        )

    def size_left(self, items: int, size: int) -> int:
        """How large a record may be that goes with so many items and bytes."""
        left = self.bytes_max - size
        return min(left, self.memory_max - delivery_bytes(items, size)) if self.memory_max else left

    def is_large(self, items: int, size: int) -> bool:
        """Whether so many items and bytes are more than this sender has memory for by itself."""
        return 0 < self.memory_max < delivery_bytes(items, size)

    def wait_s(self, items: int, size: int, oldest_age_s: float) -> float:
        """Seconds until records with so many items and bytes, the oldest of that age, are to be sent."""
        return 0.0 if self.full(items, size) else max(0.0, self.interval_s - oldest_age_s)

    def spread(self, rng: random.Random) -> BatchLimits:
        """The same with an interval that is up to a tenth shorter, by chance.

        Hundreds of sidecars that began together, and get telemetry at the same instants, would otherwise come to
        their database together, each time. Never longer: the interval is what somebody was promised.
        """
        return replace(self, interval_s=self.interval_s * (1 - rng.uniform(0.0, _SPREAD)))
