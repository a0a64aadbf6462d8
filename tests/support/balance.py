"""After every test, whatever costs it wrote add up: the view `cost_balance` is empty. A plugin; no test asks for it.

It does not matter who wrote: the test, a daemon, a command. Databases are asked before they are dropped, SQLite files when
the test has ended (all in its `tmp_path`), memory before it is closed. A test that writes costs that do not add up,
on purpose, is marked `unbalanced`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg import sql

from collector.storage.sqlite.store import SqliteStore

_SQLITE: Final = b"SQLite format 3\0"
_BALANCE: Final = "SELECT * FROM cost_balance LIMIT 5"
_unbalanced_now: list[str] = []  # tests that run now and may
_found: list[str] = []  # in memory: raised later, since who closes a store may swallow errors


@pytest.fixture(autouse=True)
def costs_add_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set up before all other fixtures of a test, so it ends after them."""
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    may_differ = request.node.get_closest_marker("unbalanced") is not None
    if may_differ:
        _unbalanced_now.append(request.node.nodeid)
    yield
    if may_differ:
        _unbalanced_now.remove(request.node.nodeid)
    else:
        if folder is not None:
            assert_files_balanced(folder)
        assert _found == []
    _found.clear()


@pytest.fixture(autouse=True, scope="session")
def costs_in_memory_add_up() -> Iterator[None]:
    """Ask every store in memory before it is closed."""
    close = SqliteStore.close

    def asked(store: SqliteStore) -> None:
        if store.path is None and store._connections.writer is not None and not _unbalanced_now:
            _found.extend(_of_sqlite(store))
        close(store)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteStore, "close", asked)
        yield


def assert_files_balanced(folder: Path) -> None:
    """Ask all SQLite files in a folder, whatever they are called."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and _is_sqlite(path):
            with closing(SqliteStore(path)) as store:
                assert _of_sqlite(store) == [], path


def assert_database_balanced(dsn: str) -> None:
    """Ask a PostgreSQL database, in every schema that has the view."""
    if _unbalanced_now:
        return
    with psycopg.connect(dsn, autocommit=True) as connection:
        views = "SELECT schemaname FROM pg_views WHERE viewname = 'cost_balance'"
        for (schema,) in connection.execute(views).fetchall():
            view = sql.Identifier(schema, "cost_balance")
            assert connection.execute(sql.SQL("SELECT * FROM {} LIMIT 5").format(view)).fetchall() == [], dsn


def _is_sqlite(path: Path) -> bool:
    """Whether it is a database of ours with costs in it; asked cheaply, since most have none."""
    try:
        with path.open("rb") as stream:
            if stream.read(len(_SQLITE)) != _SQLITE:
                return False
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(
                connection.execute("SELECT EXISTS (SELECT 1 FROM otlp_cost_allocations)").fetchone()[0]
            )
    except (OSError, sqlite3.Error):
        return False  # damaged, locked away or without costs, on purpose: there is nothing to ask


def _of_sqlite(store: SqliteStore) -> list[str]:
    tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'cost_balance'"
    if store.query(tables).rows == [(0,)]:
        return []
    return [str(row) for row in store.query(_BALANCE).rows]
