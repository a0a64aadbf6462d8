"""Requests that are small on the wire and large in memory."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from collector.model.signal import OPENTELEMETRY, Signal
from collector.wire import width
from collector.wire.errors import MalformedError
from collector.wire.scan import ScanLimits, scan_json, scan_protobuf, scan_protobuf_reference
from collector.wire.width import ENVELOPES_MAX, check_width, messages_max
from tests.support.otlp_strategies import FUTURE_NS, NOW_UNIX_NANO, PAST_NS

LIMITS = ScanLimits(now_unix_nano=NOW_UNIX_NANO, past_ns=PAST_NS, future_ns=FUTURE_NS)
NAMES = {Signal.TRACES: "Spans", Signal.METRICS: "Metrics", Signal.LOGS: "Logs"}

each_signal = pytest.mark.parametrize("signal", OPENTELEMETRY)
each_scan = pytest.mark.parametrize("scan", [scan_protobuf, scan_protobuf_reference])


def _sized(tag: int, content: bytes) -> bytes:
    size, prefix = len(content), bytes([tag])
    while size > 0x7F:
        prefix += bytes([size & 0x7F | 0x80])
        size >>= 7
    return prefix + bytes([size]) + content


@each_signal
@each_scan
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_million_empty_envelopes_are_refused_at_once(signal: Signal, scan: Any, level: int) -> None:
    """As resources, as scopes and as metrics: two megabytes must not cost seconds."""
    body = (b"\x12\x00" if level else b"\x0a\x00") * 1_000_000
    for depth in range(level):
        body = _sized(0x0A if depth == level - 1 else 0x12, body)
    began = time.thread_time()
    with pytest.raises(MalformedError, match="more than") as caught:
        scan(signal, body, LIMITS)
    assert caught.value.reason == "too_wide"
    assert time.thread_time() - began < 2


@each_signal
def test_a_million_empty_envelopes_in_json_are_refused_at_once(signal: Signal) -> None:
    """The same in the other encoding, and with null in place of each."""
    for empty in ("{}", "null"):
        body = f'{{"resource{NAMES[signal]}":[{",".join([empty] * 1_000_000)}]}}'.encode()
        began = time.thread_time()
        with pytest.raises(MalformedError, match="more than"):
            scan_json(signal, body, LIMITS)
        assert time.thread_time() - began < 2


@each_signal
@each_scan
def test_as_many_envelopes_as_allowed_pass(signal: Signal, scan: Any) -> None:
    """One more does not."""
    schema_url = _sized(0x0A, _sized(0x1A, b"https://opentelemetry.io"))
    assert scan(signal, schema_url * ENVELOPES_MAX, LIMITS).telemetry.items == 0
    with pytest.raises(MalformedError, match="resources, scopes and metrics"):
        scan(signal, schema_url * (ENVELOPES_MAX + 1), LIMITS)


def test_envelopes_in_json_are_bounded_too() -> None:
    """However large each is."""
    resource = {"schemaUrl": "https://opentelemetry.io"}
    body = json.dumps({"resourceSpans": [resource] * (ENVELOPES_MAX + 1)}).encode()
    with pytest.raises(MalformedError, match="resources, scopes and metrics"):
        scan_json(Signal.TRACES, body, LIMITS)


@each_scan
def test_messages_below_the_envelopes_are_bounded(scan: Any) -> None:
    """A span with a million empty events would need a hundred megabytes."""
    ids = _sized(0x0A, b"\1" * 16) + _sized(0x12, b"\2" * 8) + b"\x39" + NOW_UNIX_NANO.to_bytes(8, "little")
    body = _sized(0x0A, _sized(0x12, _sized(0x12, ids + b"\x5a\x00" * 1_000_000)))
    with pytest.raises(MalformedError, match="messages, too many for its"):
        scan(Signal.TRACES, body, LIMITS)


def test_small_messages_are_no_reason_to_refuse() -> None:
    """A log record whose body is a list of 200 000 numbers, as models have them."""
    request: Any = Signal.LOGS.request_type()()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(time_unix_nano=NOW_UNIX_NANO, observed_time_unix_nano=NOW_UNIX_NANO)
    )
    for number in range(200_000):
        record.body.array_value.values.add(int_value=100_000 + number)
    body = request.SerializeToString()
    assert scan_protobuf(Signal.LOGS, body, LIMITS).telemetry.items == 1


def test_the_bound_grows_with_the_size() -> None:
    """A request of 64 MiB may hold half a million points with four attributes each."""
    assert messages_max(64 * 1024 * 1024) > 500_000 * 9


@each_signal
def test_bytes_that_are_no_message_are_left_to_the_parser(signal: Signal) -> None:
    """The walk stops at nothing, and says nothing."""
    for byte in (0x00, 0x07, 0x0B, 0x0C, 0x80, 0xFF):
        check_width(signal, bytes([byte]) * 300_000)
    check_width(signal, b"\x0a\xff\xff\xff\xff\x0f" + bytes(300_000))


def test_width_of_zeros_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 MB of them are 60 kB compressed, and a walk would take 16 s: no parser takes field 0, so it ends there."""
    read = 0
    original = width._varint

    def counted(body: bytes, position: int, end: int) -> tuple[int, int]:
        nonlocal read
        read += 1
        return original(body, position, end)

    monkeypatch.setattr(width, "_varint", counted)
    check_width(Signal.LOGS, bytes(1_000_000))
    assert read == 1
