"""Partitions by time, for databases without TimescaleDB: made as they are needed, dropped when they are old."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg import sql

from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.names import LOCK_MAINTAIN, compose, lock_key
from collector.storage.tables import Table

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Bounds are read back as PostgreSQL prints them, which depends on the session's time zone; the cast does as well.
_BOUNDS: Final = r"""
SELECT relname, (extract(epoch FROM bounds[1]::timestamptz) * 1000000)::bigint,
    (extract(epoch FROM bounds[2]::timestamptz) * 1000000)::bigint
FROM (
    SELECT relname,
        regexp_match(pg_get_expr(relpartbound, pg_class.oid), $$FROM \('(.+)'\) TO \('(.+)'\)$$) AS bounds
    FROM pg_class JOIN pg_inherits ON inhrelid = pg_class.oid
    WHERE inhparent = (
        SELECT pg_class.oid FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = %s AND relname = %s
    )
) AS partitions
WHERE bounds IS NOT NULL
ORDER BY 2
"""


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition: `start <= time < end`, in µs since 1970."""

    start: int
    end: int
    name: str


def read_partitions(connection: Connection, schema: str, table: Table) -> list[Partition]:
    """The partitions of `table`, oldest first."""
    rows = connection.execute(_BOUNDS, (schema, table.name)).fetchall()
    return [Partition(start, end, name) for name, start, end in rows]


def uncovered(partitions: Sequence[Partition], times: Iterable[int]) -> list[int]:
    """Those of `times` (µs) that no partition holds, sorted. `partitions` are sorted and do not overlap."""
    starts = [partition.start for partition in partitions]
    missing = []
    for time in times:
        at = bisect_right(starts, time) - 1
        if at < 0 or time >= partitions[at].end:
            missing.append(time)
    return sorted(missing)


def in_one_partition(partitions: Sequence[Partition], low: int, high: int) -> bool:
    """Whether one partition holds all times (µs) from `low` to `high`."""
    return any(partition.start <= low and high < partition.end for partition in partitions)


def free_range(partitions: Sequence[Partition], time: int, interval: int) -> tuple[int, int]:
    """The range (µs) of a new partition for `time`, which none of `partitions` holds.

    A whole multiple of `interval`, cut where a neighbour begins or ends: the interval may have been another once.
    """
    start = time // interval * interval
    end = start + interval
    for partition in partitions:
        if partition.end <= time:
            start = max(start, partition.end)
        else:
            end = min(end, partition.start)
            break
    return start, end


def create_partitions(
    connection: Connection, schema: str, table: Table, times: Iterable[int], interval: int
) -> list[Partition]:
    """Make the partitions that `times` (µs) need, in a transaction of their own. Returns all there are then."""
    with connection.transaction():
        # One at a time: two writers would try the same range, and one of them would fail.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key(schema, LOCK_MAINTAIN),))
        partitions = read_partitions(connection, schema, table)
        while missing := uncovered(partitions, times):
            start, end = free_range(partitions, missing[0], interval)
            partition = Partition(start, end, _name(table, start))
            # ATTACH waits for no writer of the other partitions; CREATE … PARTITION OF would.
            connection.execute(
                compose(
                    "CREATE TABLE {schema}.{name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
                    schema,
                    name=partition.name,
                    table=table,
                )
            )
            connection.execute(
                compose(
                    "ALTER TABLE {table} ATTACH PARTITION {schema}.{name} FOR VALUES FROM ({start}) TO ({end})",
                    schema,
                    table=table,
                    name=partition.name,
                    start=sql.Literal(_timestamp(start)),
                    end=sql.Literal(_timestamp(end)),
                )
            )
            partitions = sorted([*partitions, partition])
        return partitions


def drop_partition(connection: Connection, schema: str, partition: Partition) -> None:
    """Drop `partition`. Waits at most a few seconds for its readers, because writers queue up behind it.

    Raises:
        psycopg.errors.LockNotAvailable: somebody reads it; try again later.
    """
    with connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', '3s', true)")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key(schema, LOCK_MAINTAIN),))
        connection.execute(compose("DROP TABLE IF EXISTS {schema}.{name}", schema, name=partition.name))


def _name(table: Table, start: int) -> str:
    # To the second, for intervals of any length; the longest stays under PostgreSQL's 63 bytes.
    return f"{table.name}_{_EPOCH + timedelta(microseconds=start):%Y%m%d_%H%M%S}"


def _timestamp(time: int) -> str:
    return (_EPOCH + timedelta(microseconds=time)).isoformat()
