"""Rows J: OTLP/JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from collector.model.clock import SystemClock
from collector.model.signal import OPENTELEMETRY, Signal
from collector.wire.json_decode import decode_json
from tests.conformance.target import JSON, Target, new_case, partial_success, sample, status_of
from tests.support.raw_http import Response

TRACE_ID = "5b8efff798038103d269b633813fc60c"
SPAN_ID = "eee19b7ec3c1b174"


def now() -> str:
    """The time as OTLP/JSON writes it."""
    return str(SystemClock().unix_nano())


def span_document(case: str, **fields: Any) -> dict[str, Any]:
    """A request with one span; `fields` replace its own."""
    span = {
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "name": "span",
        "startTimeUnixNano": now(),
        "endTimeUnixNano": now(),
        **fields,
    }
    return {"resourceSpans": [{**resource(case), "scopeSpans": [{"spans": [span]}]}]}


def log_document(case: str, body: Any, **fields: Any) -> dict[str, Any]:
    """A request with one log record with this `AnyValue` as its body."""
    record = {"timeUnixNano": now(), "observedTimeUnixNano": now(), "body": body, **fields}
    return {"resourceLogs": [{**resource(case), "scopeLogs": [{"logRecords": [record]}]}]}


def point_document(case: str, **fields: Any) -> dict[str, Any]:
    """A request with one point of a gauge."""
    point = {"timeUnixNano": now(), **fields}
    metric = {"name": "gauge", "gauge": {"dataPoints": [point]}}
    return {"resourceMetrics": [{**resource(case), "scopeMetrics": [{"metrics": [metric]}]}]}


def resource(case: str) -> dict[str, Any]:
    """A resource marked with `case`."""
    return {"resource": {"attributes": [{"key": "conformance.case", "value": {"stringValue": case}}]}}


def post(target: Target, signal: Signal, document: Any) -> Response:
    """Send a document, or text as it is."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return target.post(signal.http_path, body, JSON)


def taken(target: Target, signal: Signal, document: Any, case: str) -> Any:
    """Send a document that must be taken without a word; return its one item as stored, None if unseen."""
    response = post(target, signal, document)
    assert (response.status, response.body) == (200, b"{}")
    return stored_item(target, signal, case)


def stored_item(target: Target, signal: Signal, case: str) -> Any:
    """The one item stored under `case`; None if that cannot be seen."""
    message: Any = target.stored(signal, case)
    if message is None:
        return None
    match signal:
        case Signal.TRACES:
            [item] = message.resource_spans[0].scope_spans[0].spans
        case Signal.LOGS:
            [item] = message.resource_logs[0].scope_logs[0].log_records
        case Signal.METRICS:
            [item] = message.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    return item


def logged(target: Target, case: str, body: Any) -> Message | None:
    """Send a log record with this body; return the body stored."""
    record = taken(target, Signal.LOGS, log_document(case, body), case)
    if record is None:
        return None
    value: Message = record.body
    return value


@pytest.mark.row("J1")
@pytest.mark.parametrize("change", [str.lower, str.upper, str.swapcase, str.title])
def test_ids_are_hex_in_any_case(target: Target, case: str, change: Any) -> None:
    """Read as base64 they would be 24 bytes of nonsense."""
    document = span_document(
        case, traceId=change(TRACE_ID), spanId=change(SPAN_ID), parentSpanId=change(SPAN_ID[::-1])
    )
    span = taken(target, Signal.TRACES, document, case)
    if span is not None:
        assert (span.trace_id.hex(), span.span_id.hex()) == (TRACE_ID, SPAN_ID)
        assert span.parent_span_id.hex() == SPAN_ID[::-1]


@pytest.mark.row("J1")
def test_empty_ids_are_absent_ones(target: Target, case: str) -> None:
    """A root span's parent, a log record's trace."""
    span = taken(target, Signal.TRACES, span_document(case, parentSpanId=""), case)
    assert span is None or span.parent_span_id == b""


@pytest.mark.row("J1")
@pytest.mark.parametrize("bad", ["5b8", "zz8efff798038103d269b633813fc60c", "00" * 16, "ab" * 15, ""])
def test_bad_ids_cost_their_span_alone(target: Target, case: str, bad: str) -> None:
    """Odd, not hex, zero, short, missing: one span is rejected, its neighbour stored."""
    document = span_document(case)
    spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans.append({**spans[0], "traceId": bad})
    response = post(target, Signal.TRACES, document)
    assert response.status == 200
    assert partial_success(Signal.TRACES, JSON, response.body)[0] == 1
    span = stored_item(target, Signal.TRACES, case)
    assert span is None or span.trace_id.hex() == TRACE_ID


@pytest.mark.row("J2")
@pytest.mark.parametrize("kind", [0, 3, 5, 77])
def test_enums_are_integers(target: Target, case: str, kind: int) -> None:
    """Enums are open: what a newer version adds is kept."""
    span = taken(target, Signal.TRACES, span_document(case, kind=kind), case)
    assert span is None or span.kind == kind


@pytest.mark.row("J2")
def test_names_of_enums_are_taken_with_a_warning(target: Target, case: str) -> None:
    """Not valid, but some senders do it."""
    response = post(target, Signal.TRACES, span_document(case, kind="SPAN_KIND_SERVER"))
    assert response.status == 200
    assert partial_success(Signal.TRACES, JSON, response.body)[1]
    span = stored_item(target, Signal.TRACES, case)
    assert span is None or span.kind == 2


@pytest.mark.row("J3")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"9007199254740993"', 2**53 + 1),
        ("9007199254740993", 2**53 + 1),
        ('"-9223372036854775808"', -(2**63)),
        ("9223372036854775807", 2**63 - 1),
        ("1.5e3", 1500),
        ('"1e3"', 1000),
    ],
)
def test_64_bit_integers_are_exact(target: Target, case: str, text: str, value: int) -> None:
    """As string or number, also beyond what a double holds."""
    document = json.dumps(point_document(case, asInt="@")).replace('"@"', text).encode()
    point = taken(target, Signal.METRICS, document, case)
    assert point is None or point.as_int == value


@pytest.mark.row("J3")
def test_times_are_exact(target: Target, case: str) -> None:
    """Nanoseconds of today are beyond 2^53."""
    time = SystemClock().unix_nano() | 1
    document = json.dumps(point_document(case, timeUnixNano="@", asInt=1)).replace('"@"', str(time)).encode()
    point = taken(target, Signal.METRICS, document, case)
    assert point is None or point.time_unix_nano == time


@pytest.mark.row("J3")
@pytest.mark.parametrize("bad", ["-1", '"-1"', '"18446744073709551616"', '"x"', "1.5", "true", "{}", "[]"])
def test_what_is_no_fixed64_is_400(target: Target, case: str, bad: str) -> None:
    """Negative, too large, a fraction, another type."""
    document = json.dumps(point_document(case, startTimeUnixNano="@", asInt=1)).replace('"@"', bad).encode()
    response = post(target, Signal.METRICS, document)
    assert response.status == 400
    assert "startTimeUnixNano" in status_of(response).message.replace(
        "start_time_unix_nano", "startTimeUnixNano"
    )


@pytest.mark.row("J4")
@pytest.mark.parametrize("text", ["+/+/AA==", "-_-_AA==", "+/+/AA", "-_-_AA"])
def test_bytes_are_base64(target: Target, case: str, text: str) -> None:
    """Both alphabets, with and without padding."""
    value: Any = logged(target, case, {"bytesValue": text})
    assert value is None or value.bytes_value == b"\xfb\xff\xbf\x00"


@pytest.mark.row("J5")
def test_snake_case_is_taken_with_a_warning(target: Target, case: str) -> None:
    """Not valid, but some senders do it."""
    document = json.loads(json.dumps(log_document(case, {"string_value": "text"})))
    response = post(target, Signal.LOGS, document)
    assert response.status == 200
    assert partial_success(Signal.LOGS, JSON, response.body)[1]
    record = stored_item(target, Signal.LOGS, case)
    assert record is None or record.body.string_value == "text"


@pytest.mark.row("J5")
@pytest.mark.parametrize("camel_first", [True, False])
def test_camel_case_wins_over_snake_case(target: Target, case: str, camel_first: bool) -> None:
    """Whichever comes first."""
    pairs = [("stringValue", "camel"), ("string_value", "snake")]
    body = dict(pairs if camel_first else reversed(pairs))
    assert post(target, Signal.LOGS, log_document(case, body)).status == 200
    record = stored_item(target, Signal.LOGS, case)
    assert record is None or record.body.string_value == "camel"


@pytest.mark.row("J6")
@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [[{"a": [None]}]], True, 1e300])
def test_unknown_keys_are_ignored(target: Target, case: str, value: Any) -> None:
    """Whatever is behind them."""
    document = log_document(case, {"stringValue": "text", "unknown": value}, another=value)
    document["yetAnother"] = value
    record = taken(target, Signal.LOGS, document, case)
    assert record is None or record.body.string_value == "text"


@pytest.mark.row("J7")
@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1.5", "-2e-3"])
def test_doubles_may_be_strings(target: Target, case: str, text: str) -> None:
    """The three that JSON has no number for, and any other."""
    point = taken(target, Signal.METRICS, point_document(case, asDouble=text), case)
    if point is not None:
        expected = float(text)
        assert point.as_double == expected or (math.isnan(expected) and math.isnan(point.as_double))


@pytest.mark.row("J7")
@pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"-Infinity", b"+1", b"0x10", b".5", b"1."])
def test_bare_tokens_that_are_no_json_are_400(target: Target, case: str, token: bytes) -> None:
    """Python's own parser would take the first three."""
    document = json.dumps(point_document(case, asDouble="@")).encode().replace(b'"@"', token)
    assert post(target, Signal.METRICS, document).status == 400


@pytest.mark.row("J8")
def test_null_is_the_default(target: Target, case: str) -> None:
    """For every kind of field."""
    document = span_document(
        case,
        attributes=None,
        events=None,
        status=None,
        kind=None,
        parentSpanId=None,
        droppedLinksCount=None,
        traceState=None,
    )
    document["resourceSpans"][0]["schemaUrl"] = None
    span = taken(target, Signal.TRACES, document, case)
    assert span is None or not span.HasField("status")


@pytest.mark.row("J9")
@pytest.mark.parametrize(
    "body", [b'{"foo":1}', b'{"message":"hello","level":"info"}', b'{"resourceLog":[]}', b'{"data":{"a":[]}}']
)
def test_objects_that_are_not_otlp_get_a_warning(target: Target, body: bytes) -> None:
    """200, for a future OTLP might look so; but not without a word."""
    response = post(target, Signal.LOGS, body)
    assert response.status == 200
    assert partial_success(Signal.LOGS, JSON, response.body)[1]


@pytest.mark.row("J9")
@pytest.mark.parametrize("body", [b"[]", b'[{"resourceLogs":[]}]', b"{}\n{}", b'"x"', b"1", b"true", b"null"])
def test_what_is_no_object_is_400(target: Target, body: bytes) -> None:
    """An array of requests, lines of JSON."""
    assert post(target, Signal.LOGS, body).status == 400


@pytest.mark.row("J10")
def test_the_last_of_duplicate_keys_wins(target: Target, case: str) -> None:
    """As in most parsers; the important thing is that it is one rule."""
    document = json.dumps(log_document(case, {"stringValue": "@"})).encode()
    document = document.replace(b'"stringValue": "@"', b'"stringValue": "first", "stringValue": "last"')
    assert post(target, Signal.LOGS, document).status == 200
    record = stored_item(target, Signal.LOGS, case)
    assert record is None or record.body.string_value == "last"


@pytest.mark.row("J11")
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"resourceLogs":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"unknown":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    ],
)
def test_depth_bombs_are_400(target: Target, body: bytes) -> None:
    """And the server is there afterwards."""
    assert post(target, Signal.LOGS, body).status == 400
    assert post(target, Signal.LOGS, b"{}").status == 200


@pytest.mark.row("J11")
def test_a_deep_value_costs_itself_alone(target: Target, case: str) -> None:
    """Two hundred arrays in one another are cut; the record is stored, and the sender is told."""
    body: Any = {"stringValue": "bottom"}
    for _ in range(200):
        body = {"arrayValue": {"values": [body]}}
    response = post(target, Signal.LOGS, log_document(case, body))
    assert response.status == 200
    rejected, text = partial_success(Signal.LOGS, JSON, response.body)
    assert rejected == 0
    assert text
    record = stored_item(target, Signal.LOGS, case)
    assert record is None or record.body.HasField("array_value")


@pytest.mark.row("J12")
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, None),
        ({"stringValue": ""}, "string_value"),
        ({"kvlistValue": {"values": []}}, "kvlist_value"),
        ({"arrayValue": {"values": []}}, "array_value"),
        ({"kvlistValue": {}}, "kvlist_value"),
        ({"bytesValue": ""}, "bytes_value"),
        ({"intValue": "0"}, "int_value"),
        ({"boolValue": False}, "bool_value"),
        ({"doubleValue": 0}, "double_value"),
    ],
)
def test_empty_values_are_kept_apart(target: Target, case: str, body: Any, kind: str | None) -> None:
    """Empty, an empty text, an empty list and zero are five different things."""
    value: Any = logged(target, case, body)
    assert value is None or value.WhichOneof("value") == kind


@pytest.mark.row("J12")
def test_null_inside_an_array_is_an_empty_value(target: Target, case: str) -> None:
    """And keeps its place."""
    value: Any = logged(target, case, {"arrayValue": {"values": [{"intValue": 1}, {}, {"intValue": 2}]}})
    if value is not None:
        kinds = [element.WhichOneof("value") for element in value.array_value.values]
        assert kinds == ["int_value", None, "int_value"]


@pytest.mark.row("J13")
def test_file_form_is_one_request_per_line(target: Target) -> None:
    """Each line is a request of one signal by itself, without blanks between tokens."""
    if target.output is None:
        pytest.skip("no file can be seen from here")
    for signal in OPENTELEMETRY:
        case = new_case()
        assert target.post(signal.http_path, sample(signal, case, 2).SerializeToString()).status == 200
        target.stored(signal, case, 2)
        lines = [line for line in Path(target.output).read_bytes().split(b"\n") if case.encode() in line]
        [decoded] = [decode_json(signal, line)[0] for line in lines]
        assert decoded.ListFields()
