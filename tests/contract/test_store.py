"""What every store promises (`collector.storage.store.Store`), on each of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.model.errors import PermanentError, RetryableError, TelemetryError
from collector.model.signal import Signal
from collector.storage.encode import Encoder, encode
from collector.storage.rows import Encoded, Row
from collector.storage.store import (
    Change,
    PositionError,
    QueryError,
    SchemaError,
    Store,
    open_store,
    store_for,
)
from collector.storage.tables import (
    ANALYSES,
    COST_ORIGINS,
    DIMENSIONS,
    FACTS,
    NUMBER_POINTS,
    POLICIES,
    POLICY_TABLES,
    POSITIONS,
    RESOURCES,
    SCOPES,
    SERIES,
    SPANS,
    SUMMARY_POINTS,
    Table,
)
from collector.storage.views import VIEWS
from collector.wire.canonical import serialized
from tests.support import samples
from tests.support.otlp_strategies import requests
from tests.support.stores import marked, put, read_back, read_marked

DAY_S = 86_400.0


# --- nothing lost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", Signal)
def test_read_returns_what_was_written(store: Store, signal: Signal) -> None:
    """One of everything, extremes included, comes back as it was."""
    put(store, signal, samples.sample(signal))
    assert serialized(signal, [samples.sample(signal)]) == serialized(signal, [read_back(store, signal)])


@pytest.mark.unbalanced
@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_telemetry_survives_the_store(store: Store, signal: Signal, data: st.DataObject) -> None:
    """Written, read back and decoded, any valid request is equal to itself."""
    request, example = marked(signal, data.draw(requests(signal, valid=True)))
    put(store, signal, request)
    assert serialized(signal, [request]) == serialized(signal, [read_marked(store, signal, example)])


@pytest.mark.parametrize("signal", Signal)
def test_rows_come_back_as_the_same_python_values(store: Store, signal: Signal) -> None:
    """Not only equal telemetry: equal rows, so that what is read can be written elsewhere."""
    encoded = put(store, signal, samples.sample(signal))
    read = store.read(signal)
    if signal is Signal.COSTS:  # `refined` is the store's own
        encoded, read = (replace(one, facts=_unrefined(one.facts)) for one in (encoded, read))
    assert encoded.dimensions == read.dimensions
    assert {table: sorted(map(repr, rows)) for table, rows in encoded.facts.items()} == {
        table: sorted(map(repr, rows)) for table, rows in read.facts.items()
    }


def test_signals_do_not_mix(store: Store) -> None:
    """Reading one signal returns nothing of another."""
    for signal in Signal:
        put(store, signal, samples.sample(signal))
    for signal in Signal:
        assert serialized(signal, [samples.sample(signal)]) == serialized(signal, [read_back(store, signal)])


def test_read_returns_the_window_to_the_nanosecond(store: Store) -> None:
    """`start` is in the window and `end` is not."""
    put(store, Signal.METRICS, samples.metrics())
    now = samples.NOW_UNIX_NANO

    def times(start: int, end: int) -> list[int]:
        rows = store.read(Signal.METRICS, start_unix_nano=start, end_unix_nano=end).facts.get(
            NUMBER_POINTS, []
        )
        return sorted(row[2] * 1000 + (row[3] or 0) for row in rows if row[0] == "requests")

    assert times(now, now + 2) == [now, now + 1]
    assert times(now + 1, now + 3) == [now + 1, now + 2]
    assert times(now + 3, now + 999) == []


def test_read_returns_the_oldest_when_limited(store: Store) -> None:
    """A limit counts rows per table."""
    put(store, Signal.TRACES, samples.traces())
    [row] = store.read(Signal.TRACES, limit=1).facts[SPANS]
    assert row[SPANS.index("time")] == samples.NOW_UNIX_NANO // 1000


# --- nothing twice ------------------------------------------------------------------------------------------


def test_writing_the_same_batch_again_does_nothing(store: Store) -> None:
    """A replay returns False and adds no row."""
    encoded = encode(Signal.TRACES, [samples.traces()])
    queue_id = uuid4()
    assert store.write(encoded, queue_id=queue_id, start=0, end=3)
    assert not store.write(encoded, queue_id=queue_id, start=0, end=3)
    assert not store.write(encoded, queue_id=queue_id, start=1, end=2)
    assert len(store.read(Signal.TRACES).facts[SPANS]) == 3


def test_position_is_the_end_of_the_last_batch_of_its_queue(store: Store) -> None:
    """Each queue has its own; one that was never written has none."""
    encoded = encode(Signal.LOGS, [samples.logs()])
    first, second = uuid4(), uuid4()
    assert store.position(first) is None
    store.write(encoded, queue_id=first, start=0, end=5)
    store.write(encoded, queue_id=second, start=0, end=7)
    store.write(encoded, queue_id=first, start=5, end=2**62)
    assert (store.position(first), store.position(second)) == (2**62, 7)


def test_a_batch_that_begins_later_than_the_position_is_written(store: Store) -> None:
    """Positions in between were given up by the sender, which knows."""
    queue_id = uuid4()
    encoded = encode(Signal.LOGS, [samples.logs()])
    store.write(encoded, queue_id=queue_id, start=0, end=5)
    assert store.write(encoded, queue_id=queue_id, start=8, end=9)
    assert store.position(queue_id) == 9


def test_a_batch_stored_in_part_is_refused(store: Store) -> None:
    """Neither writing it nor leaving it would be right: the sender has to read on from the position."""
    queue_id = uuid4()
    encoded = encode(Signal.TRACES, [samples.traces()])
    store.write(encoded, queue_id=queue_id, start=0, end=5)
    with pytest.raises(PositionError) as raised:
        store.write(encoded, queue_id=queue_id, start=4, end=6)
    assert raised.value.stored == 5
    assert store.position(queue_id) == 5
    assert len(store.read(Signal.TRACES).facts[SPANS]) == 3


def test_a_batch_is_written_whole_or_not_at_all(store: Store) -> None:
    """A row that the database cannot take leaves nothing of its batch, nor the position."""
    encoded = encode(Signal.METRICS, [samples.metrics()])
    metric, series_id, _, *rest = encoded.facts[SUMMARY_POINTS][0]
    impossible = (metric, series_id, None, *rest)
    broken = Encoded(
        signal=Signal.METRICS,
        items=encoded.items,
        dimensions=encoded.dimensions,
        facts={**encoded.facts, SUMMARY_POINTS: [impossible]},
    )
    queue_id = uuid4()
    with pytest.raises(PermanentError):
        store.write(broken, queue_id=queue_id, start=0, end=1)
    assert store.position(queue_id) is None
    assert store.read(Signal.METRICS).facts == {}
    assert store.write(encoded, queue_id=queue_id, start=0, end=1), "the store works as before"


def test_other_queues_come_along(store: Store) -> None:
    """Their positions are set with the rows, whatever they were, or not at all."""
    encoded = encode(Signal.LOGS, [samples.logs()])
    queue_id, *others = uuid4(), uuid4(), uuid4()
    assert store.write(encoded, queue_id=others[0], start=0, end=9)
    assert store.write(encoded, queue_id=queue_id, start=0, end=5, also=others)
    assert [store.position(one) for one in others] == [5, 5]
    assert not store.write(encoded, queue_id=queue_id, start=0, end=5, also=[uuid4()])
    with pytest.raises(PositionError):
        store.write(encoded, queue_id=queue_id, start=4, end=6, also=others)
    assert [store.position(one) for one in (queue_id, *others)] == [5, 5, 5]
    nothing = Encoded(signal=Signal.COSTS, items=0, dimensions={}, facts={})
    assert store.write(nothing, queue_id=queue_id, start=5, end=6, also=others)
    assert [store.position(one) for one in (queue_id, *others)] == [6, 6, 6]


def test_dimensions_are_stored_once(lasting_store_url: str) -> None:
    """However many batches, and writers that know nothing of each other, name them."""
    with closing(open_store(lasting_store_url)) as store, closing(open_store(lasting_store_url)) as other:
        store.migrate()
        for writer in (store, store, other, other):
            put(writer, Signal.METRICS, samples.metrics())
        expected = encode(Signal.METRICS, [samples.metrics()]).dimensions
        for table in (RESOURCES, SCOPES, SERIES):
            [[rows]] = store.query(f"SELECT count(*) FROM {table.name}").rows
            assert len(expected[table]) == rows


def test_a_series_whose_id_is_taken_gets_another(store: Store) -> None:
    """Two series with one 64-bit id stay apart, in the points as well."""
    mine = encode(Signal.METRICS, [samples.metrics("mine")])
    # Another's series that happens to have the id of one of mine.
    theirs = Encoder(series_id=lambda digest, attempt: attempt + min(mine.dimensions[SERIES])).encode(  # type: ignore[operator]
        Signal.METRICS, [samples.metrics("theirs")]
    )
    put_encoded(store, theirs)
    put_encoded(store, mine)
    both = [samples.metrics("mine"), samples.metrics("theirs")]
    assert serialized(Signal.METRICS, both) == serialized(Signal.METRICS, [read_back(store, Signal.METRICS)])


def test_writers_and_readers_do_not_disturb_each_other(store: Store) -> None:
    """Three signals written at once by several threads, while others read: exact counts, no error."""
    errors: list[BaseException] = []
    batches = 6

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def body() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  shown by the test
                errors.append(error)

        return threading.Thread(target=body)

    def write(signal: Signal) -> None:
        queue_id = uuid4()
        for position in range(batches):
            encoded = encode(signal, [samples.sample(signal, f"service-{position}")])
            assert store.write(encoded, queue_id=queue_id, start=position, end=position + 1)

    def read() -> None:
        for _ in range(batches):
            # All or nothing of a batch is to be seen.
            assert len(store.read(Signal.TRACES).facts.get(SPANS, [])) % 3 == 0
            store.query("SELECT count(*) FROM spans")

    threads = [guarded(lambda signal=signal: write(signal)) for signal in Signal]  # type: ignore[misc]
    threads += [guarded(read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for signal in Signal:
        expected = encode(signal, [samples.sample(signal)]).items * batches
        assert sum(map(len, store.read(signal).facts.values())) == expected


# --- schema -------------------------------------------------------------------------------------------------


def test_an_empty_database_is_at_version_0(empty_store: Store) -> None:
    """And can say so; writing needs tables."""
    status = empty_store.schema_status()
    assert (status.current, status.usable) == (0, False)
    assert len(status.pending) == status.expected
    with pytest.raises(SchemaError):
        put(empty_store, Signal.LOGS, samples.logs())


def test_migrate_brings_the_schema_up_to_date_once(empty_store: Store) -> None:
    """The second time there is nothing to do."""
    pending = empty_store.schema_status().pending
    assert empty_store.migrate() == list(pending)
    assert empty_store.migrate() == []
    status = empty_store.schema_status()
    assert (status.current, status.pending, status.usable) == (status.expected, (), True)


def test_migrate_changes_nothing_on_a_dry_run(empty_store: Store) -> None:
    """It returns what would be applied, with its SQL."""
    planned = empty_store.migrate(dry_run=True)
    assert empty_store.schema_status().current == 0
    assert [migration.version for migration in planned] == list(range(1, len(planned) + 1))
    assert "CREATE TABLE" in planned[0].sql


def test_migrate_can_be_called_by_many_at_once(lasting_store_url: str) -> None:
    """One does it, the others find it done."""
    applied: list[int] = []
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def body() -> None:
        try:
            with closing(open_store(lasting_store_url)) as store:
                barrier.wait()
                applied.append(len(store.migrate()))
        except BaseException as error:  # noqa: BLE001  shown by the test
            errors.append(error)

    threads = [threading.Thread(target=body) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with closing(open_store(lasting_store_url)) as store:
        assert sum(applied) == store.schema_status().expected


def test_every_view_has_the_documented_columns(store: Store) -> None:
    """Names and order are those of `views.VIEWS`."""
    for view, columns in VIEWS.items():
        assert columns == store.query(f"SELECT * FROM {view} LIMIT 1").columns, view


def test_every_table_has_the_columns_that_the_encoders_write(store: Store) -> None:
    """Names and order are those of `tables`."""
    for table in (*FACTS, RESOURCES, SCOPES, SERIES, POSITIONS, POLICIES, ANALYSES):
        assert table.column_names == store.query(f"SELECT * FROM {table.name} LIMIT 1").columns


# --- changes ------------------------------------------------------------------------------------------------


def test_changes_are_made_whole_or_not_at_all(store: Store) -> None:
    """If one that has to change something does not, if one fails, and if all is well."""
    positions = "INSERT INTO otlp_policies VALUES (%(id)s, 'n', NULL, %(on)s, 'block', '1.5', NULL, 'day', 'UTC', NULL, '{}', 1, 2)"
    insert = f"{positions} ON CONFLICT DO NOTHING"
    one, two = Change(insert, {"id": "100%", "on": True}), Change(insert, {"id": "b", "on": False})
    assert store.change([one])
    assert not store.change([two, one])
    with pytest.raises((QueryError, TelemetryError)):
        store.change([two, Change(positions, {"id": "100%", "on": True})])
    assert store.query("SELECT policy_id, budget FROM policies").rows in (
        [("100%", Decimal("1.5"))],
        [("100%", "1.5")],
    )
    gone = Change("DELETE FROM otlp_policies WHERE policy_id = %(id)s", {"id": "nobody"}, required=False)
    assert store.change([two, gone])
    assert store.query("SELECT count(*) FROM policies WHERE NOT enabled").rows == [(1,)]


def test_changes_need_the_tables(empty_store: Store) -> None:
    """A database that is not migrated is one that can be."""
    with pytest.raises(SchemaError):
        empty_store.change([Change("DELETE FROM otlp_policies", {}, required=False)])


# --- queries ------------------------------------------------------------------------------------------------


def test_query_binds_parameters_by_name(store: Store) -> None:
    """`%(name)s` is the value whatever is in it, `%%` a percent sign; without parameters nothing is special."""
    hostile = "'; DROP TABLE otlp_logs; --"
    assert store.query(
        "SELECT CAST(%(a)s AS text), '5%%', CAST(%(b)s AS integer)", {"a": hostile, "b": 3}
    ).rows == [(hostile, "5%", 3)]
    assert store.query("SELECT '5%', '%(a)s', '%%'").rows == [("5%", "%(a)s", "%%")]


def test_query_names_columns_even_without_rows(store: Store) -> None:
    """So that a table can be printed."""
    result = store.query("SELECT service_name AS who, name FROM spans")
    assert (result.columns, result.rows) == (("who", "name"), [])


def test_query_returns_at_most_rows_max(store: Store) -> None:
    """The rest is not fetched."""
    put(store, Signal.TRACES, samples.traces())
    assert len(store.query("SELECT * FROM spans").rows) == 3
    assert len(store.query("SELECT * FROM spans", rows_max=2).rows) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM otlp_logs",
        "DROP VIEW logs",
        "CREATE TABLE t (x integer)",
        "INSERT INTO otlp_positions SELECT * FROM otlp_positions",
        "WITH x AS (SELECT 1) INSERT INTO otlp_positions SELECT * FROM otlp_positions",
    ],
)
def test_query_only_reads(store: Store, statement: str) -> None:
    """Whatever the statement says."""
    put(store, Signal.LOGS, samples.logs())
    with pytest.raises(QueryError):
        store.query(statement)
    assert len(store.query("SELECT * FROM logs").rows) == 8


@pytest.mark.parametrize(
    "statement", ["SELEC 1", "SELECT * FROM nowhere", "SELECT 1; SELECT 2; DROP VIEW logs", ""]
)
def test_query_says_what_is_wrong(store: Store, statement: str) -> None:
    """A statement that cannot be run is a QueryError, and the store works on."""
    with pytest.raises(QueryError):
        store.query(statement)
    assert store.query("SELECT 1").rows == [(1,)]


def test_query_ends_after_its_timeout(store: Store) -> None:
    """A query that would take for ever is stopped, and the store works on."""
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t"
    with pytest.raises(QueryError):
        store.query(endless, timeout_s=0.2)
    assert store.query("SELECT 1").rows == [(1,)]


# --- upkeep -------------------------------------------------------------------------------------------------


def test_stats_tell_rows_and_times(store: Store) -> None:
    """Of every table; times of those that have one."""
    for signal in Signal:
        put(store, signal, samples.sample(signal))
    stats = {entry.table: entry for entry in store.stats()}
    assert {table.name for table in (*FACTS, *DIMENSIONS, POSITIONS, *POLICY_TABLES)} == stats.keys()
    spans = stats[SPANS.name]
    assert (spans.rows, spans.oldest_unix_nano) == (3, samples.NOW_UNIX_NANO)
    assert spans.newest_unix_nano is not None
    assert math.isclose(spans.newest_unix_nano, samples.NOW_UNIX_NANO + 1000, abs_tol=1000)
    assert spans.bytes is None or spans.bytes > 0
    assert stats[SERIES.name].rows == len(encode(Signal.METRICS, [samples.metrics()]).dimensions[SERIES])
    assert stats[SERIES.name].oldest_unix_nano is None


def test_stats_of_empty_tables_have_no_times(store: Store) -> None:
    """Nothing is shown as 1970."""
    stats = {entry.table: entry for entry in store.stats()}
    assert [(entry.rows, entry.oldest_unix_nano) for entry in (stats[table.name] for table in FACTS)] == [
        (0, None)
    ] * len(FACTS)


def test_retention_deletes_what_is_older_than_its_signals_age(store: Store) -> None:
    """And leaves signals alone that have no age."""
    for signal in Signal:
        put(store, signal, samples.sample(signal))
    later = samples.NOW_UNIX_NANO + int(40 * DAY_S * 1e9)
    ages: dict[Signal | Table, float] = {Signal.METRICS: 90 * DAY_S, Signal.TRACES: 7 * DAY_S}

    would = store.apply_retention(ages, now_unix_nano=later, dry_run=True)
    assert would[SPANS.name] == 3
    assert len(store.read(Signal.TRACES).facts[SPANS]) == 3, "a dry run deletes nothing"

    deleted = store.apply_retention(ages, now_unix_nano=later)
    assert deleted[SPANS.name] == 3
    assert sum(deleted.values()) == 3
    assert store.read(Signal.TRACES).facts == {}
    for signal in (Signal.METRICS, Signal.LOGS):
        assert serialized(signal, [samples.sample(signal)]) == serialized(signal, [read_back(store, signal)])
    assert sum(store.apply_retention(ages, now_unix_nano=later).values()) == 0


def test_what_retention_deleted_can_be_written_again(store: Store) -> None:
    """Dimensions and places for rows are still, or again, there."""
    put(store, Signal.TRACES, samples.traces())
    later = samples.NOW_UNIX_NANO + int(40 * DAY_S * 1e9)
    store.apply_retention({Signal.TRACES: DAY_S}, now_unix_nano=later)
    put(store, Signal.TRACES, samples.traces())
    assert serialized(Signal.TRACES, [samples.traces()]) == serialized(
        Signal.TRACES, [read_back(store, Signal.TRACES)]
    )


def test_check_passes_and_leaves_nothing(store: Store) -> None:
    """Every step is ok, and the database as it was."""
    before = {entry.table: entry.rows for entry in store.stats()}
    steps = store.check()
    assert [step for step in steps if not step.ok] == []
    assert steps[-1].name == "write and roll back"
    assert before == {entry.table: entry.rows for entry in store.stats()}


def test_check_stops_at_the_step_that_fails(store_url: str) -> None:
    """Without tables, the schema is what is wrong, and what to do is said."""
    store = store_for(store_url)
    with closing(store):
        *passed, failed = store.check()
    assert [step.ok for step in passed] == [True] * len(passed)
    assert not failed.ok
    assert "collector database" in failed.detail


# --- life ---------------------------------------------------------------------------------------------------


def test_a_store_works_again_after_it_was_closed(lasting_store_url: str) -> None:
    """Closing twice is closing once, and what was written is still there."""
    store = store_for(lasting_store_url)
    store.close()
    store.open()
    store.migrate()
    put(store, Signal.LOGS, samples.logs())
    store.close()
    store.close()
    store.open()
    put(store, Signal.LOGS, samples.logs())
    assert len(store.query("SELECT * FROM logs").rows) == 16
    store.close()


def test_a_closed_store_takes_and_gives_nothing(lasting_store_url: str) -> None:
    """Whoever is still there is told to come again; and nothing is made of what was asked."""
    store = store_for(lasting_store_url)
    store.open()
    store.migrate()
    store.close()
    for use in (
        lambda: put(store, Signal.LOGS, samples.logs()),
        lambda: store.query("SELECT 1"),
        lambda: store.read(Signal.LOGS),
        store.stats,
        store.schema_status,
    ):
        with pytest.raises(RetryableError) as caught:
            use()
        assert caught.value.reason == "closed"
    store.open()
    assert store.read(Signal.LOGS).items == 0
    store.close()


def test_the_store_says_what_it_is(store: Store) -> None:
    """For people, with a version."""
    assert store.dialect in ("sqlite", "postgresql")
    assert any(character.isdigit() for character in store.edition)


def _unrefined(facts: Mapping[Table, Sequence[Row]]) -> dict[Table, list[Row]]:
    at = COST_ORIGINS.index("refined")
    return {table: [(*row[:at], *row[at + 1 :]) for row in rows] for table, rows in facts.items()}


def put_encoded(store: Store, encoded: Encoded) -> None:
    """Write rows as the first batch of a queue of their own."""
    assert store.write(encoded, queue_id=uuid4(), start=0, end=1)
