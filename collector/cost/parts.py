"""Dividing the amounts of a charge so that every column adds up.

Where costs are price × quantity, the quantity is divided and the costs are multiplied out: then each part, too, is price
× quantity to the last digit, as FOCUS asks of it. Where they are not (an invoice's own rounding), each column is divided
by itself. Either way the parts of each column sum to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from collector.cost.amount import SCALE, ZERO, AmountError, decimals, from_scaled, multiply, to_scaled
from collector.cost.record import AMOUNTS, COSTS, QUANTITIES, Amounts, Charge
from collector.cost.split import split

QUANTITY_SCALE: Final = 12  # decimals of a divided quantity; with 6 of a price they are the 18 of a cost

_COSTS: Final = frozenset(COSTS)
_Column = list[Decimal]


def quantity_scale(charge: Charge, wanted: int = QUANTITY_SCALE) -> int:
    """Return how many decimals a quantity may have so that its product with the prices is an amount."""
    prices = [price for price in (charge.list_unit_price, charge.contracted_unit_price) if price is not None]
    return min(wanted, SCALE - max(map(decimals, prices), default=0))


def split_amounts(
    charge: Charge,
    amounts: Amounts,
    weights: Sequence[int],
    keys: Sequence[bytes],
    scale: int = QUANTITY_SCALE,
) -> list[Amounts] | None:
    """Return the part of `amounts` for each of `weights`; None if nobody has a weight.

    Args:
        charge: Whose amounts they are: its prices say which columns belong together.
        amounts: The whole.
        weights: See `split`.
        keys: See `split`.
        scale: Decimals of divided quantities, as far as the prices allow.
    """
    if not any(weights):
        return None
    columns = _products(charge, amounts, weights, keys, quantity_scale(charge, scale))
    for name in AMOUNTS:
        whole: Decimal | None = getattr(amounts, name)
        if whole is None or name in columns:
            continue
        equals = [other for other in columns if {name, other} <= _COSTS and getattr(amounts, other) == whole]
        if equals:
            columns[name] = columns[equals[0]]
        else:
            columns[name] = _divide(whole, _column_scale(name, whole, scale), weights, keys)
    return [
        Amounts(**{name: column[index] for name, column in columns.items()}) for index in range(len(weights))
    ]


def _products(
    charge: Charge, amounts: Amounts, weights: Sequence[int], keys: Sequence[bytes], scale: int
) -> dict[str, _Column]:
    """Return the columns of quantity and of the costs that are its product with a price; none if they are not."""
    quantity, list_price, contracted = (
        amounts.pricing_quantity,
        charge.list_unit_price,
        charge.contracted_unit_price,
    )
    if quantity is None or not amounts.is_priced or list_price is None or contracted is None:
        return {}
    try:
        if decimals(quantity) > scale:
            return {}
        products = multiply(list_price, quantity), multiply(contracted, quantity)
    except AmountError:
        return {}
    if products != (amounts.list_cost, amounts.contracted_cost):
        return {}
    parts = _divide(quantity, scale, weights, keys)
    lists = [multiply(list_price, part) for part in parts]
    return {
        "pricing_quantity": parts,
        "list_cost": lists,
        "contracted_cost": lists
        if contracted == list_price
        else [multiply(contracted, part) for part in parts],
    }


def _column_scale(name: str, whole: Decimal, quantities: int) -> int:
    return max(quantities, decimals(whole)) if name in QUANTITIES else SCALE


def _divide(whole: Decimal, scale: int, weights: Sequence[int], keys: Sequence[bytes]) -> _Column:
    if not whole:
        return [ZERO] * len(weights)
    parts = split(to_scaled(whole, scale), weights, keys)
    if parts is None:
        raise ValueError("nobody has a weight")
    return [from_scaled(part, scale) for part in parts]
