"""The options that the exporters to PostgreSQL, with TimescaleDB and without, have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from collector.config.option import Invalid, Unsupported, option
from collector.config.types import ConnectionString, Duration
from collector.storage.exporter import StoreConfig

# PostgreSQL cuts longer names off without a word.
_NAME_BYTES_MAX: Final = 63
_SCHEMES: Final = ("postgresql://", "postgres://", "timescaledb://")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """The connections of one exporter. Hundreds of collectors may share a database: few are enough."""

    max_size: int = option(
        2,
        doc="Most connections. One writes while another is asked for positions or upkeep; with 1, they take turns.",
        minimum=1,
    )
    idle_timeout: Duration = option(
        Duration(300.0), doc="A connection that was not used for so long is closed.", minimum=1.0
    )
    UNSUPPORTED: ClassVar = (
        Unsupported("min_size", "connections would be kept open although nothing is sent", harmless=True),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseConfig(StoreConfig):
    """What both exporters have."""

    connection_string: ConnectionString = option(
        doc="Where the database is: a URL, or libpq's `host=… dbname=…`. TLS as libpq does it: `?sslmode=verify-full`.",
        aliases=("dsn", "url", "connection"),
        example="postgresql://collector@db.example.com/telemetry",
    )
    schema: str = option("telemetry", doc="Schema of the tables and views.")
    auto_migrate: bool = option(
        False,
        doc="Create the tables and bring them up to date. Left out, the collector waits until "
        "`collector database init` did: a hundred sidecars should not decide that by themselves.",
    )
    chunk_interval: Duration = option(
        Duration.parse("1d"),
        doc="Time that one chunk or partition holds. Counts when tables are made.",
        minimum=60.0,
        aliases=("partition_interval",),
    )
    pool: PoolConfig = option(default_factory=PoolConfig, doc="Connections.")
    connect_timeout: Duration = option(
        Duration(10.0), doc="Longest wait for a connection to be made.", minimum=2.0
    )
    synchronous_commit: Literal["on", "off", "local", "remote_write", "remote_apply"] | None = option(
        None,
        doc="PostgreSQL's setting of that name, for what this exporter writes. `off` is faster and may lose the "
        "last commits when the server crashes, although they were acknowledged. Left out: as the server is set up.",
    )
    # A batch of 10 000 items takes a second at worst; a busy server deserves patience, for a retry starts anew.
    timeout: Duration = option(Duration(30.0), doc="Longest duration of one attempt.", minimum=0.001)

    def validate(self) -> Iterator[Invalid]:
        """Check what can be known without the database."""
        address = self.connection_string.reveal()
        scheme, separator, _ = address.partition("://")
        if separator and f"{scheme}://" not in _SCHEMES:
            yield Invalid("connection_string", f"{scheme}:// is none of {', '.join(_SCHEMES)}")
        elif not address or not _understood(address):
            # What libpq says about it may quote the password.
            yield Invalid(
                "connection_string", "is neither postgresql://user@host/database nor libpq's key=value pairs"
            )
        name = self.schema
        if not name or "\0" in name or len(name.encode()) > _NAME_BYTES_MAX or name.startswith("pg_"):
            yield Invalid(
                "schema",
                f"must be 1 to {_NAME_BYTES_MAX} bytes and not begin with pg_, which PostgreSQL keeps to itself",
            )


def _understood(address: str) -> bool:
    # Only here: who merely lists the options need not load the driver.
    from psycopg import ProgrammingError, conninfo

    try:
        conninfo.conninfo_to_dict(address.replace("timescaledb://", "postgresql://", 1))
    except ProgrammingError:
        return False
    return True
