"""An app with the real OpenTelemetry SDK and its OTLP exporters, left running: a process of its own.

    python -m tests.faults.sdk_app CLIENT TRANSPORT ENDPOINT JOURNAL RATE

It makes RATE spans and log records per second and two metric points, stamped as those of the generator are, and
writes down what the SDK's exporters say of each batch. It ends when its standard input is closed, as a service
ends: with a shutdown of the providers.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.faults.generator import ACKED, UNANSWERED, Request

_METRIC_INTERVAL_S = 0.5
QUEUE_FULL = "Queue full"


class Journal(logging.Handler):
    """What the exporters said, and what the SDK logged of data that it dropped by itself."""

    def __init__(self, client: str, path: Path) -> None:
        super().__init__()
        self._client = client
        self._file = path.open("a")
        self._writing = threading.Lock()
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count what found the SDK's own queue full."""
        if QUEUE_FULL in record.getMessage():
            self.dropped += 1

    def note(self, signal: str, numbers: Iterable[int], outcome: str, at: float, took_s: float) -> None:
        """Write a batch down, as one request for each row of consecutive numbers."""
        for first, count in _rows(sorted(numbers)):
            entry = Request(
                client=self._client,
                signal=signal,
                first=first,
                count=count,
                outcome=outcome,
                attempts=1,
                silent=int(outcome != ACKED),
                at=at,
                took_s=took_s,
            )
            with self._writing:
                self._file.write(json.dumps(dataclasses.asdict(entry)) + "\n")
                self._file.flush()

    def attend(self, exporter: Any, signal: str, numbers: Callable[[Any], Iterable[int]]) -> Any:
        """Have every batch of `exporter` noted."""
        export = exporter.export

        def noted(batch: Any, *arguments: Any, **options: Any) -> Any:
            at, began = time.time(), time.monotonic()
            result = export(batch, *arguments, **options)
            outcome = ACKED if result.name == "SUCCESS" else UNANSWERED
            self.note(signal, numbers(batch), outcome, at, time.monotonic() - began)
            return result

        exporter.export = noted
        return exporter


def _rows(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    for _, row in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        values = [number for _, number in row]
        yield values[0], len(values)


def _of_points(data: Any) -> list[int]:
    return [
        point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def main() -> None:
    """Command line: see the module."""
    client, transport, endpoint, path, rate = sys.argv[1:]
    journal = Journal(client, Path(path))
    logging.getLogger().addHandler(journal)
    if transport == "grpc":
        options: dict[str, Any] = {"endpoint": endpoint, "insecure": True}
        spans, points, records = (
            GrpcSpanExporter(**options), GrpcMetricExporter(**options), GrpcLogExporter(**options)
        )  # fmt: skip
    else:
        spans = HttpSpanExporter(endpoint=f"http://{endpoint}/v1/traces")  # type: ignore[assignment]
        points = HttpMetricExporter(endpoint=f"http://{endpoint}/v1/metrics")  # type: ignore[assignment]
        records = HttpLogExporter(endpoint=f"http://{endpoint}/v1/logs")  # type: ignore[assignment]
    run(client, journal, (spans, points, records), float(rate))


def run(client: str, journal: Journal, exporters: tuple[Any, Any, Any], rate: float) -> None:
    """Make telemetry until standard input ends. Span, record and point take their numbers from one row."""
    numbers = itertools.count()
    resource = Resource.create({"service.name": "sdk"})
    tracers = TracerProvider(resource=resource)
    spans = journal.attend(exporters[0], "traces", lambda batch: [s.attributes["sequence"] for s in batch])
    tracers.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=500))
    loggers = LoggerProvider(resource=resource)
    records = journal.attend(
        exporters[2], "logs", lambda batch: [one.log_record.attributes["sequence"] for one in batch]
    )
    loggers.add_log_record_processor(BatchLogRecordProcessor(records, schedule_delay_millis=500))

    def observe(options: CallbackOptions) -> list[Observation]:
        return [Observation(next(numbers), {"client": client})]

    points = journal.attend(exporters[1], "metrics", _of_points)
    reader = PeriodicExportingMetricReader(points, export_interval_millis=_METRIC_INTERVAL_S * 1000)
    meters = MeterProvider(metric_readers=[reader], resource=resource)
    meters.get_meter("faults").create_observable_gauge("faults.sequence", [observe])
    tracer, logger = tracers.get_tracer("faults"), loggers.get_logger("faults")
    while not select.select([sys.stdin], [], [], 1 / rate)[0]:
        tracer.start_span("work", attributes={"client": client, "sequence": next(numbers)}).end()
        logger.emit(
            LogRecord(
                timestamp=time.time_ns(),
                severity_number=SeverityNumber.INFO,
                body="work",
                attributes={"client": client, "sequence": next(numbers)},
            )
        )
    for provider in (tracers, meters, loggers):
        provider.shutdown()
    print(json.dumps({"dropped": journal.dropped}), flush=True)


if __name__ == "__main__":
    main()
