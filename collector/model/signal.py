"""The signals, and the one table of how they differ.

Everything that has to know "traces are called spans here and `ExportTraceServiceRequest` there" looks it up
in `Signal`; nothing else in the house is written once per signal.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from google.protobuf.message import Message


class Signal(Enum):
    """A kind of telemetry. The value is the name used in YAML.

    The first three are OpenTelemetry's (specification, "Signals"); costs are ours (`proto/collector/cost/v1`), with
    the same manners.
    """

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"
    COSTS = "costs"

    # By identity, as equality is: Enum's own goes by the name, in Python, and every request looks some up.
    __hash__ = object.__hash__

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
        return _SERVICES[self]

    @property
    def http_path(self) -> str:
        """Default URL path over HTTP (opentelemetry-proto, docs/specification.md, "OTLP/HTTP Request")."""
        return f"/v1/{self.value}"

    def request_type(self) -> type[Message]:
        """The `Export…ServiceRequest` class. Imported when first asked for: protobuf costs 9 MB."""
        return _types(self)[0]

    def response_type(self) -> type[Message]:
        """The `Export…ServiceResponse` class."""
        return _types(self)[1]


# OpenTelemetry's own, whose requests are all built alike: resources, scopes, items.
OPENTELEMETRY: Final = (Signal.TRACES, Signal.METRICS, Signal.LOGS)

_ITEMS: Final = {
    Signal.TRACES: "spans",
    Signal.METRICS: "metric_points",
    Signal.LOGS: "log_records",
    Signal.COSTS: "cost_records",
}
_COLLECTOR: Final = "opentelemetry.proto.collector"
_SERVICES: Final = {
    Signal.TRACES: f"{_COLLECTOR}.trace.v1.TraceService",
    Signal.METRICS: f"{_COLLECTOR}.metrics.v1.MetricsService",
    Signal.LOGS: f"{_COLLECTOR}.logs.v1.LogsService",
    Signal.COSTS: "collector.cost.v1.CostService",
}
_REJECTED_FIELDS: Final = {
    Signal.TRACES: "rejected_spans",
    Signal.METRICS: "rejected_data_points",
    Signal.LOGS: "rejected_log_records",
    Signal.COSTS: "rejected_records",
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
        case Signal.COSTS:
            from collector.proto.cost.v1 import cost_service_pb2 as costs

            return costs.ExportCostsServiceRequest, costs.ExportCostsServiceResponse
