"""Rows that a database refuses for ever, by a rule that its administrator has added."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Final

import psycopg

from collector.storage.sqlite.store import SqliteStore, path_of

# The sequence number that `tests.faults.stamp` gives to an item, by table. In SQLite's triggers the row is called NEW.
_POSTGRESQL: Final = {
    "otlp_logs": "(attributes::jsonb ->> 'sequence')::bigint",
    "otlp_spans": "(attributes::jsonb ->> 'sequence')::bigint",
    "otlp_number_points": "value_int",
}
_SQLITE: Final = {
    "otlp_logs": "json_extract(NEW.attributes, '$.sequence')",
    "otlp_spans": "json_extract(NEW.attributes, '$.sequence')",
    "otlp_number_points": "NEW.value_int",
}


@contextmanager
def refusing(url: str, bad: str) -> Iterator[None]:
    """Within it, the database at `url` refuses stamped items for whose number, `{n}`, the condition `bad` is true."""
    if url.startswith("sqlite:"):
        path = path_of(url)
        assert path is not None
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            add_triggers(connection, bad)
            yield
            for table in _SQLITE:
                connection.execute(f"DROP TRIGGER {table}_refused")
        return
    with psycopg.connect(url.replace("timescaledb://", "postgresql://"), autocommit=True) as postgresql:
        _alter(postgresql, _POSTGRESQL, "ADD CONSTRAINT refused CHECK (({}) IS NOT TRUE) NOT VALID", bad)
        yield
        _alter(postgresql, _POSTGRESQL, "DROP CONSTRAINT refused", bad)


def _alter(
    connection: psycopg.Connection[tuple[object, ...]], tables: Mapping[str, str], change: str, bad: str
) -> None:
    for table, number in tables.items():
        connection.execute(f"ALTER TABLE telemetry.{table} {change.format(bad.format(n=number))}".encode())


def add_triggers(connection: sqlite3.Connection, bad: str) -> None:
    """The same for a connection to SQLite."""
    for table, number in _SQLITE.items():
        connection.execute(
            f"CREATE TRIGGER {table}_refused BEFORE INSERT ON {table} WHEN {bad.format(n=number)} "
            "BEGIN SELECT RAISE(ABORT, 'refused by a rule'); END"
        )
    connection.commit()


def refuse_in_memory(store: SqliteStore, bad: str) -> None:
    """The same for a store in memory, until it is closed."""
    assert store._connections.writer is not None
    add_triggers(store._connections.writer, bad)
