"""What fact tables are cut into, hypertable or partitioned: their bounds, sizes, rows; and dropping old ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from psycopg import errors, sql

from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.edition import Edition
from collector.storage.postgresql.names import compose
from collector.storage.postgresql.options import Layout
from collector.storage.postgresql.partitions import Partition, drop_partition, read_partitions
from collector.storage.tables import Table

# Counting reads everything: up to here it takes a second or so, beyond the planner's estimate must do.
_COUNTED_BYTES_MAX: Final = 1024**3

_CHUNKS: Final = """
SELECT chunk_schema, chunk_name,
    (extract(epoch FROM range_start) * 1000000)::bigint, (extract(epoch FROM range_end) * 1000000)::bigint,
    is_compressed
FROM timescaledb_information.chunks
WHERE hypertable_schema = %s AND hypertable_name = %s
ORDER BY range_start
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk or partition: `start <= time < end`, in µs since 1970."""

    schema: str
    name: str
    start: int
    end: int
    compressed: bool


def read_chunks(connection: Connection, schema: str, table: Table, layout: Layout) -> list[Chunk]:
    """The chunks of `table`, oldest first."""
    if layout is Layout.PARTITIONS:
        return [
            Chunk(schema=schema, name=one.name, start=one.start, end=one.end, compressed=False)
            for one in read_partitions(connection, schema, table)
        ]
    rows = connection.execute(_CHUNKS, (schema, table.name)).fetchall()
    return [
        Chunk(schema=chunk_schema, name=name, start=start, end=end, compressed=compressed)
        for chunk_schema, name, start, end, compressed in rows
    ]


def count_rows(
    connection: Connection, schema: str, table: Table, size: int, edition: Edition, chunk: Chunk | None = None
) -> tuple[int, bool]:
    """Rows of `table`, or of one chunk of it, and whether they were counted; else the planner estimated them."""
    if size <= _COUNTED_BYTES_MAX:
        where: sql.Composable = sql.SQL("")
        if chunk is not None:
            where = sql.SQL("WHERE time >= {} AND time < {}").format(
                _literal(chunk.start), _literal(chunk.end)
            )
        statement = compose("SELECT count(*) FROM {table} {where}", schema, table=table, where=where)
        return int(_one(connection, statement)), True
    relation = sql.Identifier(chunk.schema, chunk.name) if chunk else sql.Identifier(schema, table.name)
    if edition.timescaledb:
        estimate = sql.SQL("SELECT {}.approximate_row_count({})").format(
            sql.Identifier(edition.extension_schema), sql.Literal(relation.as_string())
        )
    else:
        estimate = sql.SQL(
            "SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_partition_tree({}) "
            "JOIN pg_class ON pg_class.oid = relid WHERE isleaf"
        ).format(sql.Literal(relation.as_string()))
    return int(_one(connection, estimate)), False


def table_bytes(
    connection: Connection, schema: str, table: Table, layout: Layout | None, edition: Edition
) -> int:
    """Size of `table` on disk with its chunks and indexes."""
    relation = sql.Literal(sql.Identifier(schema, table.name).as_string())
    if layout is Layout.HYPERTABLES:
        statement = sql.SQL("SELECT coalesce({}.hypertable_size({}), 0)").format(
            sql.Identifier(edition.extension_schema), relation
        )
    else:
        # A table that is not partitioned is the only leaf of its own tree.
        statement = sql.SQL(
            "SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint FROM pg_partition_tree({})"
        ).format(relation)
        if layout is None:
            statement = sql.SQL("SELECT pg_total_relation_size({})").format(relation)
    return int(_one(connection, statement))


def chunk_bytes(connection: Connection, chunk: Chunk) -> int:
    """Size of one chunk on disk, without what compression moved elsewhere: that counts fast."""
    relation = sql.Literal(sql.Identifier(chunk.schema, chunk.name).as_string())
    return int(_one(connection, sql.SQL("SELECT pg_total_relation_size({})").format(relation)))


def drop_chunks_before(
    connection: Connection,
    schema: str,
    table: Table,
    layout: Layout,
    edition: Edition,
    cutoff: int,
    *,
    dry_run: bool,
) -> int:
    """Drop the chunks of `table` that lie entirely before `cutoff` (µs); return their rows.

    One transaction for each. What somebody is reading, or compressing, is left for the next time.
    """
    deleted = 0
    for chunk in read_chunks(connection, schema, table, layout):
        if chunk.end > cutoff:
            break
        try:
            rows, _ = count_rows(connection, schema, table, chunk_bytes(connection, chunk), edition, chunk)
            if not dry_run:
                _drop(connection, schema, table, layout, edition, chunk)
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            continue
        deleted += rows
    return deleted


def _drop(
    connection: Connection, schema: str, table: Table, layout: Layout, edition: Edition, chunk: Chunk
) -> None:
    if layout is Layout.PARTITIONS:
        drop_partition(connection, schema, Partition(chunk.start, chunk.end, chunk.name))
        return
    with connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', '3s', true)")
        connection.execute(
            sql.SQL("SELECT {}.drop_chunks({}, older_than => {})").format(
                sql.Identifier(edition.extension_schema),
                sql.Literal(sql.Identifier(schema, table.name).as_string()),
                _literal(chunk.end),
            )
        )


def time_bounds(
    connection: Connection, schema: str, table: Table, chunks: list[Chunk]
) -> tuple[int | None, int | None]:
    """The oldest and the newest time in `table`, ns, looking only into as many chunks as needed."""

    def first_of(function: str, ordered: list[Chunk]) -> int | None:
        for chunk in ordered:
            found = _one(
                connection,
                compose(
                    "SELECT (extract(epoch FROM {function}(time)) * 1000000)::bigint FROM {table} "
                    "WHERE time >= {start} AND time < {end}",
                    schema,
                    function=function,
                    table=table,
                    start=_literal(chunk.start),
                    end=_literal(chunk.end),
                ),
            )
            if found is not None:
                return int(found) * 1000
        return None

    return first_of("min", chunks), first_of("max", chunks[::-1])


def _literal(time: int) -> sql.Composable:
    # Exact: an integer number of microseconds, as a double.
    return sql.SQL("(timestamptz 'epoch' + {} * interval '1 microsecond')").format(sql.Literal(time))


def _one(connection: Connection, statement: sql.Composed) -> Any:
    row = connection.execute(statement).fetchone()
    return None if row is None else row[0]
