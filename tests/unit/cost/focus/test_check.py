"""The checker: a right file passes, and each way of spoiling it is found, at its place."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Final

import pytest

from collector.cost.focus.check import check_file, detect_version
from collector.cost.focus.columns import VERSIONS, columns_of
from collector.cost.focus.finding import FINDINGS_MAX, Report, Severity
from collector.cost.focus.rows import FocusOptions, FocusRows, OriginRow
from collector.cost.focus.write_csv import csv_chunks
from collector.cost.focus.write_parquet import write_parquet
from tests.support.ledger import ledger

Row = dict[str, str]
# Lines of the file that `written` gives for 1.4: where which charge is.
TOKENS, TAX, CREDIT, COMMITMENT, CORRECTION, PARTS = (
    "tokens",
    "tax",
    "credit",
    "commitment",
    "correction",
    "parts",
)


def written(version: str = "1.4", origin_row: OriginRow = OriginRow.DROP) -> bytes:
    rows = FocusRows(ledger(), FocusOptions(version=version, origin_row=origin_row))
    return b"".join(csv_chunks(rows))


def check(data: bytes, version: str | None = "1.4") -> Report:
    return check_file(io.BytesIO(data), "t.csv", version)


def rows_of(data: bytes) -> list[Row]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def text_of(rows: list[Row]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("origin_row", OriginRow)
def test_a_right_file_has_no_findings(version: str, origin_row: OriginRow) -> None:
    """In CSV and in Parquet, and with the warnings."""
    rows = FocusRows(ledger(), FocusOptions(version=version, origin_row=origin_row))
    parquet = io.BytesIO()
    write_parquet(rows, parquet)
    for data in (b"".join(csv_chunks(rows)), parquet.getvalue()):
        report = check(data, version)
        assert report.findings == []
        assert report.ok(strict=True)
        assert report.rows == (10 if origin_row is OriginRow.DROP else 11)
        assert report.split_origins == 1


def find(rows: list[Row], what: str) -> Row:
    """The first row of a kind."""
    match what:
        case "parts":
            return next(row for row in rows if row["AllocatedMethodId"] and row["AllocatedResourceId"])
        case "idle":
            return next(row for row in rows if row["x_SubjectKind"] == "Idle")
        case "correction":
            return next(row for row in rows if row["ChargeClass"])
        case "tokens":
            return next(row for row in rows if row["SkuPriceId"] == "sonnet-in")
        case _:
            names = {"tax": "Tax", "credit": "Credit", "commitment": "Purchase"}
            return next(row for row in rows if row["ChargeCategory"] == names[what])


# (which row, column, what is put there, rule, column of the finding if it is another)
VALUES: Final = [
    # What the official validator 2.2.1 lets pass.
    (TOKENS, "ListCost", "0.39", "price-times-quantity", None),
    (TOKENS, "ContractedCost", "4.0", "price-times-quantity", None),
    (CORRECTION, "ListCost", "-0.51", "price-times-quantity", None),
    (TOKENS, "ChargeCategory", "usage", "allowed-values", None),
    (TOKENS, "ChargePeriodStart", "2026-09-14 20:00:00", "datetime-format", None),
    (TOKENS, "ConsumedUnit", "tokens", "unit-format", None),
    (TOKENS, "PricingUnit", "hour", "unit-format", None),
    (TOKENS, "ListUnitPrice", "35.2E+7", "numeric-format", None),
    (TOKENS, "ChargePeriodEnd", "2026-09-14T00:00:00Z", "period-order", None),
    # Numbers.
    (TOKENS, "BilledCost", "+0.390639", "numeric-format", None),
    (TOKENS, "BilledCost", "1,000.0", "numeric-format", None),
    (TOKENS, "BilledCost", "$1.0", "numeric-format", None),
    (TOKENS, "BilledCost", "1 1/2", "numeric-format", None),
    (TOKENS, "BilledCost", "NaN", "null-handling", None),
    (TOKENS, "BilledCost", "1E99", "numeric-format", None),
    (TOKENS, "BilledCost", "0.1234567890123456789", "precision", None),
    (TOKENS, "ListUnitPrice", "-3.0", "negative", None),
    # Dates and periods.
    (TOKENS, "BillingPeriodEnd", "2026-02-30T00:00:00Z", "datetime-format", None),
    (TOKENS, "BillingPeriodEnd", "2026-10-01T00:00:00+00:00", "datetime-format", None),
    (TOKENS, "BillingPeriodEnd", "2026-09-01T00:00:00Z", "period-order", None),
    # NULL and what stands for it.
    (TOKENS, "EffectiveCost", "", "null", None),
    (TOKENS, "ServiceName", "", "null", None),
    (TOKENS, "InvoiceId", "NULL", "null-handling", None),
    (TOKENS, "InvoiceId", "N/A", "null-handling", None),
    (TOKENS, "InvoiceId", "  ", "null-handling", None),
    # Values.
    (TOKENS, "BillingCurrency", "usd", "currency", None),
    (TOKENS, "PricingCurrency", "Tokens", "currency", None),
    (TOKENS, "ServiceCategory", "Compute", "service-subcategory", "ServiceSubcategory"),
    (TOKENS, "ServiceSubcategory", "LLM", "allowed-values", None),
    (TOKENS, "PricingUnit", "gigabyte-seconds", "unit-format", None),
    (TOKENS, "PricingUnit", "GBs", "unit-format", None),
    (TOKENS, "PricingUnit", "Gb per Hour", "unit-format", None),
    (TOKENS, "PricingUnit", "GB/Hours", "unit-format", None),
    (COMMITMENT, "ChargeFrequency", "Usage-Based", "frequency", None),
    (COMMITMENT, "EffectiveCost", "1.0", "effective-cost", None),
    (CREDIT, "EffectiveCost", "0.0", "effective-cost", None),
    (CREDIT, "ListCost", "0.0", "credit-cost", None),
    (TOKENS, "ServiceName", "Machines", "one-and-only-one", "ServiceCategory"),
    (TOKENS, "SkuPriceId", "m5.xlarge.od", "one-and-only-one", "SkuId"),
    # JSON.
    (TOKENS, "Tags", "env=prod", "json", None),
    (TOKENS, "Tags", '["env"]', "json-object", None),
    (TOKENS, "Tags", '{"a":1,"a":2}', "json-duplicate-key", None),
    (TOKENS, "Tags", '{"a":{"b":1}}', "json-flat", None),
    (TOKENS, "Tags", '{"a":NaN}', "json", None),
    (TOKENS, "SkuPriceDetails", '{"Colour":"red"}', "json-key", None),
    (TOKENS, "SkuPriceDetails", '{"CoreCount":"4"}', "json-type", None),
    (TOKENS, "ContractApplied", '{"Elements":[{"ContractId":"a"}]}', "json-elements", None),
    (TOKENS, "ContractApplied", '{"Elements":[{"ContractID":"a"}]}', "json-key", None),
    # Nulls that depend on other columns.
    (TOKENS, "SkuPriceId", "", "null-without-sku-price", "PricingQuantity"),
    (TOKENS, "SkuPriceId", "", "required-for-usage", None),
    (TOKENS, "ListUnitPrice", "", "required-for-usage", None),
    (TOKENS, "PricingUnit", "", "unit-missing", None),
    (TOKENS, "ConsumedQuantity", "", "unit-without-quantity", "ConsumedUnit"),
    (TOKENS, "ConsumedQuantity", "", "required-for-usage", None),
    (TOKENS, "RegionName", "", "null-consistency", None),
    (TOKENS, "ResourceName", "x", "null-consistency", None),
    (TOKENS, "ResourceType", "x", "null-consistency", None),
    (TOKENS, "SubAccountType", "", "null-consistency", None),
    (TOKENS, "CommitmentDiscountStatus", "Used", "null-consistency", None),
    (TOKENS, "CapacityReservationStatus", "Used", "null-consistency", None),
    (TOKENS, "CapacityReservationId", "r-1", "null-consistency", "CapacityReservationStatus"),
    (TOKENS, "AllocatedResourceId", "x", "null-consistency", None),
    (COMMITMENT, "CommitmentDiscountType", "", "null-consistency", None),
    (COMMITMENT, "CommitmentDiscountQuantity", "", "null-consistency", None),
    (COMMITMENT, "ConsumedQuantity", "1.0", "consumed-without-usage", None),
    (CORRECTION, "ListUnitPrice", "", "required-with-sku-price", None),
    (TAX, "PricingCategory", "Standard", "null-for-tax", None),
    (TAX, "SkuId", "x", "null-for-tax", None),
    # Splits.
    (PARTS, "EffectiveCost", "0.2", "split-sum", None),
    (PARTS, "ConsumedQuantity", "0.2", "split-sum", None),
    (PARTS, "ResourceId", "pod-1", "split-dimension", None),
    (PARTS, "ServiceName", "checkout", "split-dimension", None),
    (PARTS, "Tags", '{"env":"dev"}', "split-dimension", None),
    (PARTS, "PricingCurrencyListUnitPrice", "2.0", "split-dimension", None),
    (PARTS, "x_OriginListCost", "2.0", "split-origin", "x_OriginBilledCost"),
    (PARTS, "AllocatedMethodDetails", '{"Elements":[{"AllocatedRatio":0.9}]}', "split-ratio", None),
    (PARTS, "AllocatedMethodDetails", '{"Elements":[{"AllocatedRatio":1.9}]}', "allocated-ratio-range", None),
    (PARTS, "AllocatedMethodDetails", '{"Elements":[{"AllocatedRatio":"1"}]}', "json-type", None),
    (PARTS, "AllocatedMethodDetails", '{"Elements":[]}', "json-elements", None),
    (PARTS, "AllocatedMethodDetails", '{"Elements":[{"AllocatedRatio":0,"UsageQuantity":1}]}', "json-elements", None),
    (PARTS, "AllocatedMethodDetails", '{"Elements":[{"AllocatedRatio":0,"Extra":1}]}', "json-key", None),
    (PARTS, "AllocatedMethodDetails", "", "split-ratio", None),
    (PARTS, "AllocatedTags", '{"env":"prod"}', "allocated-tags", None),
    ("idle", "AllocatedResourceId", "rest", "split-remainder", None),
]  # fmt: skip


@pytest.mark.parametrize(("which", "column", "value", "rule", "place"), VALUES)
def test_a_spoilt_value_is_found(which: str, column: str, value: str, rule: str, place: str | None) -> None:
    """At its line (a split's at its first part), in its column, with its rule."""
    rows = rows_of(written())
    spoilt = find(rows, which)
    assert spoilt[column] != value
    spoilt[column] = value
    data = text_of(rows)
    found = [f for f in check(data).findings if f.rule == rule and f.column == (place or column)]
    assert found, [str(f) for f in check(data).findings]
    lines = lines_of(data)
    of_group = rule in ("split-sum", "split-ratio", "split-dimension", "split-origin")
    assert any(lines[f.line]["AllocatedMethodId"] if of_group else lines[f.line] == spoilt for f in found), [
        str(f) for f in found
    ]


def lines_of(data: bytes) -> dict[int, Row]:
    """Row by the line on which it begins, found without the code that is tested."""
    reader = csv.reader(io.StringIO(data.decode(), newline=""))
    header = next(reader)
    begins, rows = reader.line_num + 1, {}
    for values in reader:
        rows[begins] = dict(zip(header, values, strict=True))
        begins = reader.line_num + 1
    return rows


def rename(old: str, new: str) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{(new if name == old else name): text for name, text in row.items()} for row in rows]


def without(column: str) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{name: text for name, text in row.items() if name != column} for row in rows]


def last(column: str) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [
        {**{n: t for n, t in row.items() if n != column}, column: row[column]} for row in rows
    ]


def whole(column: str) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{**row, column: row[column] and "1"} for row in rows]


FILES: Final = [
    (without("BilledCost"), "missing-column", "BilledCost"),
    (without("HostProviderName"), "missing-column", "HostProviderName"),
    (rename("InvoiceId", "ProviderName"), "unknown-column", "ProviderName"),
    (rename("x_Team", "Team"), "custom-column", "Team"),
    (rename("x_Team", "x_team"), "custom-column", "x_team"),
    (rename("x_Team", "x_" + "T" * 60), "custom-column", "x_" + "T" * 60),
    (last("Tags"), "column-order", "Tags"),
    (whole("CommitmentDiscountQuantity"), "whole-numbers", "CommitmentDiscountQuantity"),
    (lambda rows: [row for row in rows if row["x_SubjectKind"] != "Idle"], "split-sum", "EffectiveCost"),
    (lambda rows: [row for row in rows if row["x_SubjectKind"] != "Idle"], "split-ratio", "AllocatedMethodDetails"),
    (lambda rows: rows + [row for row in rows if row["x_SubjectKind"] == "Idle"], "record-twice", "x_RecordId"),
    (
        lambda rows: [
            {**row, "AllocatedResourceId": row["AllocatedResourceId"] and "same"} for row in rows
        ],
        "split-resource-twice",
        "AllocatedResourceId",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "rule", "column"), FILES)
def test_a_spoilt_file_is_found(spoil: Callable[[list[Row]], list[Row]], rule: str, column: str) -> None:
    """Columns and rows that are missing, too many, or in the wrong place."""
    report = check(text_of(spoil(rows_of(written()))))
    assert any(f.rule == rule and f.column == column for f in report.findings), list(
        map(str, report.findings)
    )


def test_the_parts_of_an_origin_need_not_be_together() -> None:
    """They are found wherever they are in the file."""
    rows = rows_of(written())
    assert check(text_of(rows[::2] + rows[1::2])).ok(strict=True)


def test_an_origin_beside_its_parts_is_counted_twice() -> None:
    """The row of a split origin has to be 0 or absent."""
    rows = rows_of(written(origin_row=OriginRow.ZEROED))
    zeroed = next(row for row in rows if row["x_Level"] == "Origin" and row["SkuPriceId"] == "m5.xlarge.od")
    zeroed["EffectiveCost"] = "1.0"
    assert [f.rule for f in check(text_of(rows)).findings] == ["split-counted-twice"]


def test_a_part_of_an_origin_without_id_is_known_by_what_must_be_equal() -> None:
    """Files of others have no x_OriginId: one part is missing from the ratios."""
    rows = [
        {name: text for name, text in row.items() if not name.startswith("x_")} for row in rows_of(written())
    ]
    assert check(text_of(rows)).ok(strict=True)
    rows.remove(find(rows, PARTS))
    assert [f.rule for f in check(text_of(rows)).findings] == ["split-ratio"]


def test_ratios_that_were_rounded_are_a_warning() -> None:
    """Three times 0.333 is 0.999."""
    rows = [row for row in rows_of(written()) if row["AllocatedMethodId"]][:3]
    for row in rows:
        for name in [name for name in row if name.startswith("x_")]:
            del row[name]
        row["AllocatedMethodDetails"] = json.dumps({"Elements": [{"AllocatedRatio": 0.333}]})
    report = check(text_of(rows))
    assert [(f.rule, f.severity) for f in report.findings] == [("split-ratio", Severity.WARNING)]
    assert report.ok()
    assert not report.ok(strict=True)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda data: b"\xef\xbb\xbf" + data, "byte-order-mark"),
        (lambda data: data.replace(b"\nUSD", b"\n\nUSD", 1) + b"\n", "blank-line"),
        (lambda data: data.replace(b"acct-1", b"acct\xff1", 1), "file"),
        (lambda data: data.replace(b"acct-1", b"acct\x001", 1), "file"),
        (lambda data: data.replace(b",acct-1", b",acct,1", 1), "row-length"),
        (lambda data: data + b'"open', "file"),
        (lambda data: data.split(b"\n")[0], "empty"),
        (lambda data: b"", "file"),
        (lambda data: data.replace(b",", b";"), "file"),
        (lambda data: data.replace(b"BilledCost", b"EffectiveCost", 1), "header"),
        (lambda data: b"PAR1" + data, "file"),
    ],
)
def test_a_file_that_is_no_table_is_found(spoil: Callable[[bytes], bytes], rule: str) -> None:
    """Bytes that are not CSV, and CSV that is not a table."""
    report = check(spoil(written()))
    assert rule in [f.rule for f in report.findings]
    assert not report.ok(strict=True)


def test_a_quoted_empty_string_is_not_null() -> None:
    """`""` is an empty string, which FOCUS forbids; nothing at all is NULL."""
    data = written()
    lines = data.split(b"\n")
    index = next(i for i, line in enumerate(lines) if b"sonnet-in" in line)
    lines[index] = lines[index].replace(b",,", b',"",', 1)
    report = check(b"\n".join(lines))
    assert [f.rule for f in report.findings] == ["null-handling"]


def test_of_each_finding_the_first_are_kept_and_all_are_counted() -> None:
    """A mistake that every row makes does not fill the memory."""
    rows = rows_of(written()) * 50
    for row in rows:
        row["BillingCurrency"] = "usd"
        row.update({name: "" for name in row if name.startswith("x_")})
    report = check(text_of(rows))
    assert report.counts[Severity.ERROR, "currency", "BillingCurrency"] == 500
    assert sum(f.rule == "currency" for f in report.findings) == FINDINGS_MAX


def test_a_finding_says_file_line_column_rule_and_remedy() -> None:
    """One line, in the compiler's form."""
    rows = rows_of(written())
    find(rows, TAX)["ChargeFrequency"] = "one-time"
    (finding,) = check(text_of(rows)).findings
    assert str(finding) == (
        f"t.csv:{finding.line}: error: ChargeFrequency: 'one-time' is not an allowed value; write 'One-Time' [allowed-values]"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_is_found_from_the_header(version: str) -> None:
    """All columns of a version are that version's."""
    assert detect_version(tuple(columns_of(version))) == version


def test_a_wrong_parquet_type_is_found() -> None:
    """Floats for money, and times without a zone."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    data = io.BytesIO()
    write_parquet(FocusRows(ledger()), data)
    table = parquet.read_table(data)
    schema = table.schema
    schema = schema.set(schema.get_field_index("BilledCost"), arrow.field("BilledCost", arrow.float64()))
    index = schema.get_field_index("ChargePeriodStart")
    schema = schema.set(index, arrow.field("ChargePeriodStart", arrow.timestamp("us")))
    spoilt = io.BytesIO()
    parquet.write_table(table.cast(schema), spoilt)
    spoilt.seek(0)
    found = [(f.rule, f.column, f.severity) for f in check_file(spoilt, "t.parquet", "1.4").findings]
    assert ("parquet-type", "BilledCost", Severity.ERROR) in found
    assert ("parquet-type", "ChargePeriodStart", Severity.WARNING) in found
