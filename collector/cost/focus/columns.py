"""The columns of FOCUS' Cost and Usage dataset, versions 1.0 to 1.4, as data.

Types, levels and nullability are the specification's own (FOCUS, "Cost and Usage", each column's "Content
Constraints"); what depends on more than one column is in `row_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Final

from collector.cost.focus.values import SERVICE_CATEGORIES, SERVICE_SUBCATEGORIES

VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3", "1.4")


class DataType(Enum):
    """How a value is written (FOCUS attributes DateTimeFormat, NumericFormat, KeyValueFormat, JsonObjectFormat)."""

    STRING = "String"
    DECIMAL = "Decimal"
    DATETIME = "DateTime"
    KEY_VALUE = "Key-Value"
    JSON_OBJECT = "JSON Object"


class Format(Enum):
    """What a string has to be."""

    FREE = "free"
    CURRENCY = "currency"
    PRICING_CURRENCY = "pricing currency"
    UNIT = "unit"


class Level(Enum):
    """Whether a column has to be there (FOCUS, "Feature level")."""

    MANDATORY = "Mandatory"
    CONDITIONAL = "Conditional"
    RECOMMENDED = "Recommended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    `level`: in the version that introduced it, or from `level_changes` on (version, level).
    `introduced`, `removed`: FOCUS versions; those before 1.0 are 1.0 here. `removed`: the first without it.
    `allowed`: every value that it may have, None for any. `negative`: whether a decimal may be below zero.
    """

    name: str
    type: DataType
    nullable: bool
    level: Level
    introduced: str
    removed: str | None = None
    level_changes: tuple[tuple[str, Level], ...] = ()
    allowed: frozenset[str] | None = None
    format: Format = Format.FREE
    negative: bool = True

    def level_in(self, version: str) -> Level:
        """The level in a version."""
        level = self.level
        for since, changed in self.level_changes:
            if version >= since:
                level = changed
        return level


_M, _C, _R = Level.MANDATORY, Level.CONDITIONAL, Level.RECOMMENDED


def _string(
    name: str, level: Level, introduced: str, *allowed: str, null: bool = True, form: Format = Format.FREE
) -> Column:
    return Column(
        name=name,
        type=DataType.STRING,
        nullable=null,
        level=level,
        introduced=introduced,
        allowed=frozenset(allowed) or None,
        format=form,
    )


def _decimal(name: str, level: Level, introduced: str, *, null: bool = True, negative: bool = True) -> Column:
    return Column(
        name=name,
        type=DataType.DECIMAL,
        nullable=null,
        level=level,
        introduced=introduced,
        negative=negative,
    )


def _time(name: str) -> Column:
    return Column(name=name, type=DataType.DATETIME, nullable=False, level=_M, introduced="1.0")


def _json(name: str, level: Level, introduced: str, kind: DataType = DataType.KEY_VALUE) -> Column:
    return Column(name=name, type=kind, nullable=True, level=level, introduced=introduced)


def _provider(name: str) -> Column:
    # Deprecated in 1.3, gone in 1.4: ServiceProviderName and HostProviderName stand for them.
    return Column(
        name=name,
        type=DataType.STRING,
        nullable=False,
        level=_M,
        introduced="1.0",
        removed="1.4",
        level_changes=(("1.3", _R),),
    )


_INVOICE_ID: Final = Column(
    name="InvoiceId",
    type=DataType.STRING,
    nullable=True,
    level=_R,
    introduced="1.2",
    level_changes=(("1.4", _C),),
)

COLUMNS: Final[tuple[Column, ...]] = (
    _json("AllocatedMethodDetails", _R, "1.3", DataType.JSON_OBJECT),
    _string("AllocatedMethodId", _C, "1.3"),
    _string("AllocatedResourceId", _C, "1.3"),
    _string("AllocatedResourceName", _C, "1.3"),
    _json("AllocatedTags", _C, "1.3"),
    _string("AvailabilityZone", _R, "1.0"),
    _decimal("BilledCost", _M, "1.0", null=False),
    _string("BillingAccountId", _M, "1.0", null=False),
    _string("BillingAccountName", _M, "1.0"),
    _string("BillingAccountType", _C, "1.2", null=False),
    _string("BillingCurrency", _M, "1.0", null=False, form=Format.CURRENCY),
    _time("BillingPeriodEnd"),
    _time("BillingPeriodStart"),
    _string("CapacityReservationId", _C, "1.1"),
    _string("CapacityReservationStatus", _C, "1.1", "Used", "Unused"),
    _string("ChargeCategory", _M, "1.0", "Usage", "Purchase", "Tax", "Credit", "Adjustment", null=False),
    _string("ChargeClass", _M, "1.0", "Correction"),
    _string("ChargeDescription", _M, "1.0"),
    _string("ChargeFrequency", _R, "1.0", "One-Time", "Recurring", "Usage-Based", null=False),
    _time("ChargePeriodEnd"),
    _time("ChargePeriodStart"),
    _string("CommitmentDiscountCategory", _C, "1.0", "Spend", "Usage"),
    _string("CommitmentDiscountId", _C, "1.0"),
    _string("CommitmentDiscountName", _C, "1.0"),
    _decimal("CommitmentDiscountQuantity", _C, "1.1"),
    _string("CommitmentDiscountStatus", _C, "1.0", "Used", "Unused"),
    _string("CommitmentDiscountType", _C, "1.0"),
    _string("CommitmentDiscountUnit", _C, "1.1", form=Format.UNIT),
    _json("CommitmentProgramEligibilityDetails", _C, "1.4", DataType.JSON_OBJECT),
    _decimal("ConsumedQuantity", _C, "1.0"),
    _string("ConsumedUnit", _C, "1.0", form=Format.UNIT),
    _json("ContractApplied", _C, "1.3", DataType.JSON_OBJECT),
    _decimal("ContractedCost", _M, "1.0", null=False),
    _decimal("ContractedUnitPrice", _C, "1.0", negative=False),
    _decimal("EffectiveCost", _M, "1.0", null=False),
    _string("HostProviderName", _M, "1.3"),
    _string("InvoiceDetailId", _C, "1.4"),
    _INVOICE_ID,
    _string("InvoiceIssuerName", _M, "1.0", null=False),
    _decimal("ListCost", _M, "1.0", null=False),
    _decimal("ListUnitPrice", _C, "1.0", negative=False),
    _string("PricingCategory", _C, "1.0", "Standard", "Dynamic", "Committed", "Other"),
    _string("PricingCurrency", _C, "1.2", null=False, form=Format.PRICING_CURRENCY),
    _decimal("PricingCurrencyContractedUnitPrice", _C, "1.2", negative=False),
    _decimal("PricingCurrencyEffectiveCost", _C, "1.2", null=False),
    _decimal("PricingCurrencyListUnitPrice", _C, "1.2", negative=False),
    _decimal("PricingQuantity", _M, "1.0"),
    _string("PricingUnit", _M, "1.0", form=Format.UNIT),
    _provider("ProviderName"),
    _provider("PublisherName"),
    _string("RegionId", _C, "1.0"),
    _string("RegionName", _C, "1.0"),
    _string("ResourceId", _C, "1.0"),
    _string("ResourceName", _C, "1.0"),
    _string("ResourceType", _C, "1.0"),
    _string("ServiceCategory", _M, "1.0", *SERVICE_CATEGORIES, null=False),
    _string("ServiceName", _M, "1.0", null=False),
    _string("ServiceProviderName", _M, "1.3", null=False),
    _string("ServiceSubcategory", _R, "1.1", *SERVICE_SUBCATEGORIES, null=False),
    _string("SkuId", _C, "1.0"),
    _string("SkuMeter", _C, "1.1"),
    _json("SkuPriceDetails", _C, "1.1"),
    _string("SkuPriceId", _C, "1.0"),
    _string("SubAccountId", _C, "1.0"),
    _string("SubAccountName", _C, "1.0"),
    _string("SubAccountType", _C, "1.2"),
    _json("Tags", _C, "1.0"),
)

# Every column that any version has, by name.
BY_NAME: Final[dict[str, Column]] = {column.name: column for column in COLUMNS}

# Columns whose values add up over the charges of an origin; every other decimal is a price and is equal on all
# of them (FOCUS, "Data Generator-Calculated Split Cost Allocation Handling").
SUMMABLE: Final = (
    "BilledCost",
    "CommitmentDiscountQuantity",
    "ConsumedQuantity",
    "ContractedCost",
    "EffectiveCost",
    "ListCost",
    "PricingCurrencyEffectiveCost",
    "PricingQuantity",
)

# Properties that FOCUS defines for SkuPriceDetails; all others begin with x_. True: a number.
SKU_PRICE_DETAILS: Final[dict[str, bool]] = {
    "CoreCount": True,
    "DiskMaxIops": True,
    "DiskSpace": True,
    "DiskType": False,
    "GpuCount": True,
    "InstanceSeries": False,
    "InstanceType": False,
    "MemorySize": True,
    "NetworkMaxIops": True,
    "NetworkMaxThroughput": True,
    "OperatingSystem": False,
    "Redundancy": False,
    "StorageClass": False,
}


@cache
def columns_of(version: str) -> dict[str, Column]:
    """The columns of a FOCUS version by name, in alphabetical order.

    Raises:
        ValueError: there is no such version.
    """
    if version not in VERSIONS:
        raise ValueError(f"no FOCUS version {version!r}; there are {', '.join(VERSIONS)}")
    return {
        column.name: column
        for column in COLUMNS
        if column.introduced <= version and (column.removed is None or version < column.removed)
    }
