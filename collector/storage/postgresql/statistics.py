"""Size, age and compression of every table."""

from __future__ import annotations

from typing import Final

from psycopg import sql

from collector.storage.postgresql.chunks import count_rows, read_chunks, table_bytes, time_bounds
from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.edition import Edition
from collector.storage.postgresql.names import compose
from collector.storage.postgresql.options import Layout
from collector.storage.postgresql.schema import Database
from collector.storage.store import TableStats
from collector.storage.tables import DIMENSIONS, POSITIONS, Table

_COMPRESSION: Final = """
SELECT before_compression_total_bytes::bigint, after_compression_total_bytes::bigint
FROM {extension}.hypertable_compression_stats({relation})
"""
# A compressed batch holds 1 000 rows; a row has a line pointer of 4 bytes on its page beside what it is.
_AS_ROWS: Final = """
SELECT avg(pg_column_size(sampled) + 4) FROM (SELECT facts AS sampled FROM {table} AS facts LIMIT 10000) AS sample
"""


def read_stats(connection: Connection, schema: str, layout: Layout, database: Database) -> list[TableStats]:
    """See `Store.stats`."""
    edition = database.edition
    stats = []
    for table in (*DIMENSIONS, POSITIONS, *database.policies):
        size = table_bytes(connection, schema, table, None, edition)
        rows, exact = count_rows(connection, schema, table, size, edition)
        stats.append(TableStats(table=table.name, rows=rows, exact=exact, bytes=size))
    return stats + [_fact(connection, schema, table, layout, edition) for table in database.facts]


def _fact(connection: Connection, schema: str, table: Table, layout: Layout, edition: Edition) -> TableStats:
    chunks = read_chunks(connection, schema, table, layout)
    size = table_bytes(connection, schema, table, layout, edition)
    rows, exact = count_rows(connection, schema, table, size, edition)
    oldest, newest = time_bounds(connection, schema, table, chunks)
    before = after = as_rows = None
    if layout is Layout.HYPERTABLES and edition.full:
        found = connection.execute(
            compose(
                _COMPRESSION,
                schema,
                extension=edition.extension_schema,
                relation=sql.Literal(sql.Identifier(schema, table.name).as_string()),
            )
        ).fetchone()
        before, after = found or (None, None)
        [(width,)] = connection.execute(compose(_AS_ROWS, schema, table=table)).fetchall()
        as_rows = None if width is None else round(width * rows)
    return TableStats(
        table=table.name,
        rows=rows,
        exact=exact,
        bytes=size,
        chunks=len(chunks),
        compressed_chunks=sum(chunk.compressed for chunk in chunks) if edition.full else None,
        bytes_before_compression=before,
        bytes_after_compression=after,
        bytes_as_rows=as_rows,
        oldest_unix_nano=oldest,
        newest_unix_nano=newest,
    )
