"""FOCUS files out: what is written, in which form, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collector.cost.focus.check import check_file
from collector.cost.focus.columns import SUMMABLE, VERSIONS, columns_of
from collector.cost.focus.mapping import FocusExportError
from collector.cost.focus.metadata import Dataset, TimeSector, metadata_json
from collector.cost.focus.rows import FocusOptions, FocusRows, OriginRow
from collector.cost.focus.table_parquet import ParquetUnavailableError
from collector.cost.focus.write_csv import csv_chunks
from collector.cost.focus.write_parquet import write_parquet
from collector.cost.record import (
    AllocationElement,
    Amounts,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    Subject,
    SubjectKind,
)
from tests.support.ledger import HOUR, NODE, SECOND, costs, ledger, node, origin, part

GOLDEN = Path(__file__).parents[3] / "golden"


def written(records: list[CostAttributionRecord], **options: Any) -> bytes:
    return b"".join(csv_chunks(FocusRows(records, FocusOptions(**options))))


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


@pytest.mark.parametrize("version", ["1.2", "1.3", "1.4"])
def test_the_file_is_the_golden_one(version: str) -> None:
    """To the byte: nothing about the form changes unnoticed."""
    assert written(ledger(), version=version) == (GOLDEN / f"focus-{version}.csv").read_bytes()


@pytest.mark.parametrize("version", VERSIONS)
def test_columns_are_the_versions_in_order_then_ours(version: str) -> None:
    """FOCUS: its columns first, alphabetical; then x_."""
    names = written(ledger(), version=version).split(b"\n")[0].decode().split(",")
    own = list(columns_of(version))
    assert own == names[: len(own)]
    assert sorted(names[len(own) :]) == names[len(own) :]
    assert all(name.startswith("x_") for name in names[len(own) :])


def test_the_order_of_the_records_does_not_matter() -> None:
    """The same bytes, CSV and Parquet, and when written again."""
    rows, reversed_rows = FocusRows(ledger()), FocusRows(ledger()[::-1])
    assert b"".join(csv_chunks(rows)) == b"".join(csv_chunks(reversed_rows)) == b"".join(csv_chunks(rows))
    files = [io.BytesIO(), io.BytesIO(), io.BytesIO()]
    for file, source in zip(files, (rows, reversed_rows, rows), strict=True):
        write_parquet(source, file)
    assert files[0].getvalue() == files[1].getvalue() == files[2].getvalue()


def test_parts_without_details_get_ratios_where_others_have_them() -> None:
    """Requests have no elements. By cost, in 18 decimals, so that the ratios of the charge still sum to 1."""
    records = node()
    pod = records[1]
    requests = [
        part(pod, amount, Subject(kind=SubjectKind.REQUEST_GROUP, tenant=tenant), level=Level.REQUEST)
        for tenant, amount in (("a", "0.1"), ("b", "0.1"), ("c", "0.018210361067"))
    ]
    data = written([*records, *requests], version="1.4")
    report = check_file(io.BytesIO(data), "t.csv", "1.4")
    assert report.ok(strict=True), report.findings
    rows = {
        row["x_Tenant"]: json.loads(row["AllocatedMethodDetails"]) for row in rows_of(data) if row["x_Tenant"]
    }
    shares = [Decimal(str(rows[tenant]["Elements"][0]["AllocatedRatio"])) for tenant in "abc"]
    assert shares[0] == shares[1] == Decimal("0.100000000000000000")
    assert all(rows[tenant].keys() == {"Elements"} and len(rows[tenant]["Elements"]) == 1 for tenant in "abc")


def test_a_split_of_which_nothing_is_known_has_no_details() -> None:
    """NULL is allowed, and ratios of costs would say nothing new."""
    whole = origin("x", NODE, costs("1", quantity="1", consumed="1"))
    halves = [
        part(whole, "0.5", Subject(kind=SubjectKind.WORKLOAD, team=team), level=Level.ALLOCATION)
        for team in "ab"
    ]
    data = written([whole, *halves], version="1.4")
    assert {row["AllocatedMethodDetails"] for row in rows_of(data)} == {""}
    assert check_file(io.BytesIO(data), "t.csv", "1.4").ok(strict=True)


def test_whole_numbers_have_a_point() -> None:
    """Readers that guess types take a column of 1, 2, 3 for integers."""
    (row,) = rows_of(written([origin("x", NODE, costs("3", quantity="3", consumed="3"))]))
    assert (row["BilledCost"], row["ListUnitPrice"], row["PricingQuantity"]) == ("3.0", "1.0", "3.0")


def test_parquet_has_decimals_and_utc() -> None:
    """decimal128(38, 18), microseconds in UTC, text for JSON."""
    parquet = pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    write_parquet(FocusRows(ledger()), file)
    table = parquet.read_table(file)
    types = {field.name: str(field.type) for field in table.schema}
    for name, column in columns_of("1.4").items():
        expected = {"Decimal": "decimal128(38, 18)", "DateTime": "timestamp[us, tz=UTC]"}
        assert types[name] == expected.get(column.type.value, "string"), name
    assert types["x_OriginEffectiveCost"] == "decimal128(38, 18)"
    total = sum(table.column("EffectiveCost").to_pylist(), Decimal(0))
    assert total == Decimal(1) + Decimal("0.390639") + Decimal("0.25") - Decimal("0.10") + 0 - Decimal("0.5")


def test_without_pyarrow_parquet_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """An optional dependency is missed where it is needed, not on import."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParquetUnavailableError, match=r"pip install 'collector\[parquet\]'"):
        write_parquet(FocusRows(ledger()), io.BytesIO())


def test_an_origin_gives_way_to_its_parts() -> None:
    """By default its row is not written; on request it is, with metrics of 0."""
    dropped = [row for row in rows_of(written(node())) if row["x_Level"] == "Origin"]
    zeroed = [
        row for row in rows_of(written(node(), origin_row=OriginRow.ZEROED)) if row["x_Level"] == "Origin"
    ]
    assert dropped == []
    assert [row[name] for row in zeroed for name in SUMMABLE] == [
        "0.0" if name != "CommitmentDiscountQuantity" else "" for name in SUMMABLE
    ]
    assert zeroed[0]["AllocatedMethodId"] == ""


def test_a_part_keeps_the_origins_dimensions() -> None:
    """Who caused it is in the Allocated… columns; ResourceId and ServiceName stay the node's."""
    parts = rows_of(written(node()))
    assert {(row["ResourceId"], row["ServiceName"], row["ListUnitPrice"]) for row in parts} == {
        ("i-0123", "Machines", "1.0")
    }
    pod = next(row for row in parts if row["x_K8sPod"] == "p2")
    assert pod["AllocatedResourceId"] == "prod/shop/Deployment/checkout/p2/checkout/shop"
    assert pod["AllocatedMethodId"] == "max-request-usage"
    assert json.loads(pod["AllocatedTags"]) == {
        "app": "checkout",
        "k8s.cluster.name": "prod",
        "k8s.deployment.name": "checkout",
        "k8s.namespace.name": "shop",
        "k8s.pod.name": "p2",
        "service.name": "checkout",
        "team": "shop",
    }
    idle = next(row for row in parts if row["x_SubjectKind"] == "Idle")
    assert (idle["AllocatedResourceId"], idle["AllocatedTags"]) == ("", "")


def test_before_1_3_the_allocated_columns_are_ours() -> None:
    """FOCUS 1.2 has no columns for splits."""
    names = written(node(), version="1.2").split(b"\n")[0].decode().split(",")
    assert "AllocatedMethodId" not in names
    assert {"x_AllocatedMethodId", "x_AllocatedResourceId", "x_AllocatedMethodDetails"} <= set(names)


def test_the_finest_parts_are_written_and_their_ratios_are_of_the_origin() -> None:
    """A pod that was split into requests gives way to them: 1/4 and 3/4 of its share of the node."""
    records = node()
    pod = records[1]
    amount = pod.amounts.effective_cost
    assert amount is not None
    quarter = amount / 4
    for name, share, ratio in (("a", quarter, "0.25"), ("b", amount - quarter, "0.75")):
        subject = Subject(kind=SubjectKind.REQUEST_GROUP, tenant=name, operation="GET /")
        element = AllocationElement(ratio=Decimal(ratio))
        records.append(part(pod, str(share), subject, element, level=Level.REQUEST))
    rows = rows_of(written(records))
    assert len(rows) == 6
    ratios = [
        Decimal(str(element["AllocatedRatio"]))
        for row in rows
        for element in json.loads(row["AllocatedMethodDetails"], parse_float=Decimal)["Elements"]
    ]
    assert sum(ratios) == 1
    assert sum(Decimal(row["EffectiveCost"]) for row in rows) == 1


def test_parts_that_do_not_sum_are_refused() -> None:
    """One of the pods is missing: an error, not a file that is short."""
    records = node()
    del records[2]
    with pytest.raises(
        FocusExportError,
        match=r"the 4 parts of record [0-9a-f]{32} sum to BilledCost 0\.616169544741, and it has 1\.0",
    ):
        written(records)


def test_an_unpriced_record_is_counted_and_not_written() -> None:
    """Its cost is not known: 0 would be a lie."""
    unpriced = replace(node()[0], amounts=Amounts(pricing_quantity=Decimal(1)), source=CostSource.UNPRICED)
    rows = FocusRows([unpriced])
    assert (rows.unpriced, rows.records, list(rows)) == (1, 0, [])


def test_a_column_that_nothing_fills_is_an_error_unless_it_has_a_default() -> None:
    """With the record and the remedy."""
    record = origin("x", replace(NODE, billing_account_id=""), costs("1", quantity="1", consumed="1"))
    with pytest.raises(
        FocusExportError,
        match=rf"record {record.record_id.hex()}: BillingAccountId must not be NULL .* set a default",
    ):
        written([record])
    (row,) = rows_of(written([record], defaults={"BillingAccountId": "home"}))
    assert row["BillingAccountId"] == "home"


def test_what_focus_asks_for_is_filled_from_what_is_there() -> None:
    """Nothing of it is invented: other columns, or a word for "nothing special"."""
    bare = replace(
        NODE, charge_frequency="", pricing_category="", consumed_unit="", contracted_unit_price=None, resource_type="",
        service_subcategory="", invoice_issuer_name="", columns={}, pricing_unit="1000 Requests"
    )  # fmt: skip
    (row,) = rows_of(written([origin("x", bare, costs("2.5", quantity="2.5"))]))
    filled = {
        "ChargeFrequency": "Usage-Based",
        "PricingCategory": "Standard",
        "ConsumedQuantity": "2500.0",
        "ConsumedUnit": "Requests",
        "ContractedUnitPrice": "1.0",
        "ResourceType": "Resource",
        "ServiceSubcategory": "Other (Compute)",
        "InvoiceIssuerName": "Example Cloud",
        "HostProviderName": "Example Cloud",
        "RegionName": "eu-north-1",
        "SubAccountName": "sub-7",
        "SubAccountType": "Sub Account",
        "BillingAccountType": "Billing Account",
        "PricingCurrency": "USD",
        "PricingCurrencyEffectiveCost": "2.5",
        "PricingCurrencyListUnitPrice": "1.0",
    }
    assert {name: row[name] for name in filled} == filled


def test_a_period_that_is_no_whole_second_is_an_error() -> None:
    """FOCUS' times have no fractions."""
    charge = replace(NODE, charge_period=Period(HOUR.start_unix_nano + 1, HOUR.end_unix_nano))
    with pytest.raises(FocusExportError, match="is not a whole second"):
        written([origin("x", charge, costs("1", quantity="1", consumed="1"))])


def test_a_text_with_a_nul_is_an_error() -> None:
    """No reader of CSV takes it, ours neither."""
    with pytest.raises(FocusExportError, match="a NUL character"):
        written(
            [origin("x", replace(NODE, charge_description="a\0b"), costs("1", quantity="1", consumed="1"))]
        )


@pytest.mark.parametrize(("safe", "expected"), [(False, "=1+1"), (True, "'=1+1")])
def test_formulas_are_written_as_they_are_unless_told(safe: bool, expected: str) -> None:
    """FOCUS forbids altering values; a spreadsheet would run them. Numbers stay numbers."""
    record = origin("x", replace(NODE, charge_description="=1+1"), costs("-1", quantity="-1", consumed="-1"))
    (row,) = rows_of(written([record], spreadsheet_safe=safe))
    assert (row["ChargeDescription"], row["BilledCost"]) == (expected, "-1.0")


def test_there_is_no_such_version() -> None:
    """With those that there are."""
    with pytest.raises(ValueError, match=r"no FOCUS version '2.0'; there are 1.0, 1.1, 1.2, 1.3, 1.4"):
        written([], version="2.0")


def test_the_side_car_describes_the_file() -> None:
    """Columns with their types, the dataset, and how complete which periods are."""
    rows = FocusRows(ledger())
    sector = TimeSector(period=HOUR, complete=False, updated_unix_nano=HOUR.end_unix_nano)
    dataset = Dataset(
        name="prod", created_unix_nano=HOUR.end_unix_nano + 5, generator_version="1", sectors=[sector]
    )
    data = metadata_json(rows, dataset)
    assert data == metadata_json(FocusRows(ledger()[::-1]), dataset)
    value = json.loads(data)
    (schema,), (instance,), (recency,) = value["Schema"], value["DatasetInstance"], value["Recency"]
    assert [column["ColumnName"] for column in schema["ColumnDefinition"]] == list(rows.columns)
    by_name = {column["ColumnName"]: column for column in schema["ColumnDefinition"]}
    assert by_name["BilledCost"] == {
        "ColumnName": "BilledCost",
        "DataType": "DECIMAL",
        "NumericPrecision": 38,
        "NumberScale": 18,
    }
    assert (schema["FocusVersion"], schema["CreationDate"]) == ("1.4", "2026-09-15T01:00:00Z")
    assert instance["DatasetInstanceId"] == recency["DatasetInstanceId"] == schema["DatasetInstanceId"]
    assert recency["DatasetInstanceComplete"] is False
    assert recency["TimeSectors"][0]["TimeSectorStart"] == "2026-09-15T00:00:00Z"
    assert HOUR.end_unix_nano % SECOND == 0
