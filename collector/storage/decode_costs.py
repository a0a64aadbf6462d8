"""Rows of the ledger to cost records: what `encode_costs` did, undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collector.cost.amount import amount_text
from collector.cost.protobuf import from_proto
from collector.cost.record import CostAttributionRecord
from collector.model.signal import Signal
from collector.storage.rows import Encoded, Row, unsigned64
from collector.storage.tables import (
    COST_FACTS,
    COST_MAPS,
    COST_NUMBERS,
    COST_SUBJECT_TEXTS,
    COST_TEXTS,
    Table,
)
from collector.storage.values import parse_json


def cost_records(encoded: Encoded) -> list[CostAttributionRecord]:
    """The records of what `Store.read` returned: origins first, then allocations, then requests."""
    request: Any = Signal.COSTS.request_type()()
    fill_records(request, encoded.facts)
    return [from_proto(record) for record in request.records]


def fill_records(request: Any, facts: Mapping[Table, Sequence[Row]]) -> None:
    """Append the records of `facts` to an `ExportCostsServiceRequest`."""
    for level, table in enumerate(COST_FACTS):
        names = table.column_names
        for row in facts.get(table, ()):
            _fill(request.records.add(level=level), dict(zip(names, row, strict=True)))


def _fill(record: Any, cells: dict[str, Any]) -> None:
    for name in ("record_id", "origin_id", "revision", "charge_category", "charge_class", "source"):
        setattr(record, name, cells[name])
    record.parent_record_id = cells["parent_record_id"] or b""
    record.corrects_record_id = cells["corrects_record_id"] or b""
    record.charge_period_start_unix_nano = cells["time"] * 1000 + (cells["time_nanos"] or 0)
    for name in (
        "charge_period_end_unix_nano",
        "billing_period_start_unix_nano",
        "billing_period_end_unix_nano",
        "recorded_unix_nano",
    ):
        setattr(record, name, unsigned64(cells[name] or 0))
    record.billing_currency = cells["billing_currency"]
    for name in COST_NUMBERS:
        if (number := cells[name]) is not None:
            setattr(record, name, amount_text(number))
    for name in COST_TEXTS:
        setattr(record, name, cells[name] or "")
    for name in COST_MAPS:
        if (text := cells[name]) is not None:
            getattr(record, name).update(parse_json(text))
    record.rule_version = cells["rule_version"] or 0
    if (text := cells["allocated_elements"]) is not None:
        for element in parse_json(text):
            record.allocated_elements.add(**element)
    _fill_subject(record, cells)


def _fill_subject(record: Any, cells: dict[str, Any]) -> None:
    subject = {name: value for name in COST_SUBJECT_TEXTS if (value := cells[f"subject_{name}"]) is not None}
    subject["kind"] = cells["subject_kind"]
    if (trace_id := cells["subject_trace_id"]) is not None:
        subject["trace_id"] = trace_id
    if (span_id := cells["subject_span_id"]) is not None:
        subject["span_id"] = span_id.to_bytes(8, "big", signed=True)
    if (labels := cells["subject_labels"]) is not None:
        subject["labels"] = parse_json(labels)
    if any(subject.values()) or len(subject) > 1:
        for name, value in subject.items():
            if name == "labels":
                record.subject.labels.update(value)
            else:
                setattr(record.subject, name, value)
