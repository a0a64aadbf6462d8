"""The receiver `cost_ledger`: an hour of the ledger is done when it is safe behind the pipeline, and not before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from collector.accounting.book import Book
from collector.cost.protobuf import from_proto
from collector.model.errors import PermanentError, RetryableError
from collector.model.telemetry import Telemetry
from collector.pipeline.component import State
from collector.pipeline.fanout import hand_over
from collector.receivers.cost_ledger.config import CostLedgerConfig
from collector.receivers.cost_ledger.factory import FACTORY
from collector.receivers.cost_ledger.receiver import CostLedgerReceiver
from collector.storage.sqlite.store import SqliteStore
from tests.support.components import House, make_house
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, ledger
from tests.support.eventually import eventually


class Pipeline:
    """A consumer with a queue that a test rules: `full`, `refuses`, and `safe`, until when who has put in waits."""

    waits = waits_long = True
    repeated = False

    def __init__(self) -> None:
        self.full = self.refuses = self.gives_up = False
        self.safe = threading.Event()
        self.safe.set()
        self.asked = 0
        self.taken: list[Telemetry] = []

    def consume(self, data: Telemetry, /) -> None:
        self.asked += 1
        if self.refuses:
            raise PermanentError("too large", reason="memory")
        if self.full:
            raise RetryableError("the queue is full", reason="queue_full")
        self.taken.append(data)
        hand_over(self)

    def append(self, origin: bytes) -> None:
        """See `Reservation`."""

    def cancel(self) -> None:
        """See `Reservation`."""

    def wait(self) -> None:
        """See `Reservation`."""
        if self.gives_up:
            raise PermanentError("refused", reason="given_up")
        if not self.safe.wait(0.01):
            raise RetryableError("it is queued, but not stored yet", reason="not_stored_yet")

    def ids(self) -> list[str]:
        """Of the records that came, in order."""
        return [from_proto(record).record_id.hex() for data in self.taken for record in _records(data)]


def _records(data: Telemetry) -> Any:
    message: Any = data.parse()
    return message.records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(SqliteStore(tmp_path / "costs.db")) as store:
        store.migrate()
        write(store, "cart", hour=1)
        write(store, "order", hour=2)
    return tmp_path / "costs.db"


def write(store: SqliteStore, service: str, *, hour: int) -> None:
    book = Book(store)
    assert book.write(ledger(service, start=NOW_UNIX_NANO - hour * HOUR), book.page())


def written(path: Path) -> set[str]:
    with closing(SqliteStore(path)) as store:
        tables = ("cost_origins", "cost_allocations", "cost_requests")
        return {one for table in tables for (one,) in store.query(f"SELECT record_id FROM {table}").rows}


class Running:
    """Receivers over one database, each in its life."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._receivers: list[CostLedgerReceiver] = []

    def start(self, pipeline: Pipeline) -> tuple[CostLedgerReceiver, House]:
        house = make_house("cost_ledger", "receiver")
        config = CostLedgerConfig(exporter="sqlite", interval=0.01)  # type: ignore[arg-type]
        receiver = CostLedgerReceiver(house.settings, config, SqliteStore(self._path), pipeline)
        receiver.start()
        self._receivers.append(receiver)
        return receiver, house

    def stop(self) -> None:
        for receiver in self._receivers:
            receiver.shutdown()


@pytest.fixture
def running(path: Path) -> Iterator[Running]:
    found = Running(path)
    yield found
    found.stop()


def test_all_is_passed_on_once(running: Running, path: Path) -> None:
    """Charges before their parts, in requests of one hour; then what changes; and it is counted."""
    pipeline = Pipeline()
    receiver, house = running.start(pipeline)
    eventually(lambda: written(path) == set(pipeline.ids()), what="all records")
    assert len(pipeline.taken) == 2
    assert all(not record.parent_record_id for record in list(_records(pipeline.taken[0]))[:1])
    eventually(lambda: (State.OK, "0 costs passed on") in house.reports, what="a turn with nothing")
    with closing(SqliteStore(path)) as store:
        write(store, "cart", hour=3)
    eventually(lambda: len(pipeline.taken) == 3, what="the new hour")
    receiver.shutdown()
    assert len(pipeline.ids()) == len(written(path))
    accepted = "otelcol_receiver_accepted_cost_records_total"
    assert house.sample(accepted, receiver="cost_ledger", transport="ledger") == len(written(path))


def test_what_is_not_safe_yet_comes_again_in_the_next_life(running: Running, path: Path) -> None:
    """While it waits nothing is put in twice; an hour that was not safe when the process ended comes again."""
    first = Pipeline()
    first.safe.clear()
    receiver, house = running.start(first)
    eventually(lambda: house.state() is State.DEGRADED, what="that it waits")
    receiver.shutdown()
    assert len(first.taken) == 1, "the second hour waits for the first"
    unconfirmed = "collector_receiver_unconfirmed_cost_records_total"
    assert house.sample(unconfirmed, receiver="cost_ledger", transport="ledger") == first.taken[0].items
    second = Pipeline()
    running.start(second)
    eventually(lambda: written(path) == set(second.ids()), what="all records")
    assert len(second.taken) == 2


def test_a_full_queue_is_waited_for(running: Running, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and nothing is lost."""
    monkeypatch.setattr("collector.receivers.cost_ledger.receiver._FULL_S", 0.01)
    pipeline = Pipeline()
    pipeline.full = True
    _, house = running.start(pipeline)
    eventually(lambda: pipeline.asked > 3, what="tries")
    assert house.reports[-1] == (State.DEGRADED, "costs wait: the queue is full")
    pipeline.full = False
    eventually(lambda: written(path) == set(pipeline.ids()), what="all records")
    assert len(pipeline.taken) == 2


@pytest.mark.parametrize("when", ["refuses", "gives_up"])
def test_what_is_refused_for_ever_holds_nothing_up(running: Running, path: Path, when: str) -> None:
    """It is said, logged and counted, and not tried again."""
    pipeline = Pipeline()
    setattr(pipeline, when, True)
    _, house = running.start(pipeline)
    eventually(lambda: any("for ever" in text for _, text in house.reports), what="that it is refused")
    assert house.log.messages("error") == ["Costs were refused for ever."] * 2
    refused = "otelcol_receiver_refused_cost_records_total"
    assert house.sample(refused, receiver="cost_ledger", transport="ledger") == len(written(path))
    assert pipeline.asked == 2


def test_of_two_with_one_name_one_passes_on(running: Running, path: Path) -> None:
    """The other says so; when the first has stopped it takes over where that one was."""
    slow, other = Pipeline(), Pipeline()
    slow.safe.clear()
    first, house = running.start(slow)
    eventually(lambda: house.state() is State.DEGRADED, what="that it waits")
    _, beside = running.start(other)
    eventually(
        lambda: (State.OK, "another collector passes these costs on") in beside.reports,
        what="that it is second",
    )
    assert other.taken == []
    slow.safe.set()
    eventually(lambda: written(path) == set(slow.ids()), what="all records")
    first.shutdown()
    with closing(SqliteStore(path)) as store:
        write(store, "cart", hour=3)
    eventually(lambda: len(other.taken) == 1, what="the new hour")


def test_a_database_without_tables_is_said(tmp_path: Path) -> None:
    """And waited for."""
    pipeline = Pipeline()
    running = Running(tmp_path / "later.db")
    _, house = running.start(pipeline)
    try:
        eventually(lambda: house.state() is State.DEGRADED, what="that there is no database")
        assert "collector database init" in house.reports[-1][1]
        with closing(SqliteStore(tmp_path / "later.db")) as store:
            store.migrate()
            write(store, "cart", hour=1)
        eventually(lambda: pipeline.taken != [], what="the hour")
    finally:
        running.stop()


def test_it_cannot_be_made_without_a_store() -> None:
    """The service makes it otherwise."""
    with pytest.raises(TypeError, match="works over a store"):
        FACTORY.create(make_house("cost_ledger", "receiver").settings, None, {})
