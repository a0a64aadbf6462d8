"""Cost records as rows: no field is forgotten, no digit is lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cost.protobuf import encode_request
from collector.cost.record import CostAttributionRecord
from collector.model.signal import Signal
from collector.storage.decode import decode
from collector.storage.decode_costs import cost_records
from collector.storage.encode import encode
from collector.storage.encoding import payload_encoder
from collector.storage.tables import COST_ALLOCATIONS, COST_NUMBERS, COST_ORIGINS, COST_REQUESTS
from tests.support.cost_samples import ledger
from tests.support.cost_strategies import recent_records

_DECIMALS = {*COST_NUMBERS, "ratio", "usage_quantity"}


def test_every_field_of_the_definition_survives() -> None:
    """A field that is added to the .proto is set here by itself, and fails this test until it is stored."""
    request: Any = Signal.COSTS.request_type()()
    _fill(request.records.add(), itertools.count(1))
    encoded = encode(Signal.COSTS, [request])
    assert encoded.items == 1
    assert decode(Signal.COSTS, encoded.facts, encoded.dimensions) == request


@settings(max_examples=50, deadline=None)
@given(records=st.lists(recent_records(), max_size=2))
def test_records_come_back_as_they_were(records: list[CostAttributionRecord]) -> None:
    """Through bytes and rows; by level."""
    encoded = payload_encoder(Signal.COSTS).encode([encode_request(records)])
    expected = sorted(records, key=lambda record: (record.level, record.charge.charge_period.start_unix_nano))
    assert {record.record_id: record for record in cost_records(encoded)} == {
        record.record_id: record for record in expected
    }
    assert encoded.items == len(records)


def test_levels_go_to_tables_of_their_own_sorted() -> None:
    """As the tables say."""
    encoded = payload_encoder(Signal.COSTS).encode([encode_request(reversed(ledger()))])
    assert {table: len(rows) for table, rows in encoded.facts.items()} == {
        COST_ORIGINS: 2,
        COST_ALLOCATIONS: 2,
        COST_REQUESTS: 2,
    }
    places = [COST_ORIGINS.index(name) for name in COST_ORIGINS.order_by]
    keys = [[row[place] for place in places] for row in encoded.facts[COST_ORIGINS]]
    assert keys == sorted(keys)


def test_amounts_are_decimals_in_one_spelling() -> None:
    """However they were spelt."""
    request: Any = Signal.COSTS.request_type().FromString(encode_request(ledger()[:1]))
    request.records[0].billed_cost = "-00.500"
    request.records[0].list_cost = "100"
    [row] = encode(Signal.COSTS, [request]).facts[COST_ORIGINS]
    assert str(row[COST_ORIGINS.index("billed_cost")]) == "-0.5"
    assert repr(row[COST_ORIGINS.index("list_cost")]) == repr(Decimal(100))


def _fill(message: Any, serials: Iterator[int]) -> None:
    for field in message.DESCRIPTOR.fields:
        serial = next(serials)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(message, field.name)[f"key {serial}"] = f"text {serial}"
        elif field.message_type is not None:
            part = getattr(message, field.name)
            _fill(part.add() if field.is_repeated else part, serials)
        elif field.name in _DECIMALS:
            setattr(message, field.name, f"{serial}.000000000000000001")
        elif field.type == field.TYPE_STRING:
            setattr(message, field.name, f"text {serial}")
        elif field.type == field.TYPE_BYTES:
            setattr(message, field.name, serial.to_bytes(8 if field.name == "span_id" else 16, "big"))
        else:
            setattr(message, field.name, 2 if field.name == "level" else serial)
