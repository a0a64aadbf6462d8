"""Making records: their ids follow from what they are, in one place.

An attribution run puts into the ids whose ledger it works on. So it knows its own records from those of others, whatever
rules they name (`made_by`), and two ledgers never give the same id to charges that only look alike.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from collector.cost.identity import ID_SIZE, Part, identify
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
_NO_ID: Final = bytes(ID_SIZE)


def origin_row(
    *,
    charge: Charge,
    amounts: Amounts,
    source: CostSource,
    identity: tuple[Part, ...],
    rule_id: str = "",
    rule_version: int = 0,
    recorded_unix_nano: int = 0,
    ledger: bytes = b"",
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
        ledger: Whose run makes it; empty if none does.
    """
    period = charge.charge_period
    origin_id = identify("origin", (*identity, period.start_unix_nano, period.end_unix_nano, *_named(ledger)))
    return _record(
        ledger=ledger,
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
    ledger: bytes = b"",
) -> CostAttributionRecord:
    """Return the record of a part of `parent`: one level further, with the same charge. `ledger`: as `origin_row`."""
    return _record(
        ledger=ledger,
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


def revised(
    record: CostAttributionRecord, revision: int, parent_record_id: bytes, ledger: bytes = b""
) -> CostAttributionRecord:
    """Return `record` as a later revision, under the revision of its parent that then holds."""
    return _record(
        **{name: getattr(record, name) for name in _FIELDS}
        | {"revision": revision, "parent_record_id": parent_record_id, "ledger": ledger}
    )


def made_by(record: CostAttributionRecord, ledger: bytes) -> bool:
    """Whether a run over `ledger` made `record`: nobody else's have such an id."""
    return record.record_id == identify("record", _identity(record, ledger))


def _record(*, ledger: bytes, **values: Any) -> CostAttributionRecord:
    """Return a record with the id that follows from the rest of it. Neither amounts nor the time are in it."""
    record = CostAttributionRecord(record_id=_NO_ID, **values)
    object.__setattr__(record, "record_id", identify("record", _identity(record, ledger)))
    return record


def _identity(record: CostAttributionRecord, ledger: bytes) -> tuple[Part, ...]:
    period = record.charge.charge_period
    return (
        record.origin_id,
        record.rule_id,
        record.rule_version,
        int(record.level),
        record.subject.key,
        period.start_unix_nano,
        period.end_unix_nano,
        record.parent_record_id,
        int(record.charge.charge_class),
        record.corrects_record_id,
        record.revision,
        *_named(ledger),
    )


def _named(ledger: bytes) -> tuple[bytes, ...]:
    return (ledger,) if ledger else ()


_FIELDS: Final = tuple(item.name for item in fields(CostAttributionRecord) if item.name != "record_id")
