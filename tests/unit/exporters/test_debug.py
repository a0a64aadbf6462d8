"""The `debug` exporter: what it shows at each verbosity, where, and how often."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import UUID

import pytest

from collector.exporters.debug.config import DebugConfig
from collector.exporters.debug.exporter import DebugExporter, Sampler
from collector.exporters.debug.factory import FACTORY
from collector.model.signal import OPENTELEMETRY, Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Batch
from tests.support.components import make_house
from tests.support.fake_clock import FakeClock

TRACE_ID = "000102030405060708090a0b0c0d0e0f"


def batch(signal: Signal, message: Any, items: int = 1) -> Batch:
    record = Telemetry(signal, message.SerializeToString(), items)
    return Batch(signal, (record,), UUID(int=1), 0, 1)


def some_spans() -> Any:
    message: Any = Signal.TRACES.request_type()()
    envelope = message.resource_spans.add()
    envelope.resource.attributes.add(key="service.name").value.string_value = "shop"
    span = envelope.scope_spans.add().spans.add(
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        name="GET /",
        start_time_unix_nano=1_000_000_000,
        end_time_unix_nano=1_001_500_000,
    )
    span.attributes.add(key="http.route").value.string_value = "/\nInjected: line"
    return message


def some_metrics() -> Any:
    message: Any = Signal.METRICS.request_type()()
    metrics = message.resource_metrics.add().scope_metrics.add().metrics
    gauge = metrics.add(name="temperature", unit="Cel")
    gauge.gauge.data_points.add(as_double=21.5).attributes.add(key="room").value.int_value = 7
    metrics.add(name="requests").sum.data_points.add(as_int=3)
    metrics.add(name="duration", unit="s").histogram.data_points.add(count=2, sum=0.5)
    metrics.add(name="gone").gauge.data_points.add(flags=1)
    metrics.add(name="empty")
    return message


def some_logs() -> Any:
    message: Any = Signal.LOGS.request_type()()
    records = message.resource_logs.add().scope_logs.add().log_records
    records.add(severity_text="WARN").body.string_value = "disk is full"
    records.add(severity_number=9).body.array_value.values.add().int_value = 1
    return message


MESSAGES = {Signal.TRACES: some_spans, Signal.METRICS: some_metrics, Signal.LOGS: some_logs}


def shown(signal: Signal, verbosity: Any) -> list[str]:
    output = io.StringIO()
    config = DebugConfig(verbosity=verbosity, use_internal_logger=False)
    DebugExporter(make_house("debug", "exporter").settings, config, output).export(
        batch(signal, MESSAGES[signal]())
    )
    return output.getvalue().splitlines()


@pytest.mark.parametrize(
    ("signal", "line"),
    [
        (Signal.TRACES, "traces: 1 resource_spans, 1 spans"),
        (Signal.METRICS, "metrics: 1 resource_metrics, 5 metrics, 4 data_points"),
        (Signal.LOGS, "logs: 1 resource_logs, 2 log_records"),
    ],
)
def test_debug_basic_shows_counts(signal: Signal, line: str) -> None:
    """One line per batch."""
    assert [line] == shown(signal, "basic")


@pytest.mark.parametrize(
    ("signal", "lines"),
    [
        (
            Signal.TRACES,
            [f"{TRACE_ID} 0001020304050607 shop GET / 1.500ms http.route=/\\nInjected: line"],
        ),
        (
            Signal.METRICS,
            [
                'temperature 21.5 Cel room={"intValue":"7"}',
                "requests 3",
                "duration count=2 sum=0.5 s",
                "gone no value",
            ],
        ),
        (
            Signal.LOGS,
            ["WARN disk is full", 'severity 9 {"arrayValue":{"values":[{"intValue":"1"}]}}'],
        ),
    ],
)
def test_debug_normal_shows_a_line_per_item(signal: Signal, lines: list[str]) -> None:
    """And text from outside cannot make a line of its own."""
    assert lines == shown(signal, "normal")[1:]


@pytest.mark.parametrize("signal", OPENTELEMETRY)
def test_debug_detailed_shows_everything_as_otlp_json(signal: Signal) -> None:
    """It is the request: it can be sent again."""
    from google.protobuf import json_format

    document = json.loads("\n".join(shown(signal, "detailed")[1:]))
    for span in (
        span for e in document.get("resourceSpans", []) for s in e["scopeSpans"] for span in s["spans"]
    ):
        del span["traceId"], span["spanId"]  # hexadecimal in OTLP/JSON, base64 for json_format
    expected = MESSAGES[signal]()
    for envelope in getattr(expected, "resource_spans", []):
        for span in envelope.scope_spans[0].spans:
            span.ClearField("trace_id")
            span.ClearField("span_id")
    assert json_format.ParseDict(document, signal.request_type()()) == expected


def test_debug_writes_to_the_log_by_default() -> None:
    """Counts are fields; nothing is printed."""
    house = make_house("debug", "exporter")
    exporter = FACTORY.create(house.settings, DebugConfig())
    exporter.start()
    exporter.export(batch(Signal.LOGS, some_logs(), 2))
    exporter.shutdown()
    assert house.log.entries == [
        {
            "event": "Received.",
            "log_level": "info",
            "otel_signal": "logs",
            "resource_logs": 1,
            "log_records": 2,
        }
    ]


def test_debug_shows_as_many_batches_as_sampling_allows() -> None:
    """Two of the first second, and those of the next second again; signals do not share."""
    clock = FakeClock()
    house = make_house("debug", "exporter", clock=clock)
    exporter = DebugExporter(house.settings, DebugConfig(sampling_initial=2, sampling_thereafter=0))
    for _ in range(5):
        exporter.export(batch(Signal.LOGS, some_logs()))
    assert len(house.log.entries) == 2
    exporter.export(batch(Signal.TRACES, some_spans()))
    assert len(house.log.entries) == 3
    clock.advance(1.0)
    exporter.export(batch(Signal.LOGS, some_logs()))
    assert len(house.log.entries) == 4


def test_sampler_takes_the_first_and_then_every_nth() -> None:
    """Otelcol's meaning of sampling_initial and sampling_thereafter."""
    sampler = Sampler(initial=2, thereafter=3)
    assert [number for number in range(1, 12) if sampler.take(5.0)] == [1, 2, 5, 8, 11]
