"""Options of the `sqlite` exporter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from collector.config.option import Invalid, option
from collector.config.types import Duration
from collector.storage.exporter import RetentionConfig, StoreConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteRetentionConfig(RetentionConfig):
    """How long items are kept, by signal; costs by level (7 years, 13 months, 90 days). 0 keeps them for ever."""

    metrics: Duration = option(Duration.parse("90d"), doc="Age at which metric points are deleted; 0: never.")
    traces: Duration = option(Duration.parse("30d"), doc="Age at which spans are deleted; 0: never.")
    logs: Duration = option(Duration.parse("30d"), doc="Age at which log records are deleted; 0: never.")
    cost_origins: Duration = option(
        Duration.parse("2557d"), doc="Age at which charges are deleted; 0: never."
    )
    cost_allocations: Duration = option(
        Duration.parse("397d"), doc="Age at which the parts of charges by workload are deleted; 0: never."
    )
    cost_requests: Duration = option(
        Duration.parse("90d"), doc="Age at which their parts by group of requests are deleted; 0: never."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteConfig(StoreConfig):
    """Store telemetry in a SQLite file."""

    path: str = option(
        doc="The file. It and its folder are made when they are missing. Also as `sqlite:///relative.db` or "
        "`sqlite:////absolute.db`.",
        aliases=("connection_string", "connection"),
        example="/var/lib/collector/telemetry.db",
    )
    retention: SqliteRetentionConfig = option(
        default_factory=SqliteRetentionConfig, doc="How long items are kept, by signal."
    )
    migrate: bool = option(
        True, doc="Create the tables and bring them up to date; false waits until `collector database` did."
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        if not self.path.removeprefix("sqlite:").strip("/") or ":memory:" in self.path:
            yield Invalid("path", "names no file; to store in memory, use the exporter `memory`")
