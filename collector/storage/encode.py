"""OTLP messages to rows: the reference encoder, in plain Python over the parsed message.

It takes what `wire.scan` has let through and normalised, and judges nothing. `decode` undoes it; the columns are
explained in `tables`, the JSON in `values` and `parts`, the ids in `identity`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector.model.signal import Signal
from collector.storage import identity
from collector.storage.cache import Cache
from collector.storage.dimension_rows import SeriesId, resource_row, scope_row, series_row
from collector.storage.encode_points import POINT_ENCODERS, TEMPORAL
from collector.storage.parts import events_text, links_text
from collector.storage.rows import Encoded, Key, Row, signed64, sort_rows
from collector.storage.tables import LOGS, RESOURCES, SCOPES, SERIES, SPANS, Table
from collector.storage.values import optional_attributes_text, value_text

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

# Each series is about 1 kB of Python objects; more than these in turn are hashed again, no worse.
_SERIES_MAX: Final = 50_000
_RESOURCES_MAX: Final = 2_000


def encode(signal: Signal, messages: Sequence[Message]) -> Encoded:
    """Encode the items of `messages`, which are `Export…ServiceRequest`s of `signal`, once."""
    if signal is Signal.COSTS:
        from collector.storage.encode_costs import encode_costs

        return encode_costs(messages)
    return Encoder().encode(signal, messages)


class Encoder:
    """Encodes batch after batch and remembers identities between them, within bounds. Not thread-safe.

    What it remembers follows from content alone, so that it never has to be forgotten: whether a database holds
    a dimension is the store's business. Of OpenTelemetry's signals; `encode_costs` does costs.
    """

    def __init__(
        self,
        *,
        series_max: int = _SERIES_MAX,
        series_id: SeriesId = identity.series_id,
    ) -> None:
        self._series_id = series_id
        self._resources: Cache[tuple[bytes, str], Row] = Cache(_RESOURCES_MAX)
        self._scopes: Cache[tuple[bytes, str], Row] = Cache(_RESOURCES_MAX)
        self._metrics: Cache[tuple[Any, ...], int] = Cache(series_max)
        self._metrics_seen = 0
        self._series: Cache[tuple[Any, ...], Row] = Cache(series_max)
        self._dimensions: dict[Table, dict[Key, Row]] = {}
        self._facts: dict[Table, list[Row]] = {}

    def encode(self, signal: Signal, messages: Sequence[Message]) -> Encoded:
        """See `encode`."""
        self._dimensions = {RESOURCES: {}, SCOPES: {}}
        self._facts = {}
        walk: Callable[[Any], None]
        match signal:
            case Signal.TRACES:
                walk = self._traces
            case Signal.METRICS:
                self._dimensions[SERIES] = {}
                walk = self._metrics_request
            case Signal.LOGS:
                walk = self._logs
            case Signal.COSTS:
                raise ValueError("costs have an encoder of their own")
        for message in messages:
            walk(message)
        facts = {table: sort_rows(table, rows) for table, rows in self._facts.items() if rows}
        return Encoded(
            signal=signal,
            items=sum(map(len, facts.values())),
            dimensions={table: rows for table, rows in self._dimensions.items() if rows},
            facts=facts,
        )

    def _resource(self, resource: Resource, schema_url: str) -> Row:
        key = (resource.SerializeToString(), schema_url)
        row = self._resources.get(key)
        if row is None:
            row = resource_row(resource, schema_url)
            self._resources.put(key, row)
        self._dimensions[RESOURCES][row[0]] = row
        return row

    def _scope(self, scope: InstrumentationScope, schema_url: str) -> bytes:
        key = (scope.SerializeToString(), schema_url)
        row = self._scopes.get(key)
        if row is None:
            row = scope_row(scope, schema_url)
            self._scopes.put(key, row)
        scope_id: bytes = row[0]
        self._dimensions[SCOPES][scope_id] = row
        return scope_id

    def _traces(self, request: Any) -> None:
        rows = self._facts.setdefault(SPANS, [])
        for resource_spans in request.resource_spans:
            resource = self._resource(resource_spans.resource, resource_spans.schema_url)
            resource_id, service_name = resource[:2]
            for scope_spans in resource_spans.scope_spans:
                scope_id = self._scope(scope_spans.scope, scope_spans.schema_url)
                rows += [_span(span, service_name, resource_id, scope_id) for span in scope_spans.spans]

    def _logs(self, request: Any) -> None:
        rows = self._facts.setdefault(LOGS, [])
        for resource_logs in request.resource_logs:
            resource = self._resource(resource_logs.resource, resource_logs.schema_url)
            resource_id, service_name = resource[:2]
            for scope_logs in resource_logs.scope_logs:
                scope_id = self._scope(scope_logs.scope, scope_logs.schema_url)
                rows += [_log(log, service_name, resource_id, scope_id) for log in scope_logs.log_records]

    def _metrics_request(self, request: Any) -> None:
        for resource_metrics in request.resource_metrics:
            resource = self._resource(resource_metrics.resource, resource_metrics.schema_url)
            for scope_metrics in resource_metrics.scope_metrics:
                scope_id = self._scope(scope_metrics.scope, scope_metrics.schema_url)
                for metric in scope_metrics.metrics:
                    self._metric(metric, resource, scope_id)

    def _metric(self, metric: Metric, resource: Row, scope_id: bytes) -> None:
        kind = metric.WhichOneof("data")
        if kind is None:  # a type newer than this program; the scan has counted it
            return
        data: Any = getattr(metric, kind)
        if not data.data_points:
            return
        table, encode_point = POINT_ENCODERS[kind]
        rows = self._facts.setdefault(table, [])
        number = self._metric_number(metric, kind, data, resource[0], scope_id)
        name = metric.name
        known = self._series
        written = self._dimensions[SERIES]
        for point in data.data_points:
            # The serialised attributes as they came: nothing is hashed or rendered for a series that is known.
            key = (number, *[attribute.SerializeToString() for attribute in point.attributes])
            series = known.get(key)
            if series is None:
                series = series_row(
                    metric,
                    kind,
                    data.aggregation_temporality if kind in TEMPORAL else None,
                    data.is_monotonic if kind == "sum" else None,
                    point.attributes,
                    resource[1],
                    resource[0],
                    scope_id,
                    series_id=self._series_id,
                )
                known.put(key, series)
            series_id = series[0]
            if written.setdefault(series_id, series) is not series:
                series_id = self._claim(series)
            rows.append(encode_point(name, series_id, point))

    def _metric_number(
        self, metric: Metric, kind: str, data: Any, resource_id: bytes, scope_id: bytes
    ) -> int:
        """A number, in this encoder, for everything that the series of one metric have in common."""
        key = (
            metric.name,
            kind,
            metric.unit,
            metric.description,
            data.aggregation_temporality if kind in TEMPORAL else 0,
            kind == "sum" and data.is_monotonic,
            tuple([entry.SerializeToString() for entry in metric.metadata]),
            resource_id,
            scope_id,
        )
        number = self._metrics.get(key)
        if number is None:
            # Never used again once forgotten, so that an old series cannot be taken for a new one's.
            self._metrics_seen += 1
            number = self._metrics_seen
            self._metrics.put(key, number)
        return number

    def _claim(self, series: Row) -> int:
        """The id that `series` has in this batch, where its first choice may be another's (identity, "Collisions")."""
        written = self._dimensions[SERIES]
        digest: bytes = series[1]
        attempt = 0
        while True:
            series_id = self._series_id(digest, attempt)
            holder = written.setdefault(series_id, (series_id, *series[1:]))
            if holder[1] == digest:
                return series_id
            attempt += 1


def _span(span: Any, service_name: str, resource_id: bytes, scope_id: bytes) -> Row:
    start = span.start_time_unix_nano
    end = span.end_time_unix_nano
    time, nanos = divmod(start, 1000)
    status = span.status
    return (
        service_name,
        span.name,
        time,
        nanos or None,
        signed64(end - start) if end else None,
        span.trace_id,
        int.from_bytes(span.span_id, "big", signed=True),
        int.from_bytes(span.parent_span_id, "big", signed=True) if span.parent_span_id else None,
        span.kind,
        status.code,
        status.message or None,
        span.trace_state or None,
        span.flags or None,
        optional_attributes_text(span.attributes),
        span.dropped_attributes_count or None,
        events_text(span.events) if span.events else None,
        span.dropped_events_count or None,
        links_text(span.links) if span.links else None,
        span.dropped_links_count or None,
        resource_id,
        scope_id,
    )


def _log(log: Any, service_name: str, resource_id: bytes, scope_id: bytes) -> Row:
    observed = log.observed_time_unix_nano
    time, nanos = divmod(log.time_unix_nano or observed, 1000)
    return (
        service_name,
        time,
        nanos or None,
        None if log.time_unix_nano else True,
        signed64(observed) if observed else None,
        log.severity_number,
        log.severity_text or None,
        value_text(log.body) if log.HasField("body") else None,
        log.event_name or None,
        log.trace_id or None,
        int.from_bytes(log.span_id, "big", signed=True) if log.span_id else None,
        log.flags or None,
        optional_attributes_text(log.attributes),
        log.dropped_attributes_count or None,
        resource_id,
        scope_id,
    )
