"""Estimates, adjustments and what was taken over sum to the bill, in every cost column, on every level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.accounting.revisions import correct, revise
from collector.cost.amount import total
from collector.cost.engine import Engine
from collector.cost.reconcile import reconcile, settled
from collector.cost.record import COSTS, CostAttributionRecord, CostSource, Level, SubjectKind
from collector.cost.usage import WindowUsage
from tests.property.test_accounting_revisions import OCTOBER
from tests.property.test_cost_engine import PRICE, config, usages
from tests.support.cost import HOUR, NOW, aws_pods, billed, demo_config, effective

LINES = st.lists(
    st.tuples(st.sampled_from(["n1", "n2", "c", "", "elsewhere"]), PRICE, st.sampled_from(["USD", "EUR"])),
    max_size=5,
)


@settings(max_examples=100)
@given(usage=usages(), price=PRICE, lines=LINES)
def test_the_ledger_sums_to_the_bill(
    usage: WindowUsage, price: Decimal, lines: list[tuple[str, Decimal, str]]
) -> None:
    """By currency, column and level; and reconciling again gives the same rows."""
    estimated = Engine(config("keep", "measured", price)).attribute(replace(usage, charges=()), NOW).records
    bill = [
        billed(resource, f"{cost - 5000:f}", line=number, currency=currency)
        for number, (resource, cost, currency) in enumerate(lines)
    ]
    result = reconcile(estimated, bill, recorded_unix_nano=NOW)
    for currency in ("USD", "EUR"):
        for column in COSTS:
            expected = summed(bill, Level.ORIGIN, column, currency)
            for level in (Level.ORIGIN, Level.ALLOCATION):
                both = [*estimated, *result.records]
                assert summed(both, level, column, currency) == expected
    again = reconcile(reversed(estimated), reversed(bill), recorded_unix_nano=0)
    assert revise(result.records, again.records) == []


@settings(max_examples=60)
@given(usage=usages(), price=PRICE, first=LINES, second=LINES)
def test_a_bill_that_replaces_another_is_what_the_ledger_sums_to(
    usage: WindowUsage,
    price: Decimal,
    first: list[tuple[str, Decimal, str]],
    second: list[tuple[str, Decimal, str]],
) -> None:
    """In every cost column, on every level; what the first one made stays."""
    estimated = Engine(config("keep", "measured", price)).attribute(replace(usage, charges=()), NOW).records
    bills = [
        [
            billed(resource, f"{cost - 5000:f}", line=100 * place + number, currency=currency)
            for number, (resource, cost, currency) in enumerate(lines)
        ]
        for place, lines in enumerate((first, second))
    ]
    before = reconcile(estimated, bills[0], recorded_unix_nano=NOW).records
    assert settled([*estimated, *before], bills[1]) == set(before)
    target = reconcile(estimated, bills[1], recorded_unix_nano=NOW).records
    rows = correct(before, target, billing_period=OCTOBER, recorded_unix_nano=NOW)
    ledger = {record.record_id: record for record in [*estimated, *before, *rows]}
    assert len(ledger) == len(estimated) + len(before) + len(rows)
    for currency in ("USD", "EUR"):
        for column in COSTS:
            for level in (Level.ORIGIN, Level.ALLOCATION):
                expected = summed(bills[1], Level.ORIGIN, column, currency)
                assert summed(ledger.values(), level, column, currency) == expected


def test_a_difference_goes_to_whom_the_estimate_had_given_it() -> None:
    """AWS's example, estimated at 1 dollar and billed at 1.10: each gets a tenth more; the report says it."""
    estimated = Engine(demo_config()).attribute(WindowUsage(period=HOUR, series=aws_pods()), NOW).records
    bill = [billed("node-1", "1.10"), billed("other", "5", line=2)]
    result = reconcile(estimated, bill, recorded_unix_nano=NOW)
    adjusted = [record for record in result.records if record.source is CostSource.RECONCILED]
    assert effective(adjusted, Level.ALLOCATION) == {
        "p1": Decimal("0.0218210361067"),
        "p2": Decimal("0.0383830455259"),
        "p3": Decimal("0.0179748822606"),
        "p4": Decimal("0.0179748822606"),
        "__idle__": Decimal("0.0038461538462"),
    }
    assert [(line.key["resource_id"], line.estimated, line.actual, line.delta) for line in result.report] == [
        ("node-1", Decimal(1), Decimal("1.1"), Decimal("0.1")),
        ("other", Decimal(0), Decimal(5), Decimal(5)),
    ]
    taken = [record for record in result.records if record.source is CostSource.INVOICE]
    assert [record.subject.kind for record in taken] == [SubjectKind.UNSPECIFIED, SubjectKind.UNALLOCATED]
    assert str(result.report[0].coverage)[:8] == "0.909090"


def test_an_estimate_that_is_not_billed_is_reversed() -> None:
    """It sums to nothing, for everybody."""
    estimated = Engine(demo_config()).attribute(WindowUsage(period=HOUR, series=aws_pods()), NOW).records
    result = reconcile(estimated, [], recorded_unix_nano=NOW)
    before, after = effective(estimated, Level.ALLOCATION), effective(result.records, Level.ALLOCATION)
    assert {
        name: total([cost or Decimal(0), after[name] or Decimal(0)]) for name, cost in before.items()
    } == dict.fromkeys(before, 0)


def test_what_another_provider_charges_for_stays_as_it_is() -> None:
    """A bill of one provider takes nothing back of another's; but a thing that both name is the same thing."""
    estimates = [
        replace(record, charge=replace(record.charge, service_provider_name=provider))
        for record, provider in (
            (billed("node-1", "2", line=1), "Example Cloud"),
            (billed("", "3", line=2), "Models Inc"),
            (billed("bucket", "4", line=3), "example"),
            (billed("gone", "5", line=4), ""),
        )
    ]
    bill = [
        replace(record, charge=replace(record.charge, service_provider_name="EXAMPLE cloud"))
        for record in (
            billed("node-1", "2.5", line=5),
            billed("bucket", "4", line=6),
            billed("", "1", line=7),
        )
    ]
    result = reconcile(estimates, bill, recorded_unix_nano=NOW)
    assert [(line.key["resource_id"], str(line.estimated), str(line.actual)) for line in result.report] == [
        ("", "0", "1"),
        ("bucket", "4", "4"),
        ("gone", "5", "0"),
        ("node-1", "2", "2.5"),
    ]


def summed(records: Iterable[CostAttributionRecord], level: Level, column: str, currency: str) -> Decimal:
    return total(
        getattr(record.amounts, column) or Decimal(0)
        for record in records
        if record.level is level and record.charge.billing_currency == currency
    )
