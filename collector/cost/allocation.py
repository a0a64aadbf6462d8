"""Dividing an origin among its members by what they use of its elements, in whole numbers only.

With value share v_e of an element (its weight × how much of it there is), what a member is given a_me and what there is
to give d_e = max(capacity, Σ a_e), a member's share of the origin is Σ_e v_e · a_me / d_e, and what is idle is
Σ_e v_e · (d_e − Σ a_e) / d_e. Multiplied by Π d_e these are integers, so no share is ever rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import lcm, prod
from typing import Final

from collector.cost.amount import from_scaled
from collector.cost.charges import rounded
from collector.cost.members import NANO, Whole
from collector.cost.record import AllocationElement
from collector.cost.rules import SplitConfig
from collector.cost.split import split
from collector.cost.units import Unit

RATIO_SCALE: Final = 12
_QUANTITY_SCALE: Final = 12
_BASE: Final = NANO * NANO  # of amounts: nano-units × nanoseconds in a unit-second


@dataclass(slots=True)
class Share:
    """One participant's integer weight by element, and how much of each element it has, in base units × 1E-18."""

    weights: dict[str, int] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """Its weight in the whole."""
        return sum(self.weights.values())


@dataclass(slots=True)
class Allocation:
    """Shares by member, and what is idle. `overcommitted`: elements of which more is given than there is."""

    members: dict[str, Share]
    idle: Share
    overcommitted: list[str] = field(default_factory=list)


def allocate(
    whole: Whole, split_config: SplitConfig, names: Sequence[str], weights: Mapping[str, Decimal]
) -> Allocation:
    """Return who has which share of a whole.

    Args:
        whole: What there is, and its members.
        split_config: The method and what happens to what is idle.
        names: The elements that count.
        weights: Relative price of a unit of each; not asked for if there is one element.
    """
    method = split_config.method
    if method == "even":
        return Allocation({name: Share({"": 1}) for name in whole.members}, Share())
    result = Allocation({name: Share() for name in whole.members}, Share())
    given = {
        name: {m: member.allocated(name, method) for m, member in whole.members.items()} for name in names
    }
    sums = {name: sum(amounts.values()) for name, amounts in given.items()}
    there: dict[str, int] = {}
    for name in names:
        capacity = whole.capacity.get(name)
        if capacity is not None and sums[name] > capacity:
            result.overcommitted.append(name)
        there[name] = max(capacity or 0, sums[name])
    values = _values(whole, split_config, [name for name in names if there[name]], weights, sums)
    product = prod(there[name] for name in values)
    for name, value in values.items():
        unit_weight = value * (product // there[name])
        for member, amount in given[name].items():
            result.members[member].weights[name] = unit_weight * amount
            result.members[member].amounts[name] = amount
        idle = there[name] - sums[name]
        result.idle.weights[name] = unit_weight * idle
        result.idle.amounts[name] = idle
    if split_config.idle == "weighted":
        _spread_weighted(result, {name: (there[name], sums[name]) for name in values})
    elif split_config.idle == "even" and result.members:
        _spread_even(result)
    return result


def elements(
    shares: Sequence[tuple[bytes, Share]], split_config: SplitConfig
) -> list[tuple[AllocationElement, ...]]:
    """Return the elements of each share (FOCUS AllocatedMethodDetails); all their ratios sum to 1 exactly."""
    pairs = [(key, name, weight) for key, share in shares for name, weight in share.weights.items()]
    ratios = split(
        10**RATIO_SCALE,
        [weight for _, _, weight in pairs],
        [key + b"\0" + name.encode() for key, name, _ in pairs],
    )
    if ratios is None:
        return [() for _ in shares]
    left = iter(ratios)
    units = {name: Unit.parse(config.unit) for name, config in split_config.elements.items()}
    found = []
    for _, share in shares:
        details = []
        for name in share.weights:
            ratio = from_scaled(next(left), RATIO_SCALE)
            unit = units.get(name)
            if unit is None:
                details.append(AllocationElement(ratio=ratio))
                continue
            quantity = rounded(unit.quantity(Fraction(share.amounts.get(name, 0), _BASE)), _QUANTITY_SCALE)
            details.append(AllocationElement(ratio=ratio, usage_unit=unit.text, usage_quantity=quantity))
        found.append(tuple(details))
    return found


def _values(
    whole: Whole,
    split_config: SplitConfig,
    names: Sequence[str],
    weights: Mapping[str, Decimal],
    sums: Mapping[str, int],
) -> dict[str, int]:
    """Return the integer value share of each element; only their ratios matter."""
    if len(names) == 1:
        return {names[0]: 1}
    fractions = {
        name: Fraction(weights.get(name, Decimal(0)))
        * Unit.parse(split_config.elements[name].unit).quantity(
            Fraction(whole.capacity.get(name) or sums[name])
        )
        for name in names
    }
    common = lcm(*(value.denominator for value in fractions.values()))
    return {name: int(value * common) for name, value in fractions.items()}


def _spread_weighted(result: Allocation, totals: Mapping[str, tuple[int, int]]) -> None:
    """Give what is idle of an element to those who have some of it, in proportion; nobody's stays idle.

    A weight v·a·P/d becomes v·a·P/Σa, that is, it is multiplied by d/Σa; all are multiplied by Π Σa first.
    """
    product = prod(used for _, used in totals.values() if used)
    for name, (there, used) in totals.items():
        factor = there * (product // used) if used else product
        for share in (*result.members.values(), result.idle):
            share.weights[name] *= factor
        if used:
            result.idle.weights[name] = 0


def _spread_even(result: Allocation) -> None:
    """Give every member the same part of what is idle of each element."""
    count = len(result.members)
    for share in result.members.values():
        for name, idle in result.idle.weights.items():
            share.weights[name] = share.weights[name] * count + idle
    for name in result.idle.weights:
        result.idle.weights[name] = 0
