"""What makes two requests the same telemetry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model.signal import OPENTELEMETRY, Signal
from collector.wire.canonical import canonical, serialized
from tests.support.otlp_strategies import requests


def _spans(*names: str, resource: str = "r", schema_url: str = "") -> Any:
    request: Any = Signal.TRACES.request_type()()
    envelope = request.resource_spans.add(schema_url=schema_url)
    envelope.resource.attributes.add(key=resource).value.bool_value = True
    scope = envelope.scope_spans.add()
    for name in names:
        scope.spans.add(name=name)
    return request


def test_canonical_merges_equal_resources() -> None:
    """Spans of one resource sent apart are the same telemetry as sent together."""
    assert serialized(Signal.TRACES, [_spans("a"), _spans("b")]) == serialized(
        Signal.TRACES, [_spans("b", "a")]
    )


def test_canonical_keeps_resources_with_different_schema_urls_apart() -> None:
    """The schema URL belongs to the resource's identity."""
    merged: Any = canonical(Signal.TRACES, [_spans("a"), _spans("b", schema_url="https://x")])
    assert len(merged.resource_spans) == 2


def test_canonical_merges_points_of_equal_metrics_only() -> None:
    """Temporality tells two sums of one name apart."""
    request: Any = Signal.METRICS.request_type()()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    for temporality in (1, 2, 1):
        metrics.add(name="m").sum.aggregation_temporality = temporality
        metrics[-1].sum.data_points.add(as_int=temporality)
    found: Any = canonical(Signal.METRICS, [request])
    points = [len(metric.sum.data_points) for metric in found.resource_metrics[0].scope_metrics[0].metrics]
    assert sorted(points) == [1, 2]


@pytest.mark.parametrize("signal", OPENTELEMETRY)
def test_canonical_drops_envelopes_without_items(signal: Signal) -> None:
    """Resources, scopes and metrics that hold nothing are not telemetry."""
    request: Any = signal.request_type()()
    envelope = getattr(request, request.DESCRIPTOR.fields[0].name).add(schema_url="https://x")
    scope = getattr(envelope, f"scope_{'spans' if signal is Signal.TRACES else signal.value}").add()
    if signal is Signal.METRICS:
        scope.metrics.add(name="no data")
        scope.metrics.add(name="no points").gauge.SetInParent()
    assert serialized(signal, [request]) == b""


def test_canonical_distinguishes_values_that_look_alike() -> None:
    """1 and 1.0, an absent and an empty body, an empty map and no value: all different."""
    seen = set()
    bodies: tuple[dict[str, Any] | None, ...] = (
        {"int_value": 1},
        {"double_value": 1.0},
        {"kvlist_value": {}},
        {"bytes_value": b""},
        {},
        None,
    )
    for body in bodies:
        request: Any = Signal.LOGS.request_type()()
        record = request.resource_logs.add().scope_logs.add().log_records.add(event_name="e")
        if body is not None:
            record.body.SetInParent()
            record.body.MergeFrom(type(record.body)(**body))
        seen.add(serialized(Signal.LOGS, [request]))
    assert len(seen) == 6


def _shuffle(draw: st.DrawFn, message: Any) -> None:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for element in value if field.is_repeated else [value]:
            _shuffle(draw, element)
        if field.is_repeated and field.name not in {
            "values",
            "events",
            "links",
            "exemplars",
            "quantile_values",
            "entity_refs",
        }:
            order = draw(st.permutations([element.SerializeToString() for element in value]))
            del value[:]
            for encoded in order:
                value.add().ParseFromString(encoded)


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@settings(max_examples=40)
@given(data=st.data())
def test_canonical_does_not_depend_on_order(signal: Signal, data: st.DataObject) -> None:
    """Whatever the order of resources, scopes, metrics, items and attributes."""
    request = data.draw(requests(signal, valid=True))
    expected = serialized(signal, [request])
    shuffled = type(request)()
    shuffled.CopyFrom(request)
    data.draw(st.composite(lambda draw: _shuffle(draw, shuffled))())
    assert serialized(signal, [shuffled]) == expected


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@settings(max_examples=40)
@given(data=st.data())
def test_canonical_is_its_own_canonical_form(signal: Signal, data: st.DataObject) -> None:
    """Applying it again changes nothing."""
    once = canonical(signal, [data.draw(requests(signal, valid=False))])
    assert serialized(signal, [once]) == once.SerializeToString(deterministic=True)
