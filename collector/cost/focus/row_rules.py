"""Rules between the columns of one row (FOCUS, the columns' "Requirements": nullability, products, categories).

A rule that makes a column required holds where the file has the column: FOCUS' conditional columns are there if the
provider supports what they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from collector.cost.amount import decimals
from collector.cost.focus.finding import Severity
from collector.cost.focus.json_values import JsonError, parse_object
from collector.cost.focus.numbers import EXACT, parse
from collector.cost.focus.value_rules import Problem
from collector.cost.focus.values import SERVICE_SUBCATEGORIES

Row = Mapping[str, str | None]
Rule = Callable[[Row, str], Iterator[Problem]]

_UNIT_OF: Final = (
    ("PricingQuantity", "PricingUnit"),
    ("ConsumedQuantity", "ConsumedUnit"),
    ("CommitmentDiscountQuantity", "CommitmentDiscountUnit"),
)
# The second is NULL if and only if the first is.
_TOGETHER: Final = (
    ("RegionId", "RegionName"),
    ("SubAccountId", "SubAccountName"),
    ("SubAccountId", "SubAccountType"),
    ("ResourceId", "ResourceType"),
    ("CommitmentDiscountId", "CommitmentDiscountCategory"),
    ("CommitmentDiscountId", "CommitmentDiscountType"),
)
# The second is NULL if the first is.
_ONLY_WITH: Final = (
    ("ResourceId", "ResourceName"),
    ("SkuId", "SkuMeter"),
    ("SkuPriceId", "SkuPriceDetails"),
    ("CommitmentDiscountId", "CommitmentDiscountName"),
    ("CommitmentDiscountId", "CommitmentDiscountStatus"),
    ("CapacityReservationId", "CapacityReservationStatus"),
    ("AllocatedMethodId", "AllocatedMethodDetails"),
    ("AllocatedMethodId", "AllocatedResourceId"),
    ("AllocatedMethodId", "AllocatedResourceName"),
    ("AllocatedMethodId", "AllocatedTags"),
    ("AllocatedResourceId", "AllocatedResourceName"),
)
_UNIT_PRICES: Final = ("ListUnitPrice", "ContractedUnitPrice")
_PRICING_CURRENCY_PRICES: Final = ("PricingCurrencyListUnitPrice", "PricingCurrencyContractedUnitPrice")
_NULL_FOR_TAX: Final = (
    *_UNIT_PRICES, *_PRICING_CURRENCY_PRICES, "PricingQuantity", "PricingUnit", "PricingCategory", "SkuId", "SkuPriceId"
)  # fmt: skip
_FOR_USAGE_AND_PURCHASE: Final = (
    *_UNIT_PRICES, *_PRICING_CURRENCY_PRICES, "PricingQuantity", "PricingCategory", "SkuId", "SkuPriceId"
)  # fmt: skip
NULL_WITHOUT_SKU_PRICE: Final = (
    *_UNIT_PRICES,
    *_PRICING_CURRENCY_PRICES,
    "PricingCategory",
    "PricingQuantity",
    "ConsumedQuantity",
    "CommitmentDiscountQuantity",
)
_PRODUCTS: Final = (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice"))


def problems_of_row(row: Row, version: str) -> Iterator[Problem]:
    """What is wrong between the columns of a row. Columns that the file has not are absent from `row`."""
    for rule in _RULES:
        yield from rule(row, version)


def _periods(row: Row, _version: str) -> Iterator[Problem]:
    for kind in ("Charge", "Billing"):
        start, end = row.get(f"{kind}PeriodStart"), row.get(f"{kind}PeriodEnd")
        # Both of the same form (which another rule asks for) are ordered as texts are.
        if start and end and len(start) == len(end) and start >= end:
            yield Problem(
                "period-order",
                f"the period ends at {end}, not after its start {start}",
                column=f"{kind}PeriodEnd",
            )


def _pairs(row: Row, _version: str) -> Iterator[Problem]:
    for quantity, unit in _UNIT_OF:
        if row.get(quantity) and unit in row and row[unit] is None:
            yield Problem("unit-missing", f"is NULL although {quantity} is not", column=unit)
        elif row.get(unit) and row.get(quantity) is None:
            yield Problem("unit-without-quantity", f"is not NULL although {quantity} is", column=unit)
    for first, second in _TOGETHER:
        if row.get(first) and second in row and row[second] is None:
            yield Problem("null-consistency", f"is NULL although {first} is not", column=second)
        elif row.get(second) and first in row and row[first] is None:
            yield Problem("null-consistency", f"is not NULL although {first} is", column=second)
    for first, second in _ONLY_WITH:
        if row.get(second) and row.get(first) is None:
            yield Problem("null-consistency", f"is not NULL although {first} is", column=second)


def _tax(row: Row, _version: str) -> Iterator[Problem]:
    if row.get("ChargeCategory") == "Tax":
        for column in _NULL_FOR_TAX:
            if row.get(column):
                yield Problem("null-for-tax", "is not NULL although ChargeCategory is Tax", column=column)


def _sku_price(row: Row, version: str) -> Iterator[Problem]:
    category = row.get("ChargeCategory")
    priced = category in ("Usage", "Purchase") and row.get("ChargeClass") != "Correction"
    sku_price = row.get("SkuPriceId")
    if priced:
        required = _FOR_USAGE_AND_PURCHASE if version < "1.3" or sku_price else ("SkuId", "SkuPriceId")
        for column in required:
            if column in row and row[column] is None:
                yield Problem(
                    "required-for-usage", f"is NULL although ChargeCategory is {category}", column=column
                )
    if version < "1.3" or "SkuPriceId" not in row:
        return
    if sku_price is None:
        for column in NULL_WITHOUT_SKU_PRICE:
            if row.get(column):
                yield Problem("null-without-sku-price", "is not NULL although SkuPriceId is", column=column)
    elif not priced:
        for column in _UNIT_PRICES:
            if column in row and row[column] is None:
                yield Problem("required-with-sku-price", "is NULL although SkuPriceId is not", column=column)


def _consumed(row: Row, version: str) -> Iterator[Problem]:
    used = row.get("ChargeCategory") == "Usage" and row.get("CommitmentDiscountStatus") != "Unused"
    if not used and row.get("ConsumedQuantity"):
        yield Problem(
            "consumed-without-usage", "is not NULL although nothing was consumed", column="ConsumedQuantity"
        )
    elif (
        used
        and row.get("ChargeClass") != "Correction"
        and row.get("ConsumedQuantity", "") is None
        and (version < "1.3" or row.get("SkuPriceId"))
    ):
        yield Problem(
            "required-for-usage", "is NULL although ChargeCategory is Usage", column="ConsumedQuantity"
        )


def _commitments(row: Row, _version: str) -> Iterator[Problem]:
    usage = row.get("ChargeCategory") == "Usage"
    for identity in ("CommitmentDiscount", "CapacityReservation"):
        status = f"{identity}Status"
        if usage and row.get(f"{identity}Id") and status in row and row[status] is None:
            yield Problem("null-consistency", f"is NULL although {identity}Id is not", column=status)
    quantity = "CommitmentDiscountQuantity"
    counted = row.get("CommitmentDiscountId") is not None and row.get("ChargeCategory") in (
        "Usage",
        "Purchase",
    )
    if row.get(quantity) and not counted:
        yield Problem(
            "null-consistency", "is not NULL in a charge without a commitment discount", column=quantity
        )
    elif (
        counted
        and row.get(quantity, "") is None
        and row.get("ChargeClass") != "Correction"
        and row.get("SkuPriceId") is not None
    ):
        yield Problem("null-consistency", "is NULL although CommitmentDiscountId is not", column=quantity)


def _products(row: Row, version: str) -> Iterator[Problem]:
    if version < "1.3" and row.get("ChargeClass") == "Correction":
        return
    quantity = _number(row, "PricingQuantity")
    if quantity is None:
        return
    for cost_column, price_column in _PRODUCTS:
        cost, price = _number(row, cost_column), _number(row, price_column)
        if cost is None or price is None:
            continue
        product = EXACT.multiply(price, quantity)
        if product == cost:
            continue
        if _is_rounded(cost, product):
            yield Problem(
                "price-times-quantity",
                f"{cost:f} is {price_column} x PricingQuantity = {product:f} rounded",
                severity=Severity.WARNING,
                column=cost_column,
            )
        else:
            yield Problem(
                "price-times-quantity",
                f"{cost:f} is not {price_column} {price:f} x PricingQuantity {quantity:f} = {product:f}",
                column=cost_column,
            )


def _is_rounded(cost: Decimal, product: Decimal) -> bool:
    """Whether a cost is what it should be but for its last decimal. With fewer than two decimals it never is."""
    places = decimals(cost)
    return places >= 2 and EXACT.subtract(product, cost).copy_abs() < Decimal(1).scaleb(-places)


def _costs(row: Row, version: str) -> Iterator[Problem]:
    category = row.get("ChargeCategory")
    billed, effective = _number(row, "BilledCost"), _number(row, "EffectiveCost")
    if category == "Purchase" and row.get("CommitmentDiscountId") and effective:
        yield Problem(
            "effective-cost",
            f"{effective} is not 0 although the purchase covers future charges",
            column="EffectiveCost",
        )
    if billed is None or effective is None:
        return
    if version >= "1.4" and category in ("Tax", "Credit") and billed != effective:
        yield Problem(
            "effective-cost",
            f"{effective} is not BilledCost {billed} in a {category} row",
            column="EffectiveCost",
        )
    if category == "Credit":
        for column, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
            cost = _number(row, column)
            if cost is not None and cost != billed and row.get(price) is None:
                yield Problem(
                    "credit-cost", f"{cost} is not BilledCost {billed} in a Credit row", column=column
                )


def _categories(row: Row, _version: str) -> Iterator[Problem]:
    if row.get("ChargeCategory") == "Purchase" and row.get("ChargeFrequency") == "Usage-Based":
        yield Problem(
            "frequency", "'Usage-Based' for a purchase", "One-Time or Recurring", column="ChargeFrequency"
        )
    subcategory, category = row.get("ServiceSubcategory"), row.get("ServiceCategory")
    parent = SERVICE_SUBCATEGORIES.get(subcategory or "")
    if parent is not None and category and parent != category:
        yield Problem(
            "service-subcategory",
            f"{subcategory!r} belongs to {parent!r}, ServiceCategory is {category!r}",
            column="ServiceSubcategory",
        )


def _allocated_tags(row: Row, _version: str) -> Iterator[Problem]:
    tags, allocated = row.get("Tags"), row.get("AllocatedTags")
    if not tags or not allocated:
        return
    try:
        own, origins = parse_object(allocated), parse_object(tags)
    except JsonError:
        return  # said already
    if repeated := sorted(key for key in own if key in origins and own[key] == origins[key]):
        yield Problem(
            "allocated-tags", f"repeats tags of Tags: {', '.join(repeated)}", column="AllocatedTags"
        )


def _number(row: Row, column: str) -> Decimal | None:
    value = row.get(column)
    return None if value is None else parse(value)


_RULES: Final[tuple[Rule, ...]] = (
    _periods,
    _pairs,
    _tax,
    _sku_price,
    _consumed,
    _commitments,
    _products,
    _costs,
    _categories,
    _allocated_tags,
)
