"""Options of the `memory_limiter` processor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from collector.config.option import Invalid, Unsupported, option
from collector.config.types import Duration

_SPIKE_SHARE = 0.2  # of the limit, when nothing is said; as otelcol


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimiterConfig:
    """How much memory the process may have before data is refused."""

    check_interval: Duration = option(
        Duration(1.0), doc="How old a measurement may be. Memory can grow above the limit in between."
    )
    limit_mib: int = option(
        0, doc="Hard limit for the process, in MiB. 0: limit_percentage decides.", minimum=0
    )
    spike_limit_mib: int = option(
        0,
        doc="How far below the hard limit refusing begins (soft limit), in MiB. 0: a fifth of the limit.",
        minimum=0,
    )
    limit_percentage: float = option(
        80.0,
        doc="Hard limit in percent of the memory there is: of the control group's limit, else the machine's.",
        minimum=0.0,
        maximum=100.0,
    )
    spike_limit_percentage: float = option(
        0.0,
        doc="As spike_limit_mib, in percent of the memory there is; with limit_percentage. "
        "0: a fifth of the limit.",
        minimum=0.0,
        maximum=100.0,
    )
    min_gc_interval_when_soft_limited: Duration = option(
        Duration(10.0), doc="Shortest time between two garbage collections above the soft limit."
    )
    min_gc_interval_when_hard_limited: Duration = option(
        Duration(5.0),
        doc="The same above the hard limit (otelcol: 0s; here a collection stops all threads).",
    )
    UNSUPPORTED: ClassVar = (
        Unsupported(
            "max_gc_interval_when_soft_limited", "collections are not made rarer when useless", harmless=True
        ),
        Unsupported(
            "max_gc_interval_when_hard_limited", "collections are not made rarer when useless", harmless=True
        ),
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        if not self.check_interval:
            yield Invalid("check_interval", "must be more than 0; 1s is good")
        if not self.limit_mib and not self.limit_percentage:
            yield Invalid("", "limit_mib or limit_percentage must be more than 0")
        if self.limit_mib and self.spike_limit_mib >= self.limit_mib:
            yield Invalid("spike_limit_mib", "must be less than limit_mib")
        if not self.limit_mib and self.spike_limit_mib:
            yield Invalid("spike_limit_mib", "goes with limit_mib; use spike_limit_percentage")
        if not self.limit_mib and self.spike_limit_percentage >= self.limit_percentage > 0:
            yield Invalid("spike_limit_percentage", "must be less than limit_percentage")

    def limits(self, available: int | None) -> tuple[int, int] | None:
        """Soft and hard limit in bytes, given the memory there is; None if they depend on it and it is unknown."""
        if self.limit_mib:
            hard = self.limit_mib * 1024 * 1024
            spike = self.spike_limit_mib * 1024 * 1024
        elif available is not None:
            hard = int(available * self.limit_percentage / 100)
            spike = int(available * self.spike_limit_percentage / 100)
        else:
            return None
        return hard - (spike or int(hard * _SPIKE_SHARE)), hard
