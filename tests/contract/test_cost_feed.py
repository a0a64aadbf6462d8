"""What has changed in a ledger, on every store: nothing is left out, and who takes it all has the same ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from collector.accounting.bills import import_bill
from collector.accounting.book import Book, minute_of, minute_queue, minute_queues
from collector.accounting.export import records_of, write_focus
from collector.accounting.feed import LedgerFeed
from collector.config.types import Duration
from collector.cost.calendar import MINUTE_NS
from collector.cost.focus.rows import FocusOptions
from collector.cost.record import ChargeClass, CostAttributionRecord, Period
from collector.model.signal import Signal
from collector.pipeline.component import State
from collector.receivers.cost_ledger.config import CostLedgerConfig
from collector.receivers.cost_ledger.receiver import CostLedgerReceiver
from collector.storage.encoding import payload_encoder
from collector.storage.store import Store, store_for
from tests.contract.test_cost_runs import DAY, HOUR, START, attribute, clock, telemetry
from tests.support.components import RecordingConsumer, make_house
from tests.support.eventually import eventually
from tests.support.stores import assert_balanced

EVER = Period(0, 2**62)


@contextmanager
def copy_of(path: Path) -> Iterator[Store]:
    """Another database, that is to hold the same."""
    with closing(store_for(f"sqlite:///{path / 'copy.db'}")) as other:
        other.open()
        other.migrate()
        yield other


def pass_on(feed: LedgerFeed, other: Store, windows_max: int = 10**6) -> list[int]:
    """Take what has changed into `other`; after `windows_max` the process ends, so to say. Return of which hours."""
    taken: list[int] = []
    for minute in feed.minutes():
        if len(taken) == windows_max:
            return taken
        data = feed.read(minute)
        other.write(payload_encoder(Signal.COSTS).encode([data.payload]), queue_id=uuid4(), start=0, end=1)
        taken.append((minute.start_unix_nano - START) // HOUR)
    return taken


def content(store: Store) -> list[CostAttributionRecord]:
    return sorted(Book(store).read(EVER), key=lambda record: record.record_id)


def test_runs_are_passed_on(store: Store, tmp_path: Path) -> None:
    """All that was written, once; then only what late telemetry has revised, or corrected in a closed month."""
    feed = LedgerFeed(store, "a")
    with copy_of(tmp_path) as other:
        assert pass_on(feed, other) == []
        telemetry(store, part="early")
        attribute(store)
        assert pass_on(feed, other) == [0, 1]
        assert content(other) == content(store) != []
        assert pass_on(feed, other) == []
        attribute(store)
        assert pass_on(feed, other) == [], "a run that changed nothing"
        telemetry(store, part="late")
        attribute(store)
        assert pass_on(feed, other) == [0, 1]
        assert content(other) == content(store)
        assert_balanced(other)


def test_corrections_are_passed_on(store: Store, tmp_path: Path) -> None:
    """Of a month that is closed; beside what they correct."""
    feed = LedgerFeed(store, "a")
    telemetry(store, part="early")
    attribute(store)
    with copy_of(tmp_path) as other:
        pass_on(feed, other)
        telemetry(store, part="late")
        attribute(store, clock(26 * HOUR + 90 * 24 * HOUR))
        assert pass_on(feed, other) == [0, 1]
        classes = {record.charge.charge_class for record in content(other)}
        assert classes == {ChargeClass.NONE, ChargeClass.CORRECTION}
        assert content(other) == content(store)
        assert_balanced(other)


def test_who_ends_in_the_middle_goes_on(lasting_store_url: str, tmp_path: Path) -> None:
    """Whoever wrote, and whoever reads: what was not done comes again, to another process as well."""
    with closing(store_for(lasting_store_url)) as store, copy_of(tmp_path) as other:
        store.open()
        store.migrate()
        pass_on(LedgerFeed(store, "a"), other)
        telemetry(store, hours=5)
        attribute(store)
        assert pass_on(LedgerFeed(store, "a"), other, 2) == [0, 1]
        with closing(store_for(lasting_store_url)) as again:
            again.open()
            assert pass_on(LedgerFeed(again, "a"), other) == [2, 3, 4], (
                "the second was done when the third began"
            )
        assert content(other) == content(store)


def test_what_was_written_meanwhile_comes_at_the_next_turn(store: Store, tmp_path: Path) -> None:
    """Also of what has been passed on in this one."""
    feed = LedgerFeed(store, "a")
    with copy_of(tmp_path) as other:
        pass_on(feed, other)
        telemetry(store, part="early")
        attribute(store)
        minutes = feed.minutes()
        first = next(minutes)
        telemetry(store, part="late")
        attribute(store)
        rest = list(minutes)
        assert len({first, *rest}) == 2
        assert pass_on(feed, other) == [0, 1]
        assert content(other) == content(store)


def test_who_comes_for_the_first_time_is_given_everything(store: Store, tmp_path: Path) -> None:
    """What others have sent into the ledger too; and each reader has a place of his own."""
    telemetry(store)
    attribute(store)
    data = LedgerFeed(store, "a").read(DAY)
    with copy_of(tmp_path) as sent_to, copy_of(tmp_path / "second") as other:
        encoded = payload_encoder(Signal.COSTS).encode([data.payload])
        sent_to.write(encoded, queue_id=uuid4(), start=0, end=1)
        assert pass_on(LedgerFeed(sent_to, "a"), other) == [0, 1]
        assert pass_on(LedgerFeed(sent_to, "a"), other) == []
        assert pass_on(LedgerFeed(sent_to, "b"), other) == [0, 1]
        assert content(other) == content(store) != []


def test_bills_are_passed_on(store: Store, tmp_path: Path) -> None:
    """What was imported by anybody, in one page with many of them."""
    telemetry(store, hours=3)
    attribute(store)
    path = write_focus(records_of(Book(store), DAY), tmp_path / "bill.csv", FocusOptions(version="1.4")).path
    with closing(store_for(f"sqlite:///{tmp_path / 'billed.db'}")) as billed, copy_of(tmp_path) as other:
        billed.open()
        billed.migrate()
        feed = LedgerFeed(billed, "a")
        assert pass_on(feed, other) == []
        assert import_bill(billed, path).stored
        assert pass_on(feed, other, 1) == [0]
        assert pass_on(feed, other) == [0, 1, 2], "a page is done when all of it is"
        assert content(other) == content(billed)


def test_the_receiver_works_over_every_store(lasting_store_url: str) -> None:
    """It has the lock in one connection, and reads and writes in another."""
    consumer, house = RecordingConsumer(), make_house("cost_ledger", "receiver")
    config = CostLedgerConfig(exporter="db", interval=Duration(0.1))
    with closing(store_for(lasting_store_url)) as store:
        store.open()
        store.migrate()
        telemetry(store)
        attribute(store)
        receiver = CostLedgerReceiver(house.settings, config, store_for(lasting_store_url), consumer)
        receiver.start()
        try:
            there = len(content(store))
            eventually(lambda: sum(data.items for data in consumer.taken) == there, what="all records")
            eventually(lambda: (State.OK, "0 costs passed on") in house.reports, what="a turn with nothing")
        finally:
            receiver.shutdown()
        assert list(LedgerFeed(store, "cost_ledger").minutes()) == []


@pytest.mark.parametrize("minute", [0, 1, START // MINUTE_NS, 2**63 // MINUTE_NS - 2])
def test_a_minute_is_a_queue(minute: int) -> None:
    """And back; in order, of version 8 (RFC 9562), so that no sending queue has such an id."""
    queue = minute_queue(minute * MINUTE_NS + MINUTE_NS - 1)
    assert minute_of(queue) == Period(minute * MINUTE_NS, minute * MINUTE_NS + MINUTE_NS)
    assert (queue.version, queue.variant) == (8, "specified in RFC 4122")
    lowest, highest = minute_queues()
    assert lowest <= queue <= highest
