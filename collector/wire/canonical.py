"""`canonical`: one form for all requests that hold the same telemetry. For tests and for comparing stores.

OTLP lets the same items be written in many ways (cost records, in any order and with zeros at the ends of numbers): a resource repeated or shared, attributes in any order, an
empty message or none. Two requests hold the same telemetry if and only if their canonical forms are equal.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from collector.cost.protobuf import from_proto, to_proto
from collector.cost.record import RecordError
from collector.model.signal import Signal

if TYPE_CHECKING:
    from google.protobuf.message import Message

_NAN: Final = float("nan")

# Messages whose presence says nothing that their content does not: absent and empty are the same.
_EMPTY_IS_ABSENT: Final = frozenset({"resource", "scope", "status", "positive", "negative"})
# Envelopes, and the field that holds what they envelop. Every other field tells one envelope from another.
_CONTENTS: Final = {
    "ResourceSpans": "scope_spans",
    "ResourceMetrics": "scope_metrics",
    "ResourceLogs": "scope_logs",
    "ScopeSpans": "spans",
    "ScopeMetrics": "metrics",
    "ScopeLogs": "log_records",
}


def canonical(signal: Signal, messages: Iterable[Message]) -> Message:
    """Return the telemetry of all `messages` as one new request in normal form.

    Equal resources, scopes and metrics are merged and envelopes without items dropped; resources, scopes,
    metrics and items are sorted by their encoding, attributes and map entries by key; a KeyValue without a
    value has the empty value; every NaN is the same NaN; unknown fields are gone. The order of array values,
    events, links, exemplars and buckets means something and is kept.

    Compare with `serialized`: protobuf's `==` says that NaN differs from itself.
    """
    merged: Any = signal.request_type()()
    for message in messages:
        merged.MergeFrom(message)
    merged.DiscardUnknownFields()
    if signal is Signal.COSTS:
        _settle_records(merged.records)
        return merged  # type: ignore[no-any-return]
    _settle_values(merged)
    envelopes = merged.DESCRIPTOR.fields[0].name
    _regroup(getattr(merged, envelopes))
    return merged  # type: ignore[no-any-return]  # a message class is only known by signal


def serialized(signal: Signal, messages: Iterable[Message]) -> bytes:
    """Return the deterministic encoding of the canonical form: equal bytes, equal telemetry."""
    return canonical(signal, messages).SerializeToString(deterministic=True)


def _settle_records(records: Any) -> None:
    """Bring cost records into the one form that each has, and sort them. Invalid ones stay as they are."""
    for record in records:
        with contextlib.suppress(RecordError):
            record.CopyFrom(to_proto(from_proto(record)))
    records.sort(key=_encoded)


def _settle_values(message: Any) -> None:
    """Bring everything inside `message` that is not an envelope into normal form."""
    name = message.DESCRIPTOR.name
    if name == "KeyValue" and not message.HasField("value"):
        message.value.SetInParent()
    for field, value in message.ListFields():
        if field.message_type is None:
            if field.type == field.TYPE_DOUBLE:
                _settle_double(message, field, value)
        elif field.is_repeated:
            for element in value:
                _settle_values(element)
            if field.message_type.name == "KeyValue":
                value.sort(key=lambda pair: (pair.key, _encoded(pair)))
        else:
            _settle_values(value)
            if field.name in _EMPTY_IS_ABSENT and not value.ListFields():
                message.ClearField(field.name)


def _settle_double(message: Any, field: Any, value: Any) -> None:
    if field.is_repeated:
        for index, number in enumerate(value):
            if math.isnan(number):
                value[index] = _NAN
    elif math.isnan(value):
        setattr(message, field.name, _NAN)


def _regroup(messages: Any) -> None:
    """Merge equal envelopes among `messages`, drop the empty ones, sort; at this level and below."""
    groups: dict[bytes, Any] = {}
    for message in messages:
        outside = type(message)()
        outside.CopyFrom(message)
        contents = _contents(outside)
        if contents:
            del contents[:]
        group = groups.setdefault(_encoded(outside), outside)
        if contents is not None:
            _contents(group).extend(_contents(message))
    kept = []
    for message in groups.values():
        contents = _contents(message)
        if not contents:
            continue
        if contents[0].DESCRIPTOR.name in {*_CONTENTS, "Metric"}:
            _regroup(contents)
        else:
            contents.sort(key=_encoded)
        if contents:
            kept.append(message)
    del messages[:]
    messages.extend(sorted(kept, key=_encoded))


def _contents(message: Any) -> Any:
    """The scopes, metrics or items inside an envelope; None for a metric without data."""
    if message.DESCRIPTOR.name == "Metric":
        data = message.WhichOneof("data")
        return getattr(message, data).data_points if data else None
    return getattr(message, _CONTENTS[message.DESCRIPTOR.name])


def _encoded(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded
