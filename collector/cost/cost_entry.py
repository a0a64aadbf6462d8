"""finopsmetrics' CostEntry as JSON, out of records and in.

Theirs has a float for the amount and no place for most of what a record says. The exact amount goes into a tag
beside it, and the record itself, in protobuf, too: what we wrote comes in again without loss, and
`CostEntry(**entry)` takes it as it is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, BinaryIO, Final

from google.protobuf.message import DecodeError

from collector.cost.amount import AmountError, amount_text, parse_amount
from collector.cost.cost_category import CATEGORIES, CATEGORY_COLUMN, SERVICE_CATEGORIES, category_of
from collector.cost.currency import check_currency
from collector.cost.focus.bill import Bill, Manifest, Problems, check_unchanged, digest_of
from collector.cost.focus.mapping import allocated_resource
from collector.cost.focus.mend import number
from collector.cost.focus.table import FileError
from collector.cost.identity import identify
from collector.cost.json_entries import json_entries
from collector.cost.protobuf import from_proto, to_proto
from collector.cost.record import (
    AMOUNTS,
    COSTS,
    Amounts,
    Charge,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    RecordError,
)
from collector.proto.cost.v1.cost_pb2 import CostAttributionRecord as Message

_SECOND_NS: Final = 1_000_000_000
_HOUR_NS: Final = 3600 * _SECOND_NS

# Tags that hold what an entry has no field for.
EXACT_TAG: Final = "collector.amount"
RECORD_TAG: Final = "collector.record"

# The ServiceCategory of a charge that comes as an entry.
_SERVICES: Final = {
    "compute": "Compute",
    "database": "Databases",
    "network": "Networking",
    "software_licenses": "AI and Machine Learning",
    "storage": "Storage",
}
_FIELDS: Final = frozenset(
    ("entry_id", "timestamp", "resource_id", "category", "amount", "currency", "region", "tags", "description", "billing_period")
)  # fmt: skip
_LENGTHS: Final = {"hourly": _HOUR_NS, "daily": 24 * _HOUR_NS, "monthly": 30 * 24 * _HOUR_NS}


def entry_of(
    record: CostAttributionRecord, categories: Mapping[str, str] = SERVICE_CATEGORIES
) -> dict[str, Any]:
    """One record as an entry; its amount is the effective cost.

    Args:
        record: With costs.
        categories: FOCUS ServiceCategory to CostEntry category, for charges that no unit tells the category of.

    Raises:
        ValueError: the record is unpriced.
    """
    amount = record.amounts.effective_cost
    if amount is None:
        raise ValueError(f"record {record.record_id.hex()} has no cost, and an entry has to have one")
    charge = record.charge
    message = to_proto(record).SerializeToString(deterministic=True)
    tags = {
        **charge.tags,
        **record.subject.labels,
        EXACT_TAG: amount_text(amount),
        RECORD_TAG: base64.b64encode(message).decode(),
    }
    return {
        "entry_id": record.record_id.hex(),
        "timestamp": charge.charge_period.start_unix_nano / _SECOND_NS,
        "resource_id": allocated_resource(record.subject)[0] or charge.resource_id,
        "category": _category(record, categories),
        "amount": float(amount),
        "currency": charge.billing_currency,
        "region": charge.region_id,
        "tags": tags,
        "description": charge.charge_description,
        "billing_period": _billing_period(charge.charge_period),
    }


def _category(record: CostAttributionRecord, categories: Mapping[str, str]) -> str:
    charge = record.charge
    return category_of(
        columns=charge.columns,
        element_units=(element.usage_unit for element in record.allocated_elements),
        unit=charge.consumed_unit or charge.pricing_unit,
        meter=charge.sku_meter,
        description=charge.charge_description,
        service_category=charge.service_category,
        categories=categories,
    )


def _billing_period(period: Period) -> str:
    if period.length_ns <= _HOUR_NS:
        return "hourly"
    return "daily" if period.length_ns <= 24 * _HOUR_NS else "monthly"


def entry_lines(
    records: Iterable[CostAttributionRecord], categories: Mapping[str, str] = SERVICE_CATEGORIES
) -> Iterator[bytes]:
    """Entries as JSON lines, in the order of the records; records without costs are left out."""
    for record in records:
        if record.amounts.is_priced:
            yield (
                json.dumps(entry_of(record, categories), ensure_ascii=False, sort_keys=True).encode() + b"\n"
            )


def read_cost_entries(stream: BinaryIO, name: str, *, strict: bool = False) -> Bill:
    """Read entries whole: JSON lines, or one JSON array.

    Args:
        stream: Seekable.
        name: For messages.
        strict: Refuse what is tolerated: amounts that are only a float, unknown fields and categories.

    Raises:
        BillError: the file is refused; it says why, with file and line.
    """
    manifest = Manifest(file=name, sha256=digest_of(stream), format="CostEntry", strict=strict)
    problems = Problems()
    try:
        for line, entry in json_entries(stream, name):
            manifest.rows += 1
            try:
                record = _record(entry, line, manifest)
                manifest.records += 1
                for field, column in zip(
                    COSTS, ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), strict=True
                ):
                    manifest.add(record.charge.billing_currency, column, getattr(record.amounts, field))
            except FileError as error:
                problems.add(error)
    except FileError as error:
        problems.add(error)
    problems.raise_if_any()

    def records() -> Iterator[CostAttributionRecord]:
        quiet = Manifest(file=name, sha256=manifest.sha256, format=manifest.format, strict=False)
        for line, entry in json_entries(stream, name):
            yield _record(entry, line, quiet)
        check_unchanged(stream, manifest)

    return Bill(manifest, records)


def _record(entry: Any, line: int, manifest: Manifest) -> CostAttributionRecord:
    if isinstance(entry, FileError):
        raise entry
    if not isinstance(entry, dict):
        raise FileError(manifest.file, line, "an entry is not a JSON object")
    tags = entry.get("tags") or {}
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise FileError(manifest.file, line, "is not an object of texts", column="tags")
    try:
        if RECORD_TAG in tags:
            return _ours(entry, tags)
        return _theirs(entry, tags, line, manifest)
    except RecordError as error:
        raise FileError(manifest.file, line, str(error)) from None
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        problem = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise FileError(manifest.file, line, problem) from None


def _ours(entry: dict[str, Any], tags: dict[str, str]) -> CostAttributionRecord:
    """The record that we put into the entry. It has to be the entry's: somebody may have changed the amount."""
    message = Message()
    try:
        message.ParseFromString(base64.b64decode(tags[RECORD_TAG], validate=True))
    except DecodeError as error:
        raise ValueError(f"tags.{RECORD_TAG} is not a record: {error}") from None
    record = from_proto(message)
    said = entry_of(record)
    for field in ("entry_id", "currency"):
        if entry.get(field) != said[field]:
            raise ValueError(
                f"{field} is not that of tags.{RECORD_TAG}; remove the tag if it was changed on purpose"
            )
    if tags.get(EXACT_TAG) != said["tags"][EXACT_TAG] or float(entry["amount"]) != said["amount"]:
        raise ValueError(
            f"amount is not that of tags.{RECORD_TAG}; remove the tag if it was changed on purpose"
        )
    return record


def _theirs(
    entry: dict[str, Any], tags: dict[str, str], line: int, manifest: Manifest
) -> CostAttributionRecord:
    for field in entry.keys() - _FIELDS:
        manifest.tolerate("unknown-field", field, line)
    category = str(entry["category"])
    if category not in CATEGORIES:
        manifest.tolerate("unknown-category", "category", line)
    if EXACT_TAG in tags:
        try:
            amount = parse_amount(tags[EXACT_TAG])
        except AmountError as error:
            raise ValueError(f"tags.{EXACT_TAG}: {error}") from None
    else:
        manifest.tolerate("float-amount", "amount", line)
        amount, rules = number(_text(entry["amount"]))
        for rule in rules:
            manifest.tolerate(rule, "amount", line)
    start = _instant(entry["timestamp"])
    length = _LENGTHS.get(str(entry.get("billing_period", "hourly")))
    if length is None:
        raise ValueError(f"billing_period is none of {', '.join(_LENGTHS)}")
    period = Period(start, start + length)
    charge = Charge(
        charge_period=period,
        billing_period=period,
        billing_currency=check_currency(str(entry.get("currency", "USD"))),
        charge_description=str(entry.get("description") or ""),
        region_id=str(entry.get("region") or ""),
        resource_id=str(entry["resource_id"]),
        service_category=_SERVICES.get(category, "Other"),
        service_name=category,
        tags={key: value for key, value in tags.items() if key != EXACT_TAG},
        columns={CATEGORY_COLUMN: category, "x_CostEntryId": str(entry["entry_id"])},
    )
    # Their entry_id is unique in their database: the same entry in two files is the same cost.
    origin = identify("cost_entry", (str(entry["entry_id"]),))
    amounts = Amounts(**{field: amount if field in COSTS else None for field in AMOUNTS})
    return CostAttributionRecord(
        record_id=origin,
        origin_id=origin,
        level=Level.ORIGIN,
        charge=charge,
        amounts=amounts,
        source=CostSource.INVOICE,
    )


def _text(value: Any) -> str:
    if not isinstance(value, Decimal):
        raise TypeError("amount is not a number")
    return format(value, "f") if value.is_finite() else str(value)


def _instant(value: Any) -> int:
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value < Decimal(2**34):
        raise ValueError("timestamp is not a number of seconds since 1970")
    return int(value * _SECOND_NS)
