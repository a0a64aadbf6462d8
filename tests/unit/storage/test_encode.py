"""The encoder, where a rule can be seen in a row; and that no field of OTLP is forgotten."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

from collector.model.signal import OPENTELEMETRY, Signal
from collector.storage.decode import decode
from collector.storage.encode import encode
from collector.storage.tables import LOGS, NUMBER_POINTS, RESOURCES, SERIES, SPANS, Table
from collector.wire.canonical import serialized
from tests.support import samples
from tests.support.samples import attribute

# They point into the dictionary of the profiles signal and mean nothing elsewhere: common.proto.
NOT_STORED = frozenset(
    {
        "opentelemetry.proto.common.v1.KeyValue.key_strindex",
        "opentelemetry.proto.common.v1.AnyValue.string_value_strindex",
    }
)


def _cells(table: Table, row: Any) -> dict[str, Any]:
    return dict(zip(table.column_names, row, strict=True))


def _scalar(field: FieldDescriptor, serial: int) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            if field.type == FieldDescriptor.TYPE_STRING:
                return f"text {serial}"
            return serial.to_bytes(16 if field.name == "trace_id" else 8, "big")
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return serial + 0.5
        case _:
            return serial


def _fill(message: Any, variant: int, serials: Any, depth: int = 0) -> None:
    """Set every field of `message`, and of those in it, to a value of its own; of a oneof, the `variant`th."""
    descriptor = message.DESCRIPTOR
    chosen = [field for field in descriptor.fields if field.containing_oneof is None]
    for oneof in descriptor.oneofs:
        members = [field for field in oneof.fields if field.full_name not in NOT_STORED]
        if depth > 14:  # an AnyValue in an AnyValue in …
            members = [field for field in members if field.message_type is None]
        chosen.append(members[variant % len(members)])
    for field in chosen:
        if field.full_name in NOT_STORED:
            continue
        if field.message_type is None:
            value = _scalar(field, next(serials))
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        elif field.is_repeated:
            _fill(getattr(message, field.name).add(), variant, serials, depth + 1)
        else:
            getattr(message, field.name).SetInParent()
            _fill(getattr(message, field.name), variant, serials, depth + 1)


@pytest.mark.parametrize("variant", range(70))  # 7 kinds of AnyValue × 5 types of metric × 2 of number
@pytest.mark.parametrize("signal", OPENTELEMETRY)
def test_every_field_of_the_descriptors_survives(signal: Signal, variant: int) -> None:
    """A field that a newer OTLP adds is set here by itself, and fails this test until it is stored."""
    request = signal.request_type()()
    _fill(request, variant, itertools.count(1))
    encoded = encode(signal, [request])
    assert encoded.items == 1
    decoded = decode(signal, encoded.facts, encoded.dimensions)
    assert serialized(signal, [request]) == serialized(signal, [decoded])


def test_the_fields_that_are_not_stored_exist() -> None:
    """Or the list of them is out of date."""
    value = attribute("a", 1)
    names = {field.full_name for field in (*value.DESCRIPTOR.fields, *value.value.DESCRIPTOR.fields)}
    assert names >= NOT_STORED


def test_a_span_row_has_what_people_filter_by() -> None:
    """Service and name in plain text, start in µs with the rest beside it, duration computed."""
    root, *_ = (_cells(SPANS, row) for row in encode(Signal.TRACES, [samples.traces()]).facts[SPANS][1:])
    assert (root["service_name"], root["name"]) == ("cart", "GET /cart")
    assert (root["time"], root["time_nanos"]) == (samples.NOW_UNIX_NANO // 1000, 1)
    assert root["duration_nano"] == 250_000_000
    assert root["span_id"] == int(samples.SPAN_ID, 16) - 2**64


def test_a_log_without_time_is_at_the_time_it_was_observed() -> None:
    """And says so, to be read back without."""
    rows = [_cells(LOGS, row) for row in encode(Signal.LOGS, [samples.logs()]).facts[LOGS]]
    unknown = [row for row in rows if row["time_unknown"]]
    assert {row["time"] * 1000 + (row["time_nanos"] or 0) for row in unknown} == {
        samples.NOW_UNIX_NANO + index for index in range(6)
    }


def test_a_body_that_is_empty_differs_from_no_body() -> None:
    """JSON null and NULL."""
    rows = [_cells(LOGS, row) for row in encode(Signal.LOGS, [samples.logs()]).facts[LOGS]]
    assert [row["body"] for row in rows if row["service_name"] == ""] == [None]
    assert [row["body"] for row in rows if row["service_name"] == "cart"].count("null") == 1


def test_a_service_name_that_is_no_text_is_none() -> None:
    """The attribute is kept as it is, the column is ''."""
    request = samples.logs()
    request.resource_logs[0].resource.attributes[0].value.int_value = 5
    rows = encode(Signal.LOGS, [request]).dimensions[RESOURCES].values()
    assert {row[1] for row in rows} == {""}


def test_description_and_metadata_make_another_series_of_the_same_stream() -> None:
    """They do not identify (data model, "Event Model"), but are kept with the points they came with."""
    one, other = samples.metrics(), samples.metrics()
    other.resource_metrics[0].scope_metrics[0].metrics[0].description = "Of the kitchen."
    series = encode(Signal.METRICS, [one, other]).dimensions[SERIES].values()
    gauges = [_cells(SERIES, row) for row in series if row[3] == "temperature"]
    assert len({row["series_id"] for row in gauges}) == 2 * len({row["stream_id"] for row in gauges})


def test_int_and_double_and_absent_are_three_things() -> None:
    """Two columns; both NULL is "no recorded value"."""
    rows = [
        _cells(NUMBER_POINTS, row) for row in encode(Signal.METRICS, [samples.metrics()]).facts[NUMBER_POINTS]
    ]
    kinds = {(row["metric"], row["value"] is None, row["value_int"] is None) for row in rows}
    assert kinds == {("temperature", False, True), ("temperature", True, True), ("requests", True, False)}


@pytest.mark.parametrize("signal", OPENTELEMETRY)
def test_envelopes_without_items_are_nothing(signal: Signal) -> None:
    """Neither rows nor dimensions that nobody refers to."""
    request: Any = signal.request_type()()
    envelope = getattr(request, request.DESCRIPTOR.fields[0].name).add()
    scope = getattr(envelope, envelope.DESCRIPTOR.fields[1].name).add()
    if signal is Signal.METRICS:
        scope.metrics.add(name="of a type from the future")
        scope.metrics.add(name="without points").gauge.SetInParent()
    encoded = encode(signal, [request])
    assert (encoded.items, encoded.facts) == (0, {})
    assert SERIES not in encoded.dimensions
