"""A run owns what runs wrote in its ledger, and nothing else, whatever rules that names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from collector.accounting.attribution import Attribution
from collector.accounting.book import Book
from collector.cost.config import CostConfig
from collector.cost.engine import Engine
from collector.cost.record import CostAttributionRecord, Level, Period
from collector.cost.usage import WindowUsage
from collector.storage.store import Store
from tests.property.test_accounting_revisions import BASIS, contents, ledger, put, sums
from tests.property.test_cost_engine import PRICE, config, usages
from tests.support.cost import HOUR, HOUR_NS, NOW, aws_pods, billed, cost_config
from tests.support.fake_clock import FakeClock

OPEN: Final = HOUR.end_unix_nano + HOUR_NS
CLOSED: Final = HOUR.end_unix_nano + 60 * 24 * HOUR_NS


class Telemetry:
    """What is stored of spans and metrics, without storing it."""

    def __init__(self, usage: WindowUsage) -> None:
        self._usage = usage

    def read(
        self, period: Period, charges: Sequence[CostAttributionRecord]
    ) -> tuple[WindowUsage, tuple[Any, ...]]:
        return replace(self._usage, charges=tuple(charges)), ()


def run(store: Store, config_: CostConfig, usage: WindowUsage, now: int) -> int:
    """Attribute the hour; return how many records were written."""
    attribution = Attribution(store, config_, FakeClock(unix_nano=now))
    attribution._usage = Telemetry(usage)  # type: ignore[assignment]
    [report] = attribution.run(HOUR)
    return report.written


@settings(max_examples=40, deadline=None, phases=[Phase.generate])
@given(
    others=usages(),
    whose=st.sampled_from([b"", b"another ledger"]),
    steps=st.lists(usages(), min_size=2, max_size=3),
    late=usages(),
    price=PRICE,
    basis=BASIS,
    costs=st.lists(PRICE, max_size=2),
)
def test_records_of_others_stay_as_they_are(
    others: WindowUsage,
    whose: bytes,
    steps: list[WindowUsage],
    late: WindowUsage,
    price: Decimal,
    basis: str,
    costs: list[Decimal],
) -> None:
    """Received or imported, made by the same rules of the same things in the same hour; and ours are as if alone."""
    config_ = config("keep", basis, price)
    foreign = list(Engine(config_, whose).attribute(others, NOW).records)
    bill = [billed("n1", f"{cost:f}", line=100 + line) for line, cost in enumerate(costs)]
    with ledger() as (store, book):
        put(store, book, [*foreign, *bill])
        engine = Engine(config_, book.ledger())

        divisible = tuple(charge for charge in bill if charge.amounts.effective_cost)

        def computed(usage: WindowUsage) -> Sequence[CostAttributionRecord]:
            return engine.attribute(replace(usage, charges=divisible), NOW).records

        for usage in steps:
            run(store, config_, usage, OPEN)
            assert contents(ours(book, foreign)) == contents(computed(usage))
            assert run(store, config_, usage, OPEN) == 0
        run(store, config_, late, CLOSED)
        after = ours(book, foreign)
        assert sums(after, Level.ORIGIN) == sums(computed(late), Level.ORIGIN)
        assert run(store, config_, late, CLOSED) == 0


def ours(book: Book, foreign: Sequence[CostAttributionRecord]) -> list[CostAttributionRecord]:
    """What is stored besides `foreign`, which is there as it was."""
    stored = {record.record_id: record for record in book.read(HOUR)}
    for record in foreign:
        assert stored.pop(record.record_id) == record
    return list(stored.values())


def test_runs_with_other_rules_leave_each_other_alone() -> None:
    """Prices and rules of one team in one file, of another in another, over one ledger."""
    usage = WindowUsage(period=HOUR)
    with ledger() as (store, book):
        mine = Engine(config("keep", "spread", Decimal(1)), book.ledger())
        records = mine.attribute(replace(usage, series=aws_pods()), NOW).records
        put(store, book, list(records))
        assert run(store, cost_config("rules: [{id: calls, tokens: {}}]"), usage, OPEN) == 0
        assert set(book.read(HOUR)) == set(records)
