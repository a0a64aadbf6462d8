"""The ledger's promises for all usage: late data ends where from-scratch does, corrections sum to the difference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cost.amount import total
from collector.cost.balance import check_balance
from collector.cost.engine import Engine
from collector.cost.ledger import Change, correct, revise
from collector.cost.record import AMOUNTS, ChargeClass, CostAttributionRecord, Level, Period
from collector.cost.usage import WindowUsage
from tests.property.test_cost_engine import PRICE, config, usages
from tests.support.cost import NOW

OPEN_MONTH: Final = Period(1_790_812_800 * 10**9, 1_793_491_200 * 10**9)
LATER: Final = NOW + 10**15
BASIS: Final = st.sampled_from(["measured", "spread"])


@settings(max_examples=100)
@given(early=usages(), late=usages(), price=PRICE, basis=BASIS)
def test_late_data_in_an_open_window_ends_where_from_scratch_does(
    early: WindowUsage, late: WindowUsage, price: Decimal, basis: str
) -> None:
    """What holds after a revision is what computing it once would have given; nothing changes a second time."""
    engine = Engine(config("keep", basis, price))
    first, second = engine.attribute(early, NOW).records, engine.attribute(late, LATER).records
    store = Store()
    store.apply(revise((), first))
    assert store.holding() == list(first)
    assert revise(store.holding(), engine.attribute(early, LATER).records) == Change((), ())
    store.apply(revise(store.holding(), second, store.last_revisions()))
    check_balance(store.holding())
    assert contents(store.holding()) == contents(second)
    assert revise(store.holding(), engine.attribute(late, LATER + 1).records) == Change((), ())
    # There and back again: a third revision, and never an id that was there before.
    store.apply(revise(store.holding(), first, store.last_revisions()))
    assert contents(store.holding()) == contents(first)


@settings(max_examples=100)
@given(usage=usages(), price=PRICE)
def test_a_replay_over_nothing_gives_identical_rows(usage: WindowUsage, price: Decimal) -> None:
    """Ids and rows, so that a store that has them already keeps them."""
    records = Engine(config("keep", "measured", price)).attribute(usage, NOW).records
    assert revise((), records) == revise((), reversed(records))


@settings(max_examples=100)
@given(early=usages(), late=usages(), later=usages(), price=PRICE, basis=BASIS)
def test_corrections_of_a_closed_window_sum_to_the_difference(
    early: WindowUsage, late: WindowUsage, later: WindowUsage, price: Decimal, basis: str
) -> None:
    """Rows and corrections sum to what is computed now, twice in a row; nothing is superseded; a repeat adds nothing."""
    engine = Engine(config("keep", basis, price))
    store = Store()
    store.apply(revise((), engine.attribute(early, NOW).records))
    for usage in (late, later):
        computed = engine.attribute(usage, LATER).records
        change = correct(store.holding(), computed, billing_period=OPEN_MONTH, recorded_unix_nano=LATER)
        assert not change.supersede
        assert all(row.charge.charge_class is ChargeClass.CORRECTION for row in change.insert)
        assert all(row.charge.billing_period == OPEN_MONTH for row in change.insert)
        store.apply(change)
        again = correct(store.holding(), computed, billing_period=OPEN_MONTH, recorded_unix_nano=LATER)
        assert again == Change((), ())
        assert sums(store.holding(), Level.ORIGIN) == sums(computed, Level.ORIGIN)
        assert sums(store.holding(), Level.ALLOCATION) == sums(computed, Level.ALLOCATION)
        by_origin(store.holding())
        refined(store.holding())


@settings(max_examples=100)
@given(early=usages(), late=usages(), price=PRICE)
def test_corrections_of_an_unchanged_charge_sum_to_zero(
    early: WindowUsage, late: WindowUsage, price: Decimal
) -> None:
    """The invoice did not change, so what some get more others get less."""
    engine = Engine(config("keep", "measured", price))
    late = replace(late, charges=early.charges)
    first, second = engine.attribute(early, NOW).records, engine.attribute(late, LATER).records
    change = correct(first, second, billing_period=OPEN_MONTH, recorded_unix_nano=LATER)
    origins = {record.origin_id: record.amounts for record in first if record.level is Level.ORIGIN}
    for record in second:
        if record.level is Level.ORIGIN and origins.get(record.origin_id) == record.amounts:
            deltas = [
                r for r in change.insert if r.origin_id == record.origin_id and r.level is Level.ALLOCATION
            ]
            assert total(row.amounts.effective_cost or Decimal(0) for row in deltas) == 0


class Store:
    """A table of records, as a database would keep it: ids are unique, what is superseded stays."""

    def __init__(self) -> None:
        self.rows: dict[bytes, CostAttributionRecord] = {}
        self.superseded: set[bytes] = set()

    def apply(self, change: Change) -> None:
        for row in change.insert:
            assert row.record_id not in self.rows
            assert row.level is Level.ORIGIN or row.parent_record_id in self.rows
            self.rows[row.record_id] = row
        assert set(change.supersede) <= self.rows.keys() - self.superseded
        self.superseded |= set(change.supersede)

    def last_revisions(self) -> dict[bytes, int]:
        found: dict[bytes, int] = {}
        for row in self.rows.values():
            found[row.origin_id] = max(row.revision, found.get(row.origin_id, -1))
        return found

    def holding(self) -> list[CostAttributionRecord]:
        return [row for key, row in self.rows.items() if key not in self.superseded]


def contents(records: Iterable[CostAttributionRecord]) -> list[str]:
    """Records without what depends on when they were made."""
    zero = bytes(16)
    plain = (
        replace(
            record,
            record_id=zero,
            parent_record_id=b"" if record.level is Level.ORIGIN else zero,
            revision=0,
            recorded_unix_nano=0,
        )
        for record in records
    )
    return sorted(map(str, plain))


def sums(records: Iterable[CostAttributionRecord], level: Level) -> dict[Any, Decimal]:
    """Sums by origin, subject, rule and column; zero and nothing are the same."""
    found: dict[Any, list[Decimal]] = {}
    for record in records:
        if record.level is level:
            for name in AMOUNTS:
                if (value := getattr(record.amounts, name)) is not None:
                    found.setdefault((record.origin_id, record.subject.key, record.rule_id, name), []).append(
                        value
                    )
    return {key: whole for key, values in found.items() if (whole := total(values))}


def by_origin(records: list[CostAttributionRecord]) -> None:
    """The parts of every charge, with all corrections, sum to it."""
    wholes: list[dict[Any, Decimal]] = []
    for level in (Level.ORIGIN, Level.ALLOCATION):
        found: dict[Any, list[Decimal]] = {}
        for record in records:
            if record.level is level:
                for name in AMOUNTS:
                    found.setdefault((record.origin_id, name), []).append(
                        getattr(record.amounts, name) or Decimal(0)
                    )
        wholes.append({key: whole for key, values in found.items() if (whole := total(values))})
    assert wholes[0] == wholes[1]


def refined(records: list[CostAttributionRecord]) -> None:
    """The requests of every part that has any, with all corrections, sum to it with its own."""
    names = ("effective_cost", "pricing_quantity")
    for parent in records:
        if parent.level is not Level.ALLOCATION or parent.corrects_record_id:
            continue
        parts = [r for r in records if r.parent_record_id == parent.record_id and r.level is Level.REQUEST]
        if parts:
            whole = [parent, *(r for r in records if r.corrects_record_id == parent.record_id)]
            for name in names:
                assert total(getattr(r.amounts, name) or Decimal(0) for r in parts) == total(
                    getattr(r.amounts, name) or Decimal(0) for r in whole
                )
