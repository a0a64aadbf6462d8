"""`StoreOptions`: how a PostgreSQL store is set up. The exporters' configs and URLs are translated to it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from collector.model.signal import Signal
from collector.pipeline.memory_plan import UNBOUNDED
from collector.storage.tables import COST_ALLOCATIONS, COST_ORIGINS, Table

DAY_S: Final = 86_400.0
# Costs are few: of the coarser levels a chunk holds so many intervals. As in the migration that makes them.
_INTERVALS: Final[Mapping[Table, int]] = {COST_ORIGINS: 30, COST_ALLOCATIONS: 7}


class Layout(enum.Enum):
    """How the fact tables are cut by time."""

    HYPERTABLES = "hypertables"  # by TimescaleDB
    PARTITIONS = "partitions"  # declarative partitions, made and dropped by this program


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """Everything but the address. Times in seconds.

    `layout` decides about tables that are yet to be made: None takes hypertables if the database has the
    extension. With HYPERTABLES, the extension is created if need be, and tables that are none are an error;
    PARTITIONS works on whatever it finds.
    """

    schema: str = "telemetry"
    layout: Layout | None = None
    chunk_interval_s: float = DAY_S
    # TimescaleDB's own policies, on its full edition. Not named or None: what the database has, stays; 0: none.
    compress_after_s: float | None = None
    compress_on_arrival: bool = True  # where the server can
    retention_s: Mapping[Signal | Table, float] = field(default_factory=dict)
    # Roll-ups, by step: `hourly` of telemetry, `cost_hourly` and `cost_daily`.
    rollup_retention_s: Mapping[str, float] = field(default_factory=dict)
    connections_max: int = 2
    connection_idle_s: float = 300.0
    connect_timeout_s: float = 10.0
    write_timeout_s: float = 30.0
    synchronous_commit: str | None = None  # None: as the server is set up
    application_name: str = "collector"
    identities: int = UNBOUNDED.identities  # rows of each dimension that are remembered as written, at least

    def interval_us(self, table: Table) -> int:
        """Time that one chunk or partition of `table` holds, in microseconds."""
        return round(self.chunk_interval_s) * 1_000_000 * _INTERVALS.get(table, 1)
