"""Windows computed again, in a real store: what holds is what was computed, and it always adds up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Final

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from collector.accounting.book import Book
from collector.accounting.revisions import correct, revise
from collector.cost.amount import amount_text, total
from collector.cost.engine import Engine
from collector.cost.record import AMOUNTS, COSTS, CostAttributionRecord, Level, Period
from collector.cost.usage import Series, SeriesValue, WindowUsage
from collector.storage.store import Store, open_store
from tests.property.test_cost_engine import PRICE, config, usages
from tests.support.cost import HOUR, MEMORY, NOW

OCTOBER: Final = Period(1_790_812_800 * 10**9, 1_793_491_200 * 10**9)
NOVEMBER: Final = Period(1_793_491_200 * 10**9, 1_796_083_200 * 10**9)
LATER: Final = NOW + 10**15
BASIS: Final = st.sampled_from(["measured", "spread"])


@contextmanager
def ledger() -> Iterator[tuple[Store, Book]]:
    with closing(open_store("sqlite://")) as store:
        store.migrate()
        yield store, Book(store)


def put(store: Store, book: Book, records: list[CostAttributionRecord]) -> None:
    """Write, and see that everything adds up."""
    if records:
        assert book.write(records, book.page())
    unbalanced = store.query(
        "SELECT level, amount, whole, parts, missing, hex(record_id) FROM cost_balance"
    ).rows
    assert unbalanced == []


def amounts_of(record: CostAttributionRecord) -> list[Decimal | None]:
    return [getattr(record.amounts, name) for name in AMOUNTS]


def contents(records: Iterable[CostAttributionRecord]) -> Sequence[object]:
    """What records say, without their ids and when they were made; origins of zeros without parts say nothing."""
    by_id = {record.record_id: record for record in records}

    whole = {record.parent_record_id for record in by_id.values()}

    def path(record: CostAttributionRecord) -> tuple[object, ...]:
        parent = by_id.get(record.parent_record_id)
        return (*(path(parent) if parent else ()), record.origin_id, record.subject.key, record.rule_id)

    return sorted(
        (
            path(record),
            [None if value is None else amount_text(value) for value in amounts_of(record)],
            [(amount_text(item.ratio), item.usage_unit) for item in record.allocated_elements],
            record.source,
        )
        for record in by_id.values()
        if record.level is not Level.ORIGIN or record.record_id in whole or any(amounts_of(record))
    )


def sums(records: Iterable[CostAttributionRecord], level: Level) -> dict[object, object]:
    """Costs by level and origin."""
    found: dict[object, dict[str, list[Decimal]]] = {}
    for record in records:
        if record.level is level and record.amounts.is_priced:
            columns = found.setdefault(record.origin_id, {})
            for name in COSTS:
                columns.setdefault(name, []).append(getattr(record.amounts, name))
    return {
        key: {name: total(values) for name, values in columns.items()}
        for key, columns in found.items()
        if any(total(values) for values in columns.values())
    }


@settings(max_examples=40, deadline=None, phases=[Phase.generate])
@given(steps=st.lists(usages(), min_size=2, max_size=4), price=PRICE, basis=BASIS)
def test_a_revised_window_is_what_from_scratch_gives(
    steps: list[WindowUsage], price: Decimal, basis: str
) -> None:
    """Whatever was there before; and once more changes nothing."""
    engine = Engine(config("keep", basis, price))
    with ledger() as (store, book):
        for number, usage in enumerate([*steps, steps[0]]):
            computed = engine.attribute(usage, NOW + number).records
            put(store, book, revise(book.read(HOUR), computed))
            assert contents(book.read(HOUR)) == contents(computed)
            again = engine.attribute(usage, NOW + 1000).records
            assert revise(book.read(HOUR), again) == []


@st.composite
def histories(draw: st.DrawFn) -> list[WindowUsage]:
    """What a window was found to be, time after time: origins come, go, and come as they were."""
    known = draw(st.lists(usages(), min_size=1, max_size=3))
    nothing = replace(known[0], series={}, requests={}, metered={}, tokens={}, charges=[])
    return draw(st.lists(st.sampled_from([*known, nothing]), min_size=2, max_size=4))


def node(memory: str, observed_ns: int) -> WindowUsage:
    """One node that was there so long, and nothing on it."""
    value = SeriesValue({"k8s.node.name": "n1"}, Decimal(memory), observed_ns)
    return WindowUsage(period=HOUR, series={Series.parse(MEMORY[2]): [value]})


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(history=histories(), price=PRICE, basis=BASIS)
@example(
    history=[
        WindowUsage(period=HOUR, series={}),
        node("8", 3600),
        node("0", 0),
        WindowUsage(period=HOUR, series={}),
    ],
    price=Decimal(1),
    basis="measured",
)
def test_corrections_sum_to_the_difference(history: list[WindowUsage], price: Decimal, basis: str) -> None:
    """In several billing periods; what was closed stays as it was."""
    engine = Engine(config("keep", basis, price))
    with ledger() as (store, book):
        put(store, book, revise([], engine.attribute(history[0], NOW).records))
        closed = {record.record_id: record for record in book.read(HOUR)}
        for month in (OCTOBER, NOVEMBER):
            for usage in history[1:]:
                computed = engine.attribute(usage, LATER).records
                made = correct(book.read(HOUR), computed, billing_period=month, recorded_unix_nano=LATER)
                put(store, book, made)
                stored = book.read(HOUR)
                assert closed.items() <= {record.record_id: record for record in stored}.items()
                assert sums(stored, Level.ORIGIN) == sums(computed, Level.ORIGIN)
                assert correct(stored, computed, billing_period=month, recorded_unix_nano=NOW) == []
