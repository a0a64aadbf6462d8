"""The three signals, and the one table of how they differ.

Everything that has to know "traces are called spans here and `ExportTraceServiceRequest` there" looks it up
in `Signal`; nothing else in the house is written three times.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from google.protobuf.message import Message


class Signal(Enum):
    """A kind of telemetry (OpenTelemetry specification, "Signals"). The value is the name used in YAML."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    @property
    def item(self) -> str:
        """What one item is called in metric names: `otelcol_receiver_accepted_<item>`."""
        return _ITEMS[self]

    @property
    def rejected_field(self) -> str:
        """The field of `partial_success` that counts refused items."""
        return _REJECTED_FIELDS[self]

    @property
    def service(self) -> str:
        """Full gRPC name of the service that exports it."""
        singular = _SINGULAR[self]
        return f"opentelemetry.proto.collector.{singular.lower()}.v1.{singular}Service"

    @property
    def http_path(self) -> str:
        """Default URL path of OTLP/HTTP (opentelemetry-proto, docs/specification.md, "OTLP/HTTP Request")."""
        return f"/v1/{self.value}"

    def request_type(self) -> type[Message]:
        """The `Export…ServiceRequest` class. Imported when first asked for: protobuf costs 9 MB."""
        return _types(self)[0]

    def response_type(self) -> type[Message]:
        """The `Export…ServiceResponse` class."""
        return _types(self)[1]


_ITEMS: Final = {Signal.TRACES: "spans", Signal.METRICS: "metric_points", Signal.LOGS: "log_records"}
_SINGULAR: Final = {Signal.TRACES: "Trace", Signal.METRICS: "Metrics", Signal.LOGS: "Logs"}
_REJECTED_FIELDS: Final = {
    Signal.TRACES: "rejected_spans",
    Signal.METRICS: "rejected_data_points",
    Signal.LOGS: "rejected_log_records",
}


def _types(signal: Signal) -> tuple[type[Message], type[Message]]:
    match signal:
        case Signal.TRACES:
            from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace

            return trace.ExportTraceServiceRequest, trace.ExportTraceServiceResponse
        case Signal.METRICS:
            from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics

            return metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse
        case Signal.LOGS:
            from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs

            return logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse
