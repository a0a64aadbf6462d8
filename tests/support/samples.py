"""Requests that hold one of everything, extremes included, and what is in them by name."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from collector.cost.protobuf import encode_request
from collector.model.signal import Signal
from tests.support import cost_samples

SECOND: Final = 1_000_000_000
# 2026-09-21T14:13:20Z
NOW_UNIX_NANO: Final = 1_790_000_000 * SECOND
UINT64_MAX: Final = 2**64 - 1
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
TRACE_ID: Final = "5b8efff798038103d269b633813fc60c"
SPAN_ID: Final = "eee19b7ec3c1b174"
CHILD_ID: Final = "00000000000000ff"


def attribute(key: str, value: Any) -> KeyValue:
    """A KeyValue of a Python value: None is the empty AnyValue, dict a kvlist, list an array."""
    return KeyValue(key=key, value=any_value(value))


def any_value(value: Any) -> AnyValue:
    """An AnyValue of a Python value."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(any_value, value)))
        case dict():
            pairs = [attribute(key, inner) for key, inner in value.items()]
            return AnyValue(kvlist_value=KeyValueList(values=pairs))
        case _:
            raise TypeError(type(value))


EVERY_VALUE: Final[dict[str, Any]] = {
    "": "the empty key",
    "string": 'grüße, 世界, \U0001f600, "quoted" \\ \x01 \x7f \u2028 \uffff',
    "empty string": "",
    "true": True,
    "false": False,
    "zero": 0,
    "int": INT64_MIN,
    "large int": INT64_MAX,
    "double": 1.0,
    "minus zero": -0.0,
    "tiny": 5e-324,
    "huge": 1.7976931348623157e308,
    "nan": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "bytes": bytes(range(256)),
    "empty": None,
    "empty array": [],
    "empty map": {},
    "mixed": ["1", 1, 1.0, None, [None], {"z": 1, "a": {"b": b"\0"}}],
    "like a tag": {"@bytes": "AA=="},
    "like another": {"@kvlist": {"@double": "NaN"}},
}


def every_attribute() -> list[KeyValue]:
    """An attribute of every kind."""
    return [attribute(key, value) for key, value in EVERY_VALUE.items()]


def _fill_resource(envelope: Any, service: str) -> None:
    envelope.schema_url = "https://opentelemetry.io/schemas/1.30.0"
    resource = envelope.resource
    resource.attributes.extend(
        [
            attribute("service.name", service),
            attribute("service.namespace", "retail"),
            attribute("service.instance.id", "pod-1"),
            *every_attribute(),
        ]
    )
    resource.dropped_attributes_count = 2**32 - 1
    resource.entity_refs.add(
        schema_url="https://e", type="service", id_keys=["service.name", "b"], description_keys=["c"]
    )
    resource.entity_refs.add()


def _fill_scope(envelope: Any) -> None:
    envelope.schema_url = "https://opentelemetry.io/schemas/1.29.0"
    envelope.scope.name = "shop"
    envelope.scope.version = "1.2"
    envelope.scope.attributes.extend([attribute("scope", True), attribute("a", 1)])
    envelope.scope.dropped_attributes_count = 3


def traces(service: str = "cart") -> Any:
    """A trace of two spans, the second an error and unfinished; and a span with nothing that is not required."""
    request: Any = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _fill_resource(resource, service)
    scope = resource.scope_spans.add()
    _fill_scope(scope)
    root = scope.spans.add(
        trace_id=bytes.fromhex(TRACE_ID),
        span_id=bytes.fromhex(SPAN_ID),
        trace_state="ot=th:8,vendor=x",
        flags=2**32 - 1,
        name="GET /cart",
        kind=2,
        start_time_unix_nano=NOW_UNIX_NANO + 1,
        end_time_unix_nano=NOW_UNIX_NANO + 250_000_001,
        attributes=every_attribute(),
        dropped_attributes_count=2**32 - 1,
        dropped_events_count=1,
        dropped_links_count=2,
    )
    root.events.add(
        time_unix_nano=UINT64_MAX, name="exception", attributes=every_attribute(), dropped_attributes_count=7
    )
    root.events.add()
    root.links.add(
        trace_id=b"\xff" * 16,
        span_id=b"\x80" + bytes(7),
        trace_state="a=b",
        attributes=every_attribute(),
        dropped_attributes_count=1,
        flags=2**32 - 1,
    )
    root.links.add()
    child = scope.spans.add(
        trace_id=bytes.fromhex(TRACE_ID),
        span_id=bytes.fromhex(CHILD_ID),
        parent_span_id=bytes.fromhex(SPAN_ID),
        name="SELECT",
        kind=3,
        start_time_unix_nano=NOW_UNIX_NANO + 1000,
    )
    child.status.code = 2
    child.status.message = "timeout"
    # Its clock went backwards, its kind and status are not known, and it belongs to no resource or scope.
    bare = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=b"\x01" * 16,
            span_id=b"\xff" * 8,
            start_time_unix_nano=NOW_UNIX_NANO,
            end_time_unix_nano=NOW_UNIX_NANO - 5,
            kind=77,
        )
    )
    bare.status.code = -1
    return request


def metrics(service: str = "cart") -> Any:
    """A metric of each type; values and points at their limits."""
    request: Any = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    _fill_resource(resource, service)
    scope = resource.scope_metrics.add()
    _fill_scope(scope)

    gauge = scope.metrics.add(name="temperature", unit="Cel", description="Of the room.")
    gauge.metadata.extend([attribute("prometheus.type", "gauge"), attribute("a", 1.0)])
    for index, value in enumerate((21.5, -0.0, float("nan"), float("inf"), 5e-324)):
        gauge.gauge.data_points.add(
            time_unix_nano=NOW_UNIX_NANO + index * SECOND, as_double=value, attributes=[attribute("n", 1)]
        )
    gauge.gauge.data_points.add(time_unix_nano=NOW_UNIX_NANO, as_double=1.0, attributes=[attribute("n", "1")])
    gauge.gauge.data_points.add(time_unix_nano=NOW_UNIX_NANO, flags=1, attributes=every_attribute())

    counter = scope.metrics.add(name="requests", unit="{request}")
    counter.sum.aggregation_temporality = 2
    counter.sum.is_monotonic = True
    for index, count in enumerate((INT64_MIN, 0, INT64_MAX)):
        point = counter.sum.data_points.add(
            time_unix_nano=NOW_UNIX_NANO + index, start_time_unix_nano=UINT64_MAX - 1, as_int=count
        )
        point.exemplars.add(
            time_unix_nano=NOW_UNIX_NANO,
            as_int=count,
            trace_id=bytes.fromhex(TRACE_ID),
            span_id=bytes.fromhex(SPAN_ID),
            filtered_attributes=every_attribute(),
        )
        point.exemplars.add(as_double=float("-inf"))
        point.exemplars.add()

    histogram = scope.metrics.add(name="latency", unit="ms", description="Of requests.")
    histogram.histogram.aggregation_temporality = 1
    full = histogram.histogram.data_points.add(
        time_unix_nano=NOW_UNIX_NANO + 999,
        start_time_unix_nano=NOW_UNIX_NANO - SECOND,
        count=4,
        sum=10.0,
        min=-1.0,
        max=9.0,
        bucket_counts=[1, 0, UINT64_MAX],
        explicit_bounds=[-0.0, float("inf")],
        flags=2**32 - 2,
    )
    full.exemplars.add(as_double=-0.0)
    histogram.histogram.data_points.add(time_unix_nano=NOW_UNIX_NANO, count=UINT64_MAX)
    histogram.histogram.data_points.add(
        time_unix_nano=NOW_UNIX_NANO, count=1, sum=0.0, min=0.0, max=float("nan")
    )

    exponential = scope.metrics.add(name="size", unit="By")
    exponential.exponential_histogram.aggregation_temporality = 2
    point = exponential.exponential_histogram.data_points.add(
        time_unix_nano=NOW_UNIX_NANO,
        count=UINT64_MAX,
        sum=12.5,
        scale=-11,
        zero_count=UINT64_MAX,
        zero_threshold=1e-9,
    )
    point.positive.offset = -(2**31)
    point.positive.bucket_counts.extend([1, UINT64_MAX, 0])
    point.negative.offset = 2**31 - 4
    point.negative.bucket_counts.append(2)
    exponential.exponential_histogram.data_points.add(time_unix_nano=NOW_UNIX_NANO + 1)

    summary = scope.metrics.add(name="gc", unit="s")
    point = summary.summary.data_points.add(time_unix_nano=NOW_UNIX_NANO, count=3, sum=-0.0)
    point.quantile_values.add(quantile=0.0, value=float("nan"))
    point.quantile_values.add(quantile=0.5, value=1.5)
    summary.summary.data_points.add(time_unix_nano=NOW_UNIX_NANO + 1)
    return request


def logs(service: str = "cart") -> Any:
    """Log records with bodies of several kinds, with and without time, trace and name."""
    request: Any = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    _fill_resource(resource, service)
    scope = resource.scope_logs.add()
    _fill_scope(scope)
    scope.log_records.add(
        time_unix_nano=NOW_UNIX_NANO + 7,
        observed_time_unix_nano=UINT64_MAX,
        severity_number=17,
        severity_text="ERROR",
        body=any_value("it broke"),
        attributes=every_attribute(),
        dropped_attributes_count=2**32 - 1,
        flags=2**32 - 1,
        trace_id=bytes.fromhex(TRACE_ID),
        span_id=bytes.fromhex(SPAN_ID),
        event_name="order.failed",
    )
    bodies: tuple[Any, ...] = (None, {"k": [1, b"\xff"]}, [], b"raw", float("nan"), "")
    for index, body in enumerate(bodies):
        record = scope.log_records.add(
            observed_time_unix_nano=NOW_UNIX_NANO + index, severity_number=-(2**31), body=any_value(body)
        )
        record.body.SetInParent()
    request.resource_logs.add().scope_logs.add().log_records.add(
        time_unix_nano=NOW_UNIX_NANO, observed_time_unix_nano=NOW_UNIX_NANO + SECOND
    )
    return request


def costs(service: str = "cart") -> Any:
    """A node's hour, split between `service` and nobody, the former between two tenants; and what has no price."""
    return Signal.COSTS.request_type().FromString(encode_request(cost_samples.ledger(service)))


def sample(signal: Signal, service: str = "cart") -> Any:
    """The sample request of a signal."""
    samples = {Signal.TRACES: traces, Signal.METRICS: metrics, Signal.LOGS: logs, Signal.COSTS: costs}
    return samples[signal](service)
