"""Records as protobuf messages (`proto/collector/cost/v1`) and back, without loss.

Field names are the same on both sides; the parts of a record, which Python holds in `Charge` and `Amounts`, are flat in
the message. What arrives is checked whole: a record that is read is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final

from collector.cost.amount import AmountError, amount_text, parse_amount
from collector.cost.record import (
    AllocationElement,
    Amounts,
    Charge,
    ChargeCategory,
    ChargeClass,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    RecordError,
    Subject,
    SubjectKind,
)
from collector.proto.cost.v1 import cost_pb2
from collector.proto.cost.v1.cost_service_pb2 import ExportCostsServiceRequest


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record of a request that is not valid: where it stands, counted from 0, and why."""

    index: int
    reason: str


def to_proto(record: CostAttributionRecord) -> cost_pb2.CostAttributionRecord:
    """Return `record` as a message."""
    message = cost_pb2.CostAttributionRecord()
    for name, holder, put in _FIELDS:
        value = getattr(getattr(record, holder) if holder else record, name)
        if value or value == 0:
            put(message, name, value)
    for which in ("charge_period", "billing_period"):
        period: Period = getattr(record.charge, which)
        setattr(message, f"{which}_start_unix_nano", period.start_unix_nano)
        setattr(message, f"{which}_end_unix_nano", period.end_unix_nano)
    for name, _, put in _SUBJECT_FIELDS:
        if value := getattr(record.subject, name):
            put(message.subject, name, value)
    for element in record.allocated_elements:
        message.allocated_elements.add(
            ratio=amount_text(element.ratio),
            usage_unit=element.usage_unit,
            usage_quantity="" if element.usage_quantity is None else amount_text(element.usage_quantity),
        )
    return message


def from_proto(message: cost_pb2.CostAttributionRecord) -> CostAttributionRecord:
    """Return the record that `message` is.

    Raises:
        RecordError: it is not valid; the error names the field.
    """
    subject = message.subject
    return CostAttributionRecord(
        **_values(message, CostAttributionRecord),
        charge=Charge(
            **_values(message, Charge),
            charge_period=_period(message, "charge_period"),
            billing_period=_period(message, "billing_period"),
        ),
        amounts=Amounts(**_values(message, Amounts)),
        subject=Subject(**_values(subject, Subject, "subject.")),
        allocated_elements=tuple(
            AllocationElement(**_values(element, AllocationElement, f"allocated_elements[{index}]."))
            for index, element in enumerate(message.allocated_elements)
        ),
    )


def encode_request(records: Iterable[CostAttributionRecord]) -> bytes:
    """Return the records as an encoded `ExportCostsServiceRequest`. Encoded requests joined are one request."""
    request = ExportCostsServiceRequest()
    request.records.extend(map(to_proto, records))
    return request.SerializeToString(deterministic=True)


def read_request(
    request: ExportCostsServiceRequest,
) -> tuple[list[CostAttributionRecord], list[Rejected]]:
    """Return the valid records of a request, and what is wrong with the others."""
    records: list[CostAttributionRecord] = []
    rejected: list[Rejected] = []
    for index, message in enumerate(request.records):
        try:
            records.append(from_proto(message))
        except RecordError as error:
            rejected.append(Rejected(index, f"records[{index}].{error}"))
    return records, rejected


_Put = Callable[[Any, str, Any], None]


def _put_decimal(message: Any, name: str, value: Decimal) -> None:
    setattr(message, name, amount_text(value))


def _put_map(message: Any, name: str, value: Any) -> None:
    getattr(message, name).update(value)


def _put(cls: type, name: str) -> _Put:
    declared = _TYPES[cls][name]
    if declared.startswith("Decimal"):
        return _put_decimal
    return _put_map if declared.startswith("Mapping") else setattr


# Fields as they are declared: the modules say `from __future__ import annotations`, so types are texts.
_TYPES: Final[dict[type, dict[str, str]]] = {
    cls: {item.name: str(item.type) for item in fields(cls) if item.init}
    for cls in (CostAttributionRecord, Charge, Amounts, Subject, AllocationElement)
}
_ENUMS: Final[dict[str, type[IntEnum]]] = {
    cls.__name__: cls for cls in (Level, ChargeCategory, ChargeClass, SubjectKind, CostSource)
}
# What is not one field of the message under its own name.
_COMPOSITE: Final = frozenset(
    ("charge", "amounts", "subject", "charge_period", "billing_period", "allocated_elements")
)
_FIELDS: Final = tuple(
    (name, holder, _put(cls, name))
    for cls, holder in ((CostAttributionRecord, ""), (Charge, "charge"), (Amounts, "amounts"))
    for name in _TYPES[cls]
    if name not in _COMPOSITE
)
_SUBJECT_FIELDS: Final = tuple((name, "", _put(Subject, name)) for name in _TYPES[Subject])


def _values(message: Any, cls: type, prefix: str = "") -> dict[str, Any]:
    """Return the fields of `cls` that stand in `message` under their own names."""
    values: dict[str, Any] = {}
    for name, declared in _TYPES[cls].items():
        if name in _COMPOSITE:
            continue
        value = getattr(message, name)
        if declared.startswith("Decimal"):
            if value or declared == "Decimal":
                values[name] = _decimal(value, prefix + name)
        elif declared.startswith("Mapping"):
            values[name] = dict(value)
        elif declared in _ENUMS:
            values[name] = _enum(value, _ENUMS[declared], prefix + name)
        else:
            values[name] = value
    return values


def _decimal(text: str, name: str) -> Decimal:
    try:
        return parse_amount(text)
    except AmountError as error:
        raise RecordError(name, str(error)) from None


def _enum(number: int, cls: type[IntEnum], name: str) -> IntEnum:
    try:
        return cls(number)
    except ValueError:
        known = ", ".join(f"{member.value} {member.name}" for member in cls)
        raise RecordError(name, f"{number} is none of {known}") from None


def _period(message: Any, which: str) -> Period:
    start, end = f"{which}_start_unix_nano", f"{which}_end_unix_nano"
    try:
        return Period(getattr(message, start), getattr(message, end))
    except ValueError as error:
        raise RecordError(end, str(error)) from None
