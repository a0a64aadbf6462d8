"""Cost records into a SQLite file, by the statements of `storage.ledger`."""

# ruff: noqa: S608  table and column names are constants of `tables`, values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from collector.storage.ledger import Names, statements
from collector.storage.rows import Row
from collector.storage.sqlite.cells import rows_in
from collector.storage.tables import Table

_NAMES: Final = Names(stored=lambda table: table.name, arriving=lambda table: f"arriving_{table.name}")


def store_costs(connection: sqlite3.Connection, facts: Mapping[Table, Sequence[Row]]) -> None:
    """Store the rows of cost tables, within the caller's transaction."""
    for table, rows in facts.items():
        arriving = _NAMES.arriving(table)
        connection.execute(f"CREATE TEMP TABLE {arriving} AS SELECT * FROM {table.name} LIMIT 0")
        places = ", ".join("?" * len(table.columns))
        connection.executemany(f"INSERT INTO {arriving} VALUES ({places})", rows_in(table, rows))
    for statement in statements(facts, _NAMES):
        connection.execute(statement)
    for table in facts:
        connection.execute(f"DROP TABLE {_NAMES.arriving(table)}")
