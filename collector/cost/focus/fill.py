"""What a version of FOCUS asks for and a record does not say: filled from what it does say.

Works on a row of texts by column, before it is cut to the columns of the version. Nothing that is there is changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from collector.cost.amount import AmountError, multiply
from collector.cost.focus.columns import Column
from collector.cost.focus.mapping import FocusExportError
from collector.cost.focus.numbers import plain
from collector.cost.focus.row_rules import NULL_WITHOUT_SKU_PRICE
from collector.cost.focus.values import SERVICE_CATEGORIES, SERVICE_SUBCATEGORIES

Row = dict[str, str | None]

# Column: the columns that it is taken from, the first that is not NULL.
_FROM: Final = (
    ("ServiceProviderName", ("ProviderName", "HostProviderName", "InvoiceIssuerName")),
    ("ProviderName", ("ServiceProviderName",)),
    ("HostProviderName", ("ServiceProviderName",)),
    ("PublisherName", ("ServiceProviderName",)),
    ("InvoiceIssuerName", ("ServiceProviderName",)),
    ("ServiceName", ("ServiceProviderName",)),
    ("SubAccountName", ("SubAccountId",)),
    ("RegionName", ("RegionId",)),
    ("SkuId", ("SkuPriceId",)),
    ("PricingCurrency", ("BillingCurrency",)),
)
# Column: what it says beside another that is not NULL.
_BESIDE: Final = (
    ("BillingAccountType", "BillingAccountId", "Billing Account"),
    ("SubAccountType", "SubAccountId", "Sub Account"),
    ("ResourceType", "ResourceId", "Resource"),
    ("PricingUnit", "PricingQuantity", "Units"),
    ("ConsumedUnit", "ConsumedQuantity", "Units"),
    ("CommitmentDiscountUnit", "CommitmentDiscountQuantity", "Units"),
)
_BLOCK: Final = re.compile(r"([0-9]+) (.+)", re.ASCII)  # "1000000 Tokens"


def fill(row: Row, columns: Mapping[str, Column], defaults: Mapping[str, str]) -> None:
    """Fill the columns of a version in place.

    `defaults`: column to the text that it has where a record says nothing.
    """
    for name, default in defaults.items():
        if row.get(name) is None:
            row[name] = default
    for name, sources in _FROM:
        if name in columns and row.get(name) is None:
            row[name] = next((text for source in sources if (text := row.get(source))), None)
    if row.get("SkuPriceId") is None and row.get("ListUnitPrice"):
        row["SkuPriceId"] = row.get("SkuId")
    for name, beside, constant in _BESIDE:
        if name in columns and row.get(name) is None and row.get(beside):
            row[name] = constant
    _fill_service(row, columns)
    _fill_prices(row)


def _fill_service(row: Row, columns: Mapping[str, Column]) -> None:
    subcategory = row.get("ServiceSubcategory")
    if row.get("ServiceCategory") is None:
        row["ServiceCategory"] = SERVICE_SUBCATEGORIES.get(subcategory or "", "Other")
    category = row["ServiceCategory"]
    if "ServiceSubcategory" in columns and subcategory is None and category in SERVICE_CATEGORIES:
        row["ServiceSubcategory"] = f"Other ({category})"
    if row.get("ChargeFrequency") is None:
        row["ChargeFrequency"] = "Usage-Based" if row["ChargeCategory"] == "Usage" else "One-Time"


def _fill_prices(row: Row) -> None:
    if row.get("ContractedUnitPrice") is None and row.get("ContractedCost") == row.get("ListCost"):
        row["ContractedUnitPrice"] = row.get("ListUnitPrice")
    if row.get("PricingCurrency") == row["BillingCurrency"]:
        for name, source in (
            ("PricingCurrencyEffectiveCost", "EffectiveCost"),
            ("PricingCurrencyListUnitPrice", "ListUnitPrice"),
            ("PricingCurrencyContractedUnitPrice", "ContractedUnitPrice"),
        ):
            if row.get(name) is None:
                row[name] = row.get(source)
    if row.get("SkuPriceId") is None or row.get("ChargeClass"):
        return
    if row["ChargeCategory"] in ("Usage", "Purchase") and row.get("PricingCategory") is None:
        row["PricingCategory"] = "Standard"
    if row["ChargeCategory"] == "Usage" and row.get("ConsumedQuantity") is None:
        _fill_consumed(row)


def _fill_consumed(row: Row) -> None:
    """What was priced was consumed: 0.130213 of `1000000 Tokens` are 130213 tokens."""
    quantity, unit = row.get("PricingQuantity"), row.get("PricingUnit")
    if quantity is None or unit is None or row.get("CommitmentDiscountStatus") == "Unused":
        return
    block = _BLOCK.fullmatch(unit)
    try:
        consumed = multiply(Decimal(quantity), Decimal(block[1] if block else 1))
    except AmountError:
        return
    row["ConsumedQuantity"], row["ConsumedUnit"] = plain(consumed), block[2] if block else unit


def fit(row: Row, columns: Mapping[str, Column], version: str) -> Row:
    """The row with the columns of a version: what it has no place for is under `x_` and its name.

    Raises:
        FocusExportError: a column that must not be NULL is, and nothing says what it could be.
    """
    if version >= "1.3" and row.get("SkuPriceId") is None:
        # Since 1.3 nothing is priced or counted without a SKU price.
        for name in (*NULL_WITHOUT_SKU_PRICE, "PricingUnit", "ConsumedUnit", "CommitmentDiscountUnit"):
            if text := row.pop(name, None):
                row[f"x_{name}"] = text
    if "ServiceProviderName" not in columns and row.get("ServiceProviderName") == row.get("ProviderName"):
        del row["ServiceProviderName"]  # the older name says it
    fitted: Row = {}
    for name, text in row.items():
        if text is None:
            continue
        if name in columns or name.startswith("x_"):
            fitted[name] = text
        else:
            fitted[f"x_{name}"] = text
    for name, column in columns.items():
        if not column.nullable and name not in fitted:
            raise FocusExportError(
                f"{name} must not be NULL in FOCUS {version}, and the record does not say it; "
                f"set a default for {name}"
            )
    return fitted
