"""What a SQLite store needs now and then: sizes, and deleting what is old."""

# ruff: noqa: S608  table and column names are constants, values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from collector.model.signal import Signal
from collector.storage.positions import QUEUE_FORGOTTEN_AFTER_S
from collector.storage.sqlite.connection import transaction
from collector.storage.sqlite.statements import EXACT_TIME
from collector.storage.store import TableStats
from collector.storage.tables import (
    COST_FACTS,
    DIMENSIONS,
    FACTS,
    LOGS,
    METRIC_FACTS,
    POLICY_TABLES,
    POSITIONS,
    SERIES,
    SPANS,
    Table,
    tables_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Some 20 ms of work: so long a writer may have to wait for the lock.
_SLICE_ROWS: Final = 5_000
_SLICE_PAGES: Final = 1_000


def stats(connection: sqlite3.Connection) -> list[TableStats]:
    """Rows, bytes (with indexes) and times of every table."""
    sizes = _sizes(connection)
    result = []
    for table in _there(connection, (*FACTS, *DIMENSIONS, POSITIONS, *POLICY_TABLES)):
        oldest = newest = None
        if table in FACTS:
            # Two statements: SQLite takes the ends of an index only for a lone min or max.
            [[oldest]] = connection.execute(f"SELECT min({EXACT_TIME}) FROM {table.name}")
            [[newest]] = connection.execute(f"SELECT max({EXACT_TIME}) FROM {table.name}")
        result.append(
            TableStats(
                table=table.name,
                rows=count(connection, table),
                exact=True,
                bytes=sizes.get(table.name) if sizes else None,
                oldest_unix_nano=oldest,
                newest_unix_nano=newest,
            )
        )
    return result


def count(connection: sqlite3.Connection, table: Table) -> int:
    """Number of rows."""
    [[rows]] = connection.execute(f"SELECT count(*) FROM {table.name}")
    return int(rows)


def delete_old(
    writing: Callable[[], AbstractContextManager[sqlite3.Connection]],
    ages_s: Mapping[Signal | Table, float],
    now_unix_nano: int,
) -> dict[str, int]:
    """Delete in slices, each in a transaction of its own under the write lock that `writing` holds."""
    deleted: dict[str, int] = {}
    with writing() as connection:
        cutoffs = list(_cutoffs(connection, ages_s, now_unix_nano))
    for table, cutoff in cutoffs:
        deleted[table.name] = _delete_slices(writing, table, f"{EXACT_TIME} < ?", (cutoff,))
    with writing() as connection, transaction(connection):
        connection.execute(
            f"DELETE FROM {POSITIONS.name} WHERE updated_at < ?",
            (now_unix_nano // 1000 - int(QUEUE_FORGOTTEN_AFTER_S * 1e6),),
        )
    _give_back(writing)
    return deleted


def delete_billed(
    writing: Callable[[], AbstractContextManager[sqlite3.Connection]],
    start_unix_nano: int,
    end_unix_nano: int,
) -> int:
    """Delete the costs of billing periods that begin from `start` to before `end`, parts before their whole."""
    where = "billing_period_start_unix_nano >= ? AND billing_period_start_unix_nano < ?"
    deleted = sum(
        _delete_slices(writing, table, where, (start_unix_nano, end_unix_nano))
        for table in reversed(COST_FACTS)
    )
    _give_back(writing)
    return deleted


def _delete_slices(
    writing: Callable[[], AbstractContextManager[sqlite3.Connection]],
    table: Table,
    where: str,
    params: tuple[int, ...],
) -> int:
    deleted, deleted_now = 0, _SLICE_ROWS
    while deleted_now == _SLICE_ROWS:
        with writing() as connection, transaction(connection):
            deleted_now = connection.execute(
                f"DELETE FROM {table.name} WHERE rowid IN "
                f"(SELECT rowid FROM {table.name} WHERE {where} LIMIT {_SLICE_ROWS})",
                params,
            ).rowcount
        deleted += deleted_now
    return deleted


def _give_back(writing: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
    """Give pages that hold nothing back to the file system."""
    free = 1
    while free:
        with writing() as connection:
            [[before]] = connection.execute("PRAGMA freelist_count")
            connection.execute(f"PRAGMA incremental_vacuum({_SLICE_PAGES})").fetchall()
            [[free]] = connection.execute("PRAGMA freelist_count")
            if free >= before:  # a file that was not created with auto_vacuum keeps its free pages
                break


def count_old(
    connection: sqlite3.Connection, ages_s: Mapping[Signal | Table, float], now_unix_nano: int
) -> dict[str, int]:
    """How many rows `delete_old` would delete."""
    counts = {}
    for table, cutoff in _cutoffs(connection, ages_s, now_unix_nano):
        [[counts[table.name]]] = connection.execute(
            f"SELECT count(*) FROM {table.name} WHERE {EXACT_TIME} < ?", (cutoff,)
        )
    return counts


def keep_newest(connection: sqlite3.Connection, items_max: int) -> dict[Table, int]:
    """Delete the oldest items, of all signals, so that `items_max` remain. Within the caller's transaction."""
    facts = _facts(connection)
    times = " UNION ALL ".join(f"SELECT {EXACT_TIME} AS time FROM {table.name}" for table in facts)
    boundary = connection.execute(
        f"SELECT time FROM ({times}) ORDER BY time DESC LIMIT 1 OFFSET ?", (items_max - 1,)
    ).fetchone()
    if boundary is None:
        return {}
    deleted = {
        table: connection.execute(
            f"DELETE FROM {table.name} WHERE {EXACT_TIME} < ?",
            boundary,
        ).rowcount
        for table in facts
    }
    # Of the items at the boundary itself, as many as are too many, whichever; of costs all, or they would not balance.
    [[remaining]] = connection.execute(f"SELECT count(*) FROM ({times})")
    for table in facts:
        excess = max(0, remaining - items_max)
        at_boundary = connection.execute(
            f"DELETE FROM {table.name} WHERE rowid IN "
            f"(SELECT rowid FROM {table.name} WHERE {EXACT_TIME} = ? LIMIT ?)",
            (*boundary, -1 if excess and table in COST_FACTS else excess),
        ).rowcount
        deleted[table] += at_boundary
        remaining -= at_boundary
    return {table: rows for table, rows in deleted.items() if rows}


def delete_unused_dimensions(connection: sqlite3.Connection) -> None:
    """Delete dimension rows that no fact refers to. Only where nobody else remembers having written them."""
    points = " UNION ".join(f"SELECT series_id FROM {table.name}" for table in METRIC_FACTS)
    connection.execute(f"DELETE FROM {SERIES.name} WHERE series_id NOT IN ({points})")
    for table in DIMENSIONS:
        if table is SERIES:
            continue
        key = table.columns[0].name
        users = " UNION ".join(f"SELECT {key} FROM {user.name}" for user in (SERIES, SPANS, LOGS))
        connection.execute(f"DELETE FROM {table.name} WHERE {key} NOT IN ({users})")


def _cutoffs(
    connection: sqlite3.Connection, ages_s: Mapping[Signal | Table, float], now_unix_nano: int
) -> Iterator[tuple[Table, int]]:
    facts = _facts(connection)
    for what, age_s in ages_s.items():
        for table in tables_of(what):
            if table in facts:
                yield table, now_unix_nano - int(age_s * 1e9)


def _facts(connection: sqlite3.Connection) -> list[Table]:
    """The fact tables that this file has."""
    return _there(connection, FACTS)


def _there(connection: sqlite3.Connection, tables: Sequence[Table]) -> list[Table]:
    """Those of `tables` that this file has: the schema may be a version behind."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [table for table in tables if table.name in names]


def _sizes(connection: sqlite3.Connection) -> dict[str, int] | None:
    """Bytes by table with its indexes; None where SQLite was built without dbstat."""
    try:
        return dict(
            connection.execute(
                "SELECT m.tbl_name, sum(d.pgsize) FROM dbstat('main', 1) d JOIN sqlite_master m ON m.name = d.name "
                "GROUP BY m.tbl_name"
            )
        )
    except sqlite3.OperationalError:
        return None
