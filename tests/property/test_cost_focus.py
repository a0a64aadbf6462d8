"""FOCUS files of any records: what goes out comes in again, equal, and its bytes depend on nothing else."""

from __future__ import annotations

import io
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cost.amount import from_scaled, to_scaled, total
from collector.cost.focus.read import read_focus
from collector.cost.focus.rows import FocusOptions, FocusRows, OriginRow
from collector.cost.focus.spool import SortedSpool
from collector.cost.focus.write_csv import csv_chunks
from collector.cost.focus.write_parquet import write_parquet
from collector.cost.identity import identify
from collector.cost.record import (
    AMOUNTS,
    Amounts,
    Charge,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    Subject,
    SubjectKind,
)
from collector.cost.split import split
from tests.support.cost_strategies import elements
from tests.support.ledger import NODE, SECOND

# A text that is not NULL in CSV, and that no reader of CSV takes for NULL.
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10).map(
    lambda text: f"<{text}>"
)
optional = st.just("") | words
maps = st.dictionaries(words, words, max_size=3)
money = st.integers(-(10**30), 10**30).map(from_scaled)


@st.composite
def periods(draw: st.DrawFn) -> Period:
    """In whole seconds, up to the year 2500."""
    start = draw(st.integers(0, 10**9))
    return Period(start * SECOND, (start + draw(st.integers(1, 10**9))) * SECOND)


@st.composite
def charges(draw: st.DrawFn) -> Charge:
    """With any texts; FOCUS' enumerations keep their values."""
    texts: dict[str, Any] = {
        name: draw(optional)
        for name in ("charge_description", "region_id", "resource_id", "invoice_id", "sku_meter")
    }
    return replace(
        NODE,
        **texts,
        charge_period=draw(periods()),
        billing_period=draw(periods()),
        tags=draw(maps),
        sku_price_details=draw(maps),
        columns={
            "RegionName": "x",
            **draw(st.dictionaries(st.sampled_from(["x_A", "x_Bc", "InvoiceDetailId"]) | words, words)),
        },
    )


@st.composite
def groups(draw: st.DrawFn) -> list[CostAttributionRecord]:
    """An origin, and perhaps its parts, which sum to it."""
    charge = draw(charges())
    amounts = Amounts(**{name: draw(money) for name in AMOUNTS if name != "commitment_discount_quantity"})
    name = draw(st.binary(min_size=16, max_size=16))
    whole = CostAttributionRecord(
        record_id=identify("record", (name,)), origin_id=name, level=Level.ORIGIN, charge=charge, amounts=amounts,
        source=draw(st.sampled_from([source for source in CostSource if source is not CostSource.UNPRICED])),
    )  # fmt: skip
    subjects = draw(st.lists(_subjects(), max_size=4, unique_by=lambda subject: subject.key))
    weights = [draw(st.integers(0, 1000)) for _ in subjects]
    if not sum(weights):
        return [whole]
    keys = [subject.key for subject in subjects]
    parts: list[dict[str, Any]] = [{} for _ in subjects]
    for field in AMOUNTS:
        amount = getattr(amounts, field)
        if amount is not None:
            for part, units in zip(parts, split(to_scaled(amount), weights, keys) or [], strict=True):
                part[field] = from_scaled(units)
    return [whole] + [
        replace(
            whole, record_id=identify("part", (name, subject.key)), parent_record_id=whole.record_id, subject=subject,
            level=Level.ALLOCATION, amounts=Amounts(**part), allocated_method_id="m", rule_id=draw(optional),
            allocated_elements=tuple(draw(st.lists(elements(), max_size=2))), revision=draw(st.integers(0, 2**32 - 1)),
            rule_version=draw(st.integers(0, 2**32 - 1)), recorded_unix_nano=draw(st.integers(0, 2**64 - 1)),
        )
        for subject, part in zip(subjects, parts, strict=True)
    ]  # fmt: skip


@st.composite
def _subjects(draw: st.DrawFn) -> Subject:
    names = (
        "service_name",
        "team",
        "tenant",
        "k8s_namespace",
        "k8s_workload_kind",
        "k8s_workload",
        "k8s_pod",
        "operation",
    )
    texts: dict[str, Any] = {name: draw(optional) for name in names}
    return Subject(
        **texts,
        kind=draw(st.sampled_from([kind for kind in SubjectKind if kind])),
        labels=draw(maps),
        trace_id=draw(st.just(b"") | st.binary(min_size=16, max_size=16)),
    )


ledgers = st.lists(groups(), max_size=4, unique_by=lambda group: group[0].origin_id).map(lambda lists: [r for records in lists for r in records])  # fmt: skip
options = st.builds(
    FocusOptions, version=st.sampled_from(["1.0", "1.2", "1.3", "1.4"]), origin_row=st.sampled_from(OriginRow)
)


@settings(max_examples=150)
@given(ledgers, options, st.randoms(use_true_random=False), st.booleans())
def test_what_goes_out_comes_in_again(
    ledger: list[CostAttributionRecord], how: FocusOptions, random: Any, parquet: bool
) -> None:
    """The same records, whatever their order; the same bytes when they go out once more."""
    data = written(ledger, how, parquet)
    shuffled = list(ledger)
    random.shuffle(shuffled)
    assert written(shuffled, how, parquet) == data
    bill = read_focus(io.BytesIO(data), "t")
    records = list(bill.records())
    assert written(records, how, parquet) == data
    before = {record.record_id: record for record in ledger}
    assert before.keys() == {record.record_id for record in records}
    for record in records:
        original = before[record.record_id]
        for name in AMOUNTS:
            if getattr(original.amounts, name) is not None:
                assert getattr(record.amounts, name) == getattr(original.amounts, name)
        assert record.subject == original.subject
        assert (record.level, record.parent_record_id) == (original.level, original.parent_record_id)
        if record.level is Level.ALLOCATION:
            if original.allocated_elements:  # else its ratio is found where others have one
                assert record.allocated_elements == original.allocated_elements
            assert (record.rule_id, record.rule_version, record.revision) == (
                original.rule_id,
                original.rule_version,
                original.revision,
            )
        assert record.charge.tags == original.charge.tags
        assert record.charge.sku_price_details == original.charge.sku_price_details
        assert record.charge.columns.items() >= original.charge.columns.items()
        assert (record.charge.charge_period, record.charge.billing_period) == (
            original.charge.charge_period,
            original.charge.billing_period,
        )
        for name in (
            "charge_description",
            "region_id",
            "resource_id",
            "invoice_id",
            "sku_meter",
            "billing_currency",
        ):
            assert getattr(record.charge, name) == getattr(original.charge, name)
    costs = {
        name: total(getattr(r.amounts, name) for r in ledger if r.level is Level.ORIGIN)
        for name in ("billed_cost", "effective_cost")
    }
    sums = bill.manifest.totals.get("USD", {})
    assert (sums.get("BilledCost", Decimal(0)), sums.get("EffectiveCost", Decimal(0))) == (
        costs["billed_cost"],
        costs["effective_cost"],
    )


def written(records: list[CostAttributionRecord], how: FocusOptions, parquet: bool) -> bytes:
    rows = FocusRows(records, how)
    if not parquet:
        return b"".join(csv_chunks(rows))
    sink = io.BytesIO()
    write_parquet(rows, sink)
    return sink.getvalue()


@given(st.lists(st.tuples(st.binary(max_size=3), st.binary(max_size=9))), st.integers(0, 3000))
def test_a_spool_gives_back_what_it_took_in_order(
    entries: list[tuple[bytes, bytes]], in_memory_max: int
) -> None:
    """Whether it fits in memory or not, and twice."""
    spool = SortedSpool(in_memory_max)
    for key, value in entries:
        spool.add(key, value)
    expected = sorted(entries, key=lambda entry: entry[0])
    assert list(spool) == expected
    assert list(spool) == expected
    assert len(spool) == len(entries)
    spool.close()
