"""FOCUS files in: what is read, what is tolerated and counted, and what is refused, whole."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from collector.cost.focus.bill import PROBLEMS_MAX, BillError
from collector.cost.focus.read import read_focus
from collector.cost.focus.rows import FocusOptions, FocusRows, OriginRow
from collector.cost.focus.table import FileError, TableLimits
from collector.cost.focus.write_csv import csv_chunks
from collector.cost.focus.write_parquet import write_parquet
from collector.cost.record import CostAttributionRecord, CostSource, Level, SubjectKind
from tests.support.ledger import ledger

# A few lines as real bills have them: NULL as a word, times without T and Z, letter case, an Id column, and costs
# that are not price times quantity. The figures are made up.
REAL = '''\
AvailabilityZone,BilledCost,BillingAccountId,BillingAccountName,BillingCurrency,BillingPeriodEnd,BillingPeriodStart,ChargeCategory,ChargeClass,ChargeDescription,ChargeFrequency,ChargePeriodEnd,ChargePeriodStart,ConsumedQuantity,ConsumedUnit,ContractedCost,ContractedUnitPrice,EffectiveCost,InvoiceIssuerName,ListCost,ListUnitPrice,PricingQuantity,PricingUnit,ProviderName,PublisherName,ServiceCategory,Id,ServiceName,SkuPriceId,Tags
NULL,0.00000080000,"123","",USD,"2024-10-01 00:00:00","2024-09-01 00:00:00",Usage,NULL,requests,Usage-based,"2024-09-18 23:00:00","2024-09-18 22:00:00",2.000000000000000,Requests,0.00000000000,0.0,0.00000000000,"Cloud, Inc.",0.00000080000,"0.0000004",2.0,Requests,Cloud,"Cloud, Inc.",Integration,7,Queue,Q.1,NULL
NULL,"$10,000.00 ",123,Me,USD,5/1/25,4/1/25,usage,NULL,"a, ""b""",One-Time,4/1/26,4/1/25,1E+3,Token,NULL,+2.0,0.15,Cloud,0.1,1,1,Token,Cloud,Cloud,Integration,8,Queue,Q.2,"{""a"": true, ""n"": 1.50, ""s"": ""x""}"
'''


def read(
    data: bytes | str, strict: bool = False
) -> tuple[list[CostAttributionRecord], dict[tuple[str, str], tuple[int, int]]]:
    """Records, and of what was tolerated count and first line."""
    stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
    bill = read_focus(stream, "bill.csv", strict=strict)
    records = list(bill.records())
    assert bill.manifest.records == len(records)
    return records, {key: (t.count, t.first_line) for key, t in bill.manifest.tolerated.items()}


def refusal(data: bytes | str, strict: bool = False) -> list[str]:
    stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
    with pytest.raises(BillError) as caught:
        read_focus(stream, "bill.csv", strict=strict)
    assert str(caught.value).startswith("nothing was imported:\nbill.csv:")
    return [str(problem) for problem in caught.value.problems]


def test_forms_of_real_files_are_taken_and_counted() -> None:
    """Each by rule and column, with count and first line."""
    records, tolerated = read(b"\xef\xbb\xbf" + REAL.encode())
    assert [record.amounts.billed_cost for record in records] == [Decimal("0.0000008"), Decimal(10000)]
    assert records[1].amounts.consumed_quantity == 1000
    assert records[1].amounts.contracted_cost == records[1].amounts.effective_cost == Decimal("0.15")
    assert records[0].charge.charge_frequency == "Usage-Based"
    assert records[0].charge.service_provider_name == "Cloud"
    assert records[0].charge.columns == {"PublisherName": "Cloud, Inc.", "x_Id": "7"}
    assert records[1].charge.charge_period.start_unix_nano == 1743465600 * 10**9
    assert records[1].charge.tags == {"a": "true", "n": "1.5", "s": "x"}
    assert records[1].charge.columns["Tags"] == '{"a": true, "n": 1.50, "s": "x"}'
    assert {record.source for record in records} == {CostSource.INVOICE}
    expected = {
        ("byte-order-mark", ""): (1, 1),
        ("custom-column", "Id"): (1, 1),
        ("missing-column", "PricingCategory"): None,
        ("null-literal", "ChargeClass"): (2, 2),
        ("null-literal", "ContractedCost"): (1, 3),
        ("empty-string", "BillingAccountName"): (1, 2),
        ("letter-case", "ChargeFrequency"): (1, 2),
        ("letter-case", "ChargeCategory"): (1, 3),
        ("time-form", "ChargePeriodStart"): (1, 2),
        ("time-zone", "BillingPeriodEnd"): (1, 2),
        ("date-month-first", "BillingPeriodEnd"): (1, 3),
        ("number-spaces", "BilledCost"): (1, 3),
        ("number-currency-sign", "BilledCost"): (1, 3),
        ("number-thousands", "BilledCost"): (1, 3),
        ("number-exponent", "ConsumedQuantity"): (1, 3),
        ("number-plus", "ContractedUnitPrice"): (1, 3),
        ("missing-cost", "ContractedCost"): (1, 3),
        ("price-times-quantity", "ListCost"): (1, 3),
        ("unit-format", "PricingUnit"): (1, 3),
    }
    assert {key: tolerated.get(key) for key in expected} == expected


def test_strict_refuses_what_is_tolerated() -> None:
    """The first of each row, with line and column."""
    assert refusal(REAL, strict=True) == [
        "bill.csv:1: Id: custom column, which a strict import refuses; mend the file, or import it without strict"
    ]


def test_strict_takes_a_right_file() -> None:
    """Ours is right."""
    records, tolerated = read(b"".join(csv_chunks(FocusRows(ledger()))), strict=True)
    assert len(records) == 11
    assert tolerated == {}


def change(old: str, new: str) -> str:
    assert old in REAL
    return REAL.replace(old, new, 1)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (change("0.00000080000", "1.2.3"), "bill.csv:2: BilledCost: '1.2.3' is not a number; digits with a point"),
        (change("0.00000080000", "NULL"), "bill.csv:2: BilledCost: is NULL; a bill says what was billed"),
        (change("0.00000080000", "1" * 21), "bill.csv:2: BilledCost: '" + "1" * 21 + "' has more than 20 digits before the point"),
        (change("USD", "usd"), "bill.csv:2: BillingCurrency: 'usd' is not an ISO 4217 currency code, write USD"),
        (change("USD", "NULL"), "bill.csv:2: BillingCurrency: is NULL; amounts without a currency cannot be added up"),
        (change("4/1/26", "13/1/26"), "bill.csv:3: ChargePeriodEnd: '13/1/26' is not a time: month must be in 1..12; YYYY-MM-DDThh:mm:ssZ"),
        (change("4/1/26", "4/1/25"), "bill.csv:3: ChargePeriodEnd: is not after the start of the period"),
        (change("usage", "Rent"), "bill.csv:3: ChargeCategory: 'Rent' is not one of Adjustment, Credit, Purchase, Tax, Usage"),
        (change('"{""a""', '"{{""a""'), "bill.csv:3: Tags: not JSON: Expecting property name"),
        (change("Q.1,NULL", "Q.1,NULL,more"), "bill.csv:2: 31 fields, the header has 30; quote fields that hold a comma"),
        (change("BilledCost", "Billed"), "bill.csv:1: BilledCost: the header has no such column; is this a FOCUS file?"),
        (change("123,Me", '123,"Me'), "bill.csv:3: not a CSV record: ',' expected after '\"'"),
        ("", "bill.csv:1: the file is empty; the first line has to name the columns"),
        (REAL.encode().replace(b"Me", b"\xff\xfe"), "bill.csv:3: not UTF-8: invalid start byte at byte"),
        (b"PAR1 is not enough", "bill.csv:0: not a Parquet file"),
        (gzip.compress(REAL.encode())[:-20], "bill.csv:0: cannot be read on: Compressed file ended"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_file_and_line(data: str | bytes, complaint: str) -> None:
    """And nothing is imported."""
    (problem,) = refusal(data)
    assert problem.startswith(complaint)


def test_many_errors_are_told_at_once() -> None:
    """Up to a limit."""
    header, first, _ = REAL.split("\n", 2)
    bad = first.replace("USD", "DSU")
    assert len(refusal("\n".join([header, first, bad, first, bad]))) == 2
    assert len(refusal("\n".join([header, *[bad] * 100]))) == PROBLEMS_MAX


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        (TableLimits(record_length_max=300), "a record of more than 300 bytes"),
        (TableLimits(columns_max=20), "30 columns, at most 20 are taken"),
    ],
)
def test_limits_hold(limits: TableLimits, complaint: str) -> None:
    """On the length of a record and the number of columns."""
    with pytest.raises(BillError, match=complaint):
        read_focus(io.BytesIO(REAL.encode()), "bill.csv", limits=limits)


def test_ids_are_of_file_and_row() -> None:
    """The same file gives the same ids, another file others."""
    ids = [record.record_id for record in read(REAL)[0]]
    assert [record.record_id for record in read(REAL)[0]] == ids
    assert not set(ids) & {record.record_id for record in read(REAL + "\n")[0]}
    assert len(set(ids)) == 2


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    """At the end, before anybody commits."""
    path = tmp_path / "bill.csv"
    path.write_text(REAL)
    with path.open("rb") as stream:
        bill = read_focus(stream, "bill.csv")
        path.write_text(REAL.replace("0.15", "0.16"))
        with pytest.raises(FileError, match="the file was changed while it was imported"):
            list(bill.records())


def test_gzip_is_read() -> None:
    """AWS exports CSV in gzip."""
    assert len(read(gzip.compress(REAL.encode()))[0]) == 2


@pytest.mark.parametrize("version", ["1.0", "1.2", "1.3", "1.4"])
@pytest.mark.parametrize("origin_row", OriginRow)
@pytest.mark.parametrize("write", ["csv", "parquet"])
def test_our_own_file_gives_the_same_records(version: str, origin_row: OriginRow, write: str) -> None:
    """Ids, amounts, subjects, prices and columns; and the same bytes when they are written again."""
    options = FocusOptions(version=version, origin_row=origin_row)
    data = export(ledger(), options, write)
    records, tolerated = read(data)
    assert tolerated == {}
    assert export(records[::-1], options, write) == data
    before = {record.record_id: record for record in ledger()}
    assert before.keys() == {record.record_id for record in records}
    for record in records:
        original = before[record.record_id]
        if record.level is Level.ALLOCATION or original.rule_id == record.rule_id:
            assert (record.rule_id, record.rule_version) == (original.rule_id, original.rule_version)
            assert record.recorded_unix_nano == original.recorded_unix_nano
        assert record.amounts.effective_cost == original.amounts.effective_cost
        assert record.subject == original.subject
        assert record.allocated_elements == original.allocated_elements
        assert record.charge.tags == original.charge.tags
        assert (
            record.charge.columns.items()
            >= {k: v for k, v in original.charge.columns.items() if k.startswith("x_")}.items()
        )


def export(records: list[CostAttributionRecord], options: FocusOptions, write: str) -> bytes:
    if write == "csv":
        return b"".join(csv_chunks(FocusRows(records, options)))
    file = io.BytesIO()
    write_parquet(FocusRows(records, options), file)
    return file.getvalue()


def foreign(spoil: Callable[[list[dict[str, str]]], list[dict[str, str]]] = lambda rows: rows) -> bytes:
    """Our file without our columns: one that a provider has split."""
    data = b"".join(csv_chunks(FocusRows(ledger()))).decode()
    rows = list(csv.DictReader(io.StringIO(data, newline="")))
    rows = spoil([{name: text for name, text in row.items() if not name.startswith("x_")} for row in rows])
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("spoil", [lambda rows: rows, lambda rows: rows[::2] + rows[1::2]])
def test_charges_that_a_provider_has_split_are_parts_of_their_sum(
    spoil: Callable[[list[dict[str, str]]], list[dict[str, str]]],
) -> None:
    """The origin comes before its parts, wherever they are in the file."""
    records, _ = read(foreign(spoil))
    parts = [record for record in records if record.level is Level.ALLOCATION]
    assert len(parts) == 5
    (whole,) = [record for record in records if record.record_id == parts[0].parent_record_id]
    assert records.index(whole) < records.index(parts[0])
    assert {part.origin_id for part in parts} == {whole.origin_id}
    assert whole.level is Level.ORIGIN
    assert (whole.amounts.effective_cost, whole.amounts.pricing_quantity) == (Decimal(1), Decimal(1))
    kinds = sorted((part.subject.kind, part.subject.resource_id[-20:]) for part in parts)
    assert kinds[-1] == (SubjectKind.UNALLOCATED, "")
    assert kinds[0] == (SubjectKind.WORKLOAD, "out/p1/checkout/shop")


def test_the_manifest_has_the_files_sums() -> None:
    """To the last digit, as the file says them."""
    bill = read_focus(io.BytesIO(REAL.encode()), "bill.csv")
    value = json.loads(bill.manifest.json())
    assert value["totals"] == {
        "USD": {
            "BilledCost": "10000.0000008",
            "ContractedCost": "0",
            "EffectiveCost": "0.15",
            "ListCost": "0.1000008",
        }
    }
    assert (value["rows"], value["records"], value["format"]) == (2, 2, "FOCUS 1.0")
    assert {"rule": "letter-case", "column": "ChargeCategory", "count": 1, "first_line": 3} in value[
        "tolerated"
    ]


def test_more_than_18_decimals_are_rounded_and_counted() -> None:
    """A double that somebody printed; strict refuses it."""
    records, tolerated = read(change("0.00000080000", "1.2345678901234567E-5"))
    assert records[0].amounts.billed_cost == Decimal("0.000012345678901235")
    assert tolerated["decimals", "BilledCost"] == (1, 2)
