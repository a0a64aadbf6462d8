"""Cost records into PostgreSQL, by the statements of `storage.ledger`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from psycopg import sql

from collector.storage.ledger import Names, statements
from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.names import LOCK_COSTS, compose, lock_key
from collector.storage.postgresql.writing import copy_facts, set_local
from collector.storage.rows import Row
from collector.storage.tables import COST_ALLOCATIONS, COST_ORIGINS, COST_REQUESTS, Table

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A window that is compressed is decompressed where it has to change, however large: it is right or it is not.
# Unknown parameters of an extension that is not there do no harm.
_SETTINGS: Final = {"timescaledb.max_tuples_decompressed_per_dml_transaction": "0"}


def store_costs(connection: Connection, schema: str, facts: Mapping[Table, Sequence[Row]]) -> None:
    """Store the rows of cost tables, within the caller's transaction. Writers of costs take turns until it ends."""
    if not facts:
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key(schema, LOCK_COSTS),))
    set_local(connection, _SETTINGS)
    # At once what will be needed: who has read a chunk and then writes to it meets the job that compresses it halfway.
    connection.execute(
        compose(
            "LOCK TABLE {origins}, {allocations}, {requests} IN ROW EXCLUSIVE MODE",
            schema,
            origins=COST_ORIGINS,
            allocations=COST_ALLOCATIONS,
            requests=COST_REQUESTS,
        )
    )
    for table, rows in facts.items():
        arriving = _arriving(table)
        connection.execute(
            compose(
                "CREATE TEMP TABLE {arriving} (LIKE {table}) ON COMMIT DROP",
                schema,
                arriving=arriving,
                table=table,
            )
        )
        copy_facts(connection, "pg_temp", _arriving_table(table), rows)
    for statement in statements(facts, _names(schema, facts)):
        connection.execute(statement.encode())
    for table in facts:  # a transaction may store several parts
        connection.execute(sql.SQL("DROP TABLE {}").format(_arriving(table)))


def _names(schema: str, facts: Mapping[Table, Sequence[Row]]) -> Names:
    times = [row[table.index("time")] for table, rows in facts.items() for row in rows]
    # As literals: only constants leave chunks out, and compressed ones alone.
    low, high = (
        sql.Literal((_EPOCH + timedelta(microseconds=time)).isoformat()) for time in (min(times), max(times))
    )
    between = sql.SQL("BETWEEN {}::timestamptz AND {}::timestamptz").format(low, high).as_string()
    return Names(
        stored=lambda table: sql.Identifier(schema, table.name).as_string(),
        arriving=lambda table: _arriving(table).as_string(),
        within=lambda alias: f"{alias}.time {between}",
    )


@cache  # a table is equal to itself only
def _arriving_table(table: Table) -> Table:
    return Table(f"arriving_{table.name}", table.columns)


def _arriving(table: Table) -> sql.Identifier:
    return sql.Identifier("pg_temp", _arriving_table(table).name)
