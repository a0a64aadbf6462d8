"""Repair changes what has to be changed, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model.signal import OPENTELEMETRY, Signal
from collector.wire.repair import repair
from tests.support.otlp_strategies import requests

each_signal = pytest.mark.parametrize("signal", OPENTELEMETRY)


@each_signal
@settings(max_examples=40)
@given(data=st.data())
def test_repair_of_a_request_in_order_changes_nothing(signal: Signal, data: st.DataObject) -> None:
    """Not a byte, whatever fields and unknown fields there are."""
    request: Any = data.draw(requests(signal, valid=False))
    request.MergeFromString(b"\x8a\x87\x02\x03new\x98\x3f\x01\x93\x3f\x9b\x3f\x9c\x3f\x94\x3f")  # and groups
    body = request.SerializeToString()
    assert repair(request.DESCRIPTOR, body) == (body, {})


def _strings(message: Any) -> list[tuple[Any, str, int | None]]:
    """Where there are strings in `message`: message, field, index."""
    found: list[tuple[Any, str, int | None]] = []
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                found += _strings(part)
        elif field.type == field.TYPE_STRING:
            found += (
                [(message, field.name, n) for n in range(len(value))]
                if field.is_repeated
                else [(message, field.name, None)]
            )
    return found


@each_signal
@settings(max_examples=40)
@given(data=st.data())
def test_repair_replaces_bytes_that_are_not_utf8(signal: Signal, data: st.DataObject) -> None:
    """In any string of any message: the result is the same request with U+FFFD in these places."""
    request: Any = data.draw(requests(signal, valid=True, depth=2))
    places = _strings(request)
    chosen = (
        data.draw(st.lists(st.sampled_from(range(len(places))), unique=True, max_size=5)) if places else []
    )
    # A mark of as many bytes as are then put in its place: no length changes.
    mark = "\U000f1234"
    for place in chosen:
        message, field, index = places[place]
        if index is None:
            setattr(message, field, f"a{mark}b")
        else:
            getattr(message, field)[index] = f"a{mark}b"
    marked = request.SerializeToString()
    repaired, changes = repair(request.DESCRIPTOR, marked.replace(mark.encode(), b"\xff\xfe\xff\xfe"))
    for place in chosen:
        message, field, index = places[place]
        if index is None:
            setattr(message, field, "a\ufffd\ufffd\ufffd\ufffdb")
        else:
            getattr(message, field)[index] = "a\ufffd\ufffd\ufffd\ufffdb"
    assert repaired == request.SerializeToString()
    assert changes.total() == len(chosen)
