"""A small ledger with one of each kind of charge, whose FOCUS files are right: what the cost tests write and spoil."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from collector.cost.identity import identify
from collector.cost.record import (
    AllocationElement,
    Amounts,
    Charge,
    ChargeCategory,
    ChargeClass,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    Subject,
    SubjectKind,
)

SECOND: Final = 1_000_000_000
SEPTEMBER: Final = Period(1_788_220_800 * SECOND, 1_790_812_800 * SECOND)
OCTOBER: Final = Period(1_790_812_800 * SECOND, 1_793_491_200 * SECOND)
HOUR: Final = Period(1_789_430_400 * SECOND, 1_789_434_000 * SECOND)

NODE: Final = Charge(
    charge_period=HOUR,
    billing_period=SEPTEMBER,
    billing_currency="USD",
    charge_description="m5.xlarge, on demand",
    charge_frequency="Usage-Based",
    list_unit_price=Decimal("1.00"),
    contracted_unit_price=Decimal("1.00"),
    pricing_unit="Hours",
    pricing_category="Standard",
    consumed_unit="Hours",
    service_provider_name="Example Cloud",
    invoice_issuer_name="Example Cloud",
    billing_account_id="acct-1",
    sub_account_id="sub-7",
    region_id="eu-north-1",
    service_category="Compute",
    service_subcategory="Virtual Machines",
    service_name="Machines",
    resource_id="i-0123",
    resource_type="Machine",
    sku_id="m5.xlarge",
    sku_meter="instance hours",
    sku_price_id="m5.xlarge.od",
    sku_price_details={"CoreCount": "4", "MemorySize": "16", "InstanceType": "m5.xlarge"},
    tags={"env": "prod", "café": 'a "quoted", text\nof two lines'},
    columns={"RegionName": "EU (North)", "BillingAccountName": "Example", "x_CostCentre": "cc-9"},
)
# AWS' published split of one instance (1 USD/h, four pods), exactly: the four pods and what is idle.
PODS: Final = {
    "p1": ("0.218210361067", "0.141287284144", "0.076923076923"),
    "p2": ("0.383830455259", "0.268446009106", "0.115384446153"),
    "p3": ("0.179748822606", "0.141287284144", "0.038461538462"),
    "p4": ("0.179748822606", "0.141287284144", "0.038461538462"),
}
IDLE: Final = "0.038461538462"


def costs(amount: str, *, quantity: str | None = None, consumed: str | None = None) -> Amounts:
    """Four equal costs."""
    cost = Decimal(amount)
    return Amounts(
        billed_cost=cost,
        effective_cost=cost,
        list_cost=cost,
        contracted_cost=cost,
        pricing_quantity=None if quantity is None else Decimal(quantity),
        consumed_quantity=None if consumed is None else Decimal(consumed),
        pricing_currency_effective_cost=cost,
    )


def origin(name: str, charge: Charge, amounts: Amounts) -> CostAttributionRecord:
    """A charge as it was made."""
    return CostAttributionRecord(
        record_id=identify("test.record", (name,)),
        origin_id=identify("test.origin", (name,)),
        level=Level.ORIGIN,
        charge=charge,
        amounts=amounts,
        source=CostSource.PRICE_BOOK,
        rule_id="k8s-node",
        rule_version=3,
        recorded_unix_nano=1_789_434_123_456_789_012,
    )


def part(
    parent: CostAttributionRecord, amount: str, subject: Subject, *elements: AllocationElement, level: Level
) -> CostAttributionRecord:
    """A part of `parent`; its quantities are its cost, at a price of 1."""
    quantity = amount if parent.amounts.pricing_quantity is not None else None
    return replace(
        parent,
        record_id=identify("test.part", (parent.record_id, subject.key)),
        parent_record_id=parent.record_id,
        level=level,
        amounts=costs(amount, quantity=quantity, consumed=quantity),
        subject=subject,
        allocated_method_id="max-request-usage",
        allocated_elements=elements,
    )


def node() -> list[CostAttributionRecord]:
    """A node's hour, its pods and its idle rest."""
    whole = origin("node", NODE, costs("1", quantity="1", consumed="1"))
    records = [whole]
    for pod, (amount, cpu, memory) in PODS.items():
        subject = Subject(
            kind=SubjectKind.WORKLOAD,
            service_name="checkout",
            team="shop",
            k8s_cluster="prod",
            k8s_namespace="shop",
            k8s_workload_kind="Deployment",
            k8s_workload="checkout",
            k8s_pod=pod,
            labels={"app": "checkout"},
        )
        elements = (
            AllocationElement(ratio=Decimal(cpu), usage_unit="Core-Hours", usage_quantity=Decimal("1.9")),
            AllocationElement(ratio=Decimal(memory), usage_unit="GiB-Hours", usage_quantity=Decimal(6)),
        )
        records.append(part(whole, amount, subject, *elements, level=Level.ALLOCATION))
    idle = AllocationElement(ratio=Decimal(IDLE))
    records.append(part(whole, IDLE, Subject(kind=SubjectKind.IDLE), idle, level=Level.ALLOCATION))
    return records


def others() -> list[CostAttributionRecord]:
    """Charges of the other categories, none of them split."""
    tokens = replace(
        NODE,
        charge_description="input tokens",
        list_unit_price=Decimal("3.00"),
        contracted_unit_price=Decimal("3.00"),
        pricing_unit="1000000 Tokens",
        consumed_unit="Tokens",
        service_name="Models",
        service_category="AI and Machine Learning",
        service_subcategory="Generative AI",
        resource_id="",
        resource_type="",
        sku_id="sonnet",
        sku_meter="input tokens",
        sku_price_id="sonnet-in",
        sku_price_details={},
    )
    plain = replace(
        NODE,
        list_unit_price=None,
        contracted_unit_price=None,
        pricing_unit="",
        pricing_category="",
        consumed_unit="",
        charge_frequency="One-Time",
        sku_id="",
        sku_meter="",
        sku_price_id="",
        sku_price_details={},
    )
    correction = replace(NODE, charge_class=ChargeClass.CORRECTION, billing_period=OCTOBER)
    commitment = replace(
        NODE,
        charge_category=ChargeCategory.PURCHASE,
        charge_frequency="Recurring",
        consumed_unit="",
        commitment_discount_unit="Hours",
        columns={
            **NODE.columns,
            "CommitmentDiscountId": "sp-1",
            "CommitmentDiscountCategory": "Usage",
            "CommitmentDiscountType": "Plan",
        },
    )
    bought = replace(
        costs("2", quantity="2"),
        effective_cost=Decimal(0),
        pricing_currency_effective_cost=Decimal(0),
        commitment_discount_quantity=Decimal(2),
    )
    return [
        origin("tokens", tokens, costs("0.390639", quantity="0.130213", consumed="130213")),
        origin("tax", replace(plain, charge_category=ChargeCategory.TAX), costs("0.25")),
        origin("credit", replace(plain, charge_category=ChargeCategory.CREDIT), costs("-0.10")),
        origin("commitment", commitment, bought),
        origin("correction", correction, costs("-0.5", quantity="-0.5", consumed="-0.5")),
    ]


def ledger() -> list[CostAttributionRecord]:
    """All of it."""
    return node() + others()
