"""The version of a SQLite file's schema: reading it, and applying what is missing."""

# ruff: noqa: S608  table names are constants, values are bound

from __future__ import annotations

import sqlite3
from functools import cache

from collector.storage import migrations
from collector.storage.migrations import VERSION_TABLE
from collector.storage.store import Migration, SchemaError, SchemaStatus


@cache
def known() -> tuple[Migration, ...]:
    """The migrations of this program."""
    return migrations.load("collector.storage.sqlite")


def status(connection: sqlite3.Connection) -> SchemaStatus:
    """Compare the file's schema with this program's."""
    [[exists]] = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (VERSION_TABLE,))
    if not exists:
        return migrations.status(known(), {})
    return migrations.status(
        known(), dict(connection.execute(f"SELECT version, checksum FROM {VERSION_TABLE}"))
    )


def require_usable(status: SchemaStatus) -> None:
    """Raise SchemaError, with what to do, if this program cannot use a schema like that."""
    if status.usable:
        return
    if not status.current:
        raise SchemaError("the database has no tables yet: `collector database init` makes them")
    advice = (
        "`collector database migrate` brings it up to date"
        if status.current < status.expected
        else "use a newer version of this program"
    )
    raise SchemaError(
        f"the schema is version {status.current}, this program's {status.expected}: too far apart; {advice}"
    )


def apply(connection: sqlite3.Connection, now_unix_nano: int) -> list[Migration]:
    """Apply what is missing, within the caller's transaction, and return it."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version INTEGER NOT NULL PRIMARY KEY, "
        "name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL)"
    )
    pending = list(status(connection).pending)
    for migration in pending:
        for statement in _statements(migration.sql):
            connection.execute(statement)
        connection.execute(
            f"INSERT INTO {VERSION_TABLE} VALUES (?, ?, ?, ?)",
            (migration.version, migration.name, migration.checksum, now_unix_nano // 1000),
        )
    return pending


def _statements(script: str) -> list[str]:
    """The single statements of a script; `executescript` would commit before it."""
    found = []
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found
