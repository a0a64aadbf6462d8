"""What holds for every request, whatever is in it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model.signal import Signal
from collector.wire.canonical import serialized
from collector.wire.errors import MalformedError
from collector.wire.json_decode import decode_json
from collector.wire.json_encode import encode_json
from collector.wire.scan import ScanLimits, Scanned, scan_json, scan_protobuf
from tests.support.otlp_strategies import FUTURE_NS, NOW_UNIX_NANO, PAST_NS, payloads, requests

LIMITS = ScanLimits(now_unix_nano=NOW_UNIX_NANO, past_ns=PAST_NS, future_ns=FUTURE_NS)

each_signal = pytest.mark.parametrize("signal", Signal)


def _texts(message: Any) -> list[str]:
    texts: list[str] = []
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            texts += [text for pair in value.items() for text in pair]
            continue
        for element in value if field.is_repeated else [value]:
            if field.message_type is not None:
                texts += _texts(element)
            elif isinstance(element, str):
                texts.append(element)
    return texts


def _scan_or_none(signal: Signal, body: bytes) -> Scanned | None:
    try:
        return scan_protobuf(signal, body, LIMITS)
    except MalformedError:
        return None


@each_signal
@settings(max_examples=30)
@given(data=st.data())
def test_scan_takes_a_valid_request_as_it_is(signal: Signal, data: st.DataObject) -> None:
    """Nothing is refused, nothing is changed, nothing is said, no byte is copied."""
    body = data.draw(payloads(signal, valid=True))
    scanned = scan_protobuf(signal, body, LIMITS)
    assert scanned.telemetry.payload is body
    assert (scanned.rejected, scanned.message) == ({}, "")
    assert set(scanned.normalised) <= {"bucket_count_mismatch"}


@each_signal
@settings(max_examples=30)
@given(data=st.data())
def test_scan_leaves_nothing_to_do(signal: Signal, data: st.DataObject) -> None:
    """Scanning what scan returned refuses and changes nothing, and counts the same items."""
    body = data.draw(payloads(signal, valid=False))
    once = scan_protobuf(signal, body, LIMITS)
    again = scan_protobuf(signal, once.telemetry.payload, LIMITS)
    assert again.telemetry.payload is once.telemetry.payload
    assert again.telemetry.items == once.telemetry.items
    assert again.rejected == {}


@each_signal
@settings(max_examples=30)
@given(data=st.data())
def test_scan_leaves_no_nul_character(signal: Signal, data: st.DataObject) -> None:
    """In no string of any message, whichever fields the descriptors have."""
    scanned = scan_protobuf(signal, data.draw(payloads(signal, valid=False)), LIMITS)
    assert not any("\0" in text for text in _texts(scanned.telemetry.parse()))


@each_signal
@given(data=st.data())
def test_scan_of_any_bytes_answers_or_says_malformed(signal: Signal, data: st.DataObject) -> None:
    """No other error ever leaves it, and what it accepts parses."""
    scanned = _scan_or_none(signal, data.draw(st.binary(max_size=300)))
    if scanned is not None:
        scanned.telemetry.parse()


@each_signal
@settings(max_examples=30)
@given(data=st.data())
def test_scan_of_damaged_requests_answers_or_says_malformed(signal: Signal, data: st.DataObject) -> None:
    """Bytes changed, cut out or put in: still an answer, and what is accepted is in normal form."""
    body = bytearray(data.draw(payloads(signal, valid=True, depth=2)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    scanned = _scan_or_none(signal, bytes(body))
    if scanned is not None:
        again = scan_protobuf(signal, scanned.telemetry.payload, LIMITS)
        assert (again.telemetry.items, again.rejected) == (scanned.telemetry.items, {})


@each_signal
@settings(max_examples=30)
@given(data=st.data())
def test_scan_refuses_exactly_the_invalid_items(signal: Signal, data: st.DataObject) -> None:
    """Valid items among invalid ones are kept as they are; the invalid ones are counted."""
    valid = data.draw(requests(signal, valid=True, depth=2))
    good = scan_protobuf(signal, valid.SerializeToString(), LIMITS).telemetry.items
    bad: Any = signal.request_type()()
    count = data.draw(st.integers(1, 5))
    match signal:
        case Signal.TRACES:
            spans = bad.resource_spans.add().scope_spans.add().spans
            for _ in range(count):
                spans.add(span_id=b"8 bytes.", trace_id=b"short", start_time_unix_nano=NOW_UNIX_NANO)
        case Signal.METRICS:
            points = bad.resource_metrics.add().scope_metrics.add().metrics.add().gauge.data_points
            for _ in range(count):
                points.add(time_unix_nano=NOW_UNIX_NANO)
        case Signal.LOGS:
            records = bad.resource_logs.add().scope_logs.add().log_records
            for _ in range(count):
                records.add(time_unix_nano=1)
        case Signal.COSTS:
            for _ in range(count):
                bad.records.add(record_id=bytes(16), origin_id=bytes(16), billing_currency="NOT")
    mixed = type(valid)()
    for part in data.draw(st.permutations([valid, bad])):
        mixed.MergeFrom(part)
    scanned = scan_protobuf(signal, mixed.SerializeToString(), LIMITS)
    assert (scanned.telemetry.items, scanned.rejected_items) == (good, count)
    assert f"{count} of {good + count} " in scanned.message
    assert serialized(signal, [scanned.telemetry.parse()]) == serialized(signal, [valid])


@each_signal
@settings(max_examples=30)
@given(data=st.data())
def test_json_holds_everything(signal: Signal, data: st.DataObject) -> None:
    """Encoded and decoded again it is the same message, byte for byte."""
    request = data.draw(requests(signal, valid=False))
    decoded, changes = decode_json(signal, encode_json(signal, request))
    # Which of the many NaNs a NaN is, is all that JSON cannot say: the canonical form has only one.
    assert serialized(signal, [decoded]) == serialized(signal, [request])
    assert "NaN" in str(encode_json(signal, request)) or decoded == request
    assert not changes


@each_signal
@settings(max_examples=30)
@given(data=st.data())
def test_json_and_protobuf_are_scanned_alike(signal: Signal, data: st.DataObject) -> None:
    """The same request in the other encoding is stored, refused and commented on in the same way."""
    request = data.draw(requests(signal, valid=False))
    from_protobuf = scan_protobuf(signal, request.SerializeToString(), LIMITS)
    from_json = scan_json(signal, encode_json(signal, request), LIMITS)
    assert serialized(signal, [from_json.telemetry.parse()]) == serialized(
        signal, [from_protobuf.telemetry.parse()]
    )
    assert from_json.telemetry.items == from_protobuf.telemetry.items
    assert (from_json.rejected, from_json.normalised, from_json.message) == (
        from_protobuf.rejected,
        from_protobuf.normalised,
        from_protobuf.message,
    )


@each_signal
@settings(max_examples=30)
@given(data=st.data())
def test_json_of_any_shape_answers_or_says_malformed(signal: Signal, data: st.DataObject) -> None:
    """Damaged JSON never raises anything else."""
    body = bytearray(encode_json(signal, data.draw(requests(signal, valid=True, depth=2))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        pieces = st.one_of(
            st.binary(max_size=2), st.sampled_from([b"null", b'"', b"{}", b"[]", b"1e999", b"\\ud800", b"-"])
        )
        body[at : at + data.draw(st.integers(0, 4))] = data.draw(pieces)
    with contextlib.suppress(MalformedError):
        scan_json(signal, bytes(body), LIMITS).telemetry.parse()
