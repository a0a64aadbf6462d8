"""What the compiled scan takes upon itself, and what it leaves to the reference."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from collector.model.signal import OPENTELEMETRY, Signal
from tests.support.native import compiled
from tests.support.otlp_strategies import FUTURE_NS, NOW_UNIX_NANO, PAST_NS

native = compiled("scan")


def _items(signal: Signal, body: bytes, *, envelopes_max: int = 1000, messages_max: int = 10_000) -> int:
    number = (Signal.TRACES, Signal.METRICS, Signal.LOGS).index(signal)
    window = NOW_UNIX_NANO - PAST_NS, NOW_UNIX_NANO + FUTURE_NS
    return int(native.items_in_order(number, body, *window, 64, envelopes_max, messages_max))


def _request(signal: Signal, edit: Callable[[Any], None] = lambda item: None) -> bytes:
    request: Any = signal.request_type()()
    match signal:
        case Signal.TRACES:
            item = (
                request.resource_spans.add()
                .scope_spans.add()
                .spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, start_time_unix_nano=NOW_UNIX_NANO)
            )
        case Signal.METRICS:
            metric = request.resource_metrics.add().scope_metrics.add().metrics.add()
            item = metric.gauge.data_points.add(time_unix_nano=NOW_UNIX_NANO, as_int=1)
        case Signal.LOGS:
            item = (
                request.resource_logs.add()
                .scope_logs.add()
                .log_records.add(time_unix_nano=NOW_UNIX_NANO, observed_time_unix_nano=NOW_UNIX_NANO)
            )
    edit(item)
    encoded: bytes = request.SerializeToString()
    return encoded


def _with_key(key: str) -> Callable[[Any], None]:
    return lambda item: item.attributes.add(key=key)


def _with_keys(count: int) -> Callable[[Any], None]:
    def edit(item: Any) -> None:
        for number in range(count):
            item.attributes.add(key=f"key {number}")

    return edit


def _with_lists(depth: int) -> Callable[[Any], None]:
    def edit(item: Any) -> None:
        value = item.attributes.add(key="deep").value
        for _ in range(depth - 1):
            value = value.array_value.values.add()
        value.string_value = "bottom"

    return edit


@pytest.mark.parametrize("signal", OPENTELEMETRY)
def test_a_request_in_order_is_counted(signal: Signal) -> None:
    """Also when it is joined from several, and when it is empty."""
    body = _request(signal, _with_keys(3))
    assert _items(signal, body) == 1
    assert _items(signal, body * 3) == 3
    assert _items(signal, b"") == 0


@pytest.mark.parametrize("signal", OPENTELEMETRY)
def test_every_cut_is_noticed(signal: Signal) -> None:
    """A request that ends too early is never taken, wherever it ends."""
    body = _request(signal, _with_keys(2))
    assert all(_items(signal, body[:size]) == -1 for size in range(1, len(body)))


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@pytest.mark.parametrize(
    "key",
    [b"\0", b"a\0", b"in the middle\0of a longer one", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x9f\xbf",
     b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff",
     b"ends in a sequence \xe2\x82", b"ends in a sequence \xf0\x9f\x98", b"\xe2\x28\xa1", b"\xf0\x9f\x28\x80",
     b"\xf0\x9f\x98\x28", b"\xc3"],
)  # fmt: skip
def test_what_is_no_text_is_doubted(signal: Signal, key: bytes) -> None:
    """Wherever in a string of whatever length it stands."""
    for before in range(18):
        for after in (0, 1, 7, 8, 9):
            text = b"x" * before + key + b"y" * after
            stand_in = "k" * len(text)
            body = _request(signal, _with_key(stand_in))
            assert _items(signal, body) == 1
            assert _items(signal, body.replace(stand_in.encode(), text)) == -1, text


@pytest.mark.parametrize(
    "text",
    ["é", "€", "😀", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"],
)
def test_text_in_every_script_is_taken(text: str) -> None:
    """The first and the last character of each length, at every offset from a word's boundary."""
    for before in range(18):
        for after in (0, 1, 7, 8, 9):
            key = "x" * before + text + "y" * after
            assert _items(Signal.LOGS, _request(Signal.LOGS, _with_key(key))) == 1


@pytest.mark.parametrize("size", [*range(10), 16, 17, 100])
def test_a_key_that_occurs_twice_is_doubted(size: int) -> None:
    """Of whatever length; keys that only look alike are not the same."""

    def twice(item: Any) -> None:
        item.attributes.add(key="k" * size)
        item.attributes.add(key="other")
        item.attributes.add(key="k" * size)

    def alike(item: Any) -> None:
        for key in {"k" * size, "k" * (size + 1), "k" * (size // 2) + "l" + "k" * (size // 2)}:
            item.attributes.add(key=key)

    assert _items(Signal.TRACES, _request(Signal.TRACES, twice)) == -1
    assert _items(Signal.TRACES, _request(Signal.TRACES, alike)) == 1


def test_long_lists_of_attributes_are_left_to_the_reference() -> None:
    """128 are compared with each other."""
    assert _items(Signal.LOGS, _request(Signal.LOGS, _with_keys(128))) == 1
    assert _items(Signal.LOGS, _request(Signal.LOGS, _with_keys(129))) == -1


def test_deep_values_are_left_to_the_reference() -> None:
    """16 in each other are followed; a bomb is given up there."""
    assert _items(Signal.LOGS, _request(Signal.LOGS, _with_lists(16))) == 1
    assert _items(Signal.LOGS, _request(Signal.LOGS, _with_lists(17))) == -1
    bomb = b""
    for _ in range(3000):
        bomb = _sized(0x2A, _sized(0x0A, bomb))
    record = b"\x59" + NOW_UNIX_NANO.to_bytes(8, "little") + _sized(0x2A, bomb)
    assert _items(Signal.LOGS, _sized(0x0A, _sized(0x12, _sized(0x12, record)))) == -1


def _sized(tag: int, content: bytes) -> bytes:
    size, prefix = len(content), bytes([tag])
    while size > 0x7F:
        prefix += bytes([size & 0x7F | 0x80])
        size >>= 7
    return prefix + bytes([size]) + content


def test_wide_requests_are_left_to_the_reference() -> None:
    """Both bounds are met exactly."""
    body = _request(Signal.METRICS) * 10  # 3 envelopes, and in all 5 messages each
    assert _items(Signal.METRICS, body, envelopes_max=30) == 10
    assert _items(Signal.METRICS, body, envelopes_max=29) == -1
    assert _items(Signal.METRICS, body, messages_max=50) == 10
    assert _items(Signal.METRICS, body, messages_max=49) == -1


def test_large_requests_are_scanned_without_the_gil() -> None:
    """Another thread runs meanwhile: in one of many tries at least, as the machine may be busy; else in none."""
    body = _request(Signal.LOGS, _with_keys(20)) * 20_000
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # nobody is asked to let go: the scan does it by itself, or not at all
    try:
        assert any(_runs_beside_a_scan_of(body) for _ in range(50))
    finally:
        sys.setswitchinterval(interval)


def _runs_beside_a_scan_of(body: bytes) -> bool:
    """Whether this thread is awake before the scan that another has begun is over."""
    began, ended = threading.Event(), threading.Event()

    def scan() -> None:
        began.set()
        _items(Signal.LOGS, body)
        ended.set()

    scanner = threading.Thread(target=scan)
    scanner.start()
    began.wait()
    beside = not ended.is_set()
    scanner.join()
    return beside


@pytest.mark.parametrize("argument", [None, "text", bytearray(3), memoryview(b"abc")])
def test_nothing_but_bytes_is_scanned(argument: Any) -> None:
    """What could change meanwhile is no input."""
    with pytest.raises(TypeError):
        _items(Signal.LOGS, argument)
