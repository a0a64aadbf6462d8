"""Requests as an instrumented service sends them: unique ids, advancing times, known series. Encoded beforehand."""

from __future__ import annotations

import random
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

METRICS: Final = 100
SERIES_PER_METRIC: Final = 100


def attribute(key: str, value: str | int | float) -> KeyValue:
    """One attribute."""
    match value:
        case str():
            return KeyValue(key=key, value=AnyValue(string_value=value))
        case int():
            return KeyValue(key=key, value=AnyValue(int_value=value))
        case float():
            return KeyValue(key=key, value=AnyValue(double_value=value))


def metric_requests(count: int, points: int, end_unix_nano: int, rng: random.Random) -> list[bytes]:
    """Return `count` requests of `points` cumulative sums with 4 attributes each; the last ends at `end_unix_nano`.

    10 000 series of 100 metrics; the requests go round them, 10 seconds between two points of a series.
    """
    requests = []
    series = [(metric, number) for metric in range(METRICS) for number in range(SERIES_PER_METRIC)]
    start = end_unix_nano - (count * points // len(series) + 1) * 10_000_000_000
    position = 0
    for _ in range(count):
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        resource.resource.attributes.append(attribute("service.name", "bench"))
        scope = resource.scope_metrics.add()
        scope.scope.name = "bench"
        current, target = -1, None
        for _ in range(points):
            turn, index = divmod(position, len(series))
            metric, number = series[index]
            if metric != current or target is None:
                described = scope.metrics.add(name=f"bench.requests.{metric}", unit="{request}")
                described.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
                described.sum.is_monotonic = True
                target, current = described.sum.data_points, metric
            point = target.add(
                time_unix_nano=start + turn * 10_000_000_000 + rng.randrange(1_000_000),
                start_time_unix_nano=start,
                as_double=rng.random() * 1000 + turn,
            )
            point.attributes.extend(
                [
                    attribute("http.request.method", "GET"),
                    attribute("http.route", f"/api/v1/items/{number}"),
                    attribute("http.response.status_code", 200 + number % 5),
                    attribute("host.name", f"node-{number % 20}"),
                ]
            )
            position += 1
        requests.append(request.SerializeToString())
    return requests


def span_requests(count: int, spans: int, end_unix_nano: int, rng: random.Random) -> list[bytes]:
    """Return `count` requests of `spans` spans with 5 attributes, every tenth with an event."""
    requests = []
    for number in range(count):
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.append(attribute("service.name", f"bench-{number % 5}"))
        scope = resource.scope_spans.add()
        scope.scope.name = "bench"
        trace_id = rng.randbytes(16)
        for index in range(spans):
            if index % 8 == 0:
                trace_id = rng.randbytes(16)
            start = end_unix_nano - (count - number) * 10_000_000 + index * 10_000
            span = scope.spans.add(
                trace_id=trace_id,
                span_id=rng.randbytes(8),
                parent_span_id=b"" if index % 8 == 0 else rng.randbytes(8),
                name=f"GET /api/v1/items/{index % 40}",
                kind=2,
                start_time_unix_nano=start,
                end_time_unix_nano=start + rng.randrange(50_000_000),
            )
            span.attributes.extend(
                [
                    attribute("http.request.method", "GET"),
                    attribute("http.route", f"/api/v1/items/{index % 40}"),
                    attribute("http.response.status_code", 200),
                    attribute("server.address", "shop.example"),
                    attribute("user.score", rng.random()),
                ]
            )
            if index % 10 == 0:
                event = span.events.add(name="cache.miss", time_unix_nano=start + 1000)
                event.attributes.append(attribute("cache.key", f"item-{index}"))
        requests.append(request.SerializeToString())
    return requests
