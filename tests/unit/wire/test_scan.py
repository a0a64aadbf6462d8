"""Each rule of collector/wire/README.md, on protobuf; and requests that other collectors got wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from collector.model.signal import OPENTELEMETRY, Signal
from collector.wire.errors import MalformedError
from collector.wire.rules import Normalisation, Rejection
from collector.wire.scan import ScanLimits, Scanned, scan_protobuf
from tests.support import samples

NOW = 1_790_000_000_000_000_000
DAY = 86_400_000_000_000
LIMITS = ScanLimits(now_unix_nano=NOW, past_ns=30 * DAY, future_ns=DAY)

TRACE_ID = bytes(range(16))
SPAN_ID = b"\xff\0\0\0\0\0\0\x01"

each_signal = pytest.mark.parametrize("signal", OPENTELEMETRY)


def scan(signal: Signal, request: Any) -> Scanned:
    return scan_protobuf(signal, request.SerializeToString(), LIMITS)


def traces(**fields: Any) -> Any:
    """A request with one span, valid but for `fields`."""
    request: Any = Signal.TRACES.request_type()()
    span = {"trace_id": TRACE_ID, "span_id": SPAN_ID, "start_time_unix_nano": NOW} | fields
    request.resource_spans.add().scope_spans.add().spans.add(**span)
    return request


def logs(**fields: Any) -> Any:
    """A request with one log record, valid but for `fields`."""
    request: Any = Signal.LOGS.request_type()()
    record = {"time_unix_nano": NOW, "observed_time_unix_nano": NOW} | fields
    request.resource_logs.add().scope_logs.add().log_records.add(**record)
    return request


def metrics(kind: str, *points: dict[str, Any], temporality: int | None = None) -> Any:
    """A request with one metric of `kind`, with points that are valid but for what is given."""
    request: Any = Signal.METRICS.request_type()()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    data = getattr(metric, kind)
    data.SetInParent()
    if kind not in {"gauge", "summary"}:
        data.aggregation_temporality = 2 if temporality is None else temporality
    for point in points:
        data.data_points.add(**({"time_unix_nano": NOW} | point))
    return request


def only_item(scanned: Scanned) -> Any:
    """The one span, log record or point that is left."""
    request: Any = scanned.telemetry.parse()
    match scanned.telemetry.signal:
        case Signal.TRACES:
            items = request.resource_spans[0].scope_spans[0].spans
        case Signal.METRICS:
            metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
            items = getattr(metric, metric.WhichOneof("data")).data_points
        case Signal.LOGS:
            items = request.resource_logs[0].scope_logs[0].log_records
    (item,) = items
    return item


def assert_rejected(scanned: Scanned, rejection: Rejection, count: int = 1) -> None:
    assert scanned.rejected == {rejection: count}
    assert f"({count})" in scanned.message
    assert scanned.telemetry.items == 0


# --- requests without items ---------------------------------------------------------------------------------


@each_signal
def test_scan_takes_an_empty_request(signal: Signal) -> None:
    """No bytes are a request with nothing in it."""
    scanned = scan_protobuf(signal, b"", LIMITS)
    assert (scanned.telemetry.items, scanned.message, scanned.normalised) == (0, "", {})


@each_signal
@pytest.mark.parametrize("body", [b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x02\x0a\x00"])
def test_scan_takes_envelopes_without_items(signal: Signal, body: bytes) -> None:
    """A resource without scopes, a scope without items: nothing to do, nothing to say."""
    scanned = scan_protobuf(signal, body, LIMITS)
    assert (scanned.telemetry.items, scanned.message) == (0, "")
    assert scanned.telemetry.payload is body


@each_signal
def test_scan_warns_of_a_request_it_knows_nothing_of(signal: Signal) -> None:
    """Only unknown fields: a success, but the sender should hear that nothing was in it."""
    scanned = scan_protobuf(signal, b"\x8a\x87\x02\x03new", LIMITS)
    assert scanned.normalised == {Normalisation.NOTHING_KNOWN: 1}
    assert "nothing was stored" in scanned.message


def test_scan_takes_a_metric_without_points() -> None:
    """An empty envelope as well."""
    scanned = scan(Signal.METRICS, metrics("gauge"))
    assert (scanned.telemetry.items, scanned.message) == (0, "")


def test_scan_drops_a_metric_without_data() -> None:
    """None, or of a type that we do not know yet: counted and said, the others kept."""
    request = metrics("gauge", {"as_int": 1})
    request.resource_metrics[0].scope_metrics[0].metrics.add(name="future").MergeFromString(b"\x6a\x00")
    scanned = scan(Signal.METRICS, request)
    assert scanned.normalised == {Normalisation.METRIC_WITHOUT_DATA: 1}
    assert scanned.message == (
        "Accepted with changes: metrics without data, or with data of an unknown type, were dropped (1)."
    )
    assert only_item(scanned).as_int == 1


# --- ids ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [b"", b"short", bytes(16), bytes(15), b"x" * 17, b"0" * 32])
def test_scan_rejects_a_span_with_an_invalid_trace_id(bad: bytes) -> None:
    """Not 16 bytes, or zero."""
    assert_rejected(scan(Signal.TRACES, traces(trace_id=bad)), Rejection.INVALID_TRACE_ID)


@pytest.mark.parametrize("bad", [b"", bytes(8), b"x" * 7, b"x" * 9, b"x" * 16])
def test_scan_rejects_a_span_with_an_invalid_span_id(bad: bytes) -> None:
    """Not 8 bytes, or zero."""
    assert_rejected(scan(Signal.TRACES, traces(span_id=bad)), Rejection.INVALID_SPAN_ID)


@pytest.mark.parametrize(
    ("parent", "rule"), [(bytes(8), Normalisation.ID_ZERO), (b"x" * 16, Normalisation.ID_LENGTH)]
)
def test_scan_makes_a_root_of_a_span_with_an_invalid_parent(parent: bytes, rule: Normalisation) -> None:
    """Zero means root, and a wrong length cannot be followed."""
    scanned = scan(Signal.TRACES, traces(parent_span_id=parent))
    assert scanned.normalised == {rule: 1}
    assert only_item(scanned).parent_span_id == b""


def test_scan_clears_invalid_ids_of_links_and_keeps_the_links() -> None:
    """Each id by itself; trace state, flags and attributes stay."""
    request = traces()
    links = request.resource_spans[0].scope_spans[0].spans[0].links
    links.add(trace_id=TRACE_ID, span_id=b"bad", trace_state="k=v", flags=257)
    scanned = scan(Signal.TRACES, request)
    (link,) = only_item(scanned).links
    assert (link.trace_id, link.span_id, link.trace_state, link.flags) == (TRACE_ID, b"", "k=v", 257)


def test_scan_clears_invalid_ids_of_log_records_and_exemplars() -> None:
    """They are optional there: the record and the exemplar stay."""
    record = only_item(scan(Signal.LOGS, logs(trace_id=b"x" * 32, span_id=bytes(8), event_name="e")))
    assert (record.trace_id, record.span_id, record.event_name) == (b"", b"", "e")
    request = metrics(
        "gauge", {"as_int": 1, "exemplars": [{"as_int": 2, "trace_id": b"x", "span_id": SPAN_ID}]}
    )
    (exemplar,) = only_item(scan(Signal.METRICS, request)).exemplars
    assert (exemplar.trace_id, exemplar.span_id, exemplar.as_int) == (b"", SPAN_ID, 2)


def test_scan_says_nothing_of_zero_ids_where_ids_are_optional() -> None:
    """SDKs send zeros for "none"; a wrong length is a mistake worth hearing of."""
    assert scan(Signal.LOGS, logs(trace_id=bytes(16))).message == ""
    assert "wrong length" in scan(Signal.LOGS, logs(trace_id=b"1")).message


# --- times --------------------------------------------------------------------------------------------------

_ITEM_AT: dict[str, tuple[Signal, Callable[[int], Any]]] = {
    "span": (Signal.TRACES, lambda time: traces(start_time_unix_nano=time)),
    "log record": (Signal.LOGS, lambda time: logs(time_unix_nano=time)),
    "number point": (Signal.METRICS, lambda time: metrics("sum", {"as_int": 1, "time_unix_nano": time})),
    "histogram point": (Signal.METRICS, lambda time: metrics("histogram", {"time_unix_nano": time})),
    "exponential": (Signal.METRICS, lambda time: metrics("exponential_histogram", {"time_unix_nano": time})),
    "summary point": (Signal.METRICS, lambda time: metrics("summary", {"time_unix_nano": time})),
}


@pytest.mark.parametrize("item", _ITEM_AT)
@pytest.mark.parametrize(
    ("time", "accepted"),
    [
        (NOW, True),
        (NOW - 30 * DAY, True),
        (NOW - 30 * DAY - 1, False),
        (NOW + DAY, True),
        (NOW + DAY + 1, False),
        (1, False),
        (2**63, False),
        (2**64 - 1, False),
    ],
)
def test_scan_has_a_time_window(item: str, time: int, accepted: bool) -> None:
    """Inclusive at both ends, for every kind of item. A year 2262 does not overflow anything."""
    signal, make = _ITEM_AT[item]
    scanned = scan(signal, make(time))
    assert scanned.rejected == ({} if accepted else {Rejection.TIME_OUT_OF_WINDOW: 1})


@pytest.mark.parametrize("item", [item for item in _ITEM_AT if item != "log record"])
def test_scan_rejects_time_zero(item: str) -> None:
    """A span or point without a time would lie in 1970."""
    signal, make = _ITEM_AT[item]
    assert_rejected(scan(signal, make(0)), Rejection.NO_TIME)


@pytest.mark.parametrize("wide", [2**63 - 1, 2**63, 2**70])
def test_scan_never_takes_a_time_that_overflows_63_bits(wide: int) -> None:
    """However wide the window is."""
    limits = ScanLimits(now_unix_nano=NOW, past_ns=wide, future_ns=wide)
    body = traces(start_time_unix_nano=2**63).SerializeToString()
    assert_rejected(scan_protobuf(Signal.TRACES, body, limits), Rejection.TIME_OUT_OF_WINDOW)


def test_scan_judges_a_log_record_without_time_by_its_observed_time() -> None:
    """The time itself stays 0: unknown."""
    record = only_item(scan(Signal.LOGS, logs(time_unix_nano=0, observed_time_unix_nano=NOW - 5)))
    assert (record.time_unix_nano, record.observed_time_unix_nano) == (0, NOW - 5)
    assert_rejected(
        scan(Signal.LOGS, logs(time_unix_nano=0, observed_time_unix_nano=5)), Rejection.TIME_OUT_OF_WINDOW
    )


@pytest.mark.parametrize("time", [0, NOW - 5])
def test_scan_sets_the_observed_time_of_a_log_record(time: int) -> None:
    """The first collector that sees a record sets it (logs.proto), in silence."""
    scanned = scan(Signal.LOGS, logs(time_unix_nano=time, observed_time_unix_nano=0))
    assert only_item(scanned).observed_time_unix_nano == NOW
    assert (scanned.normalised, scanned.message) == ({Normalisation.OBSERVED_TIME: 1}, "")


def test_scan_keeps_secondary_times_as_they_are() -> None:
    """Start times, ends before starts, times of events and exemplars: all 64 bits, no window."""
    span = traces(end_time_unix_nano=5, events=[{"time_unix_nano": 2**64 - 1}])
    point = {"as_int": 1, "start_time_unix_nano": 2**64 - 1, "exemplars": [{"time_unix_nano": 1}]}
    record = logs(observed_time_unix_nano=2**64 - 1)
    for signal, request in (
        (Signal.TRACES, span),
        (Signal.METRICS, metrics("sum", point)),
        (Signal.LOGS, record),
    ):
        scanned = scan(signal, request)
        assert (scanned.rejected, scanned.normalised) == ({}, {})
        assert scanned.telemetry.payload == request.SerializeToString()


# --- metrics ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sum", "histogram", "exponential_histogram"])
def test_scan_rejects_points_without_temporality(kind: str) -> None:
    """UNSPECIFIED must not be used: nobody could add them up."""
    points = [{"time_unix_nano": NOW}] * 3
    assert_rejected(scan(Signal.METRICS, metrics(kind, *points, temporality=0)), Rejection.NO_TEMPORALITY, 3)


def test_scan_rejects_a_number_point_without_a_value() -> None:
    """Neither an integer nor a double: it is not 0."""
    assert_rejected(scan(Signal.METRICS, metrics("gauge", {})), Rejection.NO_VALUE)


@pytest.mark.parametrize("value", [{"as_int": 0}, {"as_double": 0.0}, {"as_double": float("nan")}])
def test_scan_takes_zero_and_nan_as_values(value: dict[str, Any]) -> None:
    """Present is what counts."""
    assert scan(Signal.METRICS, metrics("gauge", value)).telemetry.items == 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("gauge", {"as_int": 7}),
        ("sum", {"as_double": 7.5}),
        (
            "histogram",
            {"count": 3, "sum": 1.0, "min": 0.0, "bucket_counts": [1], "explicit_bounds": [1.0, 0.5]},
        ),
        ("exponential_histogram", {"count": 3, "scale": 100, "zero_count": 3, "positive": {"offset": 1}}),
        ("summary", {"count": 3, "sum": 1.0, "quantile_values": [{"quantile": 5.0}]}),
    ],
)
def test_scan_clears_the_values_of_points_that_have_none(kind: str, values: dict[str, Any]) -> None:
    """NO_RECORDED_VALUE: ignore all other values; start, attributes and the other flags stay."""
    request = metrics(kind, {"flags": 3, "start_time_unix_nano": 5, "attributes": [{"key": "k"}]} | values)
    scanned = scan(Signal.METRICS, request)
    fields = {field.name for field, _ in only_item(scanned).ListFields()}
    assert fields == {"time_unix_nano", "flags", "start_time_unix_nano", "attributes"}
    assert scanned.normalised == {Normalisation.NO_RECORDED_VALUE: 1}
    assert scanned.message == ""


@pytest.mark.parametrize(
    ("counts", "bounds", "rejection"),
    [
        ([], [], None),  # count and sum only
        ([3], [], None),
        ([1, 2], [0.5], None),
        ([1, 1, 1], [float("-inf"), float("inf")], None),
        ([1], [0.5], Rejection.HISTOGRAM_BUCKETS),
        ([], [0.5], Rejection.HISTOGRAM_BUCKETS),
        ([1, 2], [], Rejection.HISTOGRAM_BUCKETS),
        ([1, 1, 1], [0.5, 0.5], Rejection.HISTOGRAM_BOUNDS),
        ([1, 1, 1], [-0.0, 0.0], Rejection.HISTOGRAM_BOUNDS),
        ([1, 1, 1], [2.0, 1.0], Rejection.HISTOGRAM_BOUNDS),
        ([1, 2], [float("nan")], Rejection.HISTOGRAM_BOUNDS),
        ([1, 1, 1], [1.0, float("nan")], Rejection.HISTOGRAM_BOUNDS),
    ],
)
def test_scan_checks_histograms(counts: list[int], bounds: list[float], rejection: Rejection | None) -> None:
    """One count more than bounds, or none of either; bounds strictly increasing."""
    point = {"count": 3, "bucket_counts": counts, "explicit_bounds": bounds}
    scanned = scan(Signal.METRICS, metrics("histogram", point))
    assert scanned.rejected == ({} if rejection is None else {rejection: 1})


def test_scan_takes_a_histogram_whose_counts_do_not_add_up() -> None:
    """As it is, but counted: the sender is wrong, the data may still be of use."""
    request = metrics("histogram", {"count": 2**64 - 1, "bucket_counts": [1, 1], "explicit_bounds": [0.5]})
    scanned = scan(Signal.METRICS, request)
    assert scanned.normalised == {Normalisation.BUCKET_COUNT_MISMATCH: 1}
    assert scanned.telemetry.payload == request.SerializeToString()
    assert scanned.message == ""


@pytest.mark.parametrize(
    ("point", "rejection"),
    [
        ({"scale": -11}, None),
        ({"scale": 52}, None),
        ({"scale": -12}, Rejection.EXPONENTIAL_SCALE),
        ({"scale": 2**31 - 1}, Rejection.EXPONENTIAL_SCALE),
        ({"scale": 3, "count": 2, "positive": {"offset": -(2**31), "bucket_counts": [1, 1]}}, None),
        ({"count": 1, "negative": {"offset": 2**31 - 1, "bucket_counts": [1]}}, None),
        ({"negative": {"offset": 2**31 - 1, "bucket_counts": [0, 1]}}, Rejection.EXPONENTIAL_INDEX),
    ],
)
def test_scan_checks_exponential_histograms(point: dict[str, Any], rejection: Rejection | None) -> None:
    """Negative scales and offsets are normal; what overflows is not."""
    scanned = scan(Signal.METRICS, metrics("exponential_histogram", point))
    assert scanned.rejected == ({} if rejection is None else {rejection: 1})
    assert scanned.normalised == {}


@pytest.mark.parametrize(
    ("quantiles", "accepted"),
    [
        ([], True),
        ([0.0, 0.5, 1.0], True),
        ([0.5, 0.5], False),
        ([0.9, 0.5], False),
        ([-0.1], False),
        ([1.1], False),
        ([float("nan")], False),
    ],
)
def test_scan_checks_summaries(quantiles: list[float], accepted: bool) -> None:
    """Quantiles strictly increasing within 0 … 1; their values may be anything, also negative or NaN."""
    values = [{"quantile": quantile, "value": -1.0} for quantile in quantiles]
    scanned = scan(Signal.METRICS, metrics("summary", {"count": 1, "sum": -5.0, "quantile_values": values}))
    assert scanned.rejected == ({} if accepted else {Rejection.SUMMARY_QUANTILES: 1})


def test_scan_reads_unpacked_repeated_fields() -> None:
    """Old encoders write a tag for every bucket; the counts are the same."""
    counts = b"".join(b"\x31" + struct.pack("<Q", count) for count in (1, 2))
    bounds = b"\x39" + struct.pack("<d", 0.5)
    point = b"\x19" + struct.pack("<Q", NOW) + b"\x21" + struct.pack("<Q", 3) + counts + bounds
    body = point
    for number in (1, 9, 2, 2, 1):  # data_points, histogram, metrics, scope_metrics, resource_metrics
        if number == 9:
            body += b"\x10\x02"  # cumulative
        body = bytes([number << 3 | 2, len(body)]) + body
    scanned = scan_protobuf(Signal.METRICS, body, LIMITS)
    assert scanned.rejected == {}
    assert list(only_item(scanned).bucket_counts) == [1, 2]
    assert list(only_item(scanned).explicit_bounds) == [0.5]


# --- attributes and strings ---------------------------------------------------------------------------------


def test_scan_keeps_the_last_of_duplicate_keys() -> None:
    """At every level; the others keep their order."""
    request = logs(
        attributes=[
            {"key": "a", "value": {"int_value": 1}},
            {"key": "b"},
            {"key": "a", "value": {"kvlist_value": {"values": [{"key": "x"}, {"key": "x"}]}}},
        ]
    )
    scanned = scan(Signal.LOGS, request)
    record = only_item(scanned)
    assert [pair.key for pair in record.attributes] == ["b", "a"]
    assert len(record.attributes[1].value.kvlist_value.values) == 1
    assert scanned.normalised == {Normalisation.DUPLICATE_KEY: 2}
    assert "key that occurs again" in scanned.message


def test_scan_replaces_nul_characters() -> None:
    """In values, keys and names; keys that become equal are duplicates."""
    request = logs(
        body={"string_value": "a\0b\0"},
        severity_text="\0",
        attributes=[{"key": "k\0"}, {"key": "k\ufffd", "value": {"bool_value": True}}],
    )
    scanned = scan(Signal.LOGS, request)
    record = only_item(scanned)
    assert (record.body.string_value, record.severity_text) == ("a\ufffdb\ufffd", "\ufffd")
    assert [(pair.key, pair.value.bool_value) for pair in record.attributes] == [("k\ufffd", True)]
    assert scanned.normalised == {Normalisation.NUL_CHARACTER: 3, Normalisation.DUPLICATE_KEY: 1}


def test_scan_keeps_nul_in_bytes_and_other_odd_characters() -> None:
    """Only NUL is a problem, and only in text."""
    request = logs(body={"bytes_value": b"\0\xff"}, event_name="\uffff\x01\U0010ffff")
    assert scan(Signal.LOGS, request).telemetry.payload == request.SerializeToString()


def test_scan_drops_string_table_indices() -> None:
    """They belong to the profiles signal: warned of, absent, never a failure."""
    request = logs(
        body={"string_value_strindex": 3},
        attributes=[{"key": "k", "key_strindex": 4, "value": {"string_value_strindex": 0}}],
    )
    scanned = scan(Signal.LOGS, request)
    record = only_item(scanned)
    assert record.body.WhichOneof("value") is None
    assert record.HasField("body")
    assert scanned.normalised == {Normalisation.STRING_TABLE_INDEX: 3}
    assert "indices" in scanned.message


@pytest.mark.parametrize(
    ("bad", "good"), [(b"\xff", "\ufffd"), (b"a\xc3(b", "a\ufffd(b"), (b"\xed\xa0\x80", "\ufffd" * 3)]
)
def test_scan_repairs_strings_that_are_not_utf8(bad: bytes, good: str) -> None:
    """One bad byte costs its character, not the request; the rest of the bytes stay as they are."""
    request = logs(event_name="@@@@@@@@"[: len(bad)], severity_text="fine", body={"bytes_value": b"\xff"})
    request.resource_logs[0].scope_logs[0].schema_url = "é"
    body = request.SerializeToString().replace(b"@" * len(bad), bad)
    scanned = scan_protobuf(Signal.LOGS, body, LIMITS)
    record = only_item(scanned)
    assert (record.event_name, record.severity_text, record.body.bytes_value) == (good, "fine", b"\xff")
    assert scanned.normalised == {Normalisation.INVALID_UTF8: 1}
    assert scanned.message == "Accepted with changes: invalid UTF-8 was replaced by U+FFFD (1)."


def _nested(kind: str, depth: int) -> Any:
    request = logs()
    value = request.resource_logs[0].scope_logs[0].log_records[0].attributes.add(key="deep").value
    for _ in range(depth):
        values = getattr(value, f"{kind}_value").values
        value = values.add(key="k").value if kind == "kvlist" else values.add()
    value.int_value = 7
    return request


@pytest.mark.parametrize(("kind", "fits"), [("array", 47), ("kvlist", 31)])
def test_scan_takes_values_as_deep_as_protobuf_goes(kind: str, fits: int) -> None:
    """Up to 100 messages in each other nothing is changed; one level more and the deepest is cut off."""
    request = _nested(kind, fits)
    assert scan(Signal.LOGS, request).telemetry.payload == request.SerializeToString()
    scanned = scan(Signal.LOGS, _nested(kind, fits + 1))
    assert scanned.normalised == {Normalisation.TOO_DEEP: 1}
    assert scanned.telemetry.items == 1
    assert only_item(scanned).attributes[0].key == "deep"


@pytest.mark.parametrize("kind", ["array", "kvlist"])
def test_scan_cuts_values_at_the_configured_depth(kind: str) -> None:
    """The list or map at the limit stays, empty."""
    limits = ScanLimits(now_unix_nano=NOW, past_ns=DAY, future_ns=DAY, depth_max=3)
    assert not scan_protobuf(Signal.LOGS, _nested(kind, 2).SerializeToString(), limits).normalised
    scanned = scan_protobuf(Signal.LOGS, _nested(kind, 3).SerializeToString(), limits)
    assert scanned.normalised == {Normalisation.TOO_DEEP: 1}
    value = only_item(scanned).attributes[0].value
    for _ in range(2):
        (entry,) = getattr(value, f"{kind}_value").values
        value = entry.value if kind == "kvlist" else entry
    assert value.WhichOneof("value") == f"{kind}_value"
    assert not getattr(value, f"{kind}_value").values


def test_scan_survives_a_depth_bomb() -> None:
    """100 000 lists in each other: one value is cut, no stack ends."""
    depth, value = 100_000, bytearray(b"\x18\x01")
    pieces = []
    size = len(value)
    for _ in range(depth):
        for tag in (0x0A, 0x2A):  # ArrayValue.values, AnyValue.array_value
            head = bytes([tag]) + _varint(size)
            pieces.append(head)
            size += len(head)
    body = b"".join(reversed(pieces)) + bytes(value)
    record = (
        b"\x09" + struct.pack("<Q", NOW) + b"\x59" + struct.pack("<Q", NOW) + b"\x2a" + _varint(size) + body
    )
    for _ in range(3):
        record = (b"\x12" if _ < 2 else b"\x0a") + _varint(len(record)) + record
    scanned = scan_protobuf(Signal.LOGS, record, LIMITS)
    assert (scanned.telemetry.items, scanned.normalised) == (1, {Normalisation.TOO_DEEP: 1})


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


# --- unknown, malformed, misplaced --------------------------------------------------------------------------


def test_scan_ignores_unknown_fields_and_keeps_them() -> None:
    """At every level; they travel on in the payload."""
    request = traces(status={"code": 2})
    resource = request.resource_spans[0]
    span = resource.scope_spans[0].spans[0]
    span.attributes.add(key="k").value.SetInParent()
    for message in (
        request, resource, resource.resource, resource.scope_spans[0], resource.scope_spans[0].scope, span,
        span.events.add(), span.links.add(), span.status, span.attributes[0], span.attributes[0].value,
    ):  # fmt: skip
        message.MergeFromString(b"\x8a\x87\x02\x03new\x98\x3f\x01")  # fields 4321 and 1011
    resource.MergeFromString(b"\xc2\x3e\x02\x0a\x00")  # 1000: instrumentation_library_spans, once
    body = request.SerializeToString()
    scanned = scan_protobuf(Signal.TRACES, body, LIMITS)
    assert scanned.telemetry.payload is body
    assert (scanned.telemetry.items, scanned.message) == (1, "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"\x0a\x05\x0a", "longer than the message"),
        (b"\x0a", "ends within a number"),
        (b"\x00\x00", "0 is not a field number"),
        (b"\x0b", "ends within a number"),  # a group that never ends
        (b"\x0c", "wire type 4"),
        (b"\x0f", "wire type 7"),
        (b"\x08" + b"\xff" * 11, "more than 10 bytes"),
        (b"\x0a\x02\x12\x05", "resource_spans"),
    ],
)
def test_scan_says_where_a_body_is_broken(body: bytes, said: str) -> None:
    """With a path or an offset, also as a field violation."""
    with pytest.raises(MalformedError, match=said) as caught:
        scan_protobuf(Signal.TRACES, body, LIMITS)
    assert len(caught.value.field_violations) == 1


def test_scan_refuses_trailing_garbage() -> None:
    """A good request with something behind it is not a good request."""
    with pytest.raises(MalformedError):
        scan_protobuf(Signal.TRACES, traces().SerializeToString() + b"\xff", LIMITS)


def test_scan_recognises_json_sent_as_protobuf() -> None:
    """The hint names the header that is wrong."""
    with pytest.raises(MalformedError, match="Content-Type"):
        scan_protobuf(Signal.TRACES, b'{"resourceSpans": []}', LIMITS)


def _full(signal: Signal) -> Any:
    """A request as an SDK would send it."""
    match signal:
        case Signal.TRACES:
            request = traces(name="GET /", kind=2, end_time_unix_nano=NOW + 5, attributes=[{"key": "k"}])
        case Signal.METRICS:
            request = metrics(
                "sum", {"as_int": 1, "start_time_unix_nano": NOW - 5, "attributes": [{"key": "k"}]}
            )
            request.resource_metrics[0].scope_metrics[0].metrics[0].unit = "1"
        case Signal.LOGS:
            request = logs(
                severity_number=9, severity_text="INFO", body={"string_value": "hello"}, trace_id=TRACE_ID
            )
        case Signal.COSTS:
            return samples.costs()
    envelope = request.ListFields()[0][1][0]
    envelope.resource.attributes.add(key="service.name").value.string_value = "shop"
    return request


@pytest.mark.parametrize(("sent", "to"), [(sent, to) for sent in Signal for to in Signal if sent is not to])
def test_scan_recognises_another_signals_request(sent: Signal, to: Signal) -> None:
    """Also where it parses: the field numbers overlap. The hint names the right signal."""
    with pytest.raises(MalformedError, match=f"request of {sent.value}"):
        scan_protobuf(to, _full(sent).SerializeToString(), LIMITS)


def test_scan_recognises_gauges_sent_as_traces() -> None:
    """The one case in which every field of the other signal fits in type."""
    request = metrics("gauge", {"as_int": 1})
    with pytest.raises(MalformedError, match="request of metrics"):
        scan_protobuf(Signal.TRACES, request.SerializeToString(), LIMITS)


# --- what is said -------------------------------------------------------------------------------------------


def test_scan_counts_every_reason_in_one_sentence() -> None:
    """How many of how many, and why, the most frequent first."""
    request = traces(name="good")
    spans = request.resource_spans[0].scope_spans[0].spans
    spans.add(trace_id=b"1", span_id=SPAN_ID, start_time_unix_nano=NOW)
    spans.add(trace_id=b"2", span_id=SPAN_ID, start_time_unix_nano=NOW)
    spans.add(trace_id=TRACE_ID, span_id=SPAN_ID, start_time_unix_nano=1)
    scanned = scan(Signal.TRACES, request)
    assert scanned.message == (
        "3 of 4 spans were rejected: trace_id is not 16 bytes or is zero (2), "
        "time is outside the accepted window (1)."
    )
    assert scanned.rejected_items == 3
    assert only_item(scanned).name == "good"


def test_scan_keeps_large_items() -> None:
    """64 KiB in a value, 10 000 attributes, 10 000 exemplars: nothing is cut."""
    big = logs(body={"string_value": "x" * 65_536}, attributes=[{"key": str(n)} for n in range(10_000)])
    assert scan(Signal.LOGS, big).telemetry.payload == big.SerializeToString()
    many = metrics("gauge", {"as_int": 1, "exemplars": [{"as_int": n} for n in range(10_000)]})
    assert len(only_item(scan(Signal.METRICS, many)).exemplars) == 10_000


def test_scan_refuses_many_items_in_linear_time() -> None:
    """Every second of 100 000 records is refused: this would take minutes if it were quadratic."""
    request = logs()
    records = request.resource_logs[0].scope_logs[0].log_records
    for index in range(100_000):
        records.add(time_unix_nano=NOW if index % 2 else 1, observed_time_unix_nano=NOW)
    scanned = scan(Signal.LOGS, request)
    assert (scanned.telemetry.items, scanned.rejected_items) == (50_001, 50_000)
