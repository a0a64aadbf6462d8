"""Of records that come in any order, and not all at once: those that add up already.

A charge and its parts may be in different requests. What has not all of its parts yet counts undivided, so that at every
moment everything that is there counts once, and sums are right. Nothing depends on the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from collector.cost.amount import total
from collector.cost.record import AMOUNTS, CostAttributionRecord, Level


@dataclass(slots=True)
class Whole:
    """`records`: those that add up, by charge period, charge, level and id. `waiting`: how many others there are."""

    records: list[CostAttributionRecord] = field(default_factory=list)
    waiting: int = 0


def whole(records: Iterable[CostAttributionRecord]) -> Whole:
    """Leave out the parts of what has not all of its parts, and parts of a charge that is not here itself.

    The latter count if their ratios sum to 1, or if they have none: so come the splits of a bill.
    """
    charges: dict[tuple[int, bytes, int, int], list[CostAttributionRecord]] = {}
    for record in records:
        charge = record.charge
        # A correction has the origin of what it corrects, and is a charge of its own.
        key = (
            charge.charge_period.start_unix_nano,
            record.origin_id,
            int(charge.charge_class),
            charge.billing_period.start_unix_nano,
        )
        charges.setdefault(key, []).append(record)
    result = Whole()
    for key in sorted(charges):
        kept = _kept(charges[key])
        result.records += sorted(kept, key=lambda record: (record.level, record.record_id))
        result.waiting += len(charges[key]) - len(kept)
    return result


def _kept(records: Sequence[CostAttributionRecord]) -> list[CostAttributionRecord]:
    """Those of one charge that add up."""
    ids = {record.record_id for record in records}
    parts: dict[bytes, list[CostAttributionRecord]] = {}
    tops: list[CostAttributionRecord] = []
    for record in records:
        if record.parent_record_id in ids:
            parts.setdefault(record.parent_record_id, []).append(record)
        else:
            tops.append(record)
    origins = [top for top in tops if top.level is Level.ORIGIN]
    if not origins and not _is_everything(tops):
        return []
    kept: list[CostAttributionRecord] = []
    work = origins or tops
    while work:
        record = work.pop()
        kept.append(record)
        below = parts.get(record.record_id, [])
        if below and _sums_to(record, below):
            work.extend(below)
    return kept


def _sums_to(record: CostAttributionRecord, parts: Sequence[CostAttributionRecord]) -> bool:
    counted = [part for part in parts if part.amounts.is_priced == record.amounts.is_priced]
    return bool(counted) and all(
        _sum(counted, name) == getattr(record.amounts, name) for name in _COMPARED[record.amounts.is_priced]
    )


# Of what has no price, only quantities are known.
_COMPARED: Final[Mapping[bool, tuple[str, ...]]] = {
    True: AMOUNTS,
    False: tuple(name for name in AMOUNTS if name.endswith("_quantity")),
}


def _sum(records: Sequence[CostAttributionRecord], name: str) -> Decimal | None:
    values: list[Decimal] = [v for r in records if (v := getattr(r.amounts, name)) is not None]
    return total(values) if values else None


def _is_everything(tops: Sequence[CostAttributionRecord]) -> bool:
    """Whether parts without their charge are all of them, as far as their ratios say."""
    ratios = [element.ratio for top in tops for element in top.allocated_elements]
    if not ratios or any(not top.allocated_elements for top in tops):
        return True
    # As many units of the last decimal as there are ratios: each may have been rounded.
    places = max(-int(ratio.as_tuple().exponent) for ratio in ratios)
    return abs(total(ratios) - 1) <= len(ratios) * Decimal(1).scaleb(-places)
