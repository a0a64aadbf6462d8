"""Charges from the price book: what a quantity costs at a price, and what is known where there is no price."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

from collector.cost.amount import from_scaled, multiply
from collector.cost.calendar import month_of
from collector.cost.match import Attributes
from collector.cost.parts import quantity_scale
from collector.cost.prices import Price
from collector.cost.record import Amounts, Charge, ChargeCategory, Period

_CATEGORIES: Final = {
    "usage": ChargeCategory.USAGE, "credit": ChargeCategory.CREDIT, "adjustment": ChargeCategory.ADJUSTMENT,
}  # fmt: skip


def rounded(value: Fraction, scale: int) -> Decimal:
    """Return `value` with at most so many decimals, half to even."""
    return from_scaled(round(value * 10**scale), scale)


def priced(
    price: Price, base: Fraction, period: Period, attributes: Attributes, *, resource: str, scale: int
) -> tuple[Charge, Amounts]:
    """Return what `base` units (seconds, bytes, things) cost. Quantities are rounded once, here; costs never."""
    config, unit = price.config, price.unit
    charge = Charge(
        charge_period=period,
        billing_period=month_of(period.start_unix_nano),
        billing_currency=price.currency,
        charge_category=_CATEGORIES[config.charge_category],
        charge_description=f"{unit.counted} of {resource or config.sku or config.id}",
        charge_frequency="Usage-Based",
        list_unit_price=config.list_unit_price,
        contracted_unit_price=price.contracted,
        pricing_unit=unit.text,
        pricing_category="Standard",
        consumed_unit=unit.counted,
        service_provider_name=config.provider,
        host_provider_name=config.provider,
        invoice_issuer_name=config.issuer or config.provider,
        billing_account_id=config.account,
        region_id=attributes.get("cloud.region", ""),
        availability_zone=attributes.get("cloud.availability_zone", ""),
        service_category=config.service_category,
        service_subcategory=config.service_subcategory,
        service_name=config.service_name,
        resource_id=resource,
        resource_name=resource,
        resource_type=config.resource_type if resource else "",
        sku_id=config.sku or config.id,
        sku_meter=config.meter,
        sku_price_id=config.id,
    )
    quantity = rounded(unit.quantity(base), quantity_scale(charge, scale))
    contracted = multiply(price.contracted, quantity)
    amounts = Amounts(
        billed_cost=contracted,
        effective_cost=contracted,
        list_cost=multiply(config.list_unit_price, quantity),
        contracted_cost=contracted,
        pricing_quantity=quantity,
        consumed_quantity=quantity
        if unit.counted == unit.text
        else rounded(base / _counted_size(price), scale),
    )
    return charge, amounts


def unpriced(
    unit: str, quantity: Fraction, period: Period, currency: str, *, resource: str, meter: str, scale: int
) -> tuple[Charge, Amounts]:
    """Return a charge of which the quantity is known and nothing else."""
    charge = Charge(
        charge_period=period,
        billing_period=month_of(period.start_unix_nano),
        billing_currency=currency,
        charge_description=f"{unit} of {resource or meter}, for which there is no price",
        charge_frequency="Usage-Based",
        consumed_unit=unit,
        service_category="Other",
        resource_id=resource,
        resource_name=resource,
        sku_meter=meter,
    )
    return charge, Amounts(consumed_quantity=rounded(quantity, scale))


def _counted_size(price: Price) -> Fraction:
    """Return the size of a price's unit without the number before it."""
    factor = price.unit.text.removesuffix(price.unit.counted).strip()
    return price.unit.size / int(factor or 1)
