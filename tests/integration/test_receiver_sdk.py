"""The receiver and the exporters of the OpenTelemetry SDK for Python, as applications run them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from collector.model.clock import SystemClock
from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from tests.support.receiver import Running, running_receiver

both = pytest.mark.parametrize("protocol", ["grpc", "http", "http+gzip"])


@pytest.fixture
def running() -> Iterator[Running]:
    with running_receiver(clock=SystemClock()) as receiver:
        yield receiver


def exporter(running: Running, protocol: str, signal: Signal) -> Any:
    """An exporter of `signal`, configured as an application would."""
    if protocol == "grpc":
        kinds = {
            Signal.TRACES: GrpcSpanExporter,
            Signal.METRICS: GrpcMetricExporter,
            Signal.LOGS: GrpcLogExporter,
        }
        return kinds[signal](endpoint=f"http://{running.grpc}", insecure=True)
    http_kinds = {
        Signal.TRACES: HttpSpanExporter,
        Signal.METRICS: HttpMetricExporter,
        Signal.LOGS: HttpLogExporter,
    }
    compression = Compression.Gzip if protocol.endswith("gzip") else Compression.NoCompression
    return http_kinds[signal](endpoint=f"http://{running.http}{signal.http_path}", compression=compression)


def items(running: Running, signal: Signal) -> int:
    return sum(data.items for data in running.consumers[signal].taken)


@both
def test_sdk_spans_arrive(running: Running, protocol: str) -> None:
    """As many as were made, with their names."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter(running, protocol, Signal.TRACES)))
    tracer = provider.get_tracer("test")
    for number in range(700):
        with tracer.start_as_current_span(f"span {number}") as span:
            span.add_event("event", {"n": number})
    provider.shutdown()
    assert items(running, Signal.TRACES) == 700
    names = {span.name for data in running.consumers[Signal.TRACES].taken for span in spans(data)}
    assert names == {f"span {number}" for number in range(700)}


@both
def test_sdk_metrics_arrive(running: Running, protocol: str) -> None:
    """A counter and a histogram, with one point each."""
    reader = PeriodicExportingMetricReader(exporter(running, protocol, Signal.METRICS), 3_600_000)
    provider = MeterProvider([reader])
    meter = provider.get_meter("test")
    meter.create_counter("requests").add(3, {"route": "/"})
    meter.create_histogram("duration").record(0.25)
    provider.shutdown()
    assert items(running, Signal.METRICS) == 2


@both
def test_sdk_logs_arrive(running: Running, protocol: str) -> None:
    """Each as it was emitted."""
    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter(running, protocol, Signal.LOGS)))
    logger = provider.get_logger("test")
    for number in range(100):
        logger.emit(body=f"record {number}", severity_text="WARN")
    provider.shutdown()
    assert items(running, Signal.LOGS) == 100


@both
def test_sdk_sends_again_what_was_refused_for_now(running: Running, protocol: str) -> None:
    """The SDK understands our refusal: it waits and comes back, and nothing is lost."""
    refusals = 0
    record = running.consumers[Signal.TRACES]

    class RefusesOnce:
        def consume(self, data: Telemetry, /) -> None:
            nonlocal refusals
            if not refusals:
                refusals += 1
                raise RetryableError("full", reason="queue_full", retry_after_s=1.0)
            record.consume(data)

    running.receiver._consumers[Signal.TRACES] = RefusesOnce()  # type: ignore[index]
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter(running, protocol, Signal.TRACES)))
    provider.get_tracer("test").start_span("span").end()
    assert provider.force_flush()
    provider.shutdown()
    assert (refusals, [data.items for data in record.taken]) == (1, [1])


@both
def test_sdk_loses_nothing_to_bounds_on_what_may_come_at_once(protocol: str) -> None:
    """One call and two connections at a time, for twelve exporters: they wait or come back, and nothing is dropped."""
    bounds = {"connections_max": 2}
    grpc = bounds | {"max_concurrent_streams": 1}
    with (
        running_receiver(clock=SystemClock(), grpc=grpc, http=bounds) as running,
        ThreadPoolExecutor(12) as pool,
    ):

        def export(number: int) -> object:
            one = exporter(running, protocol, Signal.TRACES)
            memory = InMemorySpanExporter()
            provider = TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(memory))
            provider.get_tracer("test").start_span(f"span {number}").end()
            result = one.export(memory.get_finished_spans())
            one.shutdown()
            return result

        assert list(pool.map(export, range(12))) == [SpanExportResult.SUCCESS] * 12
        names = [span.name for data in running.consumers[Signal.TRACES].taken for span in spans(data)]
        assert sorted(names) == sorted(f"span {number}" for number in range(12))


def spans(data: Telemetry) -> list[Any]:
    request: Any = data.parse()
    return [
        span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]
