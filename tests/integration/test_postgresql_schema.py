"""Tables, views and migrations on each edition of PostgreSQL."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.storage.postgresql import schema
from collector.storage.postgresql.edition import read_edition
from collector.storage.postgresql.options import Layout, StoreOptions
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.postgresql.template import render
from collector.storage.store import SchemaError
from collector.storage.tables import ANALYSES, FACTS, POLICIES, SPANS, TELEMETRY_FACTS, Kind
from tests.support import samples
from tests.support.postgres import Server, installation
from tests.support.stores import put

EDITIONS = ("postgresql", "timescaledb", "timescaledb_apache")
FOLDER = resources.files("collector.storage.postgresql")

_TYPES = {
    Kind.TIME: "timestamp with time zone",
    Kind.INT16: "smallint",
    Kind.INT32: "integer",
    Kind.INT64: "bigint",
    Kind.UINT64: "bigint",
    Kind.FLOAT64: "double precision",
    Kind.NUMERIC: "numeric(38,18)",
    Kind.BOOL: "boolean",
    Kind.TEXT: "text",
    Kind.JSON: "text",
    Kind.UUID: "uuid",
    Kind.UINT64_ARRAY: "bigint[]",
    Kind.FLOAT64_ARRAY: "double precision[]",
}
_COLUMNS = """
SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, collname
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
LEFT JOIN pg_collation ON pg_collation.oid = attcollation
WHERE relnamespace = 'telemetry'::regnamespace AND attnum > 0 AND relkind IN ('r', 'p', 'v')
ORDER BY relname, attnum
"""
# What makes two schemas the same, whoever made them.
_CATALOG = {
    "columns": _COLUMNS,
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'telemetry' ORDER BY 1",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'telemetry' ORDER BY 1",
    "functions": "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'telemetry'::regnamespace "
    "ORDER BY 1",
    "tables": "SELECT relname, relkind::text, reloptions FROM pg_class "
    "WHERE relnamespace = 'telemetry'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1",
}
_HYPERTABLES = """
SELECT hypertable_name, compression_enabled, num_dimensions FROM timescaledb_information.hypertables
WHERE hypertable_schema = 'telemetry' ORDER BY 1
"""


@pytest.fixture(params=EDITIONS)
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of each edition in turn."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def second_url(request: pytest.FixtureRequest, url: str) -> Iterator[str]:
    """Another empty database on the same server."""
    edition = request.node.callspec.params["url"]
    server: Server = request.getfixturevalue(f"{edition}_server")
    other = server.create_database(timescaledb=edition != "postgresql")
    yield other
    server.drop_database(other)


def _migrated(url: str) -> None:
    with closing(PostgresqlStore(url)) as store:
        store.migrate()


def _catalog(url: str) -> dict[str, list[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        catalog = {name: connection.execute(query.encode()).fetchall() for name, query in _CATALOG.items()}
        if read_edition(connection).timescaledb:
            catalog["hypertables"] = connection.execute(_HYPERTABLES).fetchall()
    for name in ("columns", "tables", "indexes"):
        catalog[name] = [row for row in catalog[name] if "otlp_schema_migrations" not in row[0]]
    # Continuous aggregates read from tables with generated names.
    catalog["views"] = [row for row in catalog["views"] if "_hypertable_" not in row[1]]
    return catalog


def _variables(url: str) -> dict[str, str]:
    with psycopg.connect(url, autocommit=True) as connection:
        return schema._variables(read_edition(connection), None, StoreOptions())


def test_schema_sql_is_what_the_migrations_add_up_to(url: str, second_url: str) -> None:
    """The file that people read is the schema that they have."""
    _migrated(url)
    whole = render((FOLDER / "schema.sql").read_text(), _variables(second_url))
    with psycopg.connect(second_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA telemetry")
        connection.execute(whole.encode())
    assert _catalog(url) == _catalog(second_url)


def test_psql_runs_the_same_files(url: str, second_url: str) -> None:
    """An administrator who lets nobody else make tables can do it by hand."""
    found = installation()
    psql = found.directory / "psql" if found and found.directory else Path("psql")
    if not psql.exists():
        pytest.skip("needs psql beside the server")
    _migrated(url)
    variables = [f"--set={name}={value}" for name, value in _variables(second_url).items()]
    with psycopg.connect(second_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA telemetry")
    for migration in schema.known():
        subprocess.run(
            [psql, second_url, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *variables],
            input=migration.sql.encode(),
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
        )
    assert _catalog(url) == _catalog(second_url)


def test_columns_are_of_the_kinds_that_the_rows_have(url: str) -> None:
    """Types, nullability, and text that is compared byte by byte."""
    _migrated(url)
    with psycopg.connect(url) as connection:
        rows = connection.execute(_COLUMNS).fetchall()
    for table in (*FACTS, POLICIES, ANALYSES):
        expected = [
            (
                column.name,
                _TYPES[column.kind],
                not column.nullable,
                "C" if column.kind in (Kind.TEXT, Kind.JSON) else None,
            )
            for column in table.columns
        ]
        assert [row[1:] for row in rows if row[0] == table.name] == expected


def test_facts_are_cut_by_time_and_telemetry_has_no_unique_index(url: str) -> None:
    """Hypertables where there is TimescaleDB, partitioned tables where not."""
    _migrated(url)
    with psycopg.connect(url) as connection:
        kinds: dict[str, str] = dict(
            connection.execute(
                "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'telemetry'::regnamespace"
            ).fetchall()
        )
        unique = connection.execute(
            "SELECT indrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid "
            "WHERE indisunique AND relname = ANY(%s)",
            ([table.name for table in TELEMETRY_FACTS],),
        ).fetchall()
        timescaledb = bool(read_edition(connection).timescaledb)
        if timescaledb:
            hypertables = [row[0] for row in connection.execute(_HYPERTABLES).fetchall()]
            assert hypertables == sorted(table.name for table in FACTS)
    assert {kinds[table.name] for table in FACTS} == {"r" if timescaledb else "p"}
    assert unique == []


def test_a_dry_run_prints_sql_that_runs_as_it_is(url: str, second_url: str) -> None:
    """Without this program."""
    with closing(PostgresqlStore(url)) as store:
        planned = store.migrate(dry_run=True)
        store.migrate()
    with psycopg.connect(second_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA telemetry")
        for migration in planned:
            connection.execute(migration.sql.encode())
    assert _catalog(url) == _catalog(second_url)


def test_a_migration_that_was_changed_afterwards_is_an_error(postgresql_url: str) -> None:
    """For migrate; a writer waits, since no batch is to blame."""
    with closing(PostgresqlStore(postgresql_url)) as store:
        store.migrate()
        with store._connections.connection() as connection:
            connection.execute("UPDATE telemetry.otlp_schema_migrations SET checksum = 'x' WHERE version = 1")
    with closing(PostgresqlStore(postgresql_url)) as store:
        with pytest.raises(PermanentError, match="another content"):
            store.migrate()
        with pytest.raises(SchemaError, match="another content"):
            put(store, Signal.LOGS, samples.logs())


@pytest.mark.parametrize(("behind", "usable"), [(-1, True), (1, True), (2, False)])
def test_neighbouring_versions_get_on(postgresql_url: str, behind: int, usable: bool) -> None:
    """Sidecars roll one by one: a database one version ahead or behind is written to, others wait."""
    with closing(PostgresqlStore(postgresql_url)) as store:
        store.migrate()
        expected = store.schema_status().expected
        with store._connections.connection() as connection:
            if behind < 0:
                connection.execute(
                    "DELETE FROM telemetry.otlp_schema_migrations WHERE version > %s", (expected + behind,)
                )
            for version in range(expected + 1, expected + behind + 1):
                connection.execute(
                    "INSERT INTO telemetry.otlp_schema_migrations (version, name, checksum) "
                    "VALUES (%s, 'newer', 'x')",
                    (version,),
                )
    with closing(PostgresqlStore(postgresql_url)) as store:
        assert store.schema_status().usable is usable
        if usable:
            put(store, Signal.LOGS, samples.logs())
        else:
            with pytest.raises(SchemaError, match="upgrade this collector"):
                put(store, Signal.LOGS, samples.logs())


def test_tables_that_vanish_are_a_matter_of_the_schema(postgresql_url: str) -> None:
    """Retryable; and when they are back, writing goes on."""
    with closing(PostgresqlStore(postgresql_url)) as store:
        store.migrate()
        put(store, Signal.TRACES, samples.traces())
        with store._connections.connection() as connection:
            connection.execute("DROP SCHEMA telemetry CASCADE")
        with pytest.raises(SchemaError):
            put(store, Signal.TRACES, samples.traces())
        with pytest.raises(SchemaError, match="collector database init"):
            put(store, Signal.TRACES, samples.traces())
        store.migrate()
        put(store, Signal.TRACES, samples.traces())


# --- layouts ------------------------------------------------------------------------------------------------


def _store(url: str, layout: Layout | None) -> PostgresqlStore:
    return PostgresqlStore(url, StoreOptions(layout=layout))


def test_hypertables_need_timescaledb(postgresql_server: Server, postgresql_url: str) -> None:
    """Where it could be created it is, where not that is said, with what to do instead."""
    if not postgresql_server.timescaledb:
        with closing(_store(postgresql_url, Layout.HYPERTABLES)) as store:
            with pytest.raises(SchemaError, match="has no TimescaleDB"):
                store.open()
            with pytest.raises(PermanentError, match="use the exporter 'postgresql'"):
                store.migrate()
            failed = store.check()[-1]
            assert (failed.name, failed.ok) == ("extension and edition", False)
        return
    with closing(_store(postgresql_url, Layout.HYPERTABLES)) as store:
        store.open()
        assert "CREATE EXTENSION" in store.migrate(dry_run=True)[0].sql
        store.migrate()
        assert store.layout is Layout.HYPERTABLES
        put(store, Signal.TRACES, samples.traces())


def test_the_exporter_for_partitions_takes_hypertables_as_they_are(timescaledb_url: str) -> None:
    """Somebody made them, and they are better."""
    with closing(_store(timescaledb_url, Layout.HYPERTABLES)) as store:
        store.migrate()
    with closing(_store(timescaledb_url, Layout.PARTITIONS)) as store:
        assert store.migrate() == []
        put(store, Signal.TRACES, samples.traces())
        assert store.layout is Layout.HYPERTABLES


def test_the_exporter_for_hypertables_refuses_partitions(timescaledb_url: str) -> None:
    """What it promises (compression, roll-ups) would silently not be there."""
    with closing(_store(timescaledb_url, Layout.PARTITIONS)) as store:
        store.migrate()
        put(store, Signal.TRACES, samples.traces())
        assert store.layout is Layout.PARTITIONS
    with closing(_store(timescaledb_url, Layout.HYPERTABLES)) as store:
        with pytest.raises(SchemaError, match="without TimescaleDB"):
            put(store, Signal.TRACES, samples.traces())
        with pytest.raises(SchemaError, match="without TimescaleDB"):
            store.open()


def test_without_a_wish_the_database_decides(url: str) -> None:
    """A postgresql:// address takes hypertables if the extension is there."""
    with closing(_store(url, None)) as store:
        store.migrate()
        layout = Layout.HYPERTABLES if "TimescaleDB" in store.edition else Layout.PARTITIONS
        assert store.layout is layout
        assert store.stats()[-1].table == "otlp_cost_requests"


# --- partitions ---------------------------------------------------------------------------------------------


def _partitions(store: PostgresqlStore) -> list[str]:
    return [
        name
        for (name,) in store.query(
            "SELECT relid::text FROM pg_partition_tree('telemetry.otlp_spans') WHERE isleaf ORDER BY 1"
        ).rows
    ]


def test_partitions_are_made_for_what_comes_and_ahead_of_time(postgresql_url: str) -> None:
    """Named after the time they begin. Tables that are not used get none ahead."""
    with closing(PostgresqlStore(postgresql_url)) as store:
        store.migrate()
        assert _partitions(store) == []
        put(store, Signal.TRACES, samples.traces())
        assert _partitions(store) == ["otlp_spans_20260921_000000"]
        made = store.maintain(now_unix_nano=samples.NOW_UNIX_NANO).changes
        assert made == ["otlp_spans: 2 partitions made"]
        assert _partitions(store)[1:] == ["otlp_spans_20260922_000000", "otlp_spans_20260923_000000"]
        assert store.maintain(now_unix_nano=samples.NOW_UNIX_NANO).changes == []


def test_the_interval_can_be_changed(postgresql_url: str) -> None:
    """New partitions fill the room between the old ones."""
    with closing(PostgresqlStore(postgresql_url, StoreOptions(chunk_interval_s=3600.0))) as store:
        store.migrate()
        put(store, Signal.TRACES, samples.traces())
    with closing(PostgresqlStore(postgresql_url)) as store:
        for hours in (-13, 2, 30):
            request = samples.traces()
            for envelope in request.resource_spans:
                for span in envelope.scope_spans[0].spans:
                    span.start_time_unix_nano += hours * 3600 * 10**9
            put(store, Signal.TRACES, request)
        assert len(store.query("SELECT * FROM spans").rows) == 12
        assert _partitions(store) == [
            "otlp_spans_20260921_000000",
            "otlp_spans_20260921_140000",
            "otlp_spans_20260921_150000",
            "otlp_spans_20260922_000000",
        ]


def test_a_partition_that_is_dropped_behind_a_writer_is_made_again(postgresql_url: str) -> None:
    """Another collector's retention may do that: one attempt fails, and can be repeated."""
    with closing(PostgresqlStore(postgresql_url)) as store:
        store.migrate()
        put(store, Signal.TRACES, samples.traces())
        [partition] = _partitions(store)
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            other.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("telemetry", partition)))
        with pytest.raises(RetryableError) as caught:
            put(store, Signal.TRACES, samples.traces())
        assert caught.value.reason == "no_partition"
        put(store, Signal.TRACES, samples.traces())
        assert store.read(Signal.TRACES).items == 3


def test_retention_leaves_a_partition_that_is_being_read(postgresql_url: str) -> None:
    """Writers would queue up behind the wait; the next run takes it."""
    later = samples.NOW_UNIX_NANO + 40 * 86_400 * 10**9
    with closing(PostgresqlStore(postgresql_url)) as store:
        store.migrate()
        put(store, Signal.TRACES, samples.traces())
        with psycopg.connect(postgresql_url) as reader:
            assert reader.execute("SELECT count(*) FROM telemetry.otlp_spans").fetchall() == [(3,)]
            assert store.apply_retention({Signal.TRACES: 1.0}, now_unix_nano=later) == {SPANS.name: 0}
        assert store.apply_retention({Signal.TRACES: 1.0}, now_unix_nano=later) == {SPANS.name: 3}
