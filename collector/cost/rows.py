"""Making records: their ids follow from what they are, in one place."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from collector.cost.identity import Part, identify
from collector.cost.record import (
    AllocationElement,
    Amounts,
    Charge,
    CostAttributionRecord,
    CostSource,
    Level,
    Subject,
)

_NOBODY_YET: Final = Subject()


def origin_row(
    *,
    charge: Charge,
    amounts: Amounts,
    source: CostSource,
    identity: tuple[Part, ...],
    rule_id: str = "",
    rule_version: int = 0,
    recorded_unix_nano: int = 0,
) -> CostAttributionRecord:
    """Return the record of a charge.

    Args:
        charge: What it is.
        amounts: What it costs.
        source: Where that is from.
        identity: What makes it this charge and no other, whatever it costs: rule and resource, or file and line. The
            charge period is a part of it in any case.
        rule_id: The rule that made it, if one did.
        rule_version: Its version.
        recorded_unix_nano: When.
    """
    period = charge.charge_period
    origin_id = identify("origin", (*identity, period.start_unix_nano, period.end_unix_nano))
    return _record(
        origin_id=origin_id,
        level=Level.ORIGIN,
        charge=charge,
        amounts=amounts,
        source=source,
        subject=_NOBODY_YET,
        rule_id=rule_id,
        rule_version=rule_version,
        recorded_unix_nano=recorded_unix_nano,
    )


def part_row(
    parent: CostAttributionRecord,
    *,
    subject: Subject,
    amounts: Amounts,
    rule_id: str,
    rule_version: int,
    method_id: str,
    elements: tuple[AllocationElement, ...] = (),
) -> CostAttributionRecord:
    """Return the record of a part of `parent`: one level further, with the same charge."""
    return _record(
        origin_id=parent.origin_id,
        parent_record_id=parent.record_id,
        level=Level(parent.level + 1),
        charge=parent.charge,
        amounts=amounts,
        source=parent.source,
        subject=subject,
        allocated_method_id=method_id,
        allocated_elements=elements,
        rule_id=rule_id,
        rule_version=rule_version,
        recorded_unix_nano=parent.recorded_unix_nano,
    )


def revised(record: CostAttributionRecord, revision: int, parent_record_id: bytes) -> CostAttributionRecord:
    """Return `record` as a later revision, under the revision of its parent that then holds."""
    return _changed(record, revision=revision, parent_record_id=parent_record_id)


def _record(
    *,
    origin_id: bytes,
    level: Level,
    charge: Charge,
    amounts: Amounts,
    source: CostSource,
    subject: Subject,
    parent_record_id: bytes = b"",
    corrects_record_id: bytes = b"",
    revision: int = 0,
    allocated_method_id: str = "",
    allocated_elements: tuple[AllocationElement, ...] = (),
    rule_id: str,
    rule_version: int,
    recorded_unix_nano: int,
) -> CostAttributionRecord:
    """Return a record with the id that follows from the rest of it. Neither amounts nor the time are in it."""
    parts: tuple[Part, ...] = (
        origin_id,
        rule_id,
        rule_version,
        int(level),
        subject.key,
        charge.charge_period.start_unix_nano,
        charge.charge_period.end_unix_nano,
        parent_record_id,
        int(charge.charge_class),
        corrects_record_id,
        revision,
    )
    return CostAttributionRecord(
        record_id=identify("record", parts),
        origin_id=origin_id,
        level=level,
        charge=charge,
        amounts=amounts,
        source=source,
        subject=subject,
        parent_record_id=parent_record_id,
        corrects_record_id=corrects_record_id,
        revision=revision,
        allocated_method_id=allocated_method_id,
        allocated_elements=allocated_elements,
        rule_id=rule_id,
        rule_version=rule_version,
        recorded_unix_nano=recorded_unix_nano,
    )


_FIELDS: Final = tuple(item.name for item in fields(CostAttributionRecord) if item.name != "record_id")


def _changed(record: CostAttributionRecord, **changes: Any) -> CostAttributionRecord:
    return _record(**{name: getattr(record, name) for name in _FIELDS} | changes)
