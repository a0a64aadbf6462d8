"""Options of the `timescaledb` exporter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from collector.config.option import Invalid, option
from collector.config.types import Duration
from collector.storage.exporter import RetentionConfig
from collector.storage.postgresql.config import DatabaseConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionConfig:
    """Compression by TimescaleDB. Full edition only; the Apache edition stores uncompressed."""

    enabled: bool = option(True, doc="false removes the policy; what is compressed stays so.")
    after: Duration = option(
        Duration.parse("6h"),
        doc="A chunk is compressed so long after the time that it holds has passed.",
        minimum=60.0,
        aliases=("compress_after",),
    )
    on_arrival: Literal["auto", "off"] = option(
        "auto",
        doc="auto: what arrives is stored compressed at once, where the server can (about TimescaleDB 2.21); the "
        "policy merges it later. off: it is stored as rows, until the policy compresses them.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimescaledbRetentionConfig(RetentionConfig):
    """How long items are kept, by signal. 0: for ever. What is left out stays as the database has it."""

    rollups: Duration | None = option(
        None, doc="Age at which hourly roll-ups of telemetry are deleted (full edition); 0: never."
    )
    cost_hourly: Duration | None = option(
        None, doc="Age at which hourly sums of costs are deleted (full edition); 0: never."
    )
    cost_daily: Duration | None = option(
        None,
        doc="Age at which daily sums of costs, made of the hourly, are deleted (full edition); 0: never.",
    )

    def validate(self) -> Iterator[Invalid]:
        """Check also that a roll-up is not gone before what it is made of: it could not be made again."""
        yield from RetentionConfig.validate(self)
        if self.cost_hourly and self.cost_daily and self.cost_daily < self.cost_hourly:
            yield Invalid("cost_daily", "must be kept for at least as long as cost_hourly")

    def rollup_ages_s(self) -> dict[str, float]:
        """Ages of roll-ups in seconds, of those of which something was said; 0: never."""
        ages = {"hourly": self.rollups, "cost_hourly": self.cost_hourly, "cost_daily": self.cost_daily}
        return {step: float(age) for step, age in ages.items() if age is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimescaledbConfig(DatabaseConfig):
    """Store telemetry in TimescaleDB: hypertables, compression, retention, hourly roll-ups."""

    retention: TimescaledbRetentionConfig = option(
        default_factory=TimescaledbRetentionConfig, doc="How long items are kept, by signal."
    )
    compression: CompressionConfig | None = option(
        None,
        doc="When chunks are compressed. Left out: as the database has it; new tables start with the defaults.",
    )
