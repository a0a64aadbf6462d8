"""The watch over the balance: when it looks, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from collector.cost.protobuf import encode_request
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Batch, State
from collector.storage.balance import BalanceWatch
from collector.storage.encoding import payload_encoder
from collector.storage.exporter import StoreExporter
from collector.storage.sqlite.store import SqliteStore
from collector.storage.store import QueryError
from tests.support.components import make_house
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, amounts, ledger
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock


def _write(store: SqliteStore, records: Any) -> None:
    encoded = payload_encoder(Signal.COSTS).encode([encode_request(records)])
    store.write(encoded, queue_id=uuid4(), start=0, end=1)


def _spoiled() -> Any:
    records = ledger()
    return [*records[:2], replace(records[2], amounts=amounts("0.5", "0.5")), *records[3:]]


def test_it_looks_only_where_costs_are_written_and_says_it_at_the_second_look() -> None:
    """A charge and its parts may come in two batches."""
    clock = FakeClock(unix_nano=NOW_UNIX_NANO + HOUR)
    reports: list[tuple[State, str]] = []
    with closing(SqliteStore(None, clock=clock)) as store:
        store.migrate()
        parts: list[str] = []

        def part() -> Callable[[State, str], None]:
            parts.append("made")
            return lambda state, message: reports.append((state, message))

        watch = BalanceWatch(store, clock, part)
        watch.look()
        assert (watch.pause_s(), watch.last, reports) == (None, None, [])
        assert watch.written()
        assert not watch.written(), "only the first time is the first"

        _write(store, _spoiled())
        watch.look()
        assert watch.last is not None
        assert watch.last.unbalanced == 6
        assert reports == [], "it may be on its way"
        assert watch.pause_s() == 30.0
        watch.look()
        assert reports == [], "not yet"
        assert parts == [], "one that says nothing would make the daemon look as if it were starting"
        clock.advance(30)
        watch.look()
        [(state, message)] = reports
        assert state is State.DEGRADED
        assert "cost_balance" in message

        _write(store, ledger(revision=1))
        clock.advance(600)
        watch.look()
        assert reports[-1] == (State.OK, "costs add up")
        watch.stop()
        assert reports[-1][0] is State.STOPPED


def test_a_store_that_cannot_be_asked_is_none_of_its_business() -> None:
    """The exporter says that it is away."""
    clock = FakeClock()
    reports: list[Any] = []

    class Slow(SqliteStore):
        def query(self, *_: Any, **__: Any) -> Any:
            raise QueryError("took longer")

    watch = BalanceWatch(Slow(None), clock, lambda: lambda *report: reports.append(report))
    watch.written()
    watch.look()
    assert (reports, watch.last) == ([], None)
    assert watch.pause_s() == pytest.approx(600.0)


def test_the_exporter_reports_it_as_a_part_of_its_own(tmp_path: Any) -> None:
    """From its upkeep's thread, as soon as costs have come; telemetry alone is not looked at."""
    house = make_house("sqlite", "exporter", clock=FakeClock(unix_nano=NOW_UNIX_NANO + HOUR))
    exporter = StoreExporter(
        house.settings,
        SqliteStore(tmp_path / "x.db", clock=house.settings.clock),
        migrate=True,
        retention_s={},
        retention_interval_s=3600.0,
        local=True,
    )
    exporter.start()
    try:
        assert house.parts == []
        telemetry = Telemetry(Signal.COSTS, encode_request(ledger()), 6)
        exporter.export(Batch(Signal.COSTS, (telemetry,), uuid4(), 0, 1))
        eventually(lambda: house.parts == [("cost", State.OK, "costs add up")], what="a look at the balance")
        assert exporter.balance.last is not None
        assert exporter.balance.last.unbalanced == 0
    finally:
        exporter.shutdown()
