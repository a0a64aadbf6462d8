"""AWS Cost and Usage Reports: which cost a line is, and split cost allocation data as parts that sum."""

from __future__ import annotations

import csv
import gzip
import io
import json
from decimal import Decimal
from typing import Any, Final

import pytest

from collector.cost.amount import total
from collector.cost.cur.line import column_name
from collector.cost.cur.read import read_cur
from collector.cost.focus.bill import BillError
from collector.cost.record import ChargeCategory, CostAttributionRecord, Level, SubjectKind

HOUR: Final = {
    "bill_payer_account_id": "111",
    "bill_billing_period_start_date": "2026-09-01T00:00:00.000Z",
    "bill_billing_period_end_date": "2026-10-01T00:00:00.000Z",
    "line_item_usage_account_id": "222",
    "line_item_usage_start_date": "2026-09-15T00:00:00.000Z",
    "line_item_usage_end_date": "2026-09-15T01:00:00.000Z",
    "line_item_line_item_type": "Usage",
    "line_item_currency_code": "USD",
    "line_item_unblended_cost": "0",
    "line_item_product_code": "AmazonEC2",
    "product_product_family": "Compute Instance",
    "product_region_code": "eu-north-1",
    "pricing_unit": "Hrs",
}
NODE: Final = {
    **HOUR, "identity_line_item_id": "n", "line_item_resource_id": "i-1", "line_item_usage_type": "BoxUsage:m5.xlarge",
    "line_item_usage_amount": "1", "line_item_unblended_cost": "1.0000000000", "pricing_public_on_demand_cost": "1.0000000000",
    "pricing_public_on_demand_rate": "1.0",
}  # fmt: skip
# AWS' published example (four pods on one instance), as its ten decimals would say it; they do not sum to 1.
PODS: Final = {"a": ("0.2182103611", "0.0109890110"), "b": ("0.3838304553", "0.0164835165"),
               "c": ("0.1797488226", "0.0054945055"), "d": ("0.1797488226", "0.0054945055")}  # fmt: skip


def pod(name: str, split: str, unused: str, **more: str) -> dict[str, str]:
    return {
        **HOUR, "identity_line_item_id": f"p-{name}", "line_item_resource_id": f"arn:aws:eks:eu-north-1:222:pod/prod/shop/{name}/uid",
        "line_item_usage_type": "EKS-EC2-vCPU-Hours", "split_line_item_parent_resource_id": "i-1", "split_line_item_split_cost": split,
        "split_line_item_unused_cost": unused, "split_line_item_split_usage": "1.5",
        "resource_tags": json.dumps({"aws:eks:cluster-name": "prod", "aws:eks:namespace": "shop", "aws:eks:workload-name": "cart",
                                     "aws:eks:workload-type": "Deployment", "team": "x"}), **more,
    }  # fmt: skip


def report(*rows: dict[str, Any]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def read(
    data: bytes, *, strict: bool = False
) -> tuple[list[CostAttributionRecord], dict[tuple[str, str], int]]:
    bill = read_cur(io.BytesIO(data), "cur.csv", strict=strict)
    records = list(bill.records())
    assert bill.manifest.records == len(records)
    billed = total(r.amounts.billed_cost or Decimal(0) for r in records if r.level is Level.ORIGIN)
    if ("split-without-parent", "split_line_item_parent_resource_id") not in bill.manifest.tolerated:
        assert bill.manifest.totals["USD"]["line_item_unblended_cost"] == billed
    return records, {key: t.count for key, t in bill.manifest.tolerated.items()}


@pytest.mark.parametrize(
    ("kind", "more", "category", "billed", "effective"),
    [
        ("Usage", {}, ChargeCategory.USAGE, "2", "2"),
        ("DiscountedUsage", {"reservation_effective_cost": "0.7"}, ChargeCategory.USAGE, "2", "0.7"),
        ("SavingsPlanCoveredUsage", {"savings_plan_savings_plan_effective_cost": "0.6"}, ChargeCategory.USAGE, "2", "0.6"),
        ("SavingsPlanNegation", {}, ChargeCategory.ADJUSTMENT, "2", "0"),
        ("SavingsPlanUpfrontFee", {}, ChargeCategory.PURCHASE, "2", "0"),
        ("SavingsPlanRecurringFee", {"savings_plan_total_commitment_to_date": "5", "savings_plan_used_commitment": "4.75"},
         ChargeCategory.PURCHASE, "2", "0.25"),
        ("RIFee", {"reservation_unused_recurring_fee": "0.1", "reservation_unused_amortized_upfront_fee_for_billing_period": "0.2"},
         ChargeCategory.PURCHASE, "2", "0.3"),
        ("Fee", {}, ChargeCategory.PURCHASE, "2", "2"),
        ("Tax", {}, ChargeCategory.TAX, "2", "2"),
        ("Credit", {}, ChargeCategory.CREDIT, "2", "2"),
        ("Refund", {}, ChargeCategory.CREDIT, "2", "2"),
        ("EdpDiscount", {}, ChargeCategory.CREDIT, "2", "2"),
    ],
)  # fmt: skip
def test_what_a_line_costs_is_of_its_type(
    kind: str, more: dict[str, str], category: ChargeCategory, billed: str, effective: str
) -> None:
    """As AWS' line item types say; nothing of it is tolerated."""
    row = {**NODE, "line_item_line_item_type": kind, "line_item_unblended_cost": "2", **more}
    (record,), tolerated = read(report(row), strict=True)
    assert tolerated == {}
    assert record.charge.charge_category is category
    assert (record.amounts.billed_cost, record.amounts.effective_cost) == (
        Decimal(billed),
        Decimal(effective),
    )


def test_a_line_is_a_charge() -> None:
    """With account, resource, region, tags and the meter."""
    row = {
        **NODE,
        "resource_tags": '{"user_team":"shop"}',
        "product_sku": "SKU",
        "pricing_rate_code": "SKU.1",
    }
    (record,), _ = read(report(row))
    charge = record.charge
    assert (charge.billing_account_id, charge.sub_account_id, charge.resource_id) == ("111", "222", "i-1")
    assert (charge.service_category, charge.service_name, charge.region_id) == (
        "Compute",
        "AmazonEC2",
        "eu-north-1",
    )
    assert (charge.sku_id, charge.sku_price_id, charge.sku_meter) == ("SKU", "SKU.1", "BoxUsage:m5.xlarge")
    assert charge.tags == {"user_team": "shop"}
    assert (record.amounts.list_cost, record.amounts.pricing_quantity) == (Decimal(1), Decimal(1))
    assert charge.charge_period.length_ns == 3600 * 10**9


@pytest.mark.parametrize("parent_first", [True, False])
def test_split_rows_are_parts_of_their_parents_line(parent_first: bool) -> None:
    """AWS' rounded parts sum to the instance's cost to the last digit; the rounding is counted."""
    pods = [pod(name, *costs) for name, costs in PODS.items()]
    rows = [NODE, *pods] if parent_first else [*pods, NODE]
    records, tolerated = read(report(*rows))
    whole, *parts = records
    assert tolerated == {("split-sum", "split_line_item_split_cost"): 1}
    assert (whole.level, whole.amounts.effective_cost) == (Level.ORIGIN, Decimal(1))
    assert [part.level for part in parts] == [Level.ALLOCATION] * 4
    for name in ("billed_cost", "effective_cost", "list_cost", "pricing_quantity"):
        assert total(getattr(part.amounts, name) for part in parts) == getattr(whole.amounts, name)
    assert total(part.allocated_elements[0].ratio for part in parts) == 1
    assert {part.parent_record_id for part in parts} == {whole.record_id}
    assert {part.charge.resource_id for part in parts} == {"i-1"}
    subject = parts[0].subject
    assert (subject.kind, subject.k8s_cluster, subject.k8s_namespace, subject.k8s_workload, subject.k8s_workload_kind) == (
        SubjectKind.WORKLOAD, "prod", "shop", "cart", "Deployment"
    )  # fmt: skip
    assert parts[0].allocated_elements[0].usage_unit == "Core-Hours"


def test_parts_that_do_sum_keep_their_amounts() -> None:
    """And nothing is tolerated."""
    records, tolerated = read(report(NODE, pod("a", "0.25", "0.05"), pod("b", "0.6", "0.1")), strict=True)
    assert [part.amounts.effective_cost for part in records[1:]] == [Decimal("0.3"), Decimal("0.7")]
    assert tolerated == {}


def test_a_resources_other_lines_stay_whole() -> None:
    """Its traffic in the same hour is not what the pods were split from."""
    traffic = {
        **NODE,
        "identity_line_item_id": "t",
        "line_item_usage_type": "DataTransfer-Out",
        "line_item_unblended_cost": "5",
    }
    records, _ = read(report(traffic, NODE, pod("a", "0.5", "0"), pod("b", "0.5", "0")))
    parents = {record.parent_record_id for record in records if record.level is Level.ALLOCATION}
    (whole,) = [record for record in records if record.record_id in parents]
    assert whole.charge.sku_meter == "BoxUsage:m5.xlarge"
    assert len(records) == 4


def test_parts_without_their_parents_line_are_an_origin_of_their_sum() -> None:
    """Counted; a strict import refuses it."""
    data = report(pod("a", "0.5", "0"), pod("b", "0.25", "0"))
    records, tolerated = read(data)
    assert tolerated == {("split-without-parent", "split_line_item_parent_resource_id"): 1}
    assert [record.amounts.effective_cost for record in records] == [
        Decimal("0.75"),
        Decimal("0.5"),
        Decimal("0.25"),
    ]
    assert records[0].charge.resource_id == "i-1"
    with pytest.raises(
        BillError, match=r"cur\.csv:2: split_line_item_parent_resource_id: split without parent"
    ):
        read(data, strict=True)


def test_the_older_spelling_gzip_and_parquet_are_read() -> None:
    """`lineItem/UnblendedCost`, and tags with a column each."""
    assert column_name("lineItem/UnblendedCost") == "line_item_unblended_cost"
    assert column_name("savingsPlan/SavingsPlanEffectiveCost") == "savings_plan_savings_plan_effective_cost"
    assert column_name("identity/LineItemId") == "identity_line_item_id"
    groups = ("identity", "bill", "line_item", "product", "pricing")
    old = {}
    for name, value in NODE.items():
        group = next(group for group in groups if name.startswith(group))
        rest = "".join(part.capitalize() for part in name.removeprefix(f"{group}_").split("_"))
        old[f"{'lineItem' if group == 'line_item' else group}/{rest}"] = value
    (record,), _ = read(gzip.compress(report({**old, "resourceTags/user:team": "shop"})))
    assert record.charge.tags == {"team": "shop"}
    assert record.amounts.billed_cost == 1
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.Table.from_pylist([{**NODE, "line_item_unblended_cost": 0.1, "resource_tags": None}])
    tags = arrow.array([[("team", "shop")]], type=arrow.map_(arrow.string(), arrow.string()))
    table = table.set_column(table.column_names.index("resource_tags"), "resource_tags", tags)
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    (record,), _ = read(sink.getvalue())
    assert (record.amounts.billed_cost, record.charge.tags) == (Decimal("0.1"), {"team": "shop"})


def test_ids_are_of_the_line_item() -> None:
    """The same line in a later file of the month has the same id."""
    first, second = report(NODE), report({**NODE, "identity_line_item_id": "m"}, NODE)
    assert read(first)[0][0].record_id == read(second)[0][1].record_id


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({**NODE, "line_item_unblended_cost": "one"}, "cur.csv:2: line_item_unblended_cost: 'one' is not a number; digits with a point"),
        ({**NODE, "line_item_unblended_cost": ""}, "cur.csv:2: line_item_unblended_cost: is NULL"),
        ({**NODE, "line_item_currency_code": "DOLLAR"}, "cur.csv:2: line_item_currency_code: 'DOLLAR' is not an ISO 4217"),
        ({**NODE, "line_item_usage_start_date": ""}, "cur.csv:2: line_item_usage_start_date: '' is not a time"),
        ({**NODE, "line_item_usage_end_date": NODE["line_item_usage_start_date"]}, "cur.csv:2: line_item_usage_end_date: is not after"),
        ({**NODE, "resource_tags": "team=x"}, "cur.csv:2: resource_tags: not JSON"),
        (pod("a", "x", "0"), "cur.csv:2: split_line_item_split_cost: 'x' is not a number"),
        (pod("a", "1", "0", line_item_unblended_cost="1"), "cur.csv:2: line_item_unblended_cost: a part is billed by itself"),
        ({"BilledCost": "1"}, "cur.csv:1: bill_payer_account_id: the header has no such column; is this a CUR 2.0 file?"),
    ],
)  # fmt: skip
def test_a_broken_report_is_refused_with_its_line(row: dict[str, str], complaint: str) -> None:
    """And nothing is imported."""
    with pytest.raises(BillError) as caught:
        read_cur(io.BytesIO(report(row)), "cur.csv")
    assert str(caught.value.problems[0]).startswith(complaint)


def test_an_unknown_type_of_line_is_an_adjustment_and_counted() -> None:
    """AWS adds types; the money is not lost."""
    (record,), tolerated = read(report({**NODE, "line_item_line_item_type": "NewDiscount"}))
    assert record.charge.charge_category is ChargeCategory.ADJUSTMENT
    assert ("line-item-type", "line_item_line_item_type") in tolerated
