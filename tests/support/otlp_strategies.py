"""Hypothesis strategies for OTLP Export requests, generated over the protobuf descriptors.

Every field of every message is drawn because it is in the descriptor, not because it is named here: a field
that a newer OTLP adds is generated without a change to this file, and whatever loses it fails its test.
What is named here are the rules that make a request valid (`_FIELDS`, `_settle`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from collector.model.signal import Signal
from tests.support.cost_strategies import cost_requests

Strategy = st.SearchStrategy[Any]

SECOND: Final = 1_000_000_000
NOW_UNIX_NANO: Final = 1_790_000_000 * SECOND
PAST_NS: Final = 30 * 86_400 * SECOND
FUTURE_NS: Final = 600 * SECOND
TIME_MIN: Final = NOW_UNIX_NANO - PAST_NS
TIME_MAX: Final = NOW_UNIX_NANO + FUTURE_NS

# Indices into the string table of the profiles signal: elsewhere they point nowhere, and scan removes them.
EXCLUDED_FROM_VALID: Final = frozenset(
    {
        "opentelemetry.proto.common.v1.KeyValue.key_strindex",
        "opentelemetry.proto.common.v1.AnyValue.string_value_strindex",
    }
)

_P: Final = "opentelemetry.proto."
_INT64_MAX: Final = 2**63 - 1


def requests(signal: Signal, *, valid: bool, depth: int = 3) -> st.SearchStrategy[Any]:
    """Parsed `Export…ServiceRequest` messages of `signal`.

    `valid`: `collector.wire.scan` takes every item and changes nothing, given a window of `TIME_MIN … TIME_MAX`.
    Otherwise items valid and invalid, and everything protobuf can express, are mixed.
    `depth` bounds how deep AnyValues are nested.
    """
    if signal is Signal.COSTS:
        return cost_requests(valid=valid)
    descriptor: Any = signal.request_type().DESCRIPTOR
    return _message(descriptor, valid, depth)


def payloads(signal: Signal, *, valid: bool, depth: int = 3) -> st.SearchStrategy[bytes]:
    """`requests`, serialised."""
    return requests(signal, valid=valid, depth=depth).map(lambda message: message.SerializeToString())


def any_values(*, valid: bool = True, depth: int = 3) -> st.SearchStrategy[Any]:
    """AnyValues of every type, and the empty one."""
    return _message(_descriptor("common.v1.AnyValue"), valid, depth)


def attributes(*, valid: bool = True, depth: int = 3) -> st.SearchStrategy[list[Any]]:
    """Lists of KeyValue; with unique keys if `valid`."""
    return _repeated(_descriptor("common.v1.KeyValue"), valid, depth, 4)


def _descriptor(name: str) -> Descriptor:
    request: Any = Signal.LOGS.request_type().DESCRIPTOR
    descriptor: Descriptor = request.file.pool.FindMessageTypeByName(_P + name)
    return descriptor


# --- values of single fields ----------------------------------------------------------------------------

_TEXT: Final = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
_TEXT_WITH_NUL: Final = st.one_of(_TEXT, st.text(st.sampled_from("a\0é\uffff\U0001f600"), max_size=4))


def _ints(low: int, high: int) -> Strategy:
    return st.one_of(st.integers(low, high), st.sampled_from((0, 1, low, high, high // 2 + 1)))


_INT32: Final = _ints(-(2**31), 2**31 - 1)
_UINT32: Final = _ints(0, 2**32 - 1)
_INT64: Final = _ints(-(2**63), _INT64_MAX)
_UINT64: Final = _ints(0, 2**64 - 1)
_DOUBLE: Final = st.one_of(
    st.floats(),
    st.sampled_from(
        (0.0, -0.0, float("nan"), float("inf"), -float("inf"), 5e-324, 1.7976931348623157e308, 1e23)
    ),
)

_BY_TYPE: Final[dict[int, Strategy]] = {
    FieldDescriptor.TYPE_DOUBLE: _DOUBLE,
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_SINT64: _INT64,
    FieldDescriptor.TYPE_SFIXED64: _INT64,
    FieldDescriptor.TYPE_UINT64: _UINT64,
    FieldDescriptor.TYPE_FIXED64: _UINT64,
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_SINT32: _INT32,
    FieldDescriptor.TYPE_SFIXED32: _INT32,
    FieldDescriptor.TYPE_UINT32: _UINT32,
    FieldDescriptor.TYPE_FIXED32: _UINT32,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=9),
}


def _scalar(field: FieldDescriptor, valid: bool) -> Strategy:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _TEXT if valid else _TEXT_WITH_NUL
    if field.enum_type is not None:
        known = [value.number for value in field.enum_type.values]
        return st.one_of(st.sampled_from(known), _INT32)  # enums are open: unknown numbers arrive as well
    return _BY_TYPE[field.type]


# --- what makes a request valid ---------------------------------------------------------------------------


def _id(size: int) -> Strategy:
    high = 256**size - 1
    ids = st.one_of(st.integers(1, high), st.sampled_from((1, high, high // 2 + 1)))
    return ids.map(lambda number: number.to_bytes(size, "big"))


def _optional_id(size: int) -> Strategy:
    return st.one_of(st.just(b""), _id(size))


_IN_WINDOW: Final = st.one_of(
    st.integers(TIME_MIN, TIME_MAX), st.sampled_from((TIME_MIN, TIME_MAX, NOW_UNIX_NANO))
)
_TEMPORALITY: Final = st.sampled_from((1, 2))
_POINT_FLAGS: Final = st.one_of(st.sampled_from((0, 1)), _UINT32)

# Values of fields that an arbitrary one of their type would make invalid. Always drawn.
_REQUIRED: Final[dict[str, Strategy]] = {
    _P + "trace.v1.Span.trace_id": _id(16),
    _P + "trace.v1.Span.span_id": _id(8),
    _P + "trace.v1.Span.start_time_unix_nano": _IN_WINDOW,
    _P + "metrics.v1.NumberDataPoint.time_unix_nano": _IN_WINDOW,
    _P + "metrics.v1.HistogramDataPoint.time_unix_nano": _IN_WINDOW,
    _P + "metrics.v1.ExponentialHistogramDataPoint.time_unix_nano": _IN_WINDOW,
    _P + "metrics.v1.SummaryDataPoint.time_unix_nano": _IN_WINDOW,
    _P + "metrics.v1.Sum.aggregation_temporality": _TEMPORALITY,
    _P + "metrics.v1.Histogram.aggregation_temporality": _TEMPORALITY,
    _P + "metrics.v1.ExponentialHistogram.aggregation_temporality": _TEMPORALITY,
}
_OPTIONAL: Final[dict[str, Strategy]] = {
    _P + "trace.v1.Span.parent_span_id": _optional_id(8),
    _P + "trace.v1.Span.Link.trace_id": _optional_id(16),
    _P + "trace.v1.Span.Link.span_id": _optional_id(8),
    _P + "metrics.v1.Exemplar.trace_id": _optional_id(16),
    _P + "metrics.v1.Exemplar.span_id": _optional_id(8),
    _P + "logs.v1.LogRecord.trace_id": _optional_id(16),
    _P + "logs.v1.LogRecord.span_id": _optional_id(8),
    _P + "logs.v1.LogRecord.time_unix_nano": st.one_of(st.just(0), _IN_WINDOW),
    _P + "logs.v1.LogRecord.observed_time_unix_nano": st.one_of(_IN_WINDOW, _UINT64),
    _P + "metrics.v1.NumberDataPoint.flags": _POINT_FLAGS,
    _P + "metrics.v1.HistogramDataPoint.flags": _POINT_FLAGS,
    _P + "metrics.v1.ExponentialHistogramDataPoint.flags": _POINT_FLAGS,
    _P + "metrics.v1.SummaryDataPoint.flags": _POINT_FLAGS,
    _P + "metrics.v1.ExponentialHistogramDataPoint.scale": _ints(-11, 52),
    _P + "metrics.v1.SummaryDataPoint.ValueAtQuantile.quantile": st.floats(0, 1),
}
_RULES: Final = _REQUIRED | _OPTIONAL
_REQUIRED_ONEOFS: Final = frozenset({_P + "metrics.v1.Metric.data", _P + "metrics.v1.NumberDataPoint.value"})


def _settle_number(point: Any) -> None:
    if point.flags & 1:
        point.ClearField("as_int")
        point.ClearField("as_double")


def _settle_histogram(point: Any) -> None:
    if point.flags & 1:
        for name in ("count", "sum", "min", "max", "bucket_counts", "explicit_bounds"):
            point.ClearField(name)
        return
    bounds = sorted({bound for bound in point.explicit_bounds if bound == bound})
    counts = list(point.bucket_counts)
    point.explicit_bounds[:] = bounds
    if bounds or counts:
        point.bucket_counts[:] = (counts + [0] * (len(bounds) + 1))[: len(bounds) + 1]


def _settle_exponential(point: Any) -> None:
    if point.flags & 1:
        for name in (
            "count", "sum", "min", "max", "scale", "zero_count", "zero_threshold", "positive", "negative",
        ):  # fmt: skip
            point.ClearField(name)
        return
    for name in ("positive", "negative"):
        if point.HasField(name):
            buckets = getattr(point, name)
            buckets.offset = min(buckets.offset, 2**31 - 1 - len(buckets.bucket_counts))


def _settle_summary(point: Any) -> None:
    if point.flags & 1:
        for name in ("count", "sum", "quantile_values"):
            point.ClearField(name)
        return
    by_quantile = {entry.quantile: entry.SerializeToString() for entry in point.quantile_values}
    del point.quantile_values[:]
    for quantile in sorted(by_quantile):
        point.quantile_values.add().ParseFromString(by_quantile[quantile])


def _settle_log(record: Any) -> None:
    in_window = TIME_MIN <= record.observed_time_unix_nano <= TIME_MAX
    if not record.observed_time_unix_nano or (not record.time_unix_nano and not in_window):
        record.observed_time_unix_nano = NOW_UNIX_NANO


_SETTLE: Final[dict[str, Callable[[Any], None]]] = {
    _P + "metrics.v1.NumberDataPoint": _settle_number,
    _P + "metrics.v1.HistogramDataPoint": _settle_histogram,
    _P + "metrics.v1.ExponentialHistogramDataPoint": _settle_exponential,
    _P + "metrics.v1.SummaryDataPoint": _settle_summary,
    _P + "logs.v1.LogRecord": _settle_log,
}

# --- the walk ---------------------------------------------------------------------------------------------

_WIDTH_MAX: Final = 3
_VALUE_MESSAGES: Final = frozenset({"AnyValue", "ArrayValue", "KeyValueList"})


def _field(field: FieldDescriptor, valid: bool, depth: int) -> Strategy:
    rule = _RULES.get(field.full_name)
    if field.message_type is not None:
        below = depth - (field.message_type.name == "AnyValue")
        if field.is_repeated:
            return _repeated(field.message_type, valid, below, _WIDTH_MAX)
        return _message(field.message_type, valid, below)
    if rule is None:
        element = _scalar(field, valid)
    elif valid:
        element = rule
    else:
        element = st.one_of(rule, _scalar(field, valid))
    return st.lists(element, max_size=_WIDTH_MAX) if field.is_repeated else element


def _repeated(descriptor: Descriptor, valid: bool, depth: int, size_max: int) -> st.SearchStrategy[list[Any]]:
    element = _message(descriptor, valid, depth)
    if valid and descriptor.name == "KeyValue":
        return st.lists(element, max_size=size_max, unique_by=lambda pair: pair.key)
    return st.lists(element, max_size=size_max)


@st.composite
def _message(draw: st.DrawFn, descriptor: Descriptor, valid: bool, depth: int) -> Any:
    message: Any = GetMessageClass(descriptor)()
    groups = [_choices(group, valid, depth) for group in _field_groups(descriptor)]
    # One number says which fields are present; "all" is likely, and every kind of list is tried (it may be empty).
    everything = 2 ** len(groups) - 1
    present = draw(st.one_of(st.just(everything), st.integers(0, everything)))
    for bit, choices in enumerate(groups):
        wanted = present >> bit & 1 or any(
            _is_structure(field) or (valid and _is_required(field)) for field in choices
        )
        if not choices or not wanted:
            continue
        field = choices[0] if len(choices) == 1 else draw(st.sampled_from(choices))
        _assign(message, field, draw(_field(field, valid, depth)))
    settle = _SETTLE.get(descriptor.full_name)
    if valid and settle is not None:
        settle(message)
    return message


def _field_groups(descriptor: Descriptor) -> list[list[FieldDescriptor]]:
    """Fields that can be set independently of each other: single fields, and the members of a oneof together."""
    groups: dict[str, list[FieldDescriptor]] = {}
    for field in descriptor.fields:
        oneof = field.containing_oneof
        groups.setdefault(field.name if oneof is None else oneof.full_name, []).append(field)
    return list(groups.values())


def _choices(group: list[FieldDescriptor], valid: bool, depth: int) -> list[FieldDescriptor]:
    return [
        field
        for field in group
        if not (valid and field.full_name in EXCLUDED_FROM_VALID)
        and not (depth <= 0 and field.message_type is not None and field.message_type.name in _VALUE_MESSAGES)
    ]


def _is_structure(field: FieldDescriptor) -> bool:
    return field.is_repeated and field.message_type is not None and field.message_type.name != "KeyValue"


def _is_required(field: FieldDescriptor) -> bool:
    oneof = field.containing_oneof
    return field.full_name in _REQUIRED or (oneof is not None and oneof.full_name in _REQUIRED_ONEOFS)


def _assign(message: Message, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        target = getattr(message, field.name)
        target.SetInParent()
        target.CopyFrom(value)
    else:
        setattr(message, field.name, value)
