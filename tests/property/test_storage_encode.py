"""Encoding as rows loses nothing, whatever the telemetry."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.model.signal import Signal
from collector.storage.decode import decode
from collector.storage.encode import Encoder, encode
from collector.storage.rows import signed64, sort_rows, unsigned64
from collector.storage.tables import DIMENSIONS, Kind
from collector.storage.values import fill_value, parse_json, value_text
from collector.wire.canonical import serialized
from tests.support.otlp_strategies import any_values, requests

_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.TIME: (int,),
    Kind.INT16: (int,),
    Kind.INT32: (int,),
    Kind.INT64: (int,),
    Kind.UINT64: (int,),
    Kind.FLOAT64: (float,),
    Kind.NUMERIC: (Decimal,),
    Kind.BOOL: (bool,),
    Kind.TEXT: (str,),
    Kind.JSON: (str,),
    Kind.UUID: (bytes,),
    Kind.UINT64_ARRAY: (tuple,),
    Kind.FLOAT64_ARRAY: (tuple,),
}


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
def test_decode_undoes_encode(signal: Signal, data: st.DataObject) -> None:
    """Any valid telemetry comes back equal, several requests at once included."""
    messages = data.draw(st.lists(requests(signal, valid=True), min_size=1, max_size=2))
    encoded = encode(signal, messages)
    decoded = decode(signal, encoded.facts, encoded.dimensions)
    assert serialized(signal, messages) == serialized(signal, [decoded])


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
@settings(max_examples=50)
def test_rows_have_the_types_that_the_tables_say(signal: Signal, data: st.DataObject) -> None:
    """A row is as long as its table is wide, each value of its column's kind, sorted, and not null without leave."""
    encoded = encode(signal, [data.draw(requests(signal, valid=True))])
    tables: list[tuple[Any, list[Any]]] = [
        *((table, list(rows.values())) for table, rows in encoded.dimensions.items()),
        *((table, list(rows)) for table, rows in encoded.facts.items()),
    ]
    for table, rows in tables:
        for row in rows:
            for column, value in zip(table.columns, row, strict=True):
                assert (value is None and column.nullable) or type(value) in _TYPES[column.kind], column
                if column.kind is Kind.UUID and value is not None:
                    assert len(value) == 16
                if column.kind in (Kind.INT64, Kind.UINT64) and value is not None:
                    assert -(2**63) <= value < 2**63
        if table not in DIMENSIONS:
            assert rows == sort_rows(table, list(rows)) or any(
                value != value for row in rows for value in row
            )


@given(requests(Signal.METRICS, valid=True), requests(Signal.METRICS, valid=True))
@settings(max_examples=50)
def test_an_encoder_that_remembers_encodes_as_a_new_one(first: Any, second: Any) -> None:
    """What an encoder has cached never shows, however small its cache."""
    encoder = Encoder(series_max=4)
    encoder.encode(Signal.METRICS, [first])
    encoder.encode(Signal.METRICS, [second])
    again = encoder.encode(Signal.METRICS, [first])
    assert repr(encode(Signal.METRICS, [first])) == repr(again)


@given(requests(Signal.METRICS, valid=True))
@settings(max_examples=50)
def test_series_whose_ids_collide_stay_apart(request: Any) -> None:
    """With ids of two bits nearly every series meets another's; nothing is mixed up all the same."""

    def two_bits(digest: bytes, attempt: int) -> int:
        return (digest[0] & 3) + attempt

    encoded = Encoder(series_id=two_bits).encode(Signal.METRICS, [request])
    decoded = decode(Signal.METRICS, encoded.facts, encoded.dimensions)
    assert serialized(Signal.METRICS, [request]) == serialized(Signal.METRICS, [decoded])


@given(any_values())
def test_values_survive_json(value: AnyValue) -> None:
    """An AnyValue of any kind and depth is read back from its JSON as it was, its keys in order."""
    read = AnyValue()
    fill_value(read, parse_json(value_text(value)))
    assert value_text(value) == value_text(read)
    # The text proves equality only if different values have different texts: compare the messages as well.
    if "NaN" not in value_text(value):
        assert _with_values_present(value) == read


@given(st.integers(0, 2**64 - 1))
def test_unsigned_numbers_survive_64_signed_bits(number: int) -> None:
    """`unsigned64` undoes `signed64`, which fits into a bigint."""
    assert -(2**63) <= signed64(number) < 2**63
    assert unsigned64(signed64(number)) == number


def _with_values_present(value: AnyValue) -> AnyValue:
    """A copy in which a KeyValue without a value has the empty one, which says the same."""
    copy = AnyValue()
    copy.CopyFrom(value)
    stack = [copy]
    while stack:
        current = stack.pop()
        stack.extend(current.array_value.values if current.HasField("array_value") else ())
        if current.HasField("kvlist_value"):
            for entry in current.kvlist_value.values:
                entry.value.SetInParent()
                stack.append(entry.value)
    return copy
