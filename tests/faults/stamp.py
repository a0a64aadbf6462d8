"""Telemetry whose items can be told apart for ever: each carries the name of its client and a sequence number.

A log record and a span carry both as attributes. A metric point carries its sequence number as its value, since
an attribute that never repeats would make a series of every point.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any, Final

import psycopg
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.model.signal import Signal
from collector.model.telemetry import Telemetry

METRIC: Final = "faults.sequence"
Item = tuple[str, int]  # client, sequence number


def request(signal: Signal, client: str, first: int, count: int, unix_nano: int, padding: int = 0) -> bytes:
    """An encoded request of `count` items of `client`, numbered from `first`, each larger by `padding` bytes."""
    text = "x" * padding
    match signal:
        case Signal.LOGS:
            logs: Any = ExportLogsServiceRequest()
            records = logs.resource_logs.add(resource={"attributes": [_text("service.name", "faults")]})
            records = records.scope_logs.add().log_records
            for number in range(first, first + count):
                record = records.add(time_unix_nano=unix_nano, attributes=_stamp(client, number))
                record.body.string_value = text
            body: bytes = logs.SerializeToString()
        case Signal.TRACES:
            traces: Any = ExportTraceServiceRequest()
            spans = traces.resource_spans.add(resource={"attributes": [_text("service.name", "faults")]})
            spans = spans.scope_spans.add().spans
            trace_id = first.to_bytes(8) + (hash(client) & (1 << 63) - 1 | 1).to_bytes(8)
            for number in range(first, first + count):
                span = spans.add(
                    trace_id=trace_id,
                    span_id=(number + 1).to_bytes(8),
                    name="fault",
                    start_time_unix_nano=unix_nano,
                    end_time_unix_nano=unix_nano + 1000,
                    attributes=_stamp(client, number),
                )
                if text:
                    span.attributes.append(_text("padding", text))
            body = traces.SerializeToString()
        case Signal.METRICS:
            metrics: Any = ExportMetricsServiceRequest()
            scope = metrics.resource_metrics.add(resource={"attributes": [_text("service.name", "faults")]})
            points = scope.scope_metrics.add().metrics.add(name=METRIC).gauge.data_points
            for number in range(first, first + count):
                points.add(time_unix_nano=unix_nano, as_int=number, attributes=[_text("client", client)])
            body = metrics.SerializeToString()
    return body


def stamped_items(data: Telemetry) -> list[Item]:
    """The stamps in a request."""
    message: Any = data.parse()
    match data.signal:
        case Signal.LOGS:
            scopes = (scope for resource in message.resource_logs for scope in resource.scope_logs)
            found = (item.attributes for scope in scopes for item in scope.log_records)
        case Signal.TRACES:
            scopes = (scope for resource in message.resource_spans for scope in resource.scope_spans)
            found = (item.attributes for scope in scopes for item in scope.spans)
        case Signal.METRICS:
            scopes = (scope for resource in message.resource_metrics for scope in resource.scope_metrics)
            metrics = (metric for scope in scopes for metric in scope.metrics)
            points = (point for metric in metrics for point in metric.gauge.data_points)
            return [(point.attributes[0].value.string_value, point.as_int) for point in points]
    return [(client.value.string_value, number.value.int_value) for client, number, *_ in found]


def _stamp(client: str, number: int) -> list[KeyValue]:
    return [_text("client", client), KeyValue(key="sequence", value=AnyValue(int_value=number))]


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


_SQLITE: Final = """
SELECT json_extract(attributes, '$.client'), json_extract(attributes, '$.sequence') FROM logs
UNION ALL
SELECT json_extract(attributes, '$.client'), json_extract(attributes, '$.sequence') FROM spans
UNION ALL
SELECT json_extract(attributes, '$.client'), value_int FROM metrics WHERE metric = 'faults.sequence'
"""
_POSTGRESQL: Final = """
SELECT attributes->>'client', (attributes->>'sequence')::bigint FROM telemetry.logs
UNION ALL
SELECT attributes->>'client', (attributes->>'sequence')::bigint FROM telemetry.spans
UNION ALL
SELECT attributes->>'client', value_int FROM telemetry.metrics WHERE metric = 'faults.sequence'
"""


def stored(url: str) -> Counter[Item]:
    """How often each stamped item is in the store at `url`, read by plain SQL through the documented views."""
    rows: Any
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            rows = connection.execute(_SQLITE)
            return Counter((client, number) for client, number in rows)
    with psycopg.connect(url) as postgresql, postgresql.cursor(name="faults") as cursor:
        cursor.itersize = 50_000
        rows = cursor.execute(_POSTGRESQL)
        return Counter((client, number) for client, number in rows)
