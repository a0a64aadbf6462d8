"""The statements that read rows back as they were written, and people's queries."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

import psycopg
from psycopg import sql

from collector.cost.amount import amount_text
from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.names import compose
from collector.storage.postgresql.writing import set_local
from collector.storage.rows import Key, Row
from collector.storage.store import QueryError, Result
from collector.storage.tables import COST_FACTS, DIMENSIONS, RESOURCES, SCOPES, SERIES, Column, Kind, Table

_KEYS_AT_ONCE: Final = 10_000
_NEVER: Final = 2**63 - 1
_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
# Connection lost, server ended: no fault of the query's. The rest is.
_AWAY: Final = frozenset({"08", "57", "53", "58"})

_FROM_SERVER: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.UUID: lambda value: value.bytes,
    Kind.NUMERIC: lambda value: Decimal(amount_text(value)),  # without the zeros that make it 18 decimals
    Kind.UINT64_ARRAY: tuple,
    Kind.FLOAT64_ARRAY: tuple,
}


def select_facts(
    connection: Connection,
    schema: str,
    table: Table,
    start_unix_nano: int,
    end_unix_nano: int,
    limit: int | None,
) -> list[Row]:
    """The rows of `start <= time < end`; oldest first if there is a limit."""
    conditions: list[sql.SQL] = []
    params: dict[str, Any] = {"limit": limit}
    if start_unix_nano > 0:
        # The first comparison is the one that leaves chunks out.
        conditions.append(
            sql.SQL("time >= {start} AND (time > {start} OR coalesce(time_nanos, 0) >= %(start_ns)s)")
        )
        params["start_us"], params["start_ns"] = divmod(start_unix_nano, 1000)
    if end_unix_nano < _NEVER:
        conditions.append(sql.SQL("time <= {end} AND (time < {end} OR coalesce(time_nanos, 0) < %(end_ns)s)"))
        params["end_us"], params["end_ns"] = divmod(end_unix_nano, 1000)
    bounds = {name: _time(name) for name in ("start", "end")}
    where = sql.SQL(" AND ").join(
        [sql.SQL("true"), *[condition.format(**bounds) for condition in conditions]]
    )
    order = sql.SQL("ORDER BY time, time_nanos NULLS FIRST LIMIT %(limit)s" if limit is not None else "")
    statement = compose(
        "SELECT {columns} FROM {table} WHERE {where} {order}",
        schema,
        columns=_columns(table),
        table=table,
        where=where,
        order=order,
    )
    with connection.cursor(binary=True) as cursor:
        return _rows(table, cursor.execute(statement, params).fetchall())


def select_dimensions(
    connection: Connection, schema: str, facts: Mapping[Table, list[Row]]
) -> dict[Table, dict[Key, Row]]:
    """The dimension rows that `facts` refer to, directly or through their series."""
    keys: dict[str, set[Key]] = {"series_id": set(), "resource_id": set(), "scope_id": set()}

    def collect(table: Table, rows: list[Row]) -> None:
        for column, of_column in keys.items():
            if column in table.column_names:
                at = table.index(column)
                of_column.update([row[at] for row in rows])

    for table, rows in facts.items():
        if table not in COST_FACTS:  # whose `resource_id` is FOCUS's
            collect(table, rows)
    series = _by_key(connection, schema, SERIES, keys["series_id"])
    collect(SERIES, series)
    found = {
        RESOURCES: _by_key(connection, schema, RESOURCES, keys["resource_id"]),
        SCOPES: _by_key(connection, schema, SCOPES, keys["scope_id"]),
        SERIES: series,
    }
    return {table: {row[0]: row for row in found[table]} for table in DIMENSIONS if found[table]}


def run_query(
    connection: Connection,
    schema: str,
    extension_schema: str,
    statement: str,
    params: Mapping[str, Any] | None,
    timeout_s: float | None,
    rows_max: int | None,
) -> Result:
    """Run one statement in a transaction that cannot write, with the views found by their plain names.

    Raises:
        QueryError: it is wrong, writes, or takes longer than `timeout_s`.
        psycopg.Error: the server went away.
    """
    settings = _settings(schema, extension_schema, timeout_s)
    try:
        with connection.transaction(), _cursor(connection, statement) as cursor:
            set_local(connection, settings)
            cursor.execute(statement.encode(), params)
            rows = cursor.fetchall() if rows_max is None else cursor.fetchmany(rows_max)
            columns = tuple(column.name for column in cursor.description or ())
    except psycopg.Error as error:
        if _is_away(connection, error):
            raise
        if error.sqlstate == "57014" and timeout_s is not None:
            raise QueryError(f"took longer than {timeout_s:g} s") from error
        raise QueryError(str(error).strip()) from error
    return Result(columns, rows)


@contextmanager
def stream_query(
    connection: Connection,
    schema: str,
    extension_schema: str,
    statement: str,
    params: Mapping[str, Any],
    rows_at_once: int,
) -> Iterator[Iterator[Row]]:
    """Give the rows of one SELECT as the caller asks for them, within a transaction that cannot write.

    Raises:
        QueryError: the statement is wrong.
        psycopg.Error: the server went away.
    """
    with (
        connection.transaction(),
        connection.cursor(name="collector_stream", binary=True) as cursor,
    ):
        set_local(connection, _settings(schema, extension_schema, None))
        try:
            cursor.execute(statement.encode(), params)
        except psycopg.Error as error:
            if _is_away(connection, error):
                raise
            raise QueryError(str(error).strip()) from error
        cursor.itersize = rows_at_once
        yield iter(cursor)


def _settings(schema: str, extension_schema: str, timeout_s: float | None) -> dict[str, str]:
    """Server parameters of a transaction in which somebody asks something."""
    names = [schema, *([extension_schema] if extension_schema else []), "public"]
    settings = {
        "transaction_read_only": "on",
        "search_path": ", ".join(sql.Identifier(name).as_string() for name in names),
        "timezone": "UTC",
        "cursor_tuple_fraction": "1",  # plan for all rows, not for the first
    }
    if timeout_s is not None:
        settings["statement_timeout"] = f"{max(1, round(timeout_s * 1000))}ms"
    return settings


def _is_away(connection: Connection, error: psycopg.Error) -> bool:
    return connection.broken or (error.sqlstate or "")[:2] in _AWAY - {"57"}


def _cursor(connection: Connection, statement: str) -> psycopg.Cursor[Any] | psycopg.ServerCursor[Any]:
    """One that leaves at the server what is not fetched; for what can have no such (EXPLAIN, SHOW), the other.

    Both send one statement at most: a second could end the transaction that cannot write.
    """
    words = _COMMENT.sub(" ", statement).split(None, 1)
    if words and words[0].lower().startswith(("select", "with", "values", "table", "(")):
        return connection.cursor(name="collector_query")
    return connection.cursor(binary=True)  # binary: one statement


def _time(name: str) -> sql.Composable:
    # Exact: an integer number of microseconds, as a double.
    return sql.SQL("(timestamptz 'epoch' + {} * interval '1 microsecond')").format(
        sql.Placeholder(f"{name}_us")
    )


def _columns(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(map(_column, table.columns))


def _column(column: Column) -> sql.Composable:
    name = sql.Identifier(column.name)
    if column.kind is Kind.TIME:
        return sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint").format(name)
    return name


def _rows(table: Table, rows: list[Row]) -> list[Row]:
    converters = [
        (index, _FROM_SERVER[column.kind])
        for index, column in enumerate(table.columns)
        if column.kind in _FROM_SERVER
    ]
    if not converters:
        return rows
    converted = []
    for row in rows:
        values = list(row)
        for index, convert in converters:
            if values[index] is not None:
                values[index] = convert(values[index])
        converted.append(tuple(values))
    return converted


def _by_key(connection: Connection, schema: str, table: Table, keys: Collection[Key]) -> list[Row]:
    statement = compose(
        "SELECT {columns} FROM {table} WHERE {key} = ANY(%s::{type}[])",
        schema,
        columns=_columns(table),
        table=table,
        key=table.columns[0].name,
        type=sql.SQL("bigint" if table is SERIES else "uuid"),
    )
    rows: list[Row] = []
    ordered = [key.hex() if isinstance(key, bytes) else key for key in keys]
    with connection.cursor(binary=True) as cursor:
        for at in range(0, len(ordered), _KEYS_AT_ONCE):
            rows += cursor.execute(statement, (ordered[at : at + _KEYS_AT_ONCE],)).fetchall()
    return _rows(table, rows)
