"""`StoreExporter`, over real stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from collector.config.types import Duration
from collector.exporters.sqlite.config import SqliteRetentionConfig
from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Batch, StartError, State
from collector.storage.exporter import RetentionConfig, StoreExporter
from collector.storage.sqlite.store import SqliteStore
from collector.storage.store import PositionError, SchemaError
from collector.storage.tables import COST_ALLOCATIONS, COST_REQUESTS, Table
from collector.wire.canonical import serialized
from tests.support import samples
from tests.support.components import House, make_house
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.stores import put, read_back

DAY_S = 86_400.0


def batch(signal: Signal, *requests: object, start: int = 0, end: int = 1) -> Batch:
    """A batch of these requests, of a queue of its own."""
    records = tuple(Telemetry(signal, request.SerializeToString(), 1) for request in requests)  # type: ignore[attr-defined]
    return Batch(signal, records, uuid4(), start, end)


@pytest.fixture
def house() -> House:
    return make_house("sqlite", "exporter", clock=FakeClock(unix_nano=samples.NOW_UNIX_NANO))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "telemetry.db"


@pytest.fixture
def exporters() -> Iterator[list[StoreExporter]]:
    """Whatever is put in is shut down at the end."""
    exporters: list[StoreExporter] = []
    yield exporters
    for exporter in exporters:
        exporter.shutdown()


def make(
    exporters: list[StoreExporter],
    house: House,
    path: Path,
    *,
    migrate: bool = True,
    retention_s: dict[Signal | Table, float] | None = None,
    local: bool = True,
) -> StoreExporter:
    exporter = StoreExporter(
        house.settings,
        SqliteStore(path, clock=house.settings.clock),
        migrate=migrate,
        retention_s=retention_s or {},
        retention_interval_s=3600.0,
        local=local,
    )
    exporters.append(exporter)
    return exporter


@pytest.mark.parametrize("signal", Signal)
def test_export_stores_all_records_of_a_batch(
    exporters: list[StoreExporter], house: House, path: Path, signal: Signal
) -> None:
    """And the position with them."""
    exporter = make(exporters, house, path)
    exporter.start()
    requests = [samples.sample(signal, "a"), samples.sample(signal, "b")]
    sent = batch(signal, *requests, end=7)
    exporter.export(sent)
    assert serialized(signal, requests) == serialized(signal, [read_back(exporter.store, signal)])
    assert exporter.position(sent.queue_id) == 7
    assert exporter.position(uuid4()) is None
    assert house.state() is State.OK


def test_export_of_a_stored_batch_delivers_it_once(
    exporters: list[StoreExporter], house: House, path: Path
) -> None:
    """The answer to the first may have been lost."""
    exporter = make(exporters, house, path)
    exporter.start()
    sent = batch(Signal.TRACES, samples.traces())
    exporter.export(sent)
    exporter.export(sent)
    assert exporter.store.read(Signal.TRACES).items == 3


def test_an_overlap_says_nothing_against_the_store(
    exporters: list[StoreExporter], house: House, path: Path
) -> None:
    """The sender reads on from the position; the component is well."""
    exporter = make(exporters, house, path)
    exporter.start()
    sent = batch(Signal.TRACES, samples.traces(), end=5)
    exporter.export(sent)
    with pytest.raises(PositionError):
        exporter.export(Batch(sent.signal, sent.records, sent.queue_id, 3, 6))
    assert house.state() is State.OK


def test_a_path_that_can_never_work_stops_the_start(
    exporters: list[StoreExporter], house: House, tmp_path: Path
) -> None:
    """With a message that names it."""
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="file"):
        make(exporters, house, tmp_path / "file" / "x.db").start()


def test_a_store_without_tables_is_waited_for(
    exporters: list[StoreExporter], house: House, path: Path
) -> None:
    """With `migrate` off, somebody else makes them, now or later; meanwhile exports are retryable."""
    exporter = make(exporters, house, path, migrate=False)
    exporter.start()
    assert house.state() is State.DEGRADED
    sent = batch(Signal.LOGS, samples.logs())
    with pytest.raises(SchemaError):
        exporter.export(sent)
    with closing(SqliteStore(path)) as other:
        other.migrate()
    exporter.export(sent)
    assert house.state() is State.OK
    assert exporter.store.read(Signal.LOGS).items == 8


def test_a_store_that_is_gone_is_made_again(exporters: list[StoreExporter], house: House, path: Path) -> None:
    """The file was deleted under a running daemon: its thread makes a new one, and the retry finds it."""
    exporter = make(exporters, house, path)
    exporter.start()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    sent = batch(Signal.LOGS, samples.logs())

    def delivered() -> bool:
        try:
            exporter.export(sent)
        except RetryableError:
            return False
        return True

    eventually(delivered)
    assert exporter.store.read(Signal.LOGS).items == 8
    assert State.DEGRADED in {state for state, _ in house.reports}
    assert house.state() is State.OK


def test_a_store_that_is_not_local_is_opened_behind_the_start(
    exporters: list[StoreExporter], house: House, path: Path
) -> None:
    """`start` returns at once; the thread reports when it works."""
    make(exporters, house, path, local=False).start()
    assert house.reports[0][0] is State.STARTING
    eventually(lambda: house.state() is State.OK)


def test_retention_is_applied_and_counted(exporters: list[StoreExporter], house: House, path: Path) -> None:
    """By the thread, at once and then at its interval."""
    with closing(SqliteStore(path)) as store:
        store.migrate()
        put(store, Signal.TRACES, samples.traces())
        put(store, Signal.LOGS, samples.logs())
    house.settings.clock.advance(40 * DAY_S)  # type: ignore[attr-defined]
    exporter = make(exporters, house, path, retention_s={Signal.TRACES: 30 * DAY_S})
    exporter.start()
    labels = {"exporter": "sqlite", "otel_signal": "traces", "reason": "retention"}
    eventually(lambda: house.sample("collector_store_deleted_items_total", **labels) == 3)
    assert exporter.store.read(Signal.TRACES).items == 0
    assert exporter.store.read(Signal.LOGS).items == 8


def test_what_the_store_deletes_by_itself_is_counted(exporters: list[StoreExporter], house: House) -> None:
    """The bound of the memory exporter."""
    store = SqliteStore(None, items_max=2)
    exporter = StoreExporter(
        house.settings,
        store,
        migrate=True,
        retention_s={},
        retention_interval_s=0.0,
        local=True,
        take_deleted=store.take_evicted,
    )
    exporters.append(exporter)
    exporter.start()
    exporter.export(batch(Signal.TRACES, samples.traces()))
    labels = {"exporter": "sqlite", "otel_signal": "traces", "reason": "bound"}
    assert house.sample("collector_store_deleted_items_total", **labels) == 1


def test_shutdown_is_safe_at_any_time(house: House, path: Path) -> None:
    """Never started, and twice."""
    exporter = make([], house, path)
    exporter.shutdown()
    exporter.start()
    exporter.shutdown()
    exporter.shutdown()
    assert not any(thread.is_alive() for thread in house.threads)


def test_check_asks_the_store(exporters: list[StoreExporter], house: House, path: Path) -> None:
    """Without starting, and without making a file."""
    exporter = make(exporters, house, path)
    assert [step.ok for step in exporter.check()] == [False]
    assert not path.exists()
    exporter.start()
    assert all(step.ok for step in exporter.check())


def test_retention_of_0_keeps_for_ever() -> None:
    """Signals without an age are not looked at."""
    config = SqliteRetentionConfig(traces=Duration(0), cost_origins=Duration(0))
    assert config.ages_s() == {
        Signal.METRICS: 90 * DAY_S,
        Signal.LOGS: 30 * DAY_S,
        COST_ALLOCATIONS: 397 * DAY_S,
        COST_REQUESTS: 90 * DAY_S,
    }


def test_what_is_encoded_ahead_is_stored_as_ever(
    exporters: list[StoreExporter], house: House, path: Path
) -> None:
    """With all its dimensions, also where the database has become another one since it was encoded."""
    exporter = make(exporters, house, path)
    exporter.start()
    requests = [samples.metrics(service) for service in "aabbbb"]
    first = batch(Signal.METRICS, requests[0])
    batches = [
        Batch(first.signal, batch(first.signal, request).records, first.queue_id, number, number + 1)
        for number, request in enumerate(requests)
    ]
    for number, one in enumerate(batches):
        if number == 4:
            assert serialized(Signal.METRICS, requests[:4]) == serialized(
                Signal.METRICS, [read_back(exporter.store, Signal.METRICS)]
            )
            path.unlink()
            exporter.store.migrate()
        for following in batches[number + 1 : number + 2]:
            exporter.prepare(following)
        exporter.export(one)
    stored = [read_back(exporter.store, Signal.METRICS)]
    assert serialized(Signal.METRICS, requests[4:]) == serialized(Signal.METRICS, stored)
    assert any(thread.name.endswith("encode") for thread in house.threads)


@pytest.mark.parametrize(
    ("origins", "allocations", "requests", "wrong"),
    [
        (3, 2, 1, []),
        (0, 0, 0, []),
        (0, 2, 1, []),
        (1, 2, 1, ["cost_allocations"]),
        (3, 2, 0, ["cost_requests"]),
    ],
)
def test_parts_of_costs_do_not_outlive_their_whole(
    origins: float, allocations: float, requests: float, wrong: list[str]
) -> None:
    """They would not add up to anything."""
    config = RetentionConfig(
        cost_origins=Duration(origins),
        cost_allocations=Duration(allocations),
        cost_requests=Duration(requests),
    )
    assert [found.key for found in config.validate()] == wrong
