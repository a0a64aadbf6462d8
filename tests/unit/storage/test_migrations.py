"""Numbered migrations, and that each dialect's `schema.sql` shows what they add up to."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from collector.model.errors import PermanentError
from collector.storage import migrations
from collector.storage.sqlite import schema
from collector.storage.sqlite.store import SqliteStore
from collector.storage.store import Migration, SchemaStatus

KNOWN = tuple(Migration(number, "name", f"SELECT {number}", str(number)) for number in (1, 2, 3))


def test_status_names_what_is_pending() -> None:
    """Everything that has no line in the version table."""
    status = migrations.status(KNOWN, {1: "1"})
    assert (status.current, status.expected, status.pending) == (1, 3, KNOWN[1:])


@pytest.mark.parametrize(
    ("current", "usable"), [(0, False), (1, False), (2, True), (3, True), (4, True), (5, False)]
)
def test_neighbouring_versions_get_on(current: int, usable: bool) -> None:
    """One version apart is written to, in both directions; an empty database and anything further is not."""
    assert SchemaStatus(current, 3, ()).usable is usable


def test_a_database_at_version_0_is_never_usable() -> None:
    """Not even by the first version."""
    assert not SchemaStatus(0, 1, ()).usable


def test_status_refuses_a_database_with_another_history() -> None:
    """A migration that was applied with another content is not ours."""
    with pytest.raises(PermanentError, match="migration 2"):
        migrations.status(KNOWN, {1: "1", 2: "another"})


def test_status_accepts_what_a_newer_program_applied() -> None:
    """It is not known here, and only adds."""
    assert migrations.status(KNOWN, {1: "1", 2: "2", 3: "3", 4: "4"}).current == 4


def _package(tmp_path: Path, name: str, *files: str) -> str:
    folder = tmp_path / name / "sql"
    folder.mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    for file in files:
        (folder / file).write_text("SELECT 1;")
    return name


def test_load_refuses_gaps_and_strange_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forgotten or misnamed file must not go unnoticed."""
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="numbered"):
        migrations.load(_package(tmp_path, "with_gap", "0001_a.sql", "0003_b.sql"))
    with pytest.raises(ValueError, match="not named"):
        migrations.load(_package(tmp_path, "misnamed", "first.sql"))
    loaded = migrations.load(_package(tmp_path, "in_order", "0002_b.sql", "0001_a.sql", "README.md"))
    assert [(migration.version, migration.name) for migration in loaded] == [(1, "a"), (2, "b")]


def _objects(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return sorted(
        connection.execute(
            "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master WHERE name <> ?",
            (migrations.VERSION_TABLE,),
        )
    )


def test_schema_sql_shows_what_the_sqlite_migrations_add_up_to() -> None:
    """Object by object, as SQLite remembers them."""
    migrated = sqlite3.connect(":memory:", isolation_level=None)
    schema.apply(migrated, 0)
    shown = sqlite3.connect(":memory:")
    shown.executescript((Path(schema.__file__).parent / "schema.sql").read_text())
    assert _objects(migrated) == _objects(shown)


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Here: an object of that name is there already, somebody else's."""
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE otlp_spans (mine)")
    connection.close()
    store = SqliteStore(path)
    with pytest.raises(Exception, match="already exists"):
        store.migrate()
    assert store.schema_status().current == 0
    with sqlite3.connect(path) as connection:
        assert [name for (name,) in connection.execute("SELECT name FROM sqlite_master")] == ["otlp_spans"]
    connection.close()
    store.close()
