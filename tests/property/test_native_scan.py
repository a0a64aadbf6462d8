"""The compiled scan says what the reference says, about every request: the reference is its definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model.signal import OPENTELEMETRY, Signal
from collector.wire import scan
from collector.wire.errors import MalformedError
from collector.wire.scan import ScanLimits, Scanned, scan_protobuf, scan_protobuf_reference
from tests.support.native import compiled
from tests.support.otlp_strategies import FUTURE_NS, NOW_UNIX_NANO, PAST_NS, payloads

native = compiled("scan")

LIMITS = ScanLimits(now_unix_nano=NOW_UNIX_NANO, past_ns=PAST_NS, future_ns=FUTURE_NS)

each_signal = pytest.mark.parametrize("signal", OPENTELEMETRY)


@pytest.fixture(autouse=True, scope="module")
def _use_native() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_items_in_order", native.items_in_order)
        yield


def _outcome(scan_it: Any, signal: Signal, body: bytes, limits: ScanLimits) -> Scanned | tuple[str, object]:
    try:
        scanned: Scanned = scan_it(signal, body, limits)
    except MalformedError as error:
        return str(error), error.field_violations
    return scanned


def _assert_equal(signal: Signal, body: bytes, limits: ScanLimits = LIMITS) -> Scanned | None:
    mine = _outcome(scan_protobuf, signal, body, limits)
    reference = _outcome(scan_protobuf_reference, signal, body, limits)
    assert mine == reference
    if isinstance(mine, Scanned) and isinstance(reference, Scanned):
        assert (mine.telemetry.payload is body) == (reference.telemetry.payload is body)
        return reference
    return None


def _is_taken(signal: Signal, body: bytes) -> bool:
    """Whether the compiled scan does without the reference."""
    number = OPENTELEMETRY.index(signal)
    time_min, time_max = LIMITS.window
    return bool(native.items_in_order(number, body, time_min, time_max, 64, 10_000, 10_000) >= 0)


@each_signal
@settings(max_examples=50)
@given(data=st.data())
def test_valid_requests_are_scanned_alike_and_without_the_reference(
    signal: Signal, data: st.DataObject
) -> None:
    """It takes exactly the requests about which there is nothing to say."""
    body = data.draw(payloads(signal, valid=True))
    reference = _assert_equal(signal, body)
    assert reference is not None
    assert _is_taken(signal, body) == (reference.normalised == {})


@each_signal
@settings(max_examples=50)
@given(data=st.data())
def test_any_requests_are_scanned_alike(signal: Signal, data: st.DataObject) -> None:
    """Valid and invalid items mixed, everything protobuf can express."""
    body = data.draw(payloads(signal, valid=False))
    reference = _assert_equal(signal, body)
    assert reference is not None
    if _is_taken(signal, body):
        assert reference.telemetry.payload is body


@each_signal
@settings(max_examples=25)
@given(data=st.data())
def test_requests_of_another_signal_are_scanned_alike(signal: Signal, data: st.DataObject) -> None:
    """Field numbers overlap: what is refused with a hint by one is refused by the other."""
    other = data.draw(st.sampled_from([other for other in OPENTELEMETRY if other is not signal]))
    _assert_equal(signal, data.draw(payloads(other, valid=True)))


@each_signal
@settings(max_examples=25)
@given(data=st.data(), past=st.integers(0, 2**63), future=st.integers(0, 2**64), depth=st.integers(0, 100))
def test_any_limits_are_respected_alike(
    signal: Signal, data: st.DataObject, past: int, future: int, depth: int
) -> None:
    """Windows of all sizes, and every depth."""
    limits = ScanLimits(now_unix_nano=NOW_UNIX_NANO, past_ns=past, future_ns=future, depth_max=depth)
    _assert_equal(signal, data.draw(payloads(signal, valid=True)), limits)


@each_signal
@settings(max_examples=25)
@given(data=st.data())
def test_joined_requests_are_scanned_alike(signal: Signal, data: st.DataObject) -> None:
    """Messages that occur twice are merged: the one before is not judged on its own."""
    pieces = [data.draw(payloads(signal, valid=True, depth=2)) for _ in range(2)]
    wrapped = [bytes([field << 3 | 2]) + _sized(piece) for piece in pieces for field in (1, 2)]
    _assert_equal(signal, b"".join(pieces))
    _assert_equal(signal, b"".join(data.draw(st.permutations([*pieces, *wrapped]))))


def _sized(content: bytes) -> bytes:
    size, prefix = len(content), b""
    while size > 0x7F:
        prefix += bytes([size & 0x7F | 0x80])
        size >>= 7
    return prefix + bytes([size]) + content


@st.composite
def _damaged(draw: st.DrawFn, signal: Signal) -> bytes:
    """A request with bits flipped, bytes put in, taken out or moved, lengths changed, or cut off."""
    body = bytearray(draw(payloads(signal, valid=True, depth=2)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        match draw(st.sampled_from(("flip", "bytes", "move", "length", "cut"))):
            case "flip" if body:
                body[at] ^= 1 << draw(st.integers(0, 7))
            case "bytes":
                body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
            case "move":
                piece = body[at : at + draw(st.integers(0, 40))]
                to = draw(st.integers(0, len(body)))
                body[to:to] = piece
            case "length" if body:
                body[at] = (body[at] + draw(st.sampled_from((-1, 1, 2, 16, 127)))) & 0xFF
            case "cut":
                del body[at:]
    return bytes(body)


@each_signal
@settings(max_examples=100)
@given(data=st.data())
def test_damaged_requests_are_scanned_alike(signal: Signal, data: st.DataObject) -> None:
    """Whatever is wrong with the bytes, both say the same."""
    _assert_equal(signal, data.draw(_damaged(signal)))


@each_signal
@settings(max_examples=100)
@given(data=st.data())
def test_any_bytes_are_scanned_alike(signal: Signal, data: st.DataObject) -> None:
    """Nothing crashes it."""
    _assert_equal(signal, data.draw(st.binary(max_size=200)))
