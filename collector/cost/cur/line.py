"""One row of a report: its numbers, and as charge, amounts and subject."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from collector.cost.amount import ZERO, AmountError, add
from collector.cost.focus.bill import Manifest
from collector.cost.focus.json_maps import read_map
from collector.cost.focus.json_values import JsonError
from collector.cost.focus.mend import instant, number
from collector.cost.focus.table import FileError
from collector.cost.record import Amounts, Charge, ChargeCategory, Period, RecordError, Subject, SubjectKind

Row = dict[str, str | None]

ESSENTIAL: Final = (
    "bill_payer_account_id",
    "bill_billing_period_start_date",
    "bill_billing_period_end_date",
    "line_item_usage_start_date",
    "line_item_usage_end_date",
    "line_item_line_item_type",
    "line_item_currency_code",
    "line_item_unblended_cost",
)
SPLIT_COST: Final = "split_line_item_split_cost"
UNUSED_COST: Final = "split_line_item_unused_cost"
PARENT: Final = "split_line_item_parent_resource_id"
_NUMBERS: Final = (
    "line_item_unblended_cost", "line_item_usage_amount", "line_item_unblended_rate", "pricing_public_on_demand_cost",
    "pricing_public_on_demand_rate", "reservation_effective_cost", "savings_plan_savings_plan_effective_cost",
    "reservation_unused_recurring_fee", "reservation_unused_amortized_upfront_fee_for_billing_period",
    "savings_plan_total_commitment_to_date", "savings_plan_used_commitment", SPLIT_COST, UNUSED_COST,
    "split_line_item_split_usage", "split_line_item_split_usage_ratio",
)  # fmt: skip

# Type of a line: category, and where its effective cost is; none: what was billed.
_TYPES: Final[dict[str, tuple[ChargeCategory, tuple[str, ...] | None]]] = {
    "Usage": (ChargeCategory.USAGE, None),
    "DiscountedUsage": (ChargeCategory.USAGE, ("reservation_effective_cost",)),
    "SavingsPlanCoveredUsage": (ChargeCategory.USAGE, ("savings_plan_savings_plan_effective_cost",)),
    # Takes back what covered usage was billed at; effectively nothing.
    "SavingsPlanNegation": (ChargeCategory.ADJUSTMENT, ()),
    "SavingsPlanUpfrontFee": (ChargeCategory.PURCHASE, ()),
    # What of the fee was not used; what was is in the usage that it covers.
    "SavingsPlanRecurringFee": (
        ChargeCategory.PURCHASE,
        ("savings_plan_total_commitment_to_date", "-savings_plan_used_commitment"),
    ),
    "RIFee": (
        ChargeCategory.PURCHASE,
        ("reservation_unused_recurring_fee", "reservation_unused_amortized_upfront_fee_for_billing_period"),
    ),
    "Fee": (ChargeCategory.PURCHASE, None),
    "Tax": (ChargeCategory.TAX, None),
    "Credit": (ChargeCategory.CREDIT, None),
    "Refund": (ChargeCategory.CREDIT, None),
    "BundledDiscount": (ChargeCategory.CREDIT, None),
    "EdpDiscount": (ChargeCategory.CREDIT, None),
    "PrivateRateDiscount": (ChargeCategory.CREDIT, None),
    "RiVolumeDiscount": (ChargeCategory.CREDIT, None),
    "SppDiscount": (ChargeCategory.CREDIT, None),
    "DistributorDiscount": (ChargeCategory.CREDIT, None),
}
# AWS' product family or code: FOCUS service category; others are Other.
_CATEGORIES: Final = (
    (re.compile("EC2|Lambda|ECS|EKS|Fargate|Compute"), "Compute"),
    (re.compile("S3|EBS|EFS|Glacier|Storage|Backup"), "Storage"),
    (re.compile("RDS|DynamoDB|ElastiCache|Redshift|Database"), "Databases"),
    (re.compile("VPC|ELB|ElasticLoadBalancing|CloudFront|Route53|DataTransfer|Data Transfer"), "Networking"),
    (re.compile("Bedrock|SageMaker|Comprehend|Rekognition"), "AI and Machine Learning"),
)
# Tag of split cost allocation data: field of the subject.
_EKS_TAGS: Final = {
    "cluster-name": "k8s_cluster",
    "namespace": "k8s_namespace",
    "node": "k8s_node",
    "workload-name": "k8s_workload",
    "workload-type": "k8s_workload_kind",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A row of texts by column, the line of the file on which it begins, and its numbers."""

    row: Row
    line: int
    numbers: dict[str, Decimal]


def parse(row: Row, line: int, manifest: Manifest) -> Line:
    """Read the numbers of a row.

    Raises:
        FileError: one is none; of this row's line and its column.
    """
    numbers: dict[str, Decimal] = {}
    for name in _NUMBERS:
        text = row.get(name)
        if text is None:
            continue
        try:
            numbers[name], rules = number(text)
        except ValueError as error:
            raise FileError(
                manifest.file, line, str(error), column=name, remedy="digits with a point"
            ) from None
        for rule in rules:
            manifest.tolerate(rule, name, line)
    return Line(row, line, numbers)


def subject_of(part: Line, manifest: Manifest) -> Subject:
    """Who a part is of, by the tags that AWS gives it (`aws:eks:namespace` …)."""
    tags = _tags(part, manifest)
    found: dict[str, Any] = {field: tags.get(f"aws:eks:{name}", "") for name, field in _EKS_TAGS.items()}
    resource = part.row.get("line_item_resource_id") or ""
    return Subject(
        kind=SubjectKind.WORKLOAD,
        **found,
        k8s_pod=resource.rpartition("/")[2] if "pod/" in resource else "",
        labels=tags,
        resource_id=resource,
    )


def charge_of(parsed: Line, manifest: Manifest) -> Charge:
    """What a row charges for.

    Raises:
        FileError: a period, the currency or the tags are not what they should be.
    """
    row, line = parsed.row, parsed.line
    category, _ = type_of(parsed, manifest)

    def text(name: str) -> str:
        return row.get(name) or ""

    rate = parsed.numbers.get("pricing_public_on_demand_rate")
    unit = text("pricing_unit")
    product = f"{text('product_product_family')} {text('line_item_product_code')}"
    service = next((name for pattern, name in _CATEGORIES if pattern.search(product)), "Other")
    columns = {
        "x_UsageType": text("line_item_usage_type"),
        "x_Operation": text("line_item_operation"),
        "xLineItemType": text("line_item_line_item_type"),
        "BillingAccountName": text("bill_payer_account_name"),
        "SubAccountName": text("line_item_usage_account_name"),
    }
    try:
        return Charge(
            charge_period=_period(
                row, line, "line_item_usage_start_date", "line_item_usage_end_date", manifest
            ),
            billing_period=_period(
                row, line, "bill_billing_period_start_date", "bill_billing_period_end_date", manifest
            ),
            billing_currency=text("line_item_currency_code"),
            charge_category=category,
            charge_description=text("line_item_line_item_description"),
            charge_frequency="Usage-Based" if category is ChargeCategory.USAGE else "One-Time",
            list_unit_price=rate,
            pricing_unit=unit if "line_item_usage_amount" in parsed.numbers else "",
            consumed_unit=unit if category is ChargeCategory.USAGE else "",
            service_provider_name="AWS",
            invoice_issuer_name=text("bill_invoicing_entity") or text("line_item_legal_entity"),
            invoice_id=text("bill_invoice_id"),
            billing_account_id=text("bill_payer_account_id"),
            sub_account_id=text("line_item_usage_account_id"),
            region_id=text("product_region_code"),
            availability_zone=text("line_item_availability_zone"),
            service_category=service,
            service_name=text("product_product_name") or text("line_item_product_code"),
            resource_id=text("line_item_resource_id"),
            resource_type=text("product_product_family") if row.get("line_item_resource_id") else "",
            sku_id=text("product_sku"),
            sku_meter=text("line_item_usage_type"),
            sku_price_id=text("pricing_rate_code"),
            tags=_tags(parsed, manifest),
            columns={name: value for name, value in columns.items() if value},
        )
    except RecordError as error:
        raise FileError(manifest.file, line, error.reason, column="line_item_currency_code") from None


def _tags(parsed: Line, manifest: Manifest) -> dict[str, str]:
    """The map `resource_tags`, or the older report's column for each tag."""
    tags = {
        name.partition("/")[2] or name.removeprefix("resource_tags_"): value
        for name, value in parsed.row.items()
        if value and (name.startswith(("resource_tags/", "resource_tags_")))
    }
    text = parsed.row.get("resource_tags")
    if text:
        try:
            tags.update(read_map(text)[0])
        except JsonError as error:
            raise FileError(manifest.file, parsed.line, str(error), column="resource_tags") from None
    return tags


def _period(row: Row, line: int, start: str, end: str, manifest: Manifest) -> Period:
    edges = []
    for name in (start, end):
        try:
            nanoseconds, rules = instant(row.get(name) or "")
        except ValueError as error:
            raise FileError(manifest.file, line, str(error), column=name) from None
        for rule in rules:
            # AWS exports times with milliseconds, or in Parquet without a zone.
            if rule == "date-month-first":
                manifest.tolerate(rule, name, line)
        edges.append(nanoseconds)
    try:
        return Period(*edges)
    except ValueError:
        raise FileError(manifest.file, line, f"is not after {start}", column=end) from None


def column_name(name: str) -> str:
    """`lineItem/UnblendedCost` as `line_item_unblended_cost`; tags keep their keys."""
    group, slash, rest = name.partition("/")
    if not slash:
        return name
    if group == "resourceTags":
        return f"resource_tags/{rest.removeprefix('user:')}"
    return f"{_snake(group)}_{_snake(rest)}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def is_part(row: Row) -> bool:
    """Whether a row is split cost allocation data, and so a part of another row's cost."""
    return bool(row.get(PARENT)) and row.get(SPLIT_COST) is not None


def parent_key(row: Row, column: str) -> bytes:
    """What a line and its parts share: the resource, which stands in `column`, and the hour."""
    return f"{row.get(column)}\x1f{row.get('line_item_usage_start_date')}".encode()


def cost_of_part(part: Line) -> Decimal:
    """What a pod used, and its share of what nobody used."""
    return add(part.numbers.get(SPLIT_COST, ZERO), part.numbers.get(UNUSED_COST, ZERO))


def usage_unit(row: Row, unit: str) -> str:
    """The unit of a part's usage; AWS has a row for vCPUs and one for memory."""
    kind = row.get("line_item_usage_type") or ""
    if "vCPU" in kind:
        return "Core-Hours"
    return "GB-Hours" if "GB" in kind or "Memory" in kind else unit or "Units"


def type_of(parsed: Line, manifest: Manifest) -> tuple[ChargeCategory, tuple[str, ...] | None]:
    """Category of a row, and the columns of its effective cost (see `_TYPES`). Unknown types are adjustments, counted."""
    kind = parsed.row.get("line_item_line_item_type") or ""
    if kind not in _TYPES:
        manifest.tolerate("line-item-type", "line_item_line_item_type", parsed.line)
        return ChargeCategory.ADJUSTMENT, None
    return _TYPES[kind]


def amounts_of(parsed: Line, manifest: Manifest) -> Amounts:
    """What a row costs.

    Raises:
        FileError: it says no unblended cost, or one that does not fit.
    """
    numbers = parsed.numbers
    category, sources = type_of(parsed, manifest)
    billed = numbers.get("line_item_unblended_cost")
    if billed is None:
        raise FileError(manifest.file, parsed.line, "is NULL", column="line_item_unblended_cost")
    effective = billed
    if sources is not None:
        effective = ZERO
        for source in sources:
            name = source.removeprefix("-")
            if name not in numbers:
                manifest.tolerate("missing-cost", name, parsed.line)
            part = numbers.get(name, ZERO)
            effective = add(effective, part.copy_negate() if source.startswith("-") else part)
    usage = numbers.get("line_item_usage_amount") if category is not ChargeCategory.TAX else None
    listed = numbers.get("pricing_public_on_demand_cost")
    try:
        return Amounts(
            billed_cost=billed,
            effective_cost=effective,
            list_cost=billed if listed is None or category is not ChargeCategory.USAGE else listed,
            contracted_cost=billed,
            pricing_quantity=usage,
            consumed_quantity=usage if category is ChargeCategory.USAGE else None,
        )
    except (RecordError, AmountError) as error:
        raise FileError(manifest.file, parsed.line, str(error)) from None
