"""`Edition`: what kind of server this is, and what it can do.

Full: TimescaleDB with its community modules: compression, retention policies, continuous aggregates.
Apache: hypertables and nothing of that; many distributions and clouds ship it. None: plain PostgreSQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from collector.storage.postgresql.connections import Connection

# SQL-standard function bodies, which are checked when the function is made.
POSTGRESQL_MIN: Final = 140_000
# create_hypertable with by_range is from 2.13; 2.15 is the oldest that PostgreSQL 16 and 14 both still have.
TIMESCALEDB_MIN: Final = (2, 15)

_QUERY: Final = """
SELECT
    current_setting('server_version_num')::integer,
    current_setting('server_version'),
    current_setting('server_encoding'),
    coalesce((SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), ''),
    coalesce((SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
              WHERE extname = 'timescaledb'), ''),
    coalesce((SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'), ''),
    coalesce(current_setting('timescaledb.license', true), '')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """A server and the TimescaleDB in the database connected to. Empty text: there is none."""

    number: int
    version: str
    encoding: str
    timescaledb: str
    extension_schema: str
    available: str  # version of the extension that could be created
    license: str

    @property
    def full(self) -> bool:
        """Whether compression, policies and continuous aggregates are there."""
        return bool(self.timescaledb) and self.license == "timescale"

    @property
    def description(self) -> str:
        """For people."""
        name = f"PostgreSQL {self.version.split()[0]}"
        if not self.timescaledb:
            return name
        return f"{name} with TimescaleDB {self.timescaledb} ({'full' if self.full else 'Apache'} edition)"

    def problem(self) -> str:
        """Why this program cannot use the database; "" if it can."""
        if self.number < POSTGRESQL_MIN:
            return f"PostgreSQL {self.version} is too old: {POSTGRESQL_MIN // 10_000} or newer is needed"
        if self.encoding != "UTF8":
            return f"the database's encoding is {self.encoding}: OTLP text needs one created with ENCODING 'UTF8'"
        if self.timescaledb and _numbers(self.timescaledb) < TIMESCALEDB_MIN:
            return (
                f"TimescaleDB {self.timescaledb} is too old: {'.'.join(map(str, TIMESCALEDB_MIN))} or newer is "
                "needed (ALTER EXTENSION timescaledb UPDATE, in a new session)"
            )
        return ""


def read_edition(connection: Connection) -> Edition:
    """Ask the server."""
    [row] = connection.execute(_QUERY).fetchall()
    number, version, encoding, timescaledb, schema, available, license_ = row
    return Edition(
        number=number,
        version=version,
        encoding=encoding,
        timescaledb=timescaledb,
        extension_schema=schema,
        available=available,
        license=license_,
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".")[:2])
