"""Cost records to rows: plain Python over the parsed message, as it passed `wire.scan`. `decode_costs` undoes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from collector.cost.amount import amount_text, parse_amount
from collector.model.signal import Signal
from collector.storage.rows import Encoded, Row, signed64, sort_rows
from collector.storage.tables import (
    COST_FACTS,
    COST_MAPS,
    COST_NUMBERS,
    COST_SUBJECT_TEXTS,
    COST_TEXTS,
    Table,
)
from collector.storage.values import quote


def encode_costs(messages: Iterable[Any]) -> Encoded:
    """Encode the records of `messages`, which are `ExportCostsServiceRequest`s."""
    facts: dict[Table, list[Row]] = {}
    for message in messages:
        for record in message.records:
            facts.setdefault(COST_FACTS[record.level], []).append(_row(record))
    return Encoded(
        signal=Signal.COSTS,
        items=sum(map(len, facts.values())),
        dimensions={},
        facts={table: sort_rows(table, facts[table]) for table in COST_FACTS if table in facts},
    )


def _row(record: Any) -> Row:
    subject = record.subject
    time, nanos = divmod(record.charge_period_start_unix_nano, 1000)
    return (
        record.record_id,
        time,
        nanos or None,
        record.origin_id,
        record.parent_record_id or None,
        record.corrects_record_id or None,
        record.revision,
        signed64(record.charge_period_end_unix_nano),
        signed64(record.billing_period_start_unix_nano),
        signed64(record.billing_period_end_unix_nano),
        record.charge_category,
        record.charge_class,
        record.source,
        subject.kind,
        record.billing_currency,
        *[_number(getattr(record, name)) for name in COST_NUMBERS],
        *[getattr(record, name) or None for name in COST_TEXTS],
        *[_map_text(getattr(record, name)) for name in COST_MAPS],
        *[getattr(subject, name) or None for name in COST_SUBJECT_TEXTS],
        subject.trace_id or None,
        int.from_bytes(subject.span_id, "big", signed=True) if subject.span_id else None,
        _map_text(subject.labels),
        _elements_text(record.allocated_elements),
        record.rule_version or None,
        signed64(record.recorded_unix_nano) or None,
        False,
    )


def _number(text: str) -> Decimal | None:
    return Decimal(_digits(text)) if text else None


def _digits(text: str) -> str:
    """The canonical spelling."""
    return amount_text(parse_amount(text))


def _map_text(pairs: Mapping[str, str]) -> str | None:
    if not pairs:
        return None
    return f"{{{','.join([f'{quote(key)}:{quote(pairs[key])}' for key in sorted(pairs)])}}}"


def _elements_text(elements: Iterable[Any]) -> str | None:
    texts = []
    for element in elements:
        parts = [f'"ratio":"{_digits(element.ratio)}"']
        if element.usage_unit:
            parts.append(f'"usage_unit":{quote(element.usage_unit)}')
        if element.usage_quantity:
            parts.append(f'"usage_quantity":"{_digits(element.usage_quantity)}"')
        texts.append(f"{{{','.join(parts)}}}")
    return f"[{','.join(texts)}]" if texts else None
