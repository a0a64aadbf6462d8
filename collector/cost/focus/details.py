"""AllocatedMethodDetails of the parts of one charge: ratios of the charge, which sum to 1.

A record's elements say which share of its parent it has. Of a part of a part the ratios are those times its parent's
share. A group of requests has no elements of its own: it was given what it has by the time or the tokens of its
spans. Where others of the same charge have details, its ratio is its share of its parent by cost, of largest remainder,
so that the sum stays 1. If nobody has details, nobody gets any: the column may be NULL, and a ratio of costs says
nothing that the costs do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from collector.cost.amount import SCALE, ZERO, amount_text, decimals, from_scaled, to_scaled
from collector.cost.focus.json_maps import quoted
from collector.cost.focus.numbers import EXACT
from collector.cost.focus.numbers import total as exact_total
from collector.cost.split import split


class Element(NamedTuple):
    """One element: its ratio, of the parent or of the whole charge; unit and quantity, as texts."""

    ratio: Decimal
    unit: str = ""
    quantity: str | None = None


class Part(NamedTuple):
    """A record of a charge, in what matters here. `weights`: what its share goes by without elements, the first that counts."""

    record: str
    is_part: bool
    elements: Sequence[Element]
    weights: tuple[Decimal, ...]


_ONE: Final = Decimal(1)


def details(tops: Sequence[Part], children: Mapping[str, Sequence[Part]], *, fill: bool) -> dict[str, str]:
    """AllocatedMethodDetails as JSON by record, of those that have any.

    Args:
        tops: The charge, or those of its parts that are here without what they are parts of.
        children: Parts by the record they are parts of.
        fill: Whether ratios are found for parts that have no elements.
    """
    found: dict[str, Sequence[Element]] = {}
    everybody = [*tops, *(part for parts in children.values() for part in parts)]
    if not any(part.elements for part in everybody):
        return {}
    origins = [top for top in tops if not top.is_part]
    for origin in origins:
        _descend(origin, _ONE, children, found, fill=fill)
    _divide([top for top in tops if top.is_part], _ONE, children, found, fill=fill and not origins)
    return {record: _text(elements) for record, elements in found.items()}


def _descend(
    part: Part,
    share: Decimal | None,
    children: Mapping[str, Sequence[Part]],
    found: dict[str, Sequence[Element]],
    *,
    fill: bool,
) -> None:
    if parts := children.get(part.record):
        _divide(parts, share, children, found, fill=fill)


def _divide(
    parts: Sequence[Part],
    share: Decimal | None,
    children: Mapping[str, Sequence[Part]],
    found: dict[str, Sequence[Element]],
    *,
    fill: bool,
) -> None:
    """Find the elements of all parts of something that has `share` of the charge; None: nobody knows which."""
    shares: dict[str, Decimal] = {}
    if share is not None:
        for part in parts:
            if part.elements:
                own = [
                    element._replace(ratio=EXACT.multiply(share, element.ratio)) for element in part.elements
                ]
                found[part.record] = own
                shares[part.record] = exact_total([element.ratio for element in own])
        missing = [part for part in parts if not part.elements]
        if missing and fill:
            rest = EXACT.subtract(share, exact_total(list(shares.values())))
            for record, ratio in _by_weight(rest, missing):
                found[record] = [Element(ratio)]
                shares[record] = ratio
    for part in parts:
        _descend(part, shares.get(part.record), children, found, fill=fill)


def _by_weight(rest: Decimal, parts: Sequence[Part]) -> list[tuple[str, Decimal]]:
    if rest < ZERO:
        return []  # the others have more than everything: the checker says so
    scale = max(SCALE, decimals(rest))
    keys = [part.record.encode() for part in parts]
    for weights in (*zip(*(part.weights for part in parts), strict=True), [_ONE] * len(parts)):
        scaled = [to_scaled(weight.copy_abs(), 2 * SCALE) for weight in weights]
        ratios = split(to_scaled(rest, scale), scaled, keys)
        if ratios is not None:
            return [
                (part.record, from_scaled(ratio, scale)) for part, ratio in zip(parts, ratios, strict=True)
            ]
    return []


def _text(elements: Sequence[Element]) -> str:
    texts = []
    for element in elements:
        text = f'{{"AllocatedRatio":{amount_text(element.ratio)}'
        if element.unit:
            text += f',"UsageUnit":{quoted(element.unit)}'
        if element.quantity is not None:
            text += f',"UsageQuantity":{element.quantity}'
        texts.append(text + "}")
    return '{"Elements":[' + ",".join(texts) + "]}"
