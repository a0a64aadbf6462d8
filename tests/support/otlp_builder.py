"""Small OTLP requests, written in one line each: for tests that care what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.model.signal import Signal
from collector.storage.encode import encode
from collector.storage.store import Store

DELTA: AggregationTemporality.ValueType = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE: AggregationTemporality.ValueType = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
QUEUE = UUID("6f6c6521-0000-4000-8000-000000000001")


def any_value(value: Any) -> AnyValue:
    """A Python value as AnyValue; None is the empty one."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            result = AnyValue()
            result.array_value.SetInParent()
            result.array_value.values.extend(any_value(item) for item in value)
            return result
        case _:
            result = AnyValue()
            result.kvlist_value.SetInParent()
            result.kvlist_value.values.extend(attributes(value))
            return result


def attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    """A mapping as attributes."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def number_point(
    time: int, value: float | int | None, attrs: Mapping[str, Any] | None = None, *, start: int = 0
) -> NumberDataPoint:
    """A point of a gauge or sum; None: no recorded value."""
    point = NumberDataPoint(
        time_unix_nano=time, start_time_unix_nano=start, attributes=attributes(attrs or {})
    )
    if isinstance(value, int):
        point.as_int = value
    elif value is not None:
        point.as_double = value
    else:
        point.flags = 1
    return point


def gauge(name: str, points: Iterable[NumberDataPoint], *, unit: str = "") -> Metric:
    """A gauge."""
    metric = Metric(name=name, unit=unit)
    metric.gauge.data_points.extend(points)
    return metric


def counter(
    name: str,
    points: Iterable[NumberDataPoint],
    *,
    temporality: AggregationTemporality.ValueType = CUMULATIVE,
    monotonic: bool = True,
    unit: str = "",
    description: str = "",
) -> Metric:
    """A sum."""
    metric = Metric(name=name, unit=unit, description=description)
    metric.sum.aggregation_temporality = temporality
    metric.sum.is_monotonic = monotonic
    metric.sum.data_points.extend(points)
    return metric


def histogram(
    name: str,
    points: Iterable[HistogramDataPoint],
    *,
    temporality: AggregationTemporality.ValueType = DELTA,
    unit: str = "",
) -> Metric:
    """A histogram with explicit bounds."""
    metric = Metric(name=name, unit=unit)
    metric.histogram.aggregation_temporality = temporality
    metric.histogram.data_points.extend(points)
    return metric


def exponential_histogram(
    name: str,
    points: Iterable[ExponentialHistogramDataPoint],
    *,
    temporality: AggregationTemporality.ValueType = DELTA,
) -> Metric:
    """An exponential histogram."""
    metric = Metric(name=name)
    metric.exponential_histogram.aggregation_temporality = temporality
    metric.exponential_histogram.data_points.extend(points)
    return metric


def summary(name: str, points: Iterable[SummaryDataPoint]) -> Metric:
    """A summary."""
    metric = Metric(name=name)
    metric.summary.data_points.extend(points)
    return metric


def metrics_request(
    service: str, metrics: Iterable[Metric], resource: Mapping[str, Any] | None = None
) -> ExportMetricsServiceRequest:
    """Metrics of one service."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(attributes({"service.name": service, **(resource or {})}))
    scope = group.scope_metrics.add()
    scope.scope.name = "tests"
    scope.metrics.extend(metrics)
    return request


def span(
    trace_id: str,
    span_id: str,
    name: str,
    start: int,
    end: int,
    *,
    parent: str = "",
    kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL,
    error: str = "",
    attrs: Mapping[str, Any] | None = None,
) -> Span:
    """A span; ids in hexadecimal. `error`: the status message of a span that failed."""
    return Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(span_id),
        parent_span_id=bytes.fromhex(parent),
        name=name,
        kind=kind,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=attributes(attrs or {}),
        status=Status(code=Status.STATUS_CODE_ERROR, message=error) if error else None,
    )


def spans_request(
    service: str, spans: Iterable[Span], resource: Mapping[str, Any] | None = None
) -> ExportTraceServiceRequest:
    """Spans of one service."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(attributes({"service.name": service, **(resource or {})}))
    scope = group.scope_spans.add()
    scope.scope.name = "tests"
    scope.spans.extend(spans)
    return request


def log(
    time: int,
    body: Any,
    *,
    severity: int = 9,
    severity_text: str = "",
    event_name: str = "",
    trace_id: str = "",
    span_id: str = "",
    attrs: Mapping[str, Any] | None = None,
) -> LogRecord:
    """A log record."""
    return LogRecord(
        time_unix_nano=time,
        observed_time_unix_nano=time,
        body=any_value(body),
        severity_number=severity,  # type: ignore[arg-type]  # an open enum
        severity_text=severity_text,
        event_name=event_name,
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(span_id),
        attributes=attributes(attrs or {}),
    )


def logs_request(
    service: str, records: Iterable[LogRecord], resource: Mapping[str, Any] | None = None
) -> ExportLogsServiceRequest:
    """Log records of one service."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(attributes({"service.name": service, **(resource or {})}))
    scope = group.scope_logs.add()
    scope.scope.name = "tests"
    scope.log_records.extend(records)
    return request


_SIGNALS = {
    ExportMetricsServiceRequest: Signal.METRICS,
    ExportTraceServiceRequest: Signal.TRACES,
    ExportLogsServiceRequest: Signal.LOGS,
}


def store_requests(store: Store, *requests: Any) -> None:
    """Write requests to an open and migrated store, each as a batch of its own."""
    position = store.position(QUEUE) or 0
    for request in requests:
        encoded = encode(_SIGNALS[type(request)], [request])
        assert store.write(encoded, queue_id=QUEUE, start=position, end=position + 1)
        position += 1
