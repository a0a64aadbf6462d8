"""The native encoder: what it leaves to the reference encoder, what it remembers, what it leaves out."""

from __future__ import annotations

import struct
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.model.signal import Signal
from collector.storage.dimensions import DimensionWriter
from collector.storage.encoding import ReferenceEncoder
from collector.storage.rows import Encoded
from collector.storage.tables import RESOURCES, SCOPES, SERIES
from tests.support import samples
from tests.support.encoded import assert_equal
from tests.support.native import compiled

core = compiled("encode")
native: Any = import_module("collector.storage.native")

TIME = samples.NOW_UNIX_NANO


def points(name: str, *values: float, service: str = "shop", series: int = 3) -> bytes:
    """A request of as many points of a gauge, of so many series in turn."""
    request: Any = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="service.name", value=AnyValue(string_value=service))
    metric = resource.scope_metrics.add().metrics.add(name=name)
    for index, value in enumerate(values):
        metric.gauge.data_points.add(
            time_unix_nano=TIME,
            as_double=value,
            attributes=[KeyValue(key="number", value=AnyValue(int_value=index % series))],
        )
    data: bytes = request.SerializeToString()
    return data


def spans(*values: AnyValue, service: str = "shop", time: int = TIME) -> bytes:
    """A request of one span for each value, which is its only attribute."""
    request: Any = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name", value=AnyValue(string_value=service))
    scope = resource.scope_spans.add()
    for index, value in enumerate(values):
        scope.spans.add(
            trace_id=bytes(15) + b"\1",
            span_id=struct.pack(">Q", index + 1),
            start_time_unix_nano=time,
            attributes=[KeyValue(key="value", value=value)],
        )
    data: bytes = request.SerializeToString()
    return data


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def doubtful(payload: bytes) -> bytes:
    """The same request with its first resource in two pieces, which protobuf merges."""
    inner = payload[2:] if payload[1] < 0x80 else payload[3:]
    inner += b"\x0a\x02\x10\x07"  # resource { dropped_attributes_count: 7 }
    size = bytes([len(inner) & 0x7F | 0x80, len(inner) >> 7])
    return payload[:1] + size + inner


def reference(signal: Signal, *payloads: bytes) -> Encoded:
    return ReferenceEncoder(signal).encode(payloads)


def test_a_doubtful_request_is_taken_over_and_the_others_are_not() -> None:
    """It costs its sender's neighbours nothing, and rows that sort equal stay in the order they came in."""
    batch = [spans(text("a"), text("b")), doubtful(spans(text("c"), text("d"))), spans(text("e"))]
    encoder = native.NativeEncoder(Signal.TRACES)
    assert_equal(encoder.encode(batch), reference(Signal.TRACES, *batch))
    assert encoder.taken_over == 1


def test_points_of_a_doubtful_request_are_sorted_in() -> None:
    """Between the points of others, with the ids of its series."""
    batch = [points("b", 1.0, 2.0), doubtful(points("a", 3.0, 4.0, 5.0)), points("b", 6.0), points("a", 7.0)]
    encoder = native.NativeEncoder(Signal.METRICS)
    assert_equal(encoder.encode(batch), reference(Signal.METRICS, *batch))
    assert encoder.taken_over == 1


@pytest.mark.parametrize(
    "value",
    [
        text('\0\x01\x1f\x7f "quoted" back\\slash \b\f\n\r\t ünïcode \U0001f600 ' + "x" * 100),
        text("plain text, long enough for several words at once"),
        AnyValue(bytes_value=b"\0\xff\x10"),
        AnyValue(bytes_value=b""),
        AnyValue(double_value=float("-inf")),
        AnyValue(int_value=-(2**63)),
        AnyValue(bool_value=False),
        AnyValue(),
    ],
)
def test_values_are_written_as_by_the_reference(value: AnyValue) -> None:
    """Every kind of value, alone and inside of a list and of a map that looks like a tag."""
    inside = AnyValue()
    inside.array_value.values.extend([value, value])
    tag = AnyValue()
    tag.kvlist_value.values.append(KeyValue(key="@bytes", value=value))
    batch = [spans(value, inside, tag)]
    encoder = native.NativeEncoder(Signal.TRACES)
    assert_equal(encoder.encode(batch), reference(Signal.TRACES, *batch))
    assert encoder.taken_over == 0


@pytest.mark.parametrize("depth", [1, 20, 45])
def test_depth(depth: int) -> None:
    """Lists in lists, as deep as protobuf takes them."""
    value = text("bottom")
    for _ in range(depth):
        outer = AnyValue()
        outer.array_value.values.append(value)
        value = outer
    batch = [spans(value)]
    assert_equal(native.NativeEncoder(Signal.TRACES).encode(batch), reference(Signal.TRACES, *batch))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_are_as_python_writes_them(value: float) -> None:
    """The shortest digits that read back equal, spelled as repr() does."""
    assert core.double_text(value) == repr(value)


def test_doubles_at_the_edges() -> None:
    """Powers of two and of ten, and their neighbours, where algorithms for doubles go wrong."""
    edges = [2.0**exponent for exponent in range(-1074, 1024)]
    edges += [float(f"1e{exponent}") for exponent in range(-323, 309)]
    for edge in edges:
        (bits,) = struct.unpack("<q", struct.pack("<d", edge))
        for neighbour in (bits - 1, bits, bits + 1):
            (value,) = struct.unpack("<d", struct.pack("<q", neighbour))
            assert core.double_text(value) == repr(value)


def test_what_is_confirmed_is_left_out_until_another_store_asks() -> None:
    """New series are listed, confirmed ones are not; without the token of the confirmation all are."""
    encoder = native.NativeEncoder(Signal.METRICS)
    here, there = object(), object()
    first = encoder.encode([points("a", 1.0, 2.0, 3.0)])
    assert {table: len(rows) for table, rows in first.dimensions.items()} == {
        RESOURCES: 1,
        SCOPES: 1,
        SERIES: 3,
    }
    first.omission.confirm(here)
    second = encoder.encode([points("a", 1.0, 2.0, 3.0, 4.0, series=4)])
    assert {table: len(rows) for table, rows in second.dimensions.items()} == {SERIES: 1}
    assert second.omission.believed is here
    assert_equal(
        second.omission.complete(), reference(Signal.METRICS, points("a", 1.0, 2.0, 3.0, 4.0, series=4))
    )
    third = encoder.encode([points("a", 1.0, 2.0, 3.0)])
    assert_equal(third, reference(Signal.METRICS, points("a", 1.0, 2.0, 3.0)))
    third.omission.confirm(there)
    assert encoder.encode([points("a", 1.0, 2.0, 3.0)]).dimensions == {}


def test_a_late_confirmation_confirms_nothing() -> None:
    """It is for a batch that is not the encoder's last: whose entries those were is not known any more."""
    encoder = native.NativeEncoder(Signal.METRICS)
    first = encoder.encode([points("a", 1.0)])
    encoder.encode([points("b", 1.0)])
    first.omission.confirm(object())
    assert SERIES in encoder.encode([points("a", 1.0), points("b", 1.0)]).dimensions


def test_a_store_that_was_reconnected_to_gets_all_dimensions() -> None:
    """Because it may be another database by now, or an older state of it."""
    encoder = native.NativeEncoder(Signal.METRICS)
    writer = DimensionWriter()
    database: dict[Any, bytes] = {}

    def insert(missing: Any) -> Any:
        for table, rows in missing.items():
            database.update((row[0], row[1] if table is SERIES else b"") for row in rows)
        return database

    payload = points("a", 1.0, 2.0)
    writer.write(encoder.encode([payload]), insert)
    complete = set(database)
    database.clear()
    writer.write(encoder.encode([payload]), insert)
    assert not database, "everything is known"
    writer.forget()
    writer.write(encoder.encode([payload]), insert)
    assert set(database) == complete


def test_an_encoder_with_a_small_memory_forgets_and_stays_right() -> None:
    """Series come back after they were forgotten, under the same ids."""
    encoder = native.NativeEncoder(Signal.METRICS, entries_max=8)
    for turn in range(40):
        batch = [points(f"m{turn % 7}", *map(float, range(20)), series=20), points("always", 1.0)]
        assert_equal(encoder.encode(batch), reference(Signal.METRICS, *batch))


def test_series_whose_ids_collide_stay_apart() -> None:
    """The batch is the reference encoder's as a whole then."""

    def two_bits(digest: bytes, attempt: int) -> int:
        return (digest[0] & 3) + attempt

    batch = [points("a", *map(float, range(12)), series=12), doubtful(points("b", 1.0, 2.0, 3.0))]
    encoder = native.NativeEncoder(Signal.METRICS, series_id=two_bits)
    theirs = ReferenceEncoder(Signal.METRICS, series_id=two_bits).encode(batch)
    for _ in range(2):
        assert_equal(encoder.encode(batch), theirs)


def test_large_batches_are_sorted_as_by_the_reference() -> None:
    """Thousands of rows of many groups, in every order of arrival."""
    batch = [
        points(f"metric.{number * 7 % 31}", *[float(index * 37 % 101) for index in range(400)], series=97)
        for number in range(40)
    ]
    assert_equal(native.NativeEncoder(Signal.METRICS).encode(batch), reference(Signal.METRICS, *batch))
    batch = [
        spans(
            *[text(str(index)) for index in range(50)],
            service=f"s{number * 5 % 9}",
            time=TIME - number * 13 % 70,
        )
        for number in range(100)
    ]
    assert_equal(native.NativeEncoder(Signal.TRACES).encode(batch), reference(Signal.TRACES, *batch))


def test_rows_are_a_sequence() -> None:
    """As the list of the reference encoder is."""
    batch = [points("a", *map(float, range(10)))]
    [rows] = native.NativeEncoder(Signal.METRICS).encode(batch).facts.values()
    [theirs] = reference(Signal.METRICS, *batch).facts.values()
    assert (len(rows), rows[0], rows[-1], rows[2:5]) == (10, theirs[0], theirs[-1], theirs[2:5])
    assert list(reversed(rows)) == list(reversed(theirs))
    assert rows.time_range() == (TIME // 1000, TIME // 1000)
    with pytest.raises(IndexError):
        rows[10]


def test_only_bytes_are_taken() -> None:
    """Anything else could change while it is read."""
    with pytest.raises(TypeError):
        native.NativeEncoder(Signal.METRICS).encode([bytearray(points("a", 1.0))])


def test_text_that_is_not_utf_8_is_refused() -> None:
    """As the reference does: it never reaches a database."""
    broken = spans(text("good")).replace(b"good", b"g\xff\xfed")
    with pytest.raises(Exception, match="parsing"):
        native.NativeEncoder(Signal.TRACES).encode([broken])
