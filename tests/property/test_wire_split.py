"""Split pieces are whole requests and together the same telemetry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model.signal import Signal
from collector.wire.canonical import serialized
from collector.wire.scan import ScanLimits, scan_protobuf
from collector.wire.split import split
from tests.support.otlp_strategies import FUTURE_NS, NOW_UNIX_NANO, PAST_NS, payloads

LIMITS = ScanLimits(now_unix_nano=NOW_UNIX_NANO, past_ns=PAST_NS, future_ns=FUTURE_NS)


@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=60)
@given(data=st.data())
def test_split_keeps_everything_and_the_limit(signal: Signal, data: st.DataObject) -> None:
    """All pieces but the last are full, each counts its items right, and joined they are the original."""
    telemetry = scan_protobuf(signal, data.draw(payloads(signal, valid=True, depth=2)), LIMITS).telemetry
    items_max = data.draw(st.integers(1, 4))
    pieces = split(telemetry, items_max)
    assert sum(piece.items for piece in pieces) == telemetry.items
    assert all(piece.items == items_max for piece in pieces[:-1])
    for piece in pieces:
        again = scan_protobuf(signal, piece.payload, LIMITS)
        assert (again.telemetry.items, again.rejected) == (piece.items, {})
    before = serialized(signal, [telemetry.parse()])
    assert serialized(signal, [piece.parse() for piece in pieces]) == before


def test_split_without_need_returns_the_same_telemetry() -> None:
    """Nothing is parsed or copied when the limit is kept, or when there is none."""
    request: Any = Signal.LOGS.request_type()()
    request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=NOW_UNIX_NANO)
    telemetry = scan_protobuf(Signal.LOGS, request.SerializeToString(), LIMITS).telemetry
    assert split(telemetry, 1)[0] is telemetry
    assert split(telemetry, 0)[0] is telemetry


def test_split_puts_schema_urls_and_metadata_on_every_piece() -> None:
    """What otelcol once lost: schema URLs of both levels, a metric's metadata, its temporality, unknown fields."""
    request: Any = Signal.METRICS.request_type()()
    resource = request.resource_metrics.add(schema_url="https://resource")
    resource.resource.entity_refs.add(type="service")
    scope = resource.scope_metrics.add(schema_url="https://scope")
    metric = scope.metrics.add(name="m", unit="1")
    metric.metadata.add(key="prometheus.type").value.string_value = "unknown"
    metric.sum.aggregation_temporality = 1
    metric.sum.is_monotonic = True
    for value in range(5):
        metric.sum.data_points.add(time_unix_nano=NOW_UNIX_NANO, as_int=value)
    resource.MergeFromString(b"\x8a\x87\x02\x03new")  # field 4321
    telemetry = scan_protobuf(Signal.METRICS, request.SerializeToString(), LIMITS).telemetry
    values = []
    for piece in split(telemetry, 2):
        found: Any = piece.parse()
        (envelope,) = found.resource_metrics
        points = list(envelope.scope_metrics[0].metrics[0].sum.data_points)
        values.append([point.as_int for point in points])
        del envelope.scope_metrics[0].metrics[0].sum.data_points[:]
        del resource.scope_metrics[0].metrics[0].sum.data_points[:]
        assert envelope.SerializeToString() == resource.SerializeToString()
    assert values == [[0, 1], [2, 3], [4]]
