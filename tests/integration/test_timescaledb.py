"""What TimescaleDB adds: compression, retention and roll-ups by its own jobs, and its Apache edition without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.cost.protobuf import encode_request
from collector.model.signal import Signal
from collector.storage.decode_costs import cost_records
from collector.storage.postgresql.options import DAY_S, Layout, StoreOptions
from collector.storage.postgresql.policies import COMPRESS_AFTER_S, ROLLUPS
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.tables import COST_FACTS, COST_REQUESTS, FACTS, METRIC_FACTS, NUMBER_POINTS, SPANS
from collector.wire.canonical import serialized
from tests.support import cost_samples, samples
from tests.support.otlp_builder import gauge, metrics_request, number_point, span, spans_request
from tests.support.postgres import refresh_continuous_aggregates
from tests.support.stores import put, read_back

YEAR_S = 365 * DAY_S
NOW = samples.NOW_UNIX_NANO
SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR

_JOBS = """
SELECT coalesce(c.view_name, j.hypertable_name), j.proc_name, coalesce(
    extract(epoch FROM (j.config ->> 'drop_after')::interval),
    extract(epoch FROM (j.config ->> 'compress_after')::interval),
    extract(epoch FROM (j.config ->> 'start_offset')::interval)
)::float8
FROM timescaledb_information.jobs AS j
LEFT JOIN timescaledb_information.continuous_aggregates AS c
    ON c.materialization_hypertable_name = j.hypertable_name OR c.view_name = j.hypertable_name
WHERE j.hypertable_name IS NOT NULL
"""


@pytest.fixture
def store(timescaledb_url: str) -> Iterator[PostgresqlStore]:
    """A migrated store of the full edition."""
    with closing(_store(timescaledb_url)) as store:
        store.migrate()
        yield store


def _store(url: str, **options: Any) -> PostgresqlStore:
    return PostgresqlStore(url, StoreOptions(layout=Layout.HYPERTABLES, **options))


def _policies(store: PostgresqlStore, kind: str) -> dict[str, float]:
    return {name: seconds for name, proc, seconds in store.query(_JOBS).rows if proc == f"policy_{kind}"}


def _execute(store: PostgresqlStore, statement: str) -> None:
    with store._connections.connection() as connection:
        connection.execute(statement.encode())


def _run_job(store: PostgresqlStore, kind: str, table: str) -> None:
    """Do now what the scheduler would do."""
    [[job]] = store.query(
        "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = %(proc)s AND hypertable_name = %(table)s",
        {"proc": f"policy_{kind}", "table": table},
    ).rows
    _execute(store, f"CALL public.run_job({job})")


def _fill(store: PostgresqlStore, hours: int = 30) -> None:
    """Points and spans over some hours, of two services, in batches that overlap."""
    for start in range(2):
        for service in ("cart", "web"):
            times = [NOW - hours * HOUR + number * 600 * SECOND + start for number in range(hours * 6)]
            points = [number_point(time, float(time // SECOND % 97), {"n": time % 3}) for time in times]
            put(store, Signal.METRICS, metrics_request(service, [gauge("load", points, unit="1")]))
            spans = [
                span(
                    f"{number + 1:032x}",
                    f"{start + 1:016x}",
                    "GET",
                    time,
                    time + (number % 20 + 1) * 10**6,
                    kind=Span.SPAN_KIND_SERVER,
                )
                for number, time in enumerate(times)
            ]
            put(store, Signal.TRACES, spans_request(service, spans))


# --- policies -----------------------------------------------------------------------------------------------


def test_new_tables_are_compressed_refreshed_and_kept(store: PostgresqlStore) -> None:
    """Compression and roll-ups from the start; nothing is deleted unless somebody says so."""
    assert _policies(store, "compression") == _compressed(COMPRESS_AFTER_S)
    assert _policies(store, "refresh_continuous_aggregate") == {
        view: 3660 * DAY_S if table in COST_FACTS else 31 * DAY_S for view, table in ROLLUPS.items()
    }
    assert _policies(store, "retention") == {}
    order = store.query(
        "SELECT hypertable::text, segmentby, orderby FROM timescaledb_information.hypertable_compression_settings "
        "WHERE hypertable::text LIKE '%otlp%' ORDER BY 1"
    ).rows
    assert [(row[1] or "", row[2].replace('"', "").split(",")) for row in order] == [
        ("", list(table.order_by)) for table in sorted(FACTS, key=lambda table: table.name)
    ]


def _compressed(after_s: float) -> dict[str, float]:
    """Costs later: their windows are open for days."""
    return {table.name: max(after_s, 7 * DAY_S) if table in COST_FACTS else after_s for table in FACTS}


def test_policies_follow_the_configuration(timescaledb_url: str, store: PostgresqlStore) -> None:
    """Set, changed, and taken away again by 0, each by whatever collector says so."""
    for options, retention, compression in (
        (
            {
                "retention_s": {Signal.TRACES: 30 * DAY_S, Signal.METRICS: 90 * DAY_S},
                "compress_after_s": 60.0,
            },
            {SPANS.name: 30 * DAY_S, **dict.fromkeys((table.name for table in METRIC_FACTS), 90 * DAY_S)},
            60.0,
        ),
        (
            {
                "retention_s": {Signal.TRACES: 7 * DAY_S, Signal.METRICS: 0.0},
                "rollup_retention_s": {"hourly": 400 * DAY_S, "cost_hourly": 800 * DAY_S},
            },
            {
                SPANS.name: 7 * DAY_S,
                **{
                    view: (800 if table in COST_FACTS else 400) * DAY_S
                    for view, table in ROLLUPS.items()
                    if view.endswith("_hourly")
                },
            },
            60.0,
        ),
        (
            {
                "retention_s": {Signal.TRACES: 0.0},
                "rollup_retention_s": {"hourly": 0.0, "cost_hourly": 0.0},
                "compress_after_s": 0.0,
            },
            {},
            None,
        ),
    ):
        with closing(_store(timescaledb_url, **options)) as other:
            assert other.maintain(now_unix_nano=NOW).changes != []
            assert other.maintain(now_unix_nano=NOW).changes == [], "nothing is left to change"
        assert _policies(store, "retention") == retention == store.retention_s()
        assert _policies(store, "compression") == ({} if compression is None else _compressed(compression))


def test_a_collector_without_an_opinion_changes_nothing(timescaledb_url: str, store: PostgresqlStore) -> None:
    """A hundred sidecars must not undo what the administrator set."""
    with closing(_store(timescaledb_url, retention_s={Signal.LOGS: DAY_S}, compress_after_s=60.0)) as other:
        other.migrate()
    _execute(store, "SELECT public.remove_continuous_aggregate_policy('telemetry.otlp_spans_hourly')")
    before = store.query(_JOBS).rows
    assert store.maintain(now_unix_nano=NOW).changes == []
    assert store.migrate() == []
    assert sorted(store.query(_JOBS).rows) == sorted(before)


def test_hours_whose_items_are_dropped_are_not_refreshed(timescaledb_url: str) -> None:
    """Refreshing them would empty the roll-up, which is there to outlive them."""
    with closing(_store(timescaledb_url, retention_s={Signal.METRICS: 7 * DAY_S})) as store:
        store.migrate()
        refreshed = _policies(store, "refresh_continuous_aggregate")
        assert refreshed["otlp_number_points_hourly"] == 6 * DAY_S
        assert refreshed["otlp_spans_hourly"] == 31 * DAY_S


def test_roll_ups_of_costs_follow_as_far_as_their_level_is_kept(timescaledb_url: str) -> None:
    """A window of a year ago may be corrected; one whose requests are dropped must stay as it was."""
    with closing(_store(timescaledb_url, retention_s={COST_REQUESTS: 90 * DAY_S})) as store:
        store.migrate()
        assert _policies(store, "retention") == {COST_REQUESTS.name: 90 * DAY_S}
        refreshed = _policies(store, "refresh_continuous_aggregate")
        for table in COST_FACTS:
            days = 89 if table is COST_REQUESTS else 3660
            for step in ("hourly", "daily"):
                assert refreshed[f"{table.name}_{step}"] == days * DAY_S


def test_roll_ups_of_costs_outlive_them_and_are_not_made_of_what_is_gone(timescaledb_url: str) -> None:
    """Charges for a year, hourly sums for two, daily for seven; a day is not made again of hours that were dropped."""
    kept = {"cost_hourly": 2 * YEAR_S, "cost_daily": 7 * YEAR_S}
    levels = dict.fromkeys(COST_FACTS, YEAR_S)
    with closing(_store(timescaledb_url, retention_s=levels, rollup_retention_s=kept)) as store:
        store.migrate()
        expected = {
            f"{table.name}{step}": age_s
            for table in COST_FACTS
            for step, age_s in (("", YEAR_S), ("_hourly", 2 * YEAR_S), ("_daily", 7 * YEAR_S))
        }
        assert store.retention_s() == expected
        assert _refreshed_days(store) == {364}
    # Another that says nothing of levels: days are refreshed as long as there are hours.
    forever = dict.fromkeys(COST_FACTS, 0.0)
    with closing(_store(timescaledb_url, retention_s=forever)) as store:
        store.maintain(now_unix_nano=NOW)
        assert _refreshed_days(store) == {729}
        assert store.maintain(now_unix_nano=NOW).changes == []


def _refreshed_days(store: PostgresqlStore) -> set[float]:
    """How far back roll-ups of costs are refreshed."""
    refreshed = _policies(store, "refresh_continuous_aggregate")
    return {refreshed[view] / DAY_S for view, table in ROLLUPS.items() if table in COST_FACTS}


def test_costs_are_revised_in_windows_that_are_compressed(store: PostgresqlStore) -> None:
    """Late, and seldom: it is right all the same, and nothing is stored twice."""
    put(store, Signal.COSTS, samples.costs())
    for table in COST_FACTS:
        _run_job(store, "compression", table.name)
    stats = {entry.table: entry for entry in store.stats()}
    assert [stats[table.name].compressed_chunks for table in COST_FACTS] == [1, 1, 1]
    put(store, Signal.COSTS, samples.costs())
    assert set(cost_records(store.read(Signal.COSTS))) == set(cost_samples.ledger())
    revised = cost_samples.ledger(revision=1)
    put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(revised)))
    assert set(cost_records(store.read(Signal.COSTS))) == set(revised)
    assert store.query("SELECT sum(effective_cost) FROM costs").rows == [(1,)]
    put(store, Signal.COSTS, samples.costs())
    assert set(cost_records(store.read(Signal.COSTS))) == set(revised)


def test_chunks_hold_the_configured_time(timescaledb_url: str) -> None:
    """A day, unless something else is said."""
    with closing(_store(timescaledb_url, chunk_interval_s=3600.0)) as store:
        store.migrate()
        intervals = store.query(
            "SELECT DISTINCT time_interval::text FROM timescaledb_information.dimensions"
        ).rows
        assert ("01:00:00",) in intervals


# --- compression --------------------------------------------------------------------------------------------

_QUESTIONS = (
    "SELECT count(*), sum(value), min(time), max(time) FROM metrics WHERE metric = 'load'",
    "SELECT service_name, attributes ->> 'n', count(*), avg(value) FROM metrics GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT time, value FROM metrics WHERE metric = 'load' AND service_name = 'web' ORDER BY time, value LIMIT 50",
    "SELECT * FROM spans ORDER BY time, service_name, span_id",
    "SELECT name, duration_ms FROM spans WHERE trace_id = '00000000000000000000000000000007' ORDER BY 2",
    "SELECT service_name, count(*) FROM spans WHERE service_name = 'cart' AND time >= '2026-09-21' GROUP BY 1",
)


def test_compression_changes_no_answer(timescaledb_url: str) -> None:
    """The same queries, and the same OTLP read back, before and after; and stats say what was won."""
    with closing(_store(timescaledb_url, compress_on_arrival=False)) as store:
        store.migrate()
        _compress_and_compare(store)


def _compress_and_compare(store: PostgresqlStore) -> None:
    _fill(store)
    for signal in (Signal.METRICS, Signal.TRACES):
        put(store, signal, samples.sample(signal))
    answers = [repr(store.query(question).rows) for question in _QUESTIONS]  # repr: NaN equals NaN
    before = {
        signal: serialized(signal, [read_back(store, signal)]) for signal in (Signal.METRICS, Signal.TRACES)
    }
    for table in (*METRIC_FACTS, SPANS):
        _run_job(store, "compression", table.name)
    stats = {entry.table: entry for entry in store.stats()}
    for table in (NUMBER_POINTS, SPANS):
        entry = stats[table.name]
        assert (entry.chunks, entry.compressed_chunks) == (2, 2)
        assert entry.compression_ratio is not None
        assert entry.compression_ratio > 1
    assert [repr(store.query(question).rows) for question in _QUESTIONS] == answers
    assert before == {
        signal: serialized(signal, [read_back(store, signal)]) for signal in (Signal.METRICS, Signal.TRACES)
    }
    assert stats[SPANS.name].rows == len(store.read(Signal.TRACES).facts[SPANS])


def test_late_items_go_into_compressed_chunks(store: PostgresqlStore) -> None:
    """And are found there, before and after the job has merged them in."""
    _fill(store)
    _run_job(store, "compression", SPANS.name)
    before = store.query("SELECT count(*) FROM spans").rows[0][0]
    put(store, Signal.TRACES, spans_request("late", [span("77" * 16, "88" * 8, "GET", NOW - 20 * HOUR, NOW)]))
    late = "SELECT service_name, trace_id::text FROM spans WHERE service_name = 'late'"
    expected = [("late", "77777777-7777-7777-7777-777777777777")]
    assert store.query(late).rows == expected
    assert store.query("SELECT count(*) FROM spans").rows == [(before + 1,)]
    _run_job(store, "compression", SPANS.name)
    assert store.query(late).rows == expected
    assert store.query("SELECT count(*) FROM spans").rows == [(before + 1,)]


# --- retention ----------------------------------------------------------------------------------------------


def test_retention_drops_chunks_and_leaves_their_rollups(timescaledb_url: str) -> None:
    """By TimescaleDB's job."""
    with closing(_store(timescaledb_url, retention_s={Signal.TRACES: DAY_S, Signal.METRICS: DAY_S})) as store:
        store.migrate()
        _fill(store)
        refresh_continuous_aggregates(store)
        rollups = (
            "SELECT hour, points, sum FROM metrics_hourly ORDER BY 1, series_id",
            "SELECT * FROM services_hourly ORDER BY hour, service_name",
        )
        before = [store.query(rollup).rows for rollup in rollups]
        assert all(before)
        for table in (NUMBER_POINTS, SPANS):
            _run_job(store, "retention", table.name)
        assert store.read(Signal.TRACES).items == 0
        assert store.read(Signal.METRICS).items == 0
        assert [store.query(rollup).rows for rollup in rollups] == before


# --- roll-ups -----------------------------------------------------------------------------------------------

_METRICS_HOURLY = """
SELECT date_trunc('hour', time, 'UTC'), metric, series_id, count(*), min(value), max(value), avg(value), sum(value),
    (array_agg(value ORDER BY time))[1], (array_agg(value ORDER BY time DESC))[1]
FROM metrics GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_SERVICES_HOURLY = """
SELECT date_trunc('hour', time, 'UTC'), service_name, count(*), count(*) FILTER (WHERE status = 'error'),
    avg(duration_nano)::float8 / 1e6,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY duration_nano) / 1e6::float8,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY duration_nano) / 1e6::float8,
    percentile_disc(0.99) WITHIN GROUP (ORDER BY duration_nano) / 1e6::float8,
    max(duration_nano) / 1e6::float8
FROM spans WHERE kind IN ('server', 'consumer') OR parent_span_id IS NULL GROUP BY 1, 2 ORDER BY 1, 2
"""


@pytest.mark.parametrize("state", ["computed when read", "materialized", "both"])
def test_rollups_are_what_the_items_add_up_to(store: PostgresqlStore, state: str) -> None:
    """Before their job has run, after it, and with items that came since."""
    _fill(store)
    if state != "computed when read":
        refresh_continuous_aggregates(store)
    if state == "both":
        put(
            store,
            Signal.METRICS,
            metrics_request("cart", [gauge("load", [number_point(NOW + HOUR, 3.0)], unit="1")]),
        )
        put(
            store,
            Signal.TRACES,
            spans_request("cart", [span("99" * 16, "99" * 8, "GET", NOW + HOUR, NOW + HOUR + 5, error="no")]),
        )
    assert (
        store.query(
            "SELECT hour, metric, series_id, points, min, max, avg, sum, first, last FROM metrics_hourly "
            "ORDER BY 1, 2, 3"
        ).rows
        == store.query(_METRICS_HOURLY).rows
    )
    assert (
        store.query("SELECT * FROM services_hourly ORDER BY 1, 2").rows == store.query(_SERVICES_HOURLY).rows
    )


def test_late_items_reach_a_materialized_hour(store: PostgresqlStore) -> None:
    """With the next refresh."""
    _fill(store)
    refresh_continuous_aggregates(store)
    put(
        store,
        Signal.TRACES,
        spans_request(
            "cart",
            [span("99" * 16, "99" * 8, "GET", NOW - 10 * HOUR, NOW - 9 * HOUR, kind=Span.SPAN_KIND_SERVER)],
        ),
    )
    refresh_continuous_aggregates(store)
    assert (
        store.query("SELECT * FROM services_hourly ORDER BY 1, 2").rows == store.query(_SERVICES_HOURLY).rows
    )


# --- Apache edition -----------------------------------------------------------------------------------------


@pytest.fixture
def apache_store(timescaledb_apache_url: str) -> Iterator[PostgresqlStore]:
    """A migrated store of the Apache edition, with opinions about what it does not have."""
    options: dict[str, Any] = {
        "compress_after_s": 60.0,
        "retention_s": {Signal.TRACES: DAY_S},
        "rollup_retention_s": {"hourly": DAY_S},
    }
    with closing(_store(timescaledb_apache_url, **options)) as store:
        store.migrate()
        yield store


def test_the_apache_edition_has_hypertables_and_no_jobs(apache_store: PostgresqlStore) -> None:
    """What it lacks is left out and said, never an error."""
    assert apache_store.layout is Layout.HYPERTABLES
    assert apache_store.edition.endswith("(Apache edition)")
    assert [row for row in apache_store.query(_JOBS).rows if row[0].startswith("otlp")] == []
    step = next(step for step in apache_store.check() if step.name == "extension and edition")
    assert step.ok
    assert "no compression" in step.detail
    _fill(apache_store)
    assert {entry.compressed_chunks for entry in apache_store.stats()} == {None}
    assert apache_store.query("SELECT count(*) > 0 FROM metrics_hourly").rows == [(True,)]


def test_the_apache_edition_is_kept_in_shape_by_this_program(apache_store: PostgresqlStore) -> None:
    """Chunks that are entirely too old are dropped."""
    _fill(apache_store)
    done = apache_store.maintain(now_unix_nano=NOW + DAY)
    assert done.deleted[SPANS.name] > 0
    assert NUMBER_POINTS.name not in done.deleted
    left = apache_store.query("SELECT count(*), min(time) FROM spans").rows[0]
    assert left[0] > 0
    assert left[1].isoformat() >= "2026-09-21T00:00:00"
    assert sum(apache_store.maintain(now_unix_nano=NOW + DAY).deleted.values()) == 0
