"""The statements that write and read rows. All take the caller's transaction."""

# ruff: noqa: S608  table and column names are constants of `tables`, values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from collector.storage.rows import Key, Row
from collector.storage.sqlite.cells import rows_in, rows_out
from collector.storage.tables import (
    COST_FACTS,
    DIMENSIONS,
    FACTS,
    POSITIONS,
    RESOURCES,
    SCOPES,
    SERIES,
    Table,
)

_INTO: Final = {
    table: f"INTO {table.name} ({', '.join(table.column_names)}) VALUES ({', '.join('?' * len(table.columns))})"
    for table in (*DIMENSIONS, *FACTS)
}
_SELECT: Final = {
    table: f"SELECT {', '.join(table.column_names)} FROM {table.name}" for table in (*DIMENSIONS, *FACTS)
}
EXACT_TIME: Final = "(time * 1000 + coalesce(time_nanos, 0))"  # as in the indexes, letter by letter
_ROWS_AT_ONCE: Final = 2_000
_KEYS_AT_ONCE: Final = 500  # every SQLite allows 999 placeholders


def insert_dimensions(connection: sqlite3.Connection, missing: Mapping[Table, list[Row]]) -> dict[Key, bytes]:
    """Insert what is not there; return the digests stored under the series ids given."""
    for table, rows in missing.items():
        connection.executemany(f"INSERT OR IGNORE {_INTO[table]}", rows)
    keys = [row[0] for row in missing.get(SERIES, ())]
    return {row[0]: row[1] for row in _by_key(connection, SERIES, keys)}


def insert_facts(connection: sqlite3.Connection, table: Table, rows: Sequence[Row]) -> None:
    """Append rows."""
    statement = f"INSERT {_INTO[table]}"
    for at in range(0, len(rows), _ROWS_AT_ONCE):  # rows may become tuples only now
        connection.executemany(statement, rows_in(table, rows[at : at + _ROWS_AT_ONCE]))


def select_facts(
    connection: sqlite3.Connection, table: Table, start_unix_nano: int, end_unix_nano: int, limit: int | None
) -> list[Row]:
    """The rows of `start <= time < end`, oldest first."""
    rows = connection.execute(
        f"{_SELECT[table]} WHERE {EXACT_TIME} >= ? AND {EXACT_TIME} < ? ORDER BY {EXACT_TIME} LIMIT ?",
        (start_unix_nano, end_unix_nano, -1 if limit is None else limit),
    ).fetchall()
    return rows_out(table, rows)


def select_dimensions(
    connection: sqlite3.Connection, facts: Mapping[Table, Sequence[Row]]
) -> dict[Table, dict[Key, Row]]:
    """The dimension rows that `facts` refer to, directly or through their series."""
    keys: dict[str, set[Key]] = {"series_id": set(), "resource_id": set(), "scope_id": set()}

    def collect(table: Table, rows: Sequence[Row]) -> None:
        for column, of_column in keys.items():
            if column in table.column_names:
                at = table.index(column)
                of_column.update([row[at] for row in rows])

    for table, rows in facts.items():
        if table not in COST_FACTS:  # whose `resource_id` is FOCUS's
            collect(table, rows)
    found: dict[Table, dict[Key, Row]] = {}
    for table, column in ((SERIES, "series_id"), (RESOURCES, "resource_id"), (SCOPES, "scope_id")):
        rows = rows_out(table, _by_key(connection, table, keys[column]))
        collect(table, rows)
        if rows:
            found[table] = {row[0]: row for row in rows}
    return found


def select_position(connection: sqlite3.Connection, queue_id: UUID) -> int | None:
    """How far the queue is stored."""
    row = connection.execute(
        f"SELECT position FROM {POSITIONS.name} WHERE queue_id = ?", (queue_id.bytes,)
    ).fetchone()
    return None if row is None else int(row[0])


def put_position(connection: sqlite3.Connection, queue_id: UUID, position: int, now_unix_nano: int) -> None:
    """Set how far the queue is stored."""
    connection.execute(
        f"INSERT OR REPLACE INTO {POSITIONS.name} VALUES (?, ?, ?)",
        (queue_id.bytes, position, now_unix_nano // 1000),
    )


def _by_key(connection: sqlite3.Connection, table: Table, keys: Collection[Key]) -> list[Row]:
    rows: list[Row] = []
    ordered = list(keys)
    for at in range(0, len(ordered), _KEYS_AT_ONCE):
        some = ordered[at : at + _KEYS_AT_ONCE]
        placeholders = ", ".join("?" * len(some))
        rows += connection.execute(
            f"{_SELECT[table]} WHERE {table.columns[0].name} IN ({placeholders})", some
        )
    return rows
