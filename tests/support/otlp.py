"""Small OTLP requests, one for each signal, whose every item is valid at the time given."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import Message

from collector.model.signal import Signal

TRACE_ID: Final = bytes.fromhex("5b8efff798038103d269b633813fc60c")


def request(signal: Signal, unix_nano: int, items: int = 1, *, bad: int = 0, text: str = "x") -> Message:
    """An `Export…ServiceRequest` of `items` valid items, and `bad` ones that are refused one by one."""
    message: Any = signal.request_type()()
    match signal:
        case Signal.TRACES:
            spans = message.resource_spans.add().scope_spans.add().spans
            for number in range(items + bad):
                span = spans.add(
                    trace_id=TRACE_ID,
                    span_id=(number + 1).to_bytes(8, "big") if number < items else b"\0" * 8,
                    name=text,
                    start_time_unix_nano=unix_nano,
                    end_time_unix_nano=unix_nano + 1,
                )
                span.attributes.add(key="n").value.int_value = number
        case Signal.METRICS:
            gauge = message.resource_metrics.add().scope_metrics.add().metrics.add(name="requests").gauge
            for number in range(items + bad):
                point = gauge.data_points.add(
                    time_unix_nano=unix_nano if number < items else 0, as_int=number
                )
                point.attributes.add(key="text").value.string_value = text
        case Signal.LOGS:
            assert not bad, "no log record is refused"
            records = message.resource_logs.add().scope_logs.add().log_records
            for _ in range(items):
                record = records.add(time_unix_nano=unix_nano, observed_time_unix_nano=unix_nano)
                record.body.string_value = text
    resource = getattr(message, f"resource_{'spans' if signal is Signal.TRACES else signal.value}")[0]
    resource.resource.attributes.add(key="service.name").value.string_value = "test"
    built: Message = message
    return built
