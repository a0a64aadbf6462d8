"""Rows to OTLP messages: what `encode` did, undone.

The result holds the same telemetry as what was encoded; how it is grouped into resources, scopes and metrics
and in which order may differ (`wire.canonical` compares without regard to that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message

from collector.model.signal import Signal
from collector.storage.decode_costs import fill_records
from collector.storage.parts import fill_entity_refs, fill_events, fill_exemplars, fill_links
from collector.storage.rows import Key, Row, unsigned64
from collector.storage.tables import (
    EXPONENTIAL_HISTOGRAM_POINTS,
    HISTOGRAM_POINTS,
    LOGS,
    METRIC_FACTS,
    NUMBER_POINTS,
    RESOURCES,
    SCOPES,
    SERIES,
    SPANS,
    SUMMARY_POINTS,
    Table,
)
from collector.storage.values import fill_attributes, fill_value, parse_json

Facts = Mapping[Table, Sequence[Row]]
Dimensions = Mapping[Table, Mapping[Key, Row]]


def decode(signal: Signal, facts: Facts, dimensions: Dimensions) -> Message:
    """Rebuild one `Export…ServiceRequest` of `signal`.

    Raises:
        KeyError: a fact refers to a dimension that is not there.
    """
    request = signal.request_type()()
    if signal is Signal.COSTS:
        fill_records(request, facts)
        return request
    envelopes = _Envelopes(request, signal, dimensions)
    match signal:
        case Signal.TRACES:
            for row in facts.get(SPANS, ()):
                _span(envelopes.scope(row[-2], row[-1]).spans.add(), row)
        case Signal.LOGS:
            for row in facts.get(LOGS, ()):
                _log(envelopes.scope(row[-2], row[-1]).log_records.add(), row)
        case Signal.METRICS:
            series = dimensions.get(SERIES, {})
            for table in METRIC_FACTS:
                fill = _POINTS[table]
                for row in facts.get(table, ()):
                    of = series[row[1]]
                    point = envelopes.metric(of).add(
                        time_unix_nano=row[2] * 1000 + (row[3] or 0),
                        start_time_unix_nano=unsigned64(row[4] or 0),
                    )
                    fill_attributes(point.attributes, parse_json(of[_SERIES_ATTRIBUTES]))
                    fill(point, row)
    return request


_SERIES_ATTRIBUTES: Final = SERIES.index("attributes")


class _Envelopes:
    """Finds or makes the resource, scope and metric that an item belongs in."""

    def __init__(self, request: Any, signal: Signal, dimensions: Dimensions) -> None:
        self._of_resource = getattr(request, f"resource_{_SUFFIX[signal]}")
        self._scopes_field = f"scope_{_SUFFIX[signal]}"
        self._dimensions = dimensions
        self._resources: dict[Key, Any] = {}
        self._scopes: dict[tuple[Key, Key], Any] = {}
        self._points: dict[tuple[Any, ...], Any] = {}

    def scope(self, resource_id: bytes, scope_id: bytes) -> Any:
        """The `Scope…` message of a resource and a scope."""
        found = self._scopes.get((resource_id, scope_id))
        if found is None:
            if resource_id not in self._resources:
                envelope = self._of_resource.add()
                _resource(envelope, self._dimensions[RESOURCES][resource_id])
                self._resources[resource_id] = envelope
            found = getattr(self._resources[resource_id], self._scopes_field).add()
            _scope(found, self._dimensions[SCOPES][scope_id])
            self._scopes[resource_id, scope_id] = found
        return found

    def metric(self, series: Row) -> Any:
        """The `data_points` that a series' points go to."""
        _, _, _, name, kind, unit, temporality, monotonic, description, metadata, _, _, *ids = series
        resource_id, scope_id = ids
        key = (resource_id, scope_id, *series[3:10])
        points = self._points.get(key)
        if points is None:
            metric = self.scope(resource_id, scope_id).metrics.add(
                name=name, unit=unit, description=description
            )
            if metadata is not None:
                fill_attributes(metric.metadata, parse_json(metadata))
            data = getattr(metric, kind)
            if temporality is not None:
                data.aggregation_temporality = temporality
            if monotonic is not None:
                data.is_monotonic = monotonic
            points = self._points[key] = data.data_points
        return points


_SUFFIX: Final = {Signal.TRACES: "spans", Signal.METRICS: "metrics", Signal.LOGS: "logs"}


def _resource(target: Any, row: Row) -> None:
    _, _, _, _, attributes, dropped, entity_refs, schema_url = row
    resource = target.resource
    resource.SetInParent()
    fill_attributes(resource.attributes, parse_json(attributes))
    resource.dropped_attributes_count = dropped or 0
    if entity_refs is not None:
        fill_entity_refs(resource.entity_refs, entity_refs)
    target.schema_url = schema_url or ""


def _scope(target: Any, row: Row) -> None:
    _, name, version, attributes, dropped, schema_url = row
    scope = target.scope
    scope.SetInParent()
    scope.name = name
    scope.version = version
    fill_attributes(scope.attributes, parse_json(attributes))
    scope.dropped_attributes_count = dropped or 0
    target.schema_url = schema_url or ""


def _number_point(point: Any, row: Row) -> None:
    value, value_int, flags, exemplars = row[5:]
    if value is not None:
        point.as_double = value
    elif value_int is not None:
        point.as_int = value_int
    point.flags = flags or 0
    if exemplars is not None:
        fill_exemplars(point.exemplars, exemplars)


def _histogram_point(point: Any, row: Row) -> None:
    count, total, low, high, bucket_counts, explicit_bounds, flags, exemplars = row[5:]
    point.count = unsigned64(count)
    _fill_sum_min_max(point, total, low, high)
    point.bucket_counts.extend(map(unsigned64, bucket_counts or ()))
    point.explicit_bounds.extend(explicit_bounds or ())
    point.flags = flags or 0
    if exemplars is not None:
        fill_exemplars(point.exemplars, exemplars)


def _exponential_histogram_point(point: Any, row: Row) -> None:
    count, total, low, high, scale, zero_count, zero_threshold, *buckets, flags, exemplars = row[5:]
    point.count = unsigned64(count)
    _fill_sum_min_max(point, total, low, high)
    point.scale = scale
    point.zero_count = unsigned64(zero_count)
    point.zero_threshold = zero_threshold
    for target, offset, counts in (
        (point.positive, buckets[0], buckets[1]),
        (point.negative, buckets[2], buckets[3]),
    ):
        if offset is not None:
            target.SetInParent()
            target.offset = offset
            target.bucket_counts.extend(map(unsigned64, counts or ()))
    point.flags = flags or 0
    if exemplars is not None:
        fill_exemplars(point.exemplars, exemplars)


def _summary_point(point: Any, row: Row) -> None:
    count, total, quantiles, values, flags = row[5:]
    point.count = unsigned64(count)
    point.sum = total
    for quantile, value in zip(quantiles or (), values or (), strict=True):
        point.quantile_values.add(quantile=quantile, value=value)
    point.flags = flags or 0


_POINTS: Final[dict[Table, Callable[[Any, Row], None]]] = {
    NUMBER_POINTS: _number_point,
    HISTOGRAM_POINTS: _histogram_point,
    EXPONENTIAL_HISTOGRAM_POINTS: _exponential_histogram_point,
    SUMMARY_POINTS: _summary_point,
}


def _fill_sum_min_max(point: Any, total: float | None, low: float | None, high: float | None) -> None:
    if total is not None:
        point.sum = total
    if low is not None:
        point.min = low
    if high is not None:
        point.max = high


def _span(span: Any, row: Row) -> None:
    _, name, time, nanos, duration, trace_id, span_id, parent_span_id, kind, code, message, *rest = row
    trace_state, flags, attributes, dropped, events, dropped_events, links, dropped_links, *_ = rest
    start = time * 1000 + (nanos or 0)
    span.name = name
    span.start_time_unix_nano = start
    if duration is not None:
        span.end_time_unix_nano = unsigned64(start + duration)
    span.trace_id = trace_id
    span.span_id = _id_bytes(span_id)
    if parent_span_id is not None:
        span.parent_span_id = _id_bytes(parent_span_id)
    span.kind = kind
    if code or message is not None:
        span.status.code = code
        span.status.message = message or ""
    span.trace_state = trace_state or ""
    span.flags = flags or 0
    span.dropped_attributes_count = dropped or 0
    span.dropped_events_count = dropped_events or 0
    span.dropped_links_count = dropped_links or 0
    if attributes is not None:
        fill_attributes(span.attributes, parse_json(attributes))
    if events is not None:
        fill_events(span.events, events)
    if links is not None:
        fill_links(span.links, links)


def _log(log: Any, row: Row) -> None:
    _, time, nanos, time_unknown, observed, severity_number, severity_text, body, *rest = row
    event_name, trace_id, span_id, flags, attributes, dropped, *_ = rest
    if not time_unknown:
        log.time_unix_nano = time * 1000 + (nanos or 0)
    log.observed_time_unix_nano = unsigned64(observed or 0)
    log.severity_number = severity_number
    log.severity_text = severity_text or ""
    if body is not None:
        log.body.SetInParent()
        fill_value(log.body, parse_json(body))
    log.event_name = event_name or ""
    log.trace_id = trace_id or b""
    if span_id is not None:
        log.span_id = _id_bytes(span_id)
    log.flags = flags or 0
    log.dropped_attributes_count = dropped or 0
    if attributes is not None:
        fill_attributes(log.attributes, parse_json(attributes))


def _id_bytes(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)
