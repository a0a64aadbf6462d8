"""The statements that write: dimensions, positions, and facts by COPY. All take the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final
from uuid import UUID

from psycopg import sql

from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.copy_binary import copy_pieces
from collector.storage.postgresql.names import compose
from collector.storage.rows import CopyRows, Key, Row
from collector.storage.store import Change, NothingChangedError
from collector.storage.tables import POSITIONS, SERIES, Kind, Table

_ROWS_PER_STATEMENT: Final = 5_000
_TYPES: Final = {
    Kind.UUID: "uuid",
    Kind.TEXT: "text",
    Kind.JSON: "text",
    Kind.INT32: "integer",
    Kind.INT64: "bigint",
    Kind.BOOL: "boolean",
}


def set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set server parameters for this transaction: never for the session, which a pooler may share."""
    if settings:
        connection.execute(sql.SQL("SELECT {}").format(set_config(len(settings))), words(settings))


def insert_dimensions(
    connection: Connection, schema: str, missing: Mapping[Table, list[Row]]
) -> dict[Key, bytes]:
    """Insert what is not there, in the order given; return the digests stored under the series ids given."""
    for table, rows in missing.items():
        statement = _insert_statement(schema, table)
        for at in range(0, len(rows), _ROWS_PER_STATEMENT):
            columns = zip(*rows[at : at + _ROWS_PER_STATEMENT], strict=True)
            connection.execute(
                statement,
                [
                    _parameter(column.kind, values)
                    for column, values in zip(table.columns, columns, strict=True)
                ],
            )
    ids = [row[0] for row in missing.get(SERIES, ())]
    if not ids:
        return {}
    # A statement sees what was committed before it began: also the row that made ON CONFLICT wait.
    found = connection.execute(
        compose("SELECT series_id, digest FROM {table} WHERE series_id = ANY(%s)", schema, table=SERIES),
        (ids,),
    )
    return {series_id: digest.bytes for series_id, digest in found}


@cache
def copy_statement(schema: str, table: Table) -> bytes:
    """The COPY that takes what `copy_pieces` makes. `schema` may be the one of temporary tables."""
    return compose(
        "COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)",
        schema,
        table=table,
        columns=sql.SQL(", ").join(map(sql.Identifier, table.column_names)),
    ).as_bytes()


def copy_facts(connection: Connection, schema: str, table: Table, rows: Sequence[Row]) -> None:
    """Append rows, in their order."""
    pieces = rows.copy_pieces() if isinstance(rows, CopyRows) else copy_pieces(table, rows)
    with connection.cursor() as cursor, cursor.copy(copy_statement(schema, table)) as copy:
        for piece in pieces:
            copy.write(piece)


def insert_row(connection: Connection, schema: str, table: Table, row: Row) -> None:
    """Insert one row."""
    statement = compose(
        "INSERT INTO {table} ({columns}) VALUES ({places})",
        schema,
        table=table,
        columns=sql.SQL(", ").join(map(sql.Identifier, table.column_names)),
        places=sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    connection.execute(statement, row)


def lock_position(connection: Connection, schema: str, queue_id: UUID) -> int | None:
    """The position of a queue, which nobody else changes before the transaction ends; None: none is stored."""
    row = connection.execute(
        compose("SELECT position FROM {table} WHERE queue_id = %s FOR UPDATE", schema, table=POSITIONS),
        (queue_id,),
    ).fetchone()
    return None if row is None else row[0]


def put_position(connection: Connection, schema: str, queue_id: UUID, before: int | None, end: int) -> bool:
    """Store `end`. False: the position is not `before` (any more), and nothing was done."""
    if before is None:
        statement = compose(
            "INSERT INTO {table} (queue_id, position, updated_at) VALUES (%s, %s, now()) ON CONFLICT DO NOTHING",
            schema,
            table=POSITIONS,
        )
        return connection.execute(statement, (queue_id, end)).rowcount == 1
    statement = compose(
        "UPDATE {table} SET position = %s, updated_at = now() WHERE queue_id = %s AND position = %s",
        schema,
        table=POSITIONS,
    )
    return connection.execute(statement, (end, queue_id, before)).rowcount == 1


def put_positions(connection: Connection, schema: str, queue_ids: Collection[UUID], end: int) -> None:
    """Store `end` for all of them, whatever is stored. In one order, so that two who do it wait for each other."""
    connection.execute(
        compose(
            "INSERT INTO {table} (queue_id, position, updated_at) SELECT queue_id, %s, now() "
            "FROM unnest(%s::uuid[]) AS queue_id "
            "ON CONFLICT (queue_id) DO UPDATE SET position = excluded.position, updated_at = excluded.updated_at",
            schema,
            table=POSITIONS,
        ),
        (end, sorted(queue_ids)),
    )


def run_changes(
    connection: Connection, schema: str, settings: Mapping[str, str], changes: Sequence[Change]
) -> bool:
    """Do all of them in a transaction of their own, or nothing (False) if a required one changes no row."""
    search_path = {"search_path": sql.Identifier(schema).as_string()}
    try:
        with connection.transaction():
            set_local(connection, {**settings, **search_path})
            for change in changes:
                cursor = connection.execute(change.sql.encode(), change.params)
                if change.required and not cursor.rowcount:
                    raise NothingChangedError
    except NothingChangedError:
        return False
    return True


def set_config(settings: int) -> sql.Composed:
    """Expressions that set so many server parameters for this transaction; `words` are their values."""
    return sql.SQL(", ").join([sql.SQL("set_config(%s, %s, true)")] * settings)


def words(settings: Mapping[str, str]) -> list[str]:
    """The values of `set_config`."""
    return [word for setting in settings.items() for word in setting]


def _insert_statement(schema: str, table: Table) -> sql.Composed:
    arrays = sql.SQL(", ").join(
        sql.SQL("%s::{}[]").format(sql.SQL(_TYPES[column.kind])) for column in table.columns
    )
    return compose(
        "INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING",
        schema,
        table=table,
        columns=sql.SQL(", ").join(map(sql.Identifier, table.column_names)),
        arrays=arrays,
    )


def _parameter(kind: Kind, values: Iterable[Any]) -> list[Any]:
    if kind is Kind.UUID:
        return [None if value is None else value.hex() for value in values]
    return list(values)
