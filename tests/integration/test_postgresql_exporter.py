"""The exporters `postgresql` and `timescaledb`: databases that are away, empty, restarted under load."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID, uuid4

import pytest

from collector.config.types import ConnectionString, Duration
from collector.exporters.postgresql import factory as postgresql
from collector.exporters.postgresql.config import PostgresqlConfig
from collector.exporters.timescaledb import factory as timescaledb
from collector.exporters.timescaledb.config import TimescaledbConfig
from collector.model.clock import SystemClock
from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Batch, State
from collector.storage.exporter import RetentionConfig, StoreExporter
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.store import SchemaError
from tests.faults.proxy import Proxy
from tests.support import samples
from tests.support.components import House, make_house
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.postgres import Server, start_server
from tests.support.stores import put

QUEUE = UUID(int=7)


@pytest.fixture
def house() -> House:
    """Where the exporter under test lives, with a clock that goes."""
    return make_house("postgresql", "exporter", clock=SystemClock())


@pytest.fixture
def restartable() -> Iterator[Server]:
    """A server of this test's own, to stop and start."""
    server = start_server()
    yield server
    server.close()


def _config(url: str, *, auto_migrate: bool = False) -> PostgresqlConfig:
    return PostgresqlConfig(
        connection_string=ConnectionString(url), auto_migrate=auto_migrate, connect_timeout=Duration(2)
    )


def _batch(signal: Signal, position: int, queue_id: UUID = QUEUE) -> Batch:
    # Of costs another each time: the same ones would be stored once.
    service = f"service {position}" if signal is Signal.COSTS else "cart"
    payload = samples.sample(signal, service).SerializeToString()
    items = {Signal.TRACES: 3, Signal.LOGS: 8, Signal.METRICS: 17, Signal.COSTS: 6}[signal]
    return Batch(signal, (Telemetry(signal, payload, items),), queue_id, position, position + 1)


def _reported(house: House, state: State, words: str) -> None:
    eventually(
        lambda: any(words in message for reported, message in house.reports if reported is state),
        what=f"a report that it is {state.value}: {words}; reported {house.reports}",
    )


def test_a_database_that_is_away_is_waited_for(restartable: Server, house: House) -> None:
    """The exporter starts, says what is wrong, refuses batches retryably, and works once the server is there."""
    url = restartable.create_database(timescaledb=False)
    assert restartable.local is not None
    restartable.local.stop()
    exporter = postgresql.create(house.settings, _config(url, auto_migrate=True))
    exporter.start()
    try:
        _reported(house, State.DEGRADED, "refused")
        with pytest.raises(RetryableError) as caught:
            exporter.export(_batch(Signal.LOGS, 0))
        assert caught.value.reason == "connection"
        restartable.local.start()
        exporter._wake.set()
        _reported(house, State.OK, "PostgreSQL")
        exporter.export(_batch(Signal.LOGS, 0))
        assert exporter.position(QUEUE) == 1
    finally:
        exporter.shutdown()


def test_tables_are_waited_for(postgresql_url: str, house: House) -> None:
    """Without `auto_migrate` somebody else makes them; until then batches wait."""
    exporter = postgresql.create(house.settings, _config(postgresql_url))
    exporter.start()
    try:
        _reported(house, State.DEGRADED, "collector database")
        with pytest.raises(SchemaError):
            exporter.export(_batch(Signal.TRACES, 0))
        with closing(PostgresqlStore(postgresql_url)) as administrator:
            administrator.migrate()
        exporter.export(_batch(Signal.TRACES, 0))
        assert house.state() is State.OK
        assert exporter.store.read(Signal.TRACES).items == 3
    finally:
        exporter.shutdown()


@pytest.mark.parametrize("silent", [False, True], ids=["slow", "silent"])
def test_a_stop_does_not_wait_for_the_end_of_an_upgrade(
    postgresql_server: Server, postgresql_url: str, house: House, *, silent: bool
) -> None:
    """Of which every statement takes a second, or gets no answer at all: it is given up, and made another time."""
    port = int(postgresql_url.rpartition("/")[0].rpartition(":")[2])
    with closing(Proxy(port)) as proxy:
        exporter = postgresql.create(
            house.settings, _config(postgresql_url.replace(f":{port}/", f":{proxy.port}/"), auto_migrate=True)
        )
        connected = threading.Event()
        assert isinstance(exporter.store, PostgresqlStore)
        exporter.store._connections._on_open = connected.set
        exporter.start()
        assert connected.wait(10)
        proxy.delay_s = 0.5
        if silent:
            proxy.swallow()
        upkeep = exporter._thread
        assert upkeep is not None
        began = time.monotonic()
        exporter.shutdown()
        took_s = time.monotonic() - began
        assert not upkeep.is_alive()
        assert took_s < 5
    with closing(PostgresqlStore(postgresql_url)) as store:
        assert not store.schema_status().usable
        store.migrate()


def test_a_database_that_is_not_there_yet_is_waited_for(postgresql_server: Server, house: House) -> None:
    """It may be created later."""
    missing = f"postgresql://{postgresql_server.dsn.partition('://')[2].rpartition('/')[0]}/not_yet_there"
    exporter = postgresql.create(house.settings, _config(missing))
    exporter.start()
    try:
        _reported(house, State.DEGRADED, "does not exist")
        with pytest.raises(RetryableError) as caught:
            exporter.export(_batch(Signal.LOGS, 0))
        assert caught.value.reason == "no_database"
    finally:
        exporter.shutdown()


@pytest.mark.parametrize("immediately", [False, True], ids=["stopped", "crashed"])
def test_a_restart_under_load_loses_and_repeats_nothing(
    restartable: Server, house: House, immediately: bool
) -> None:
    """Three writers, a server that goes away in the middle, twice: every batch is there once."""
    batches = 60
    url = restartable.create_database(timescaledb=False)
    assert restartable.local is not None
    exporter = postgresql.create(house.settings, _config(url, auto_migrate=True))
    exporter.start()
    progress = dict.fromkeys(Signal, 0)
    failures: list[str] = []
    errors: list[BaseException] = []

    def send(signal: Signal) -> None:
        queue_id = uuid4()
        try:
            while progress[signal] < batches:
                try:
                    exporter.export(_batch(signal, progress[signal], queue_id))
                    progress[signal] += 1
                except RetryableError as error:
                    failures.append(error.reason)
                    threading.Event().wait(0.02)
                    # The commit whose answer was lost: the database knows.
                    try:
                        progress[signal] = exporter.position(queue_id) or 0
                    except RetryableError as other:
                        failures.append(other.reason)
        except BaseException as error:  # noqa: BLE001  for the main thread to judge
            errors.append(error)

    threads = [threading.Thread(target=send, args=(signal,)) for signal in Signal]
    for thread in threads:
        thread.start()
    for share in (3, 2):
        eventually(lambda share=share: min(progress.values()) >= batches // share)  # type: ignore[misc]
        restartable.local.stop(immediately=immediately)
        seen = len(failures)
        eventually(lambda seen=seen: len(failures) > seen)  # type: ignore[misc]
        restartable.local.start()
    for thread in threads:
        thread.join(60)
    try:
        assert errors == []
        assert progress == dict.fromkeys(Signal, batches)
        assert set(failures) <= {"connection", "shutdown", "schema", "connections_busy"}
        stored = {signal: exporter.store.read(signal).items for signal in Signal}
        assert stored == {signal: batches * _batch(signal, 0).items for signal in Signal}
    finally:
        exporter.shutdown()


def test_upkeep_makes_partitions_and_drops_old_ones(postgresql_url: str) -> None:
    """By itself, from the start; what it did is logged and counted."""
    with closing(PostgresqlStore(postgresql_url)) as store:
        store.migrate()
        put(store, Signal.TRACES, samples.traces())
        put(store, Signal.LOGS, samples.logs())
    house = make_house(
        "postgresql", "exporter", clock=FakeClock(unix_nano=samples.NOW_UNIX_NANO + 3 * 86_400 * 10**9)
    )
    config = PostgresqlConfig(
        connection_string=ConnectionString(postgresql_url),
        retention=RetentionConfig(traces=Duration(86_400.0)),
    )
    exporter = postgresql.create(house.settings, config)
    exporter.start()
    try:
        deleted = {"exporter": "postgresql", "otel_signal": "traces", "reason": "retention"}
        eventually(lambda: house.sample("collector_store_deleted_items_total", **deleted) == 3)
        assert exporter.store.read(Signal.TRACES).items == 0
        assert exporter.store.read(Signal.LOGS).items == 8
        changes = [entry["change"] for entry in house.log.entries if "change" in entry]
        assert changes == ["otlp_spans: 3 partitions made", "otlp_logs: 3 partitions made"]
    finally:
        exporter.shutdown()


def test_pool_and_operations_are_measured(postgresql_url: str, house: House) -> None:
    """Connections by state, seconds by kind of operation."""
    exporter = postgresql.create(house.settings, _config(postgresql_url, auto_migrate=True))
    exporter.start()
    try:
        _reported(house, State.OK, "PostgreSQL")
        exporter.export(_batch(Signal.LOGS, 0))
        pool = {
            state: house.sample("collector_database_pool_connections", exporter="postgresql", state=state)
            for state in ("idle", "busy")
        }
        assert 1 <= pool["idle"] + pool["busy"] <= 2
        assert (
            house.sample(
                "collector_database_query_duration_seconds_count", exporter="postgresql", operation="write"
            )
            == 1
        )
    finally:
        exporter.shutdown()
    assert house.sample("collector_database_pool_connections", exporter="postgresql", state="idle") == 0


def _timescaledb(house: House, url: str) -> StoreExporter:
    config = TimescaledbConfig(connection_string=ConnectionString(url), auto_migrate=True)
    return timescaledb.create(house.settings, config)


def test_timescaledb_on_a_server_without_it_says_what_to_do(
    postgresql_server: Server, postgresql_url: str, house: House
) -> None:
    """Degraded, and the batches wait: the extension can be installed."""
    if postgresql_server.timescaledb:
        pytest.skip("needs a server without TimescaleDB")
    exporter = _timescaledb(house, postgresql_url)
    exporter.start()
    try:
        _reported(house, State.DEGRADED, "has no TimescaleDB")
        with pytest.raises(RetryableError, match="use the exporter 'postgresql'"):
            exporter.export(_batch(Signal.LOGS, 0))
    finally:
        exporter.shutdown()


@pytest.mark.parametrize("edition", ["timescaledb", "timescaledb_apache"])
def test_timescaledb_stores_on_either_edition(
    edition: str, house: House, request: pytest.FixtureRequest
) -> None:
    """All signals, from an empty database on."""
    url: str = request.getfixturevalue(f"{edition}_url")
    exporter = _timescaledb(house, url)
    exporter.start()
    try:
        _reported(house, State.OK, "TimescaleDB")
        for position, signal in enumerate(Signal):
            exporter.export(_batch(signal, position))
        assert {signal: exporter.store.read(signal).items for signal in Signal} == {
            signal: _batch(signal, 0).items for signal in Signal
        }
        assert all(step.ok for step in exporter.check())
    finally:
        exporter.shutdown()
