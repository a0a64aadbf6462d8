"""An app instrumented by the real OpenTelemetry SDK, and its telemetry sent by the SDK's real exporters.

What the app recorded is kept, so that exactly the same telemetry can be sent over every transport.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from collector.model.signal import Signal
from collector.wire.json_encode import encode_json

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from tests.support.daemon import Daemon

Transport = Literal["grpc", "http/protobuf", "http/json"]
TRANSPORTS: tuple[Transport, ...] = ("grpc", "http/protobuf", "http/json")


@dataclass(frozen=True, slots=True)
class Recording:
    """What an app recorded, in the SDK's own objects."""

    spans: Sequence[Any]
    metrics: Any
    logs: Sequence[Any]

    def messages(self) -> Mapping[Signal, Message]:
        """The same as OTLP requests, by the SDK's own encoder."""
        return {
            Signal.TRACES: encode_spans(self.spans),
            Signal.METRICS: encode_metrics(self.metrics),
            Signal.LOGS: encode_logs(self.logs),
        }

    def items(self) -> Mapping[Signal, int]:
        """How many spans, metric points and log records it is."""
        points = sum(
            len(metric.data.data_points)
            for resource in self.metrics.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )
        return {Signal.TRACES: len(self.spans), Signal.METRICS: points, Signal.LOGS: len(self.logs)}


def record(*, orders: int = 10) -> Recording:
    """Run the app.

    Per order: two spans of a trace, with an event, a link and now and then an error; a log record; measurements
    by a counter, an up-down counter, gauges and both kinds of histogram, with exemplars.
    """
    resource = Resource.create(
        {"service.name": "shop", "service.instance.id": "shop-1", "zones": ["a", "b"], "weight": 0.5}
    )
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider(
        resource=resource,
        metric_readers=[reader],
        exemplar_filter=AlwaysOnExemplarFilter(),
        views=[
            View(
                instrument_type=Histogram,
                instrument_name="order.value",
                aggregation=ExponentialBucketHistogramAggregation(),
            )
        ],
    )
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    _take_orders(orders, tracers, meters, loggers)
    recording = Recording(spans.get_finished_spans(), reader.get_metrics_data(), logs.get_finished_logs())
    for provider in (tracers, meters, loggers):
        provider.shutdown()
    return recording


def _take_orders(
    orders: int, tracers: TracerProvider, meters: MeterProvider, loggers: LoggerProvider
) -> None:
    tracer = tracers.get_tracer("shop.orders", "1.2", schema_url="https://opentelemetry.io/schemas/1.30.0")
    meter = meters.get_meter("shop.orders", "1.2", attributes={"team": "checkout"})
    logger = loggers.get_logger("shop.orders")
    counter = meter.create_counter("orders", unit="{order}", description="Orders taken.")
    open_orders = meter.create_up_down_counter("orders.open")
    gauge = meter.create_gauge("queue.length")
    meter.create_observable_gauge("temperature", [_temperature], unit="Cel")
    duration = meter.create_histogram("order.duration", unit="s")
    value = meter.create_histogram("order.value", unit="EUR")
    previous: trace.SpanContext | None = None
    for number in range(orders):
        links = [Link(previous, {"why": "same customer"})] if previous else []
        attributes: dict[str, Any] = {"order.id": number, "express": number % 2 == 0, "tags": ["x", "y"]}
        with tracer.start_as_current_span(
            "take order", kind=SpanKind.SERVER, links=links, attributes=attributes
        ) as span:
            previous = span.get_span_context()
            span.add_event("paid", {"amount": 12.5 * number})
            with tracer.start_as_current_span("charge", kind=SpanKind.CLIENT) as charge:
                if number % 4 == 3:
                    charge.set_status(Status(StatusCode.ERROR, "card refused"))
                    charge.record_exception(ValueError("card refused"))
            counter.add(1, {"region": "eu" if number % 3 else "us"})
            open_orders.add(-1 if number % 2 else 1)
            gauge.set(number)
            duration.record(0.01 * number, {"route": "/order"})
            value.record(3.7 * number + 1)
            logger.emit(
                LogRecord(
                    timestamp=span.start_time + 1,  # type: ignore[attr-defined]  # the SDK's span has it
                    severity_number=SeverityNumber.WARN if number % 4 == 3 else SeverityNumber.INFO,
                    severity_text="WARN" if number % 4 == 3 else "INFO",
                    body={"text": "order taken", "number": number, "parts": [1, "two", 3.0, None]},
                    attributes={"order.id": number},
                    event_name="order.taken",
                )
            )


def _temperature(options: CallbackOptions) -> list[Observation]:
    return [Observation(21.5, {"room": "cellar"})]


def send(recording: Recording, daemon: Daemon, transport: Transport) -> None:
    """Export everything over one transport, and check that the collector took it.

    The SDK of Python has no JSON exporter: there, its encoder's messages are written as OTLP/JSON and posted.
    """
    match transport:
        case "grpc":
            endpoint = daemon.grpc
            _export(GrpcSpanExporter(endpoint=endpoint, insecure=True), recording.spans)
            _export(GrpcMetricExporter(endpoint=endpoint, insecure=True), recording.metrics)
            _export(GrpcLogExporter(endpoint=endpoint, insecure=True), recording.logs)
        case "http/protobuf":
            url, gzip = daemon.http, Compression.Gzip
            _export(HttpSpanExporter(endpoint=f"{url}/v1/traces", compression=gzip), recording.spans)
            _export(HttpMetricExporter(endpoint=f"{url}/v1/metrics", compression=gzip), recording.metrics)
            _export(HttpLogExporter(endpoint=f"{url}/v1/logs", compression=gzip), recording.logs)
        case "http/json":
            for signal, message in recording.messages().items():
                post_json(f"{daemon.http}{signal.http_path}", encode_json(signal, message))


def _export(exporter: Any, what: Any) -> None:
    try:
        assert exporter.export(what).name == "SUCCESS"
    finally:
        exporter.shutdown()


def post_json(url: str, body: bytes) -> bytes:
    """POST an OTLP/JSON request and return the answer's body; an answer other than 200 raises."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.status == 200
        answer: bytes = response.read()
        return answer
