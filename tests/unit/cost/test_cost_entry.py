"""CostEntry JSON: what finopsmetrics takes, and what comes back."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from collector.cost.cost_category import CATEGORIES
from collector.cost.cost_entry import (
    EXACT_TAG,
    RECORD_TAG,
    entry_lines,
    entry_of,
    read_cost_entries,
)
from collector.cost.focus.bill import BillError
from collector.cost.record import Amounts, CostAttributionRecord, CostSource, Level
from tests.support.cost_strategies import records
from tests.support.ledger import HOUR, IDLE, NODE, costs, ledger, node, origin

THEIRS = {
    "entry_id": "e-1",
    "timestamp": 1789430400.5,
    "resource_id": "vm-1",
    "category": "compute",
    "amount": 0.1,
    "currency": "EUR",
    "region": "eu",
    "tags": {"team": "shop"},
    "description": "a machine",
    "billing_period": "daily",
}


@dataclass
class CostEntry:
    """The fields of finopsmetrics 0.3.1's class of this name."""

    entry_id: str
    timestamp: float
    resource_id: str
    category: str
    amount: float
    currency: str = "USD"
    region: str = "us-west-2"
    tags: dict[str, str] | None = None
    description: str = ""
    billing_period: str = "hourly"


def read(
    text: str | bytes, *, strict: bool = False
) -> tuple[list[CostAttributionRecord], set[tuple[str, str]]]:
    stream = io.BytesIO(text.encode() if isinstance(text, str) else text)
    bill = read_cost_entries(stream, "entries.json", strict=strict)
    return list(bill.records()), set(bill.manifest.tolerated)


def test_an_entry_is_theirs() -> None:
    """`CostEntry(**entry)` takes it; the exact amount is beside the float."""
    pod = node()[1]
    entry = CostEntry(**json.loads(json.dumps(entry_of(pod))))
    assert entry.amount == 0.218210361067
    assert entry.tags is not None
    assert entry.tags[EXACT_TAG] == "0.218210361067"
    assert (entry.tags["env"], entry.tags["app"]) == ("prod", "checkout")
    assert (entry.timestamp, entry.billing_period) == (HOUR.start_unix_nano / 1e9, "hourly")
    assert entry.resource_id == "prod/shop/Deployment/checkout/p1/checkout/shop"
    assert (entry.currency, entry.region, entry.entry_id) == ("USD", "eu-north-1", pod.record_id.hex())


def test_what_we_wrote_comes_in_again_without_loss() -> None:
    """As lines and as an array, and strictly."""
    priced = [record for record in ledger() if record.amounts.is_priced]
    lines = b"".join(entry_lines(ledger()))
    array = b"[" + b",".join(lines.splitlines()) + b"]"
    assert read(lines, strict=True) == read(array, strict=True) == (priced, set())


@given(records())
def test_any_record_comes_in_again(record: CostAttributionRecord) -> None:
    """Every field of it."""
    if record.source is CostSource.UNPRICED:
        with pytest.raises(ValueError, match="has no cost"):
            entry_of(record)
    else:
        assert read(b"".join(entry_lines([record])))[0] == [record]


def test_an_entry_of_theirs_is_an_origin() -> None:
    """Its float is taken for the shortest decimal that it is, which is counted."""
    (record,), tolerated = read(json.dumps(THEIRS))
    assert tolerated == {("float-amount", "amount")}
    assert (record.level, record.source) == (Level.ORIGIN, CostSource.INVOICE)
    assert record.amounts.effective_cost == record.amounts.billed_cost == Decimal("0.1")
    charge = record.charge
    assert charge.charge_period.start_unix_nano == 1_789_430_400_500_000_000
    assert charge.charge_period.length_ns == 86_400 * 10**9
    assert (charge.billing_currency, charge.service_category, charge.tags) == (
        "EUR",
        "Compute",
        {"team": "shop"},
    )
    assert read(json.dumps([THEIRS]))[0][0].record_id == record.record_id


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"amount": "0.1"}, "entries.json:1: amount is not a number"),
        (
            {"amount": 1e30},
            "entries.json:1: '1000000000000000000000000000000' has more than 20 digits before the point",
        ),
        ({"currency": "euro"}, "entries.json:1: 'euro' is not an ISO 4217 currency code"),
        ({"timestamp": "now"}, "entries.json:1: timestamp is not a number of seconds since 1970"),
        ({"timestamp": -1}, "entries.json:1: timestamp is not a number of seconds since 1970"),
        ({"billing_period": "yearly"}, "entries.json:1: billing_period is none of hourly, daily, monthly"),
        ({"tags": {"a": 1}}, "entries.json:1: tags: is not an object of texts"),
        (
            {"tags": {EXACT_TAG: "1,5"}},
            "entries.json:1: tags.collector.amount: '1,5' is not a decimal number",
        ),
        ({"tags": {RECORD_TAG: "!"}}, "entries.json:1: "),
        ({"tags": {RECORD_TAG: "AAAA"}}, "entries.json:1: tags.collector.record is not a record"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_line(change: dict[str, Any], complaint: str) -> None:
    """And nothing is imported."""
    with pytest.raises(BillError) as caught:
        read(json.dumps({**THEIRS, **change}))
    assert str(caught.value.problems[0]).startswith(complaint)


@pytest.mark.parametrize("text", ["{", "1", '[{"amount": NaN}]', '{"entry_id": "x"}', "[1]"])
def test_what_is_no_entry_is_refused(text: str) -> None:
    """Not JSON, not an object, fields missing."""
    with pytest.raises(BillError, match=r"nothing was imported:\nentries\.json:1: "):
        read(text)


def test_entries_of_an_array_are_told_apart_by_their_lines() -> None:
    """Whoever has written them on several."""
    entries = [
        THEIRS,
        {**THEIRS, "entry_id": "b", "currency": "EUX"},
        {**THEIRS, "entry_id": "c", "amount": "x"},
    ]
    with pytest.raises(BillError) as caught:
        read("\n" + json.dumps(entries, indent=1))
    lines_of_one = json.dumps(THEIRS, indent=1).count("\n") + 1
    assert [str(problem).partition(" ")[0] for problem in caught.value.problems] == [
        f"entries.json:{3 + number * lines_of_one}:" for number in (1, 2)
    ]
    records, _ = read(json.dumps([THEIRS, {**THEIRS, "entry_id": "b"}], indent=1) + "\n")
    assert len(records) == 2
    assert read("[ ]\n")[0] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[\n{} {}]", "entries.json:2: not JSON: ',' or ']' expected after an entry"),
        ("[\n{},\n]", "entries.json:3: not JSON: Expecting value"),
        ("[\n{}\n]\n{}", "entries.json:4: not JSON: there is more after the array"),
        ('{"a": 1}\n{"a": 1} x', "entries.json:2: not JSON: there is more after the entry"),
        ('{"a": 1}\n{"a": }', "entries.json:2: not JSON: Expecting value"),
    ],
)
def test_what_is_no_json_is_refused_where_it_is_none(text: str, complaint: str) -> None:
    """The last thing that is said: entries before it are none of theirs."""
    with pytest.raises(BillError) as caught:
        read(text)
    assert str(caught.value.problems[-1]) == complaint


def test_an_amount_that_was_changed_is_noticed() -> None:
    """The record in the tag has to be the entry's."""
    entry = {**entry_of(node()[1]), "amount": 5.0}
    with pytest.raises(BillError, match=r"amount is not that of tags\.collector\.record; remove the tag"):
        read(json.dumps(entry))


def test_strict_refuses_floats() -> None:
    """A double is no exact amount."""
    with pytest.raises(
        BillError, match=r"entries\.json:1: amount: float amount, which a strict import refuses"
    ):
        read(json.dumps(THEIRS), strict=True)


def test_the_category_is_of_the_unit_or_of_the_charge() -> None:
    """All of them are theirs."""
    records = ledger()
    found = {record.charge.service_name: entry_of(record)["category"] for record in records}
    assert found == {"Machines": "compute", "Models": "software_licenses"}
    assert {entry_of(record)["category"] for record in records} <= set(CATEGORIES)
    memory = records[1].allocated_elements[1]
    assert entry_of(replace(records[1], allocated_elements=(memory,)))["category"] == "memory"
    gpu = replace(NODE, consumed_unit="GPU-Hours")
    assert entry_of(origin("g", gpu, costs("1", quantity="1", consumed="1")))["category"] == "gpu"
    egress = replace(NODE, service_category="Networking", sku_meter="internet egress")
    assert (
        entry_of(origin("e", egress, costs("1", quantity="1", consumed="1")))["category"] == "data_transfer"
    )


def test_unpriced_records_are_left_out() -> None:
    """They have no amount."""
    unpriced = replace(node()[0], amounts=Amounts(), source=CostSource.UNPRICED)
    assert list(entry_lines([unpriced])) == []
    assert Decimal(IDLE) > 0
