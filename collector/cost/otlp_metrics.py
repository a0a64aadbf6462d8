"""Costs as OTLP metrics, for dashboards that know nothing else. Lossy by nature: OTLP's numbers are doubles.

The names are ours: OpenTelemetry has no convention for attributed costs, and its proposal for reported ones
(`gen_ai.usage.cost.*`) says that others do not write under its prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric, NumberDataPoint

from collector.cost.amount import ZERO, add
from collector.cost.focus.mapping import KIND_TEXT
from collector.cost.record import CostAttributionRecord

SCOPE: Final = "collector.cost"
POINTS_MAX: Final = 5000  # of one request: about 2 MB

# Attribute: field of the subject. Kubernetes workloads are added by their kind.
ATTRIBUTES: Final = {
    "service.name": "service_name",
    "service.namespace": "service_namespace",
    "deployment.environment.name": "environment",
    "k8s.cluster.name": "k8s_cluster",
    "k8s.node.name": "k8s_node",
    "k8s.namespace.name": "k8s_namespace",
    "team": "team",
    "tenant": "tenant",
}
BASES: Final = {"billed": "billed_cost", "effective": "effective_cost", "list": "list_cost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricOptions:
    """`temporality`: DELTA, a point is its window's costs; CUMULATIVE, since the first window of the records given.

    `attributes`: as `ATTRIBUTES`; the fewer, the fewer series. `bases`: which costs, as keys of `BASES`.
    """

    temporality: int = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    attributes: dict[str, str] = field(default_factory=lambda: dict(ATTRIBUTES))
    bases: tuple[str, ...] = ("effective",)


_Series = tuple[tuple[str, str], ...]
Point = tuple[str, str, _Series, int, int]  # metric, unit, attributes, start, end


def cost_metrics(
    records: Iterable[CostAttributionRecord], options: MetricOptions | None = None
) -> Iterator[ExportMetricsServiceRequest]:
    """Requests with `cost.attributed` (per currency) and `cost.unpriced.quantity` (per unit), sorted.

    Sums, not monotonic: corrections and credits are negative. A point's time is the end of its charge period. Of a
    record and its parts the finest are counted. Amounts are added exactly and become doubles at the end.
    """
    options = options or MetricOptions()
    for _, request in requests_of(cost_sums(records, options), options):
        yield request


def requests_of(
    sums: dict[Point, Decimal], options: MetricOptions
) -> Iterator[tuple[list[Point], ExportMetricsServiceRequest]]:
    """Requests with these sums, each beside the points that are in it, sorted."""
    points = sorted(sums)
    starts: dict[Point, int] = {key: key[3] for key in points}
    if options.temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE:
        sums, starts = _accumulated(points, sums)
    for at in range(0, len(points), POINTS_MAX):
        some = points[at : at + POINTS_MAX]
        yield some, _request(some, sums, starts, options)


def cost_sums(records: Iterable[CostAttributionRecord], options: MetricOptions) -> dict[Point, Decimal]:
    """Exact sums of whole charges by metric, unit, attributes and charge period; of a record and its parts the finest."""
    taken = list(records)
    parents = {record.parent_record_id for record in taken if record.parent_record_id}
    sums: dict[Point, Decimal] = {}
    for record in taken:
        if record.record_id in parents:
            continue
        series = _attributes(record, options.attributes)
        period = record.charge.charge_period
        amounts = record.amounts
        found: list[tuple[str, str, _Series, Decimal | None]] = []
        if amounts.is_priced:
            currency = record.charge.billing_currency
            for basis in options.bases:
                own: _Series = (("cost.basis", basis), ("cost.currency", currency))
                found.append(("cost.attributed", f"{{{currency}}}", own, getattr(amounts, BASES[basis])))
        else:
            unit = record.charge.pricing_unit or record.charge.consumed_unit
            quantity = (
                amounts.pricing_quantity
                if amounts.pricing_quantity is not None
                else amounts.consumed_quantity
            )
            found.append(("cost.unpriced.quantity", f"{{{unit or 'unit'}}}", (), quantity))
        for name, unit, more, amount in found:
            if amount is not None:
                key = (
                    name,
                    unit,
                    tuple(sorted((*series, *more))),
                    period.start_unix_nano,
                    period.end_unix_nano,
                )
                sums[key] = add(sums.get(key, ZERO), amount)
    return sums


def _attributes(record: CostAttributionRecord, attributes: dict[str, str]) -> _Series:
    subject = record.subject
    pairs = [(name, getattr(subject, attribute)) for name, attribute in attributes.items()]
    if subject.k8s_workload:
        pairs.append((f"k8s.{subject.k8s_workload_kind.lower() or 'workload'}.name", subject.k8s_workload))
    pairs.append(("cost.kind", KIND_TEXT[subject.kind].lower() if subject.kind else "unallocated"))
    return tuple((name, text) for name, text in pairs if text)


def _accumulated(
    points: list[Point], sums: dict[Point, Decimal]
) -> tuple[dict[Point, Decimal], dict[Point, int]]:
    """Running totals of each series, and since when. `points` are sorted: a series' are together, by time."""
    running: dict[Point, Decimal] = {}
    starts: dict[Point, int] = {}
    before: tuple[str, str, _Series] | None = None
    total, start = ZERO, 0
    for key in points:
        if key[:3] != before:
            before, total, start = key[:3], ZERO, key[3]
        total = add(total, sums[key])
        running[key] = total
        starts[key] = start
    return running, starts


def _request(
    points: list[Point], sums: dict[Point, Decimal], starts: dict[Point, int], options: MetricOptions
) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    scope.scope.name = SCOPE
    metric: Metric | None = None
    for key in points:
        name, unit, series, _, end = key
        if metric is None or (metric.name, metric.unit) != (name, unit):
            metric = scope.metrics.add(name=name, unit=unit, description=_DESCRIPTIONS[name])
            metric.sum.aggregation_temporality = options.temporality  # type: ignore[assignment]  # the enum is an int
        metric.sum.data_points.append(
            NumberDataPoint(
                start_time_unix_nano=starts[key],
                time_unix_nano=end,
                as_double=float(sums[key]),
                attributes=[KeyValue(key=k, value=AnyValue(string_value=v)) for k, v in series],
            )
        )
    return request


_DESCRIPTIONS: Final = {
    "cost.attributed": "Cost attributed to whoever caused it; the store has the exact amounts.",
    "cost.unpriced.quantity": "Usage that no price is known for.",
}
