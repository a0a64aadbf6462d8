"""The invariant of the ledger: the parts of a record sum to it, in every column, to the last digit."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from collector.cost.amount import total
from collector.cost.record import AMOUNTS, CostAttributionRecord, Level


class ImbalanceError(Exception):
    """Sums do not add up, or a part has no whole. It is an error of ours, and nothing may be stored."""


def check_balance(records: Iterable[CostAttributionRecord]) -> None:
    """Check a complete set of records, without corrections, of any number of charges.

    Raises:
        ImbalanceError: with the record and the column.
    """
    by_id: dict[bytes, CostAttributionRecord] = {}
    parts: dict[bytes, list[CostAttributionRecord]] = {}
    for record in records:
        if by_id.setdefault(record.record_id, record) is not record:
            raise ImbalanceError(f"{_named(record)} is there twice")
        if record.level is not Level.ORIGIN:
            parts.setdefault(record.parent_record_id, []).append(record)
    for parent_id, children in parts.items():
        parent = by_id.get(parent_id)
        if parent is None:
            raise ImbalanceError(f"{_named(children[0])} is a part of {parent_id.hex()}, which is not there")
        for child in children:
            if child.charge is not parent.charge and child.charge != parent.charge:
                raise ImbalanceError(f"{_named(child)} is of another charge than {_named(parent)}")
            if child.level != parent.level + 1 or not child.allocated_method_id:
                raise ImbalanceError(
                    f"{_named(child)} is not a part of {_named(parent)}: level or method is wrong"
                )
        for column in AMOUNTS:
            whole: Decimal | None = getattr(parent.amounts, column)
            values = [getattr(child.amounts, column) for child in children]
            if whole is None:
                if any(value is not None for value in values):
                    raise ImbalanceError(f"parts of {_named(parent)} have {column}, which it has not")
            elif any(value is None for value in values) or total(values) != whole:
                raise ImbalanceError(f"the parts of {_named(parent)} do not sum to its {column}, {whole}")


def _named(record: CostAttributionRecord) -> str:
    return f"{record.level.name.lower()} record {record.record_id.hex()} of rule {record.rule_id!r}"
