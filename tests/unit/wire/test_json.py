"""OTLP/JSON as senders write it (opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding")."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from collector.model.signal import Signal
from collector.wire.errors import MalformedError
from collector.wire.json_decode import decode_json
from collector.wire.json_encode import encode_json
from collector.wire.rules import Normalisation, Rejection
from collector.wire.scan import ScanLimits, scan_json

NOW = 1_790_000_000_000_000_000
LIMITS = ScanLimits(now_unix_nano=NOW, past_ns=10**15, future_ns=10**15)
TRACE_ID = "5b8efff798038103d269b633813fc60c"
SPAN_ID = "eee19b7ec3c1b174"

each_signal = pytest.mark.parametrize("signal", Signal)


def span_json(**fields: Any) -> bytes:
    span = {"traceId": TRACE_ID, "spanId": SPAN_ID, "startTimeUnixNano": str(NOW)} | fields
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def record_json(**fields: Any) -> bytes:
    record = {"timeUnixNano": str(NOW), "observedTimeUnixNano": str(NOW)} | fields
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()


def point_json(kind: str, text: str) -> bytes:
    """`text` is the point's own JSON: some tests need tokens that `json.dumps` would not write."""
    return (
        f'{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","{kind}":'
        f'{{"aggregationTemporality":2,"dataPoints":[{text}]}}}}]}}]}}]}}'
    ).encode()


def span_of(body: bytes) -> Any:
    request: Any = decode_json(Signal.TRACES, body)[0]
    return request.resource_spans[0].scope_spans[0].spans[0]


def record_of(body: bytes) -> Any:
    request: Any = decode_json(Signal.LOGS, body)[0]
    return request.resource_logs[0].scope_logs[0].log_records[0]


def point_of(kind: str, text: str) -> Any:
    request: Any = decode_json(Signal.METRICS, point_json(kind, text))[0]
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    return getattr(metric, metric.WhichOneof("data")).data_points[0]


def problem(signal: Signal, body: bytes) -> tuple[str, str]:
    """Field and description of the violation that `body` is refused for."""
    with pytest.raises(MalformedError) as caught:
        decode_json(signal, body)
    (violation,) = caught.value.field_violations
    assert str(caught.value) == f"{violation.field} {violation.description}"
    return violation.field, violation.description


# --- ids ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
def test_json_ids_are_hexadecimal_in_any_case(spelling: Any) -> None:
    """32 hexadecimal digits are also valid base64: they must not be read as that."""
    span = span_of(span_json(traceId=spelling(TRACE_ID), parentSpanId=spelling(SPAN_ID)))
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)


@pytest.mark.parametrize(
    "bad", ["", "5b8", TRACE_ID[:-1], "x" * 32, "0" * 32, "é" * 16, "W47/95gDgQPSabYzgT/GDA=="]
)
def test_json_with_an_invalid_id_costs_one_span(bad: str) -> None:
    """Odd length, not hexadecimal, zero, base64: rejected as an item, not as a request."""
    scanned = scan_json(Signal.TRACES, span_json(traceId=bad), LIMITS)
    assert scanned.rejected == {Rejection.INVALID_TRACE_ID: 1}


def test_json_with_an_invalid_id_in_a_log_record_keeps_the_record() -> None:
    """As in protobuf: absent."""
    scanned = scan_json(Signal.LOGS, record_json(traceId="not hex", spanId=""), LIMITS)
    assert (scanned.telemetry.items, scanned.normalised) == (1, {Normalisation.ID_LENGTH: 1})


# --- numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1544712660000000001", 1544712660000000001),
        ('"1544712660000000001"', 1544712660000000001),
        ("18446744073709551615", 2**64 - 1),
        ('"18446744073709551615"', 2**64 - 1),
        ("1.5e3", 1500),
        ('"1.5e3"', 1500),
        ("1.544674407370955161e18", 1544674407370955161),
        ("15446744073709551610e-1", 1544674407370955161),
        ("0", 0),
        ("-0", 0),
        ("null", 0),
    ],
)
def test_json_integers_are_exact(text: str, value: int) -> None:
    """As numbers, strings and with exponents, beyond 2^53 as well."""
    assert point_of("gauge", f'{{"timeUnixNano":{text}}}').time_unix_nano == value


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        '"-1"',
        "18446744073709551616",
        '"18446744073709551616"',
        "1.5",
        '"x"',
        '""',
        '"0x10"',
        '"1_0"',
        "true",
        "1.5446744073709551615e18",
        *["{}", "[]", "1e300", '"1e999"', '"1e99999"', '" 1"', '"٣"', '"' + "9" * 5000 + '"', "9" * 5000],
    ],
)
def test_json_integers_are_checked(text: str) -> None:
    """Not unsigned, not 64 bits, not whole, not a number: never wrapped, never rounded, never a bomb."""
    with pytest.raises(MalformedError):
        point_of("gauge", f'{{"timeUnixNano":{text}}}')


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 2**53 + 1])
def test_json_signed_integers_are_exact(value: int) -> None:
    """Both ends of the range, in an attribute and in a point."""
    for text in (str(value), f'"{value}"'):
        assert point_of("sum", f'{{"asInt":{text}}}').as_int == value
    assert record_of(record_json(body={"intValue": value})).body.int_value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        ("1", 1.0),
        ('"1.5e3"', 1500.0),
        ('"-Infinity"', -math.inf),
        ('"Infinity"', math.inf),
        ("-0.0", -0.0),
        ("5e-324", 5e-324),
        ("123456789012345678901234567890", 123456789012345678901234567890.0),
    ],
)
def test_json_doubles(text: str, value: float) -> None:
    """As numbers and as strings; an integer is a double where a double is meant."""
    point = point_of("gauge", f'{{"asDouble":{text}}}')
    assert point.WhichOneof("value") == "as_double"
    assert repr(point.as_double) == repr(value)


def test_json_nan_is_a_string() -> None:
    """`"NaN"`; the bare token that some libraries write is not JSON."""
    assert math.isnan(point_of("gauge", '{"asDouble":"NaN"}').as_double)
    for token in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(MalformedError):
            point_of("gauge", f'{{"asDouble":{token}}}')


@pytest.mark.parametrize(
    "text", ['"nan"', '"inf"', '"1_0"', '""', "1e999", '"1e999"', "true", "{}", '"0x1p3"']
)
def test_json_doubles_are_checked(text: str) -> None:
    """Spellings that Python's float() would take, and what overflows."""
    with pytest.raises(MalformedError):
        point_of("gauge", f'{{"asDouble":{text}}}')


def test_json_reads_doubles_alike_beside_inexact_integers() -> None:
    """An integer in exponent form has the request read again with decimals: doubles come out the same."""
    point = point_of("gauge", '{"timeUnixNano":1.79e18,"asDouble":0.1}')
    assert (point.time_unix_nano, point.as_double) == (1_790_000_000_000_000_000, 0.1)


# --- enums, bytes, strings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, 2, 77, -1])
def test_json_enums_are_open_integers(kind: int) -> None:
    """Numbers nobody has named yet are kept."""
    assert span_of(span_json(kind=kind)).kind == kind


def test_json_enum_names_are_taken_with_a_warning() -> None:
    """OTLP/JSON has integers; otelcol reads names as well, so they are sent."""
    scanned = scan_json(Signal.TRACES, span_json(kind="SPAN_KIND_SERVER"), LIMITS)
    assert scanned.normalised == {Normalisation.JSON_ENUM_NAME: 1}
    assert "integers" in scanned.message
    assert span_of(span_json(kind="SPAN_KIND_SERVER")).kind == 2


def test_json_with_an_unknown_enum_name_is_refused() -> None:
    """It cannot be told what was meant."""
    assert (
        problem(Signal.TRACES, span_json(kind="SERVER"))[0] == "resourceSpans[0].scopeSpans[0].spans[0].kind"
    )


@pytest.mark.parametrize("text", ["+/8=", "-_8=", "+/8", "-_8"])
def test_json_bytes_are_base64_of_either_alphabet(text: str) -> None:
    """With or without padding."""
    assert record_of(record_json(body={"bytesValue": text})).body.bytes_value == b"\xfb\xff"


@pytest.mark.parametrize("text", ["a", "?", "é", "YQ==YQ=="])
def test_json_bytes_are_checked(text: str) -> None:
    """What is not base64 is refused, not guessed."""
    assert "base64" in problem(Signal.LOGS, record_json(body={"bytesValue": text}))[1]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ud800"', "\ufffd"),
        (rb'"a\ude00\ud83db"', "a\ufffd\ufffdb"),
        (rb'"\\ud800"', "\\ud800"),
        (rb'"\\\ud800x"', "\\\ufffdx"),
        (b'"\xff"', "\ufffd"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
        (rb'"\uffff"', "\uffff"),
    ],
)
def test_json_strings_are_repaired(raw: bytes, text: str) -> None:
    """Lone surrogates and bytes that are not UTF-8 become U+FFFD; what is in order stays."""
    body = record_json(eventName="@").replace(b'"@"', raw)
    assert record_of(body).event_name == text
    assert (Normalisation.INVALID_UTF8 in decode_json(Signal.LOGS, body)[1]) == ("\ufffd" in text)


def test_json_nul_characters_are_replaced() -> None:
    """As in protobuf."""
    scanned = scan_json(Signal.LOGS, record_json(eventName="a\0"), LIMITS)
    assert scanned.normalised == {Normalisation.NUL_CHARACTER: 1}


# --- keys and shapes ----------------------------------------------------------------------------------------


def test_json_keys_in_snake_case_are_taken_with_a_warning() -> None:
    """LowerCamelCase wins where both occur, whichever comes first."""
    span = {"trace_id": TRACE_ID, "span_id": SPAN_ID, "start_time_unix_nano": NOW, "end_time_unix_nano": 1}
    for both in (span | {"endTimeUnixNano": 2}, {"endTimeUnixNano": 2} | span):
        body = json.dumps({"resource_spans": [{"scope_spans": [{"spans": [both]}]}]}).encode()
        scanned = scan_json(Signal.TRACES, body, LIMITS)
        assert span_of(body).end_time_unix_nano == 2
        assert scanned.normalised == {Normalisation.JSON_SNAKE_CASE: 6}
        assert "lowerCamelCase" in scanned.message


def test_json_unknown_keys_are_ignored_at_every_level() -> None:
    """Whatever their value is."""
    junk = {"futureField": {"a": [1, None, {"b": "c"}]}}
    span = {"traceId": TRACE_ID, "spanId": SPAN_ID, "startTimeUnixNano": str(NOW), "name": "n"} | junk
    body = {
        "resourceSpans": [{"resource": junk, "scopeSpans": [{"scope": junk, "spans": [span]} | junk]} | junk]
    } | junk
    scanned = scan_json(Signal.TRACES, json.dumps(body).encode(), LIMITS)
    assert (scanned.telemetry.items, scanned.message) == (1, "")


def test_json_null_is_the_default_everywhere() -> None:
    """Absent, for fields of every type; an empty value inside a list."""
    record = record_of(record_json(body=None, attributes=None, severityNumber=None, traceId=None, flags=None))
    assert not record.HasField("body")
    assert not record.attributes
    body = {"arrayValue": {"values": [None, {"stringValue": None}, {}, {"intValue": 0}]}}
    values = record_of(record_json(body=body)).body.array_value.values
    assert [value.WhichOneof("value") for value in values] == [None, None, None, "int_value"]


def test_json_empty_values_are_not_the_same() -> None:
    """No body, an empty value, an empty map, an empty list, an empty string, empty bytes."""
    kinds = []
    bodies: list[dict[str, Any]] = [
        {},
        {"kvlistValue": {"values": []}},
        {"arrayValue": {}},
        {"stringValue": ""},
        {"bytesValue": ""},
    ]
    for body in bodies:
        record = record_of(record_json(body=body))
        assert record.HasField("body")
        kinds.append(record.body.WhichOneof("value"))
    assert kinds == [None, "kvlist_value", "array_value", "string_value", "bytes_value"]


def test_json_duplicate_keys_take_the_last() -> None:
    """As most parsers do."""
    assert point_of("gauge", '{"asInt":1,"asInt":2}').as_int == 2


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true", b'[{"resourceSpans":[]}]'])
@each_signal
def test_json_other_than_an_object_is_refused(signal: Signal, body: bytes) -> None:
    """An array of requests, or a scalar."""
    with pytest.raises(MalformedError, match="not an object"):
        decode_json(signal, body)


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a":}', b"{}{}", b"{}\n{}", b"\xff\xfe{\0}\0", b'{"resourceLogs":[}']
)
@each_signal
def test_json_that_is_none_is_refused(signal: Signal, body: bytes) -> None:
    """Nothing, half an object, two objects, UTF-16."""
    with pytest.raises(MalformedError, match="not valid JSON"):
        decode_json(signal, body)


def test_json_recognises_protobuf() -> None:
    """The hint names the header that is wrong."""
    with pytest.raises(MalformedError, match="Content-Type"):
        decode_json(Signal.TRACES, b"\x0a\x02\x12\x00")


@each_signal
def test_json_empty_object_is_an_empty_request(signal: Signal) -> None:
    """Also behind a byte order mark, and with space around."""
    for body in (b"{}", b" {}\r\n", b"\xef\xbb\xbf{}"):
        scanned = scan_json(signal, body, LIMITS)
        assert (scanned.telemetry.items, scanned.telemetry.payload, scanned.message) == (0, b"", "")


def test_json_that_is_not_otlp_is_a_success_with_a_warning() -> None:
    """Ignoring unknown keys is a must; saying nothing is not."""
    scanned = scan_json(Signal.TRACES, b'{"foo": 1, "resourceLogs": []}', LIMITS)
    assert scanned.normalised == {Normalisation.NOTHING_KNOWN: 1}
    assert "nothing was stored" in scanned.message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"resourceLogs": {}}, "resourceLogs"),
        ({"resourceLogs": [5]}, "resourceLogs[0]"),
        ({"resourceLogs": [{}, {"scopeLogs": [{"scope": "x"}]}]}, "resourceLogs[1].scopeLogs[0].scope"),
        ({"resourceLogs": [{"schemaUrl": 5}]}, "resourceLogs[0].schemaUrl"),
        (
            {"resourceLogs": [{"resource": {"attributes": [{"key": "k", "value": {"boolValue": "true"}}]}}]},
            "resourceLogs[0].resource.attributes[0].value.boolValue",
        ),
    ],
)
def test_json_of_a_wrong_type_names_the_field(body: Any, field: str) -> None:
    """By its path, for people and as a field violation."""
    assert problem(Signal.LOGS, json.dumps(body).encode())[0] == field


@pytest.mark.parametrize("open_close", [("[", "]"), ('{"resourceLogs":', "}"), ('{"a":[', "]}")])
@pytest.mark.parametrize("closed", [True, False])
def test_json_depth_bombs_are_refused(open_close: tuple[str, str], closed: bool) -> None:
    """100 000 levels: an answer, not the end of the stack."""
    opening, closing = open_close
    with pytest.raises(MalformedError):
        decode_json(Signal.LOGS, (opening * 100_000 + "1" + closing * 100_000 * closed).encode())


@pytest.mark.parametrize(("kind", "fits"), [("array", 47), ("kvlist", 31)])
def test_json_values_nested_too_deep_are_cut_like_protobuf(kind: str, fits: int) -> None:
    """The same depth as in protobuf; the rest of the record stays."""
    for depth, changes in (
        (fits, {}),
        (fits + 1, {Normalisation.TOO_DEEP: 1}),
        (150, {Normalisation.TOO_DEEP: 1}),
    ):
        value: Any = {"intValue": 7}
        for _ in range(depth):
            entry = {"key": "k", "value": value} if kind == "kvlist" else value
            value = {f"{kind}Value": {"values": [entry]}}
        scanned = scan_json(Signal.LOGS, record_json(attributes=[{"key": "deep", "value": value}]), LIMITS)
        assert (scanned.telemetry.items, scanned.normalised) == (1, changes)
        scanned.telemetry.parse()


# --- encode -------------------------------------------------------------------------------------------------


def test_json_encode_writes_what_the_specification_says() -> None:
    """Hexadecimal ids, integer enums, 64 bits as strings, lowerCamelCase, one line."""
    request: Any = Signal.TRACES.request_type()()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=bytes.fromhex(TRACE_ID),
            span_id=bytes.fromhex(SPAN_ID),
            kind=2,
            start_time_unix_nano=NOW,
            flags=257,
        )
    )
    value = span.attributes.add(key="k\n").value.kvlist_value.values
    value.add(key="bytes").value.bytes_value = b"\xfb\xff"
    value.add(key="double").value.double_value = 1.0
    value.add(key="nan").value.double_value = math.nan
    value.add(key="zero").value.int_value = 0
    value.add(key="empty").value.SetInParent()
    encoded = encode_json(Signal.TRACES, request)
    assert b"\n" not in encoded
    assert json.loads(encoded) == {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": TRACE_ID,
                                "spanId": SPAN_ID,
                                "flags": 257,
                                "kind": 2,
                                "startTimeUnixNano": str(NOW),
                                "attributes": [
                                    {
                                        "key": "k\n",
                                        "value": {
                                            "kvlistValue": {
                                                "values": [
                                                    {"key": "bytes", "value": {"bytesValue": "+/8="}},
                                                    {"key": "double", "value": {"doubleValue": 1.0}},
                                                    {"key": "nan", "value": {"doubleValue": "NaN"}},
                                                    {"key": "zero", "value": {"intValue": "0"}},
                                                    {"key": "empty", "value": {}},
                                                ]
                                            }
                                        },
                                    }
                                ],
                            }
                        ]
                    }
                ]
            }
        ]
    }


def test_json_encode_refuses_another_signals_message() -> None:
    """A mistake of ours, found early."""
    with pytest.raises(TypeError):
        encode_json(Signal.LOGS, Signal.TRACES.request_type()())


def test_json_of_the_specifications_example_is_taken_as_it_is() -> None:
    """Fields of opentelemetry-proto's examples/trace.json, written anew."""
    body = span_json(
        parentSpanId=SPAN_ID[::-1],
        name="I'm a server span",
        endTimeUnixNano=str(NOW + 1_000_000_000),
        kind=2,
        attributes=[{"key": "my.span.attr", "value": {"stringValue": "some value"}}],
        status={},
        events=[{"timeUnixNano": str(NOW), "name": "e"}],
        links=[{"traceId": TRACE_ID, "spanId": SPAN_ID, "flags": 768}],
        droppedLinksCount=4,
    )
    scanned = scan_json(Signal.TRACES, body, LIMITS)
    assert (scanned.telemetry.items, scanned.message, scanned.normalised) == (1, "", {})
