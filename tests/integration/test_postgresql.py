"""The PostgreSQL store beyond the contract of every store: the bytes of COPY, sessions, roles, addresses."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.storage.encode import encode
from collector.storage.postgresql import writing
from collector.storage.postgresql.copy_binary import copy_pieces
from collector.storage.postgresql.options import StoreOptions
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.rows import Encoded, sort_rows
from collector.storage.store import QueryError, SchemaError, store_for
from collector.storage.tables import FACTS, SERIES, SPANS, Kind, Table
from tests.support import samples
from tests.support.cost_strategies import amounts
from tests.support.fake_clock import FakeClock
from tests.support.otlp_builder import log, logs_request, span, spans_request
from tests.support.postgres import Server, url_of
from tests.support.stores import put, read_back

EDITIONS = ("postgresql", "timescaledb", "timescaledb_apache")
NOW = samples.NOW_UNIX_NANO


@pytest.fixture(params=EDITIONS)
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of each edition in turn."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def store(url: str) -> Iterator[PostgresqlStore]:
    """A migrated store of each edition in turn."""
    yield from _migrated(url)


@pytest.fixture
def plain_store(postgresql_url: str) -> Iterator[PostgresqlStore]:
    """A migrated store without TimescaleDB, for what does not depend on it."""
    yield from _migrated(postgresql_url)


def _migrated(url: str, options: StoreOptions | None = None) -> Iterator[PostgresqlStore]:
    with closing(PostgresqlStore(url, options)) as store:
        store.migrate()
        yield store


# --- COPY ---------------------------------------------------------------------------------------------------

_INT32 = st.integers(-(2**31), 2**31 - 1)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)
_VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TIME: st.integers((NOW - 10**15) // 1000, NOW // 1000),
    Kind.INT16: st.integers(-(2**15), 2**15 - 1),
    Kind.INT32: _INT32,
    Kind.INT64: _INT64,
    Kind.UINT64: _INT64,
    Kind.FLOAT64: st.floats(allow_nan=False),
    Kind.NUMERIC: amounts,
    Kind.BOOL: st.booleans(),
    Kind.TEXT: _TEXT,
    Kind.JSON: _TEXT,
    Kind.UUID: st.binary(min_size=16, max_size=16),
    Kind.UINT64_ARRAY: st.lists(_INT64, max_size=4).map(tuple),
    Kind.FLOAT64_ARRAY: st.lists(st.floats(allow_nan=False), max_size=4).map(tuple),
}


def _rows(table: Table) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    columns = [
        st.none() | _VALUES[column.kind] if column.nullable else _VALUES[column.kind]
        for column in table.columns
    ]
    return st.lists(st.tuples(*columns), min_size=1, max_size=5)


@pytest.mark.parametrize("table", FACTS, ids=lambda table: table.name)
def test_copy_writes_the_bytes_that_postgresql_would(plain_store: PostgresqlStore, table: Table) -> None:
    """Any rows: what COPY TO gives back is, byte for byte, what COPY FROM was given."""

    @given(_rows(table))
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    def check(rows: list[tuple[Any, ...]]) -> None:
        with plain_store._connections.connection() as connection:
            mirror = sql.Identifier("pg_temp", table.name)
            with connection.transaction(force_rollback=True), connection.cursor() as cursor:
                # A new one each time: only there is the order of rows the order of writing.
                cursor.execute(
                    sql.SQL("CREATE TEMP TABLE {} (LIKE {})").format(
                        sql.Identifier(table.name), sql.Identifier("telemetry", table.name)
                    )
                )
                writing.copy_facts(connection, "pg_temp", table, rows)
                with cursor.copy(sql.SQL("COPY {} TO STDOUT (FORMAT BINARY)").format(mirror)) as copy:
                    stored = b"".join(bytes(piece) for piece in copy)
        assert stored == b"".join(copy_pieces(table, rows))

    check()


def test_rows_are_sorted_as_the_database_sorts(store: PostgresqlStore) -> None:
    """By the bytes of UTF-8, whatever the language of the database: compression relies on the order."""
    names = ["a", "B", "b", "Ä", "ä", "_", "-", "a b", "ab", "é", "e\u0301", "世", "\U0001f600", "\uffff", ""]
    random.Random(1).shuffle(names)
    for name in names:
        put(store, Signal.LOGS, logs_request(name, [log(NOW, name)]))
    ordered = store.query("SELECT DISTINCT service_name FROM otlp_logs ORDER BY service_name").rows
    facts = store.read(Signal.LOGS).facts
    [(table, rows)] = facts.items()
    assert [name for (name,) in ordered] == sorted(names) == [row[0] for row in sort_rows(table, list(rows))]


@pytest.mark.parametrize(
    "value", [None, "text", 2**31, float("nan")], ids=["none", "text", "too large", "not an int"]
)
def test_a_value_of_another_kind_is_refused_for_ever(plain_store: PostgresqlStore, value: Any) -> None:
    """It is the data's fault, and the next attempt's as well."""
    encoded = encode(Signal.TRACES, [samples.traces()])
    at = SPANS.index("kind")
    row = encoded.facts[SPANS][0]
    broken = [(*row[:at], value, *row[at + 1 :])]
    with pytest.raises(PermanentError):
        plain_store.write(
            Encoded(signal=Signal.TRACES, items=1, dimensions=encoded.dimensions, facts={SPANS: broken}),
            queue_id=uuid4(),
            start=0,
            end=1,
        )
    assert plain_store.read(Signal.TRACES).facts == {}


# --- sessions -----------------------------------------------------------------------------------------------


def test_nothing_is_left_in_a_session(store: PostgresqlStore) -> None:
    """A pooler may give it to somebody else after any transaction: no settings, locks, statements, tables."""
    for _ in range(10):
        put(store, Signal.METRICS, samples.metrics())
    store.query("SELECT * FROM metrics", timeout_s=5)
    store.maintain(now_unix_nano=NOW)
    store.stats()
    with store._connections.connection() as connection:
        left = connection.execute(
            """
            SELECT
                (SELECT count(*) FROM pg_prepared_statements),
                (SELECT count(*) FROM pg_cursors WHERE name = 'collector_query'),
                (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
                (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
                (SELECT count(*) FROM pg_settings WHERE source = 'session' AND name IN
                    ('statement_timeout', 'lock_timeout', 'search_path', 'transaction_read_only', 'TimeZone',
                     'synchronous_commit', 'cursor_tuple_fraction'))
            """
        ).fetchone()
    assert left == (0, 0, 0, 0, 0)


def test_no_more_connections_are_made_than_allowed(postgresql_server: Server, postgresql_url: str) -> None:
    """Threads beyond that wait for one."""
    most = 0
    counts: list[tuple[int, int]] = []
    options = StoreOptions(connections_max=2, application_name="bounded")
    with closing(
        PostgresqlStore(postgresql_url, options, on_pool=lambda idle, busy: counts.append((idle, busy)))
    ) as store:
        store.migrate()

        def work(number: int) -> None:
            queue_id = UUID(int=number)
            for position in range(5):
                encoded = encode(Signal.LOGS, [samples.logs()])
                store.write(encoded, queue_id=queue_id, start=position, end=position + 1)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [(sessions,)] = postgresql_server.execute(
            sql.SQL("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bounded'")
        )
        most = max(idle + busy for idle, busy in counts)
        assert len(store.read(Signal.LOGS).facts) == 1
    assert 1 <= sessions <= 2
    assert most <= 2
    assert counts[-1] == (0, 0), "closed"


def test_a_connection_that_is_not_used_is_closed(postgresql_url: str) -> None:
    """Hundreds of collectors with nothing to say must not hold hundreds of sessions."""
    clock = FakeClock()
    counts: list[tuple[int, int]] = []
    with closing(
        PostgresqlStore(
            postgresql_url,
            StoreOptions(connection_idle_s=300.0),
            clock=clock,
            on_pool=lambda idle, busy: counts.append((idle, busy)),
        )
    ) as store:
        store.open()
        clock.advance(299)
        store.close_idle()
        assert counts[-1] == (1, 0)
        clock.advance(1)
        store.close_idle()
        assert counts[-1] == (0, 0)
        store.migrate()


def test_a_session_that_the_server_ended_is_noticed_before_it_is_used(
    postgresql_server: Server, plain_store: PostgresqlStore
) -> None:
    """A restart between two batches costs neither of them an attempt."""
    put(plain_store, Signal.LOGS, samples.logs())
    database = plain_store._connections.parameters()["dbname"]
    postgresql_server.disconnect(database)
    put(plain_store, Signal.LOGS, samples.logs())
    assert len(plain_store.query("SELECT * FROM logs").rows) == 16


def test_dimensions_are_written_again_to_a_database_that_lost_them(plain_store: PostgresqlStore) -> None:
    """After a reconnect it may be an older copy: nothing is taken for granted."""
    put(plain_store, Signal.METRICS, samples.metrics())
    with plain_store._connections.connection() as connection:
        connection.execute("TRUNCATE telemetry.otlp_series, telemetry.otlp_resources, telemetry.otlp_scopes")
        connection.execute("TRUNCATE telemetry.otlp_number_points, telemetry.otlp_histogram_points")
        connection.execute(
            "TRUNCATE telemetry.otlp_summary_points, telemetry.otlp_exponential_histogram_points"
        )
    plain_store.close()
    plain_store.open()
    put(plain_store, Signal.METRICS, samples.metrics())
    read_back(plain_store, Signal.METRICS)


# --- many writers -------------------------------------------------------------------------------------------


def test_writers_that_share_dimensions_do_not_deadlock(url: str) -> None:
    """Many collectors with the same resources and series, in different orders, all at once: every item is there."""
    writers, batches = 6, 8
    errors: list[BaseException] = []
    with closing(store_for(url)) as first:
        first.migrate()
    barrier = threading.Barrier(writers)

    def work(seed: int) -> None:
        rng = random.Random(seed)
        try:
            with closing(store_for(url)) as store:
                barrier.wait()
                for position in range(batches):
                    services = [f"service-{number}" for number in range(10)]
                    rng.shuffle(services)
                    encoded = encode(Signal.METRICS, [samples.metrics(service) for service in services])
                    assert store.write(encoded, queue_id=UUID(int=seed + 1), start=position, end=position + 1)
        except BaseException as error:  # noqa: BLE001  for the main thread to judge
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with closing(store_for(url)) as store:
        one = encode(Signal.METRICS, [samples.metrics()])
        stored = store.read(Signal.METRICS)
        assert stored.items == one.items * 10 * writers * batches
        assert len(stored.dimensions[SERIES]) == len(one.dimensions[SERIES]) * 10


def test_two_writers_of_one_queue_write_it_once(plain_store: PostgresqlStore) -> None:
    """As after a failover of a collector whose predecessor is not quite dead."""
    queue_id = uuid4()
    encoded = encode(Signal.LOGS, [samples.logs()])
    outcomes: list[Any] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        for position in range(10):
            barrier.wait()
            try:
                outcomes.append(
                    plain_store.write(encoded, queue_id=queue_id, start=position, end=position + 1)
                )
            except RetryableError as error:
                outcomes.append(error.reason)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(True) == 10
    assert set(outcomes) <= {True, False, "position"}
    assert plain_store.read(Signal.LOGS).items == encoded.items * 10


# --- addresses, roles, schemas ------------------------------------------------------------------------------


def _with_user(url: str, user: str, password: str = "") -> str:
    head, _, place = url.rpartition("@")
    scheme = head.partition("://")[0]
    return f"{scheme}://{user}{':' + password if password else ''}@{place}"


@pytest.fixture
def roles(postgresql_server: Server) -> Iterator[tuple[str, str]]:
    """A role that may do nothing yet, and `locked`, which needs its password where the server is ours."""
    if postgresql_server.local is None:
        pytest.skip("needs a server whose pg_hba.conf is ours")
    writer = f"writer_{uuid4().hex[:8]}"
    postgresql_server.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(writer)))
    postgresql_server.execute(sql.SQL("CREATE ROLE locked LOGIN PASSWORD 'right'"))
    yield writer, "locked"
    postgresql_server.execute(sql.SQL("DROP ROLE locked"))


def test_what_keeps_us_out_may_pass(postgresql_url: str, roles: tuple[str, str]) -> None:
    """Wrong password, no database, no server: retryable, with a reason and the server's words."""
    for address, reason, words in (
        (_with_user(postgresql_url, "locked", "wrong"), "authentication", "password authentication failed"),
        (url_of(postgresql_url, "nowhere"), "no_database", "does not exist"),
        ("postgresql://127.0.0.1:1/x", "connection", "refused"),
        ("postgresql://no-such-host.invalid/x", "connection", "resolve"),
    ):
        store = PostgresqlStore(address)
        with pytest.raises(RetryableError) as caught:
            store.open()
        assert (caught.value.reason, words in str(caught.value)) == (reason, True), str(caught.value)
    with closing(PostgresqlStore(_with_user(postgresql_url, "locked", "right"))) as store:
        store.open()


@pytest.mark.parametrize(
    ("address", "failed", "words"),
    [
        ("postgresql://no-such-host.invalid/x", "resolve", "no-such-host.invalid"),
        ("postgresql://127.0.0.1:1/x", "connect", "127.0.0.1:1: Connection refused"),
    ],
)
def test_check_says_how_far_it_came(address: str, failed: str, words: str) -> None:
    """The step that fails is the last."""
    *passed, last = PostgresqlStore(address).check()
    assert [step.ok for step in passed] == [True] * len(passed)
    assert (last.name, last.ok) == (failed, False)
    assert words in last.detail


def test_check_says_that_the_password_is_wrong(postgresql_url: str, roles: tuple[str, str]) -> None:
    """And not what it was."""
    *_, last = PostgresqlStore(_with_user(postgresql_url, "locked", "hunter2")).check()
    assert (last.name, last.ok) == ("auth", False)
    assert "hunter2" not in last.detail


def test_check_names_every_step(store: PostgresqlStore) -> None:
    """All of them pass here."""
    assert [(step.name, step.ok) for step in store.check()] == [
        (name, True)
        for name in (
            "resolve", "connect", "auth", "version", "extension and edition", "privileges", "schema version",
            "write and roll back",
        )
    ]  # fmt: skip
    assert store.check()[-1].detail.startswith("a row in each of 15 tables, and nothing is left of it")


def test_a_role_that_may_only_write_writes(
    url: str, postgresql_server: Server, request: pytest.FixtureRequest
) -> None:
    """Once the owner has made partitions; upkeep is left to the owner."""
    writer = f"writer_{uuid4().hex[:8]}"
    with closing(PostgresqlStore(url)) as owner:
        owner.migrate()
        put(owner, Signal.LOGS, samples.logs())
        with owner._connections.connection() as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(writer)))
            request.addfinalizer(lambda: _drop_role(url, writer))
            for statement in (
                "GRANT USAGE ON SCHEMA telemetry TO {}",
                "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA telemetry TO {}",
                "GRANT UPDATE ON telemetry.otlp_positions TO {}",
            ):
                connection.execute(sql.SQL(statement).format(sql.Identifier(writer)))
    with closing(PostgresqlStore(_with_user(url, writer))) as store:
        put(store, Signal.LOGS, samples.logs())
        assert len(store.query("SELECT * FROM logs").rows) == 16
        privileges = next(step for step in store.check() if step.name == "privileges")
        assert privileges.ok
        assert privileges.detail.startswith("may write")
        assert "; no costs, for want of UPDATE on otlp_cost_origins, DELETE on" in privileges.detail
        assert (
            "; no policies, for want of UPDATE on otlp_policies, DELETE on otlp_policies, UPDATE on otlp_analyses"
            in (privileges.detail)
        )
        assert store.maintain(now_unix_nano=NOW).changes == []


def test_a_role_without_privileges_is_told_which(postgresql_url: str, roles: tuple[str, str]) -> None:
    """By check; and its batches wait."""
    writer, _ = roles
    with closing(PostgresqlStore(postgresql_url)) as owner:
        owner.migrate()
        with owner._connections.connection() as connection:
            connection.execute(
                sql.SQL("GRANT USAGE ON SCHEMA telemetry TO {}").format(sql.Identifier(writer))
            )
            connection.execute(
                sql.SQL("GRANT SELECT ON telemetry.otlp_schema_migrations TO {}").format(
                    sql.Identifier(writer)
                )
            )
    with closing(PostgresqlStore(_with_user(postgresql_url, writer))) as store:
        *_, last = store.check()
        assert (last.name, last.ok) == ("privileges", False)
        assert "INSERT on otlp_spans" in last.detail
        with pytest.raises(RetryableError) as caught:
            put(store, Signal.LOGS, samples.logs())
        assert caught.value.reason == "privileges"
    _drop_role(postgresql_url, writer)


def _drop_role(url: str, role: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_two_schemas_in_one_database_know_nothing_of_each_other(url: str) -> None:
    """Whatever they are called."""
    names = ('we"ird; DROP SCHEMA x', "Grüße")
    for name in names:
        with closing(PostgresqlStore(url, StoreOptions(schema=name))) as store:
            store.migrate()
            put(store, Signal.TRACES, samples.traces(name))
            put(store, Signal.METRICS, samples.metrics(name))
            assert all(step.ok for step in store.check())
            store.stats()
            store.maintain(now_unix_nano=NOW)
    for name in names:
        with closing(PostgresqlStore(url, StoreOptions(schema=name))) as store:
            found = store.query("SELECT DISTINCT service_name FROM spans ORDER BY 1").rows
            assert found == [("",), (name,)]
            store.apply_retention({Signal.TRACES: 1.0}, now_unix_nano=NOW + 10**18)
            assert store.query("SELECT count(*) FROM spans").rows == [(0,)]
            assert store.query("SELECT count(*) FROM metrics").rows[0][0] > 0


def test_a_database_of_another_encoding_is_refused(postgresql_server: Server) -> None:
    """Half of all names would be data that it can never take; it is said before any batch is lost."""
    name = f"latin1_{uuid4().hex[:8]}"
    postgresql_server.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'").format(
            sql.Identifier(name)
        )
    )
    url = url_of(postgresql_server.dsn, name)
    try:
        with closing(PostgresqlStore(url)) as store:
            with pytest.raises(SchemaError, match="LATIN1"):
                store.open()
            with pytest.raises(PermanentError, match="UTF8"):
                store.migrate()
            with pytest.raises(SchemaError):
                put(store, Signal.LOGS, samples.logs())
    finally:
        postgresql_server.drop_database(url)


def test_a_query_cannot_end_the_transaction_that_keeps_it_from_writing(plain_store: PostgresqlStore) -> None:
    """Neither by a second statement nor by any of the statements that take no cursor."""
    put(plain_store, Signal.LOGS, samples.logs())
    for statement in (
        "SELECT 1; COMMIT; DROP SCHEMA telemetry CASCADE",
        "/* a comment */ COMMIT; DROP SCHEMA telemetry CASCADE",
        "EXPLAIN ANALYZE DELETE FROM telemetry.otlp_logs",
        "COPY telemetry.otlp_logs TO STDOUT",
        "SET transaction_read_only = off",
    ):
        with pytest.raises(QueryError):
            plain_store.query(statement)
    assert plain_store.query("SELECT count(*) FROM logs").rows == [(8,)]


@pytest.mark.parametrize("statement", ["SHOW server_version", "EXPLAIN SELECT * FROM logs", "TABLE services"])
def test_a_query_may_be_anything_that_reads(plain_store: PostgresqlStore, statement: str) -> None:
    """Also what has no cursor."""
    result = plain_store.query(statement)
    assert result.columns
    assert plain_store.query("SELECT * FROM logs WHERE false").rows == []


def test_a_sum_that_is_too_large_does_not_break_the_rollup(store: PostgresqlStore) -> None:
    """It is infinite. PostgreSQL would refuse the query, and TimescaleDB's refresh would fail for ever."""
    request = samples.metrics()
    metrics = request.resource_metrics[0].scope_metrics[0].metrics
    del metrics[1:]
    del metrics[0].gauge.data_points[:]
    for second in range(3):
        metrics[0].gauge.data_points.add(time_unix_nano=NOW + second * 10**9, as_double=1.7e308)
    put(store, Signal.METRICS, request)
    assert store.query("SELECT points, sum, max FROM metrics_hourly").rows == [(3, float("inf"), 1.7e308)]


def test_ids_can_be_given_as_hexadecimal(plain_store: PostgresqlStore) -> None:
    """As every other tool prints them."""
    put(
        plain_store,
        Signal.TRACES,
        spans_request("cart", [span(samples.TRACE_ID, samples.SPAN_ID, "GET", NOW, NOW + 5)]),
    )
    found = plain_store.query(
        f"SELECT name FROM spans WHERE trace_id = '{samples.TRACE_ID}' AND span_id = '{samples.SPAN_ID}'"
    )
    assert found.rows == [("GET",)]
