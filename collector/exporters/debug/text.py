"""OTLP as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from google.protobuf.message import Message

from collector.model.signal import Signal
from collector.wire.json_encode import encode_json, encode_message


def counts(signal: Signal, message: Any) -> dict[str, Any]:
    """How many resources and items there are, by the names that otelcol's debug exporter uses."""
    match signal:
        case Signal.TRACES:
            spans = [span for _, span in _spans(message)]
            return {"resource_spans": len(message.resource_spans), "spans": len(spans)}
        case Signal.METRICS:
            metrics = list(_metrics(message))
            return {
                "resource_metrics": len(message.resource_metrics),
                "metrics": len(metrics),
                "data_points": sum(len(_points(metric)) for metric in metrics),
            }
        case Signal.LOGS:
            return {
                "resource_logs": len(message.resource_logs),
                "log_records": len(list(_log_records(message))),
            }
        case Signal.COSTS:
            return {"cost_records": len(message.records)}


def everything(signal: Signal, message: Message) -> str:
    """The whole request as indented OTLP/JSON."""
    return msgspec.json.format(encode_json(signal, message), indent=2).decode()


def item_lines(signal: Signal, message: Any) -> Iterator[str]:
    """One line per item."""
    match signal:
        case Signal.TRACES:
            for service, span in _spans(message):
                milliseconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
                yield _line(
                    f"{span.trace_id.hex()} {span.span_id.hex()} {service} {span.name} {milliseconds:.3f}ms",
                    span.attributes,
                )
        case Signal.METRICS:
            for metric in _metrics(message):
                for point in _points(metric):
                    yield _line(
                        f"{metric.name} {_value(point)}{metric.unit and ' '}{metric.unit}", point.attributes
                    )
        case Signal.LOGS:
            for record in _log_records(message):
                severity = record.severity_text or (
                    f"severity {record.severity_number}" if record.severity_number else "-"
                )
                yield _line(f"{severity} {_any_value(record.body)}", record.attributes)
        case Signal.COSTS:
            for record in message.records:
                yield _line(_cost(record), ())


def _cost(record: Any) -> str:
    """How much, of what, caused by whom."""
    subject = record.subject
    amount = f"{record.effective_cost} {record.billing_currency}" if record.effective_cost else "unpriced"
    who = subject.service_name or subject.k8s_workload or subject.operation or "-"
    what = record.sku_meter or record.service_name or record.charge_description or "-"
    return f"{record.record_id.hex()} {amount} {what} {who} level={record.level} revision={record.revision}"


def _line(start: str, attributes: Iterable[Any]) -> str:
    pairs = " ".join(f"{attribute.key}={_any_value(attribute.value)}" for attribute in attributes)
    # Text from outside must stay on its line, whatever is in it.
    return f"{start} {pairs}".rstrip().replace("\n", "\\n").replace("\r", "\\r")


def _any_value(value: Any) -> str:
    if value.WhichOneof("value") == "string_value":
        return str(value.string_value)
    return encode_message(value).decode()


def _value(point: Any) -> str:
    """A number, or count and sum of a distribution."""
    if not hasattr(point, "count"):
        which = point.WhichOneof("value")
        return (
            f"{getattr(point, which):g}"
            if which == "as_double"
            else str(point.as_int)
            if which
            else "no value"
        )
    return f"count={point.count} sum={point.sum:g}"


def _points(metric: Any) -> Any:
    which = metric.WhichOneof("data")
    return getattr(metric, which).data_points if which else ()


def _spans(message: Any) -> Iterator[tuple[str, Any]]:
    """Spans with the name of their service."""
    for resource in message.resource_spans:
        service = next(
            (
                _any_value(attribute.value)
                for attribute in resource.resource.attributes
                if attribute.key == "service.name"
            ),
            "-",
        )
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield service, span


def _metrics(message: Any) -> Iterator[Any]:
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def _log_records(message: Any) -> Iterator[Any]:
    for resource in message.resource_logs:
        for scope in resource.scope_logs:
            yield from scope.log_records
