"""What is fuzzed: compiled modules, each held against the reference that defines it. An AssertionError is a finding."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError

from collector._native.scan import items_in_order
from collector.model.errors import PermanentError
from collector.model.signal import OPENTELEMETRY, Signal
from collector.model.telemetry import Telemetry
from collector.storage.encoding import ReferenceEncoder
from collector.storage.native import NativeEncoder
from collector.wire.errors import MalformedError
from collector.wire.scan import ScanLimits, Scanned, scan_protobuf_reference
from collector.wire.width import ENVELOPES_MAX, messages_max
from tests.support.encoded import assert_equal, stream

# From the epoch to the year 2262: a time that is out of it is 0 or absurd.
LIMITS: Final = ScanLimits(now_unix_nano=2**62, past_ns=2**62, future_ns=2**62)


def scan_alike(signal: Signal, body: bytes) -> bool:
    """What the compiled scan takes, the reference takes as it is. Returns whether it was taken."""
    number = (Signal.TRACES, Signal.METRICS, Signal.LOGS).index(signal)
    items = items_in_order(
        number, body, *LIMITS.window, LIMITS.depth_max, ENVELOPES_MAX, messages_max(len(body))
    )
    if items < 0:
        return False
    try:
        reference = scan_protobuf_reference(signal, body, LIMITS)
    except MalformedError as error:
        raise AssertionError(f"the reference says: {error}") from None
    assert reference == Scanned(Telemetry(signal, body, items), {}, {}, ""), f"{items} items; {reference}"
    assert reference.telemetry.payload is body
    return True


_ENCODERS: Final = {
    signal: NativeEncoder(signal) for signal in OPENTELEMETRY
}  # with what they remember, as in a daemon


def encode_alike(signal: Signal, body: bytes) -> bool:
    """What the reference encodes, the compiled encoder encodes to the same. Returns whether it could be encoded.

    The encoders are given bytes that no scan has seen: they have to stand that on their own.
    """
    encoder = _ENCODERS[signal]
    try:
        reference = ReferenceEncoder(signal).encode([body])
        for table, rows in reference.facts.items():
            stream(rows, table)
    except (DecodeError, PermanentError, OverflowError):
        with contextlib.suppress(DecodeError, PermanentError, OverflowError):
            for table, rows in encoder.encode([body]).facts.items():
                stream(rows, table)
        return False
    assert_equal(encoder.encode([body]), reference)
    return True


TARGETS: Final[dict[str, Callable[[Signal, bytes], bool]]] = {
    "scan": scan_alike,
    "encode": encode_alike,
}
