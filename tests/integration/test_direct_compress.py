"""Compressed on arrival: when it is done and when not, that nothing is believed unchecked, and that others may be at work."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from psycopg import errors, sql

from collector.cli.main import command
from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.storage.encode import encode
from collector.storage.postgresql import arrival
from collector.storage.postgresql.arrival import COMPRESSED_ROWS_MIN, Way
from collector.storage.postgresql.arrival_check import wrong_answers
from collector.storage.postgresql.options import Layout, StoreOptions
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.tables import LOGS, NUMBER_POINTS, SPANS, TELEMETRY_FACTS
from tests.support import samples
from tests.support.otlp_builder import gauge, metrics_request, number_point, span, spans_request
from tests.support.postgres import Server, refresh_continuous_aggregates, run_job
from tests.support.stores import put

NOW = samples.NOW_UNIX_NANO
SECOND = 10**9
HOUR = 3600 * SECOND
PRESORTED = "compressed on arrival"
_COMPRESSED_CHUNKS = """
SELECT hypertable_name::text, range_start, is_compressed FROM timescaledb_information.chunks
WHERE hypertable_schema = 'telemetry' AND hypertable_name LIKE 'otlp%' ORDER BY 1, 2
"""
# 2 in a chunk's status: its compressed batches overlap; 8: it has rows as well.
_STATUS = """
SELECT max(chunk.status) FROM _timescaledb_catalog.chunk
JOIN _timescaledb_catalog.hypertable ON hypertable.id = hypertable_id
WHERE table_name = '{table}'
"""


@pytest.fixture
def store(timescaledb_url: str) -> Iterator[PostgresqlStore]:
    """A migrated store of the full edition."""
    with closing(_store(timescaledb_url)) as store:
        store.migrate()
        yield store


def _store(url: str, **options: Any) -> PostgresqlStore:
    return PostgresqlStore(url, StoreOptions(layout=Layout.HYPERTABLES, **options))


def _execute(store: PostgresqlStore, statement: LiteralString) -> None:
    with store._connections.connection() as connection:
        connection.execute(statement)


def _points(count: int, *, start: int = NOW, every: int = SECOND, name: str = "load") -> Any:
    points = [
        number_point(start + number * every, float(number), {"n": number % 5}) for number in range(count)
    ]
    return metrics_request("web", [gauge(name, points)])


def _spans(count: int, *, start: int = NOW, service: str = "web") -> Any:
    return spans_request(
        service,
        [
            span(
                f"{number + 1:032x}",
                f"{number + 1:016x}",
                "GET",
                start + number * SECOND,
                start + number * SECOND + number,
                kind=Span.SPAN_KIND_SERVER,
            )
            for number in range(count)
        ],
    )


def _chunks(store: PostgresqlStore) -> list[tuple[str, bool]]:
    return [(name, compressed) for name, _, compressed in store.query(_COMPRESSED_CHUNKS).rows]


# --- what decides -------------------------------------------------------------------------------------------


def test_what_arrives_is_compressed_at_once(store: PostgresqlStore) -> None:
    """Without waiting for a job; stats estimate what that is worth, because no size before it is known."""
    assert store.arrival() == PRESORTED
    put(store, Signal.METRICS, _points(20_000))
    put(store, Signal.TRACES, _spans(20_000))
    assert _chunks(store) == [(NUMBER_POINTS.name, True), (SPANS.name, True)]
    assert store.query("SELECT count(*), sum(value) FROM metrics").rows == [(20_000, sum(range(20_000)))]
    stats = {entry.table: entry for entry in store.stats()}
    for table in (NUMBER_POINTS, SPANS):
        entry = stats[table.name]
        assert (entry.rows, entry.compressed_chunks, entry.compression_recorded) == (20_000, 1, False)
        assert entry.compression_ratio is not None
        assert entry.compression_ratio > 2
    assert stats[LOGS.name].compression_ratio is None


def test_a_few_rows_are_stored_as_rows(store: PostgresqlStore) -> None:
    """A compressed batch has a price whatever it holds; the policy takes them along later."""
    put(store, Signal.METRICS, _points(COMPRESSED_ROWS_MIN - 1))
    put(store, Signal.TRACES, _spans(COMPRESSED_ROWS_MIN))
    assert _chunks(store) == [(NUMBER_POINTS.name, False), (SPANS.name, True)]
    put(store, Signal.METRICS, _points(500), _points(3, name="few"))
    assert _chunks(store) == [(NUMBER_POINTS.name, True), (SPANS.name, True)]
    assert store.query("SELECT count(*) FROM metrics").rows == [(COMPRESSED_ROWS_MIN - 1 + 503,)]


def test_one_batch_may_go_both_ways(store: PostgresqlStore) -> None:
    """Many points of one kind and few of another, in one transaction."""
    request = _points(500)
    request.resource_metrics.extend(samples.metrics().resource_metrics)
    encoded = put(store, Signal.METRICS, request)
    counts = {table: len(rows) for table, rows in encoded.facts.items()}
    assert min(counts.values()) < COMPRESSED_ROWS_MIN < max(counts.values())
    assert {entry.table: entry.rows for entry in store.stats() if entry.table.startswith("otlp_number")} == {
        NUMBER_POINTS.name: counts[NUMBER_POINTS]
    }
    assert dict(_chunks(store)) == {
        table.name: count > COMPRESSED_ROWS_MIN for table, count in counts.items()
    }


def test_off_means_rows_even_if_the_server_would(timescaledb_url: str, store: PostgresqlStore) -> None:
    """Its own settings do not decide."""
    _alter_database(store, "timescaledb.enable_direct_compress_copy", "on")
    with closing(_store(timescaledb_url, compress_on_arrival=False)) as other:
        assert other.arrival() == "as rows (on_arrival is off)"
        put(other, Signal.METRICS, _points(500))
        assert _chunks(other) == [(NUMBER_POINTS.name, False)]


def test_the_unsafe_promise_is_never_made(timescaledb_url: str, store: PostgresqlStore) -> None:
    """Not even if the server's own settings make it: overlapping batches come back in order."""
    _alter_database(store, "timescaledb.enable_direct_compress_copy_client_sorted", "on")
    with closing(_store(timescaledb_url)) as other:
        assert other.arrival() == PRESORTED
        for start in range(3):
            put(other, Signal.METRICS, _points(1_500, start=NOW + start))
        times = [row[0] for row in other.query("SELECT time_unix_nano FROM metrics ORDER BY time").rows]
        assert [time // 1000 for time in times] == sorted(time // 1000 for time in times)
    for way in Way:
        assert arrival._SETTINGS[way].get(arrival._CLIENT_SORTED, "off") == "off"


@pytest.mark.parametrize("table", TELEMETRY_FACTS, ids=lambda table: table.name)
def test_the_check_finds_what_goes_wrong(store: PostgresqlStore, table: Any) -> None:
    """The unsafe promise, which is known to give wrong answers, is one that it sees; the safe ones it passes."""
    unsafe = {**arrival._SETTINGS[Way.PRESORTED], arrival._CLIENT_SORTED: "on"}
    with store._connections.connection() as connection:
        assert wrong_answers(connection, "telemetry", table, unsafe) != ""
        assert wrong_answers(connection, "telemetry", table, arrival._SETTINGS[Way.PRESORTED]) == ""
        assert wrong_answers(connection, "telemetry", table, arrival._SETTINGS[Way.SORTED_BY_SERVER]) == ""
        assert "did not compress" in wrong_answers(
            connection, "telemetry", table, arrival._SETTINGS[Way.ROWS]
        )
    assert _chunks(store) == [], "nothing is left of it"


def test_the_check_finds_a_table_that_is_ordered_otherwise(store: PostgresqlStore) -> None:
    """The same rows in the same order, but the server's is another."""
    _execute(
        store, "ALTER TABLE telemetry.otlp_spans SET (timescaledb.compress_orderby = 'time, service_name')"
    )
    with store._connections.connection() as connection:
        assert wrong_answers(connection, "telemetry", SPANS, arrival._SETTINGS[Way.PRESORTED]) != ""


def test_a_table_that_is_ordered_otherwise_is_sorted_by_the_server(
    timescaledb_url: str, store: PostgresqlStore
) -> None:
    """That table alone; and no row is missing from any answer."""
    _execute(store, "ALTER TABLE telemetry.otlp_spans SET (timescaledb.compress_orderby = 'time DESC, name')")
    with closing(_store(timescaledb_url)) as other:
        said = other.arrival()
        assert f"{SPANS.name} compressed on arrival, sorted by the server" in said
        assert "in another order" in said
        for service in ("a", "B"):
            put(other, Signal.TRACES, _spans(1_500, service=service))
        assert (SPANS.name, True) in _chunks(other)
        for service in ("a", "B"):
            assert other.query(f"SELECT count(*) FROM spans WHERE service_name = '{service}'").rows == [
                (1_500,)
            ]
        half = "SELECT count(*) FROM spans WHERE time < to_timestamp(%(half)s)"
        assert other.query(half, {"half": NOW // SECOND + 100}).rows == [(200,)]


def test_chunks_of_an_older_order_count(store: PostgresqlStore, timescaledb_url: str) -> None:
    """A chunk keeps the order that its table had when it was made: late items must not be believed there."""
    _execute(store, "ALTER TABLE telemetry.otlp_spans SET (timescaledb.compress_orderby = 'time DESC')")
    put(store, Signal.TRACES, _spans(50))
    _execute(
        store, "ALTER TABLE telemetry.otlp_spans SET (timescaledb.compress_orderby = 'service_name, time')"
    )
    with closing(_store(timescaledb_url)) as other:
        assert f"{SPANS.name} compressed on arrival, sorted by the server" in other.arrival()


def test_a_change_is_seen_by_maintenance(store: PostgresqlStore) -> None:
    """Whoever orders a table otherwise need not restart collectors."""
    assert store.arrival() == PRESORTED
    _execute(store, "ALTER TABLE telemetry.otlp_logs SET (timescaledb.compress_orderby = 'time')")
    store.maintain(now_unix_nano=NOW)
    assert f"{LOGS.name} compressed on arrival, sorted by the server" in store.arrival()


def test_a_table_that_cannot_be_compressed_is_stored_as_rows(
    timescaledb_url: str, store: PostgresqlStore
) -> None:
    """A trigger of somebody's is one reason; the rest stays compressed."""
    _execute(
        store,
        "CREATE FUNCTION telemetry.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER nothing BEFORE INSERT ON telemetry.otlp_logs FOR EACH ROW EXECUTE FUNCTION telemetry.nothing()",
    )
    with closing(_store(timescaledb_url)) as other:
        said = other.arrival()
        assert f"{LOGS.name} as rows" in said
        assert "did not compress" in said
        put(other, Signal.LOGS, samples.logs())
        put(other, Signal.TRACES, _spans(50))
        assert _chunks(other) == [(LOGS.name, False), (SPANS.name, True)]


def test_what_was_checked_is_not_checked_again(
    store: PostgresqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another connection to the same server costs a look, not a check."""
    assert store.arrival() == PRESORTED
    checked: list[str] = []

    def check(*arguments: Any) -> str:
        checked.append(arguments[2].name)
        return ""

    monkeypatch.setattr(arrival, "wrong_answers", check)
    with store._connections.connection() as connection:
        connection.close()
    assert store.arrival() == PRESORTED
    assert checked == []


def test_a_check_that_cannot_be_made_trusts_nobody(timescaledb_url: str, store: PostgresqlStore) -> None:
    """Somebody holds a table: the server sorts, and the next connection tries again."""
    with psycopg.connect(timescaledb_url) as other:
        other.execute("LOCK TABLE telemetry.otlp_spans IN ACCESS EXCLUSIVE MODE")
        said = store.arrival()
        assert f"{SPANS.name} compressed on arrival, sorted by the server" in said
        assert "could not be checked" in said
    store.maintain(now_unix_nano=NOW)
    assert store.arrival() == PRESORTED


def test_a_role_that_may_only_write_can_check(
    timescaledb_url: str, store: PostgresqlStore, timescaledb_server: Server, request: pytest.FixtureRequest
) -> None:
    """Sidecars have few privileges; the check needs none beyond theirs."""
    role = sql.Identifier(f"writer_{uuid4().hex[:8]}")
    timescaledb_server.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    with store._connections.connection() as connection:
        for statement in (
            "GRANT USAGE ON SCHEMA telemetry TO {}",
            "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA telemetry TO {}",
            "GRANT UPDATE ON telemetry.otlp_positions TO {}",
        ):
            connection.execute(sql.SQL(statement).format(role))

    def drop() -> None:
        with psycopg.connect(timescaledb_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))

    request.addfinalizer(drop)
    writer = timescaledb_url.replace("postgres@", f"{role.as_string().strip(chr(34))}@")
    with closing(_store(writer)) as sidecar:
        assert sidecar.arrival() == PRESORTED
        put(sidecar, Signal.TRACES, _spans(50))
        assert _chunks(sidecar) == [(SPANS.name, True)]


def test_the_apache_edition_stores_rows(timescaledb_apache_url: str) -> None:
    """And says why."""
    with closing(_store(timescaledb_apache_url)) as store:
        store.migrate()
        assert store.arrival() == "as rows (compression needs TimescaleDB's full edition)"
        put(store, Signal.METRICS, _points(500))
        assert _chunks(store) == [(NUMBER_POINTS.name, False)]


def test_people_are_told(timescaledb_url: str, store: PostgresqlStore) -> None:
    """By `database status` and `database test-connection`."""
    for asked, expected in (
        ("status", "rows_are_stored"),
        ("test-connection", f"rows are stored {PRESORTED}"),
    ):
        said = CliRunner().invoke(command, ["database", asked, "--connection-string", timescaledb_url])
        assert said.exit_code == 0, said.output
        assert expected in said.output
        assert PRESORTED in said.output


def test_batches_without_a_trace_are_passed_over(store: PostgresqlStore) -> None:
    """Its Bloom filter, which TimescaleDB derives from the index on trace_id, is asked before a batch is unpacked."""
    put(store, Signal.TRACES, *(_spans(1_000, service=service) for service in "abcd"))
    plan = store.query(
        "EXPLAIN SELECT * FROM otlp_spans WHERE trace_id = %(absent)s", {"absent": "f" * 32}
    ).rows
    assert any("bloom1_contains" in line for (line,) in plan)


# --- what comes after ---------------------------------------------------------------------------------------

_QUESTIONS = (
    "SELECT count(*), sum(value), min(time), max(time) FROM metrics WHERE metric = 'load'",
    "SELECT time, value, series_id FROM metrics WHERE metric = 'load' ORDER BY series_id, time, value",
    "SELECT attributes ->> 'n', count(*), avg(value) FROM metrics GROUP BY 1 ORDER BY 1",
    "SELECT span_id, time, service_name FROM spans ORDER BY service_name, time, span_id",
    "SELECT name, duration_ms FROM spans WHERE trace_id = '00000000000000000000000000000007' ORDER BY 2",
    "SELECT span_id, duration_nano FROM spans WHERE service_name = 'b' ORDER BY 2 DESC, 1 LIMIT 20",
)


def test_the_policy_merges_later(store: PostgresqlStore) -> None:
    """Batches that overlap, and rows, become batches that do not; no answer changes, and it takes less room."""
    for start in range(80):
        put(store, Signal.METRICS, _points(100, start=NOW + start * 7, every=5 * SECOND))
        put(store, Signal.TRACES, _spans(100, start=NOW + start * 7, service="ab"[start % 2]))
    put(store, Signal.METRICS, _points(3))
    before = [store.query(question).rows for question in _QUESTIONS]
    sizes = {entry.table: entry.bytes for entry in store.stats()}
    for table in (NUMBER_POINTS, SPANS):
        status = int(store.query(_STATUS.format(table=table.name)).rows[0][0])
        assert status & 2, "the batches overlap"
        for _ in range(2):  # rows first; what overlaps is merged when there are none
            run_job(store, "compression", table.name)
        assert store.query(_STATUS.format(table=table.name)).rows == [(1,)], "compressed, and nothing else"
    assert [store.query(question).rows for question in _QUESTIONS] == before
    after = {entry.table: entry.bytes for entry in store.stats()}
    for table in (NUMBER_POINTS, SPANS):
        assert (after[table.name] or 0) < (sizes[table.name] or 0)


def test_late_items_are_found_where_they_belong(store: PostgresqlStore) -> None:
    """In a chunk that has been merged, in the midst of what is there; then merged in turn."""
    put(store, Signal.TRACES, _spans(1_500, service="b"))
    run_job(store, "compression", SPANS.name)
    for service in ("a", "b", "c"):
        put(store, Signal.TRACES, _spans(300, start=NOW + 1, service=service))
    for merged in (False, True):
        if merged:
            run_job(store, "compression", SPANS.name)
        assert store.query("SELECT service_name, count(*) FROM spans GROUP BY 1 ORDER BY 1").rows == [
            ("a", 300),
            ("b", 1_800),
            ("c", 300),
        ]
        counted = "SELECT count(*) FROM spans WHERE service_name = 'b' AND time < to_timestamp(%(until)s)"
        assert store.query(counted, {"until": NOW // SECOND + 10}).rows == [(20,)]


def test_a_batch_over_several_chunks(store: PostgresqlStore) -> None:
    """Each part is in its own order."""
    put(store, Signal.METRICS, _points(3_000, every=HOUR // 30))
    assert _chunks(store) == [(NUMBER_POINTS.name, True)] * 5
    days = store.query("SELECT count(*) FROM metrics GROUP BY date_trunc('day', time, 'UTC')").rows
    assert sum(count for (count,) in days) == 3_000


def test_rollups_see_what_is_compressed_on_arrival(store: PostgresqlStore) -> None:
    """Hours that were rolled up are rolled up again when late items come in compressed."""
    put(store, Signal.TRACES, _spans(300))
    refresh_continuous_aggregates(store)
    put(store, Signal.TRACES, _spans(200))
    refresh_continuous_aggregates(store)
    assert store.query("SELECT sum(requests) FROM services_hourly").rows == [(500,)]


# --- others at work -----------------------------------------------------------------------------------------


def test_writers_are_not_held_up_by_jobs(timescaledb_url: str, store: PostgresqlStore) -> None:
    """Chunks are merged and dropped while several write to them, and to older ones: no deadlock, nothing lost."""
    batches, old = 12, NOW - 40 * 24 * HOUR
    problems: list[BaseException] = []
    done = threading.Event()

    def write(service: str) -> None:
        with closing(_store(timescaledb_url)) as own:
            queue = uuid4()
            for number in range(batches):
                for signal, message in (
                    (Signal.TRACES, _spans(100, start=NOW + number, service=service)),
                    (Signal.METRICS, _points(100, start=NOW + number, name=service)),
                    (Signal.METRICS, _points(100, start=old + number, name=f"old {service}")),
                ):
                    _until_written(own, signal, message, queue)

    def merge() -> None:
        with closing(_store(timescaledb_url)) as own:
            while not done.is_set():
                for table in (SPANS, NUMBER_POINTS):
                    # Two jobs may get in each other's way; TimescaleDB's scheduler runs the loser again. A chunk that
                    # is dropped under it is an error of the job's own, or of the chunk alone and DataException.
                    with contextlib.suppress(
                        errors.DeadlockDetected, errors.InternalError_, errors.DataException
                    ):
                        run_job(own, "compression", table.name)

    def expire() -> None:
        with closing(_store(timescaledb_url)) as own:
            while not done.is_set():
                own.apply_retention({Signal.METRICS: 86_400.0}, now_unix_nano=NOW)

    writers = [_thread(partial(write, name), problems) for name in ("a", "b")]
    jobs = [_thread(job, problems) for job in (merge, expire)]
    for thread in (*writers, *jobs):
        thread.start()
    for thread in writers:
        thread.join(120)
        assert not thread.is_alive(), "a writer hangs"
    done.set()
    for thread in jobs:
        thread.join(60)
        assert not thread.is_alive(), "a job hangs"
    assert [repr(problem.__cause__ or problem) for problem in problems] == []
    for table in (SPANS, NUMBER_POINTS):
        run_job(store, "compression", table.name)  # alone, it has nothing to complain of
    expected = [("a", batches * 100), ("b", batches * 100)]
    assert store.query("SELECT service_name, count(*) FROM spans GROUP BY 1 ORDER BY 1").rows == expected
    current = "SELECT metric, count(*) FROM metrics WHERE metric NOT LIKE 'old%' GROUP BY 1 ORDER BY 1"
    assert store.query(current).rows == expected


def _until_written(store: PostgresqlStore, signal: Signal, message: Any, queue: Any) -> None:
    """Write as a sender does: again, if the database says that it may pass. A deadlock may not happen at all."""
    encoded = encode(signal, [message])
    position = store.position(queue) or 0
    while True:
        try:
            assert store.write(encoded, queue_id=queue, start=position, end=position + 1)
        except RetryableError as error:
            if error.reason == "deadlock":
                raise
        else:
            return


def _thread(body: Callable[[], None], problems: list[BaseException]) -> threading.Thread:
    def run() -> None:
        try:
            body()
        except BaseException as error:  # noqa: BLE001  # reported by the test's own thread
            problems.append(error)

    return threading.Thread(target=run)


def _alter_database(store: PostgresqlStore, setting: LiteralString, value: LiteralString) -> None:
    [[name]] = store.query("SELECT current_database()").rows
    with store._connections.connection() as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(name), sql.SQL(setting), sql.Literal(value)
            )
        )
