"""The native encoder gives what the reference encoder gives: rows, order, COPY bytes, dimensions."""

from __future__ import annotations

import contextlib
import random
from importlib import import_module
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model.errors import PermanentError
from collector.model.signal import OPENTELEMETRY, Signal
from collector.storage.encoding import ReferenceEncoder
from tests.support.encoded import assert_equal, stream
from tests.support.native import compiled
from tests.support.otlp_strategies import payloads, requests

compiled("encode")
native: Any = import_module("collector.storage.native")


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@given(data=st.data())
@settings(max_examples=100)
def test_native_equals_reference(signal: Signal, data: st.DataObject) -> None:
    """For any valid telemetry, several requests at once included."""
    batch = [
        message.SerializeToString()
        for message in data.draw(st.lists(requests(signal, valid=True), min_size=1, max_size=3))
    ]
    assert_equal(native.NativeEncoder(signal).encode(batch), ReferenceEncoder(signal).encode(batch))


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_mutated_bytes_do_no_harm(signal: Signal, data: st.DataObject, seed: int) -> None:
    """Bytes that are no telemetry any more are encoded as the reference does, or refused; nothing else happens.

    What the reference refuses as a whole, for a fault in what no row shows, may be encoded.
    """
    rng = random.Random(seed)
    encoder = native.NativeEncoder(signal)
    batch = [data.draw(payloads(signal, valid=False)), data.draw(payloads(signal, valid=True))]
    for _ in range(10):
        mutated = [mutate(payload, rng) for payload in batch]
        try:
            theirs = ReferenceEncoder(signal).encode(mutated)
            for table, rows in theirs.facts.items():
                stream(rows, table)
        except (DecodeError, PermanentError, OverflowError):
            with contextlib.suppress(DecodeError, PermanentError, OverflowError):
                for table, rows in encoder.encode(mutated).facts.items():
                    stream(rows, table)
        else:
            assert_equal(encoder.encode(mutated), theirs)


def mutate(payload: bytes, rng: random.Random) -> bytes:
    """A copy with a few bytes changed, inserted, removed, repeated, or the end cut off."""
    mutated = bytearray(payload)
    for _ in range(rng.randint(1, 4)):
        if not mutated:
            break
        at = rng.randrange(len(mutated))
        match rng.randrange(6):
            case 0:
                mutated[at] = rng.randrange(256)
            case 1:
                mutated[at] ^= 1 << rng.randrange(8)
            case 2:
                mutated[at:at] = rng.randbytes(rng.randint(1, 4))
            case 3:
                del mutated[at : at + rng.randint(1, 4)]
            case 4:
                mutated[at:at] = mutated[at : at + rng.randint(1, 40)]
            case 5:
                del mutated[at:]
    return bytes(mutated)


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@given(data=st.data())
@settings(max_examples=50)
def test_native_needs_no_help_with_what_is_valid(signal: Signal, data: st.DataObject) -> None:
    """No valid request is doubtful: the reference encoder is not asked for rows."""
    encoder = native.NativeEncoder(signal)
    encoded = encoder.encode([data.draw(payloads(signal, valid=True))])
    assert encoded.omission is not None
    assert encoder.taken_over == 0
