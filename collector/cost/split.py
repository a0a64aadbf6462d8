"""Splitting a whole number so that the parts add up: the method of largest remainders.

Everybody gets the whole part of the exact share; the units that are left go one by one to the largest fractions, a tie
to the smaller key. So the parts sum to the total, none is a unit or more from its exact share, neither the order of the
input nor the sign of the total matters, and the same input gives the same parts. (Nobody is promised not to lose a
unit when the total grows by one: at a unit of 1E-18 that is of no interest.)
"""

from __future__ import annotations

from collections.abc import Sequence


def split(total: int, weights: Sequence[int], keys: Sequence[bytes]) -> list[int] | None:
    """Return the part of `total` for each of `weights`, in their order.

    Args:
        total: In any unit; may be negative.
        weights: Not negative. Only their ratios matter.
        keys: One for each weight, all different: who comes first when fractions are equal.

    Returns:
        Parts with the sum `total`; None if nobody has a weight, and the total is nobody's.

    Raises:
        ValueError: a weight is negative, or the numbers of weights and keys differ.
    """
    if len(weights) != len(keys):
        raise ValueError(f"{len(weights)} weights for {len(keys)} keys")
    whole = sum(weights)
    if weights and min(weights) < 0:
        raise ValueError(f"weight {min(weights)} is negative")
    if not whole:
        return None
    amount = abs(total)
    products = [amount * weight for weight in weights]
    parts = [product // whole for product in products]
    left = amount - sum(parts)
    if left:
        # Largest remainder first, then the smaller key.
        remainders = [product - part * whole for product, part in zip(products, parts, strict=True)]
        order = sorted(range(len(keys)), key=lambda index: (-remainders[index], keys[index]))
        for index in order[:left]:
            parts[index] += 1
    return parts if total >= 0 else [-part for part in parts]
