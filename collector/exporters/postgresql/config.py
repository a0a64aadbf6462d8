"""Options of the `postgresql` exporter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from collector.config.option import Unsupported
from collector.storage.postgresql.config import DatabaseConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlConfig(DatabaseConfig):
    """Store telemetry in PostgreSQL, in tables partitioned by time. Needs no extension."""

    UNSUPPORTED: ClassVar = (
        Unsupported(
            "compression", "old data would be compressed, which needs TimescaleDB: use 'timescaledb'"
        ),
    )
