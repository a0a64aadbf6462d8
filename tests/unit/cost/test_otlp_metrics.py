"""Costs as OTLP metrics."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, NumberDataPoint

from collector.cost.otlp_metrics import POINTS_MAX, MetricOptions, cost_metrics
from collector.cost.record import Amounts, CostAttributionRecord, CostSource, Period
from tests.support.ledger import HOUR, IDLE, NODE, PODS, costs, ledger, node, origin

HOUR_NS = HOUR.length_ns


def metrics(
    records: list[CostAttributionRecord], options: MetricOptions | None = None
) -> dict[str, list[NumberDataPoint]]:
    """Points by name of metric; the requests are what they say when they are read again."""
    found: dict[str, list[NumberDataPoint]] = {}
    for request in cost_metrics(records, options):
        again = ExportMetricsServiceRequest.FromString(request.SerializeToString())
        for metric in again.resource_metrics[0].scope_metrics[0].metrics:
            assert not metric.sum.is_monotonic
            found.setdefault(f"{metric.name} {metric.unit}", []).extend(metric.sum.data_points)
    return found


def attributes(point: NumberDataPoint) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in point.attributes}


def test_costs_are_sums_by_subject() -> None:
    """The pods of a workload are one point; idle is another; the origin is not counted beside its parts."""
    (points,) = metrics(node()).values()
    by_kind = {attributes(point)["cost.kind"]: point for point in points}
    assert by_kind.keys() == {"workload", "idle"}
    assert by_kind["workload"].as_double == float(1 - Decimal(IDLE))
    assert attributes(by_kind["workload"]) == {
        "cost.basis": "effective",
        "cost.currency": "USD",
        "cost.kind": "workload",
        "k8s.cluster.name": "prod",
        "k8s.deployment.name": "checkout",
        "k8s.namespace.name": "shop",
        "service.name": "checkout",
        "team": "shop",
    }
    assert (by_kind["idle"].start_time_unix_nano, by_kind["idle"].time_unix_nano) == (
        HOUR.start_unix_nano,
        HOUR.end_unix_nano,
    )
    assert len(PODS) == 4


def test_names_units_and_bases() -> None:
    """A metric for each currency; attributes and bases can be chosen."""
    records = [
        *ledger(),
        origin("eur", replace(NODE, billing_currency="EUR"), costs("2", quantity="2", consumed="2")),
    ]
    found = metrics(records, MetricOptions(bases=("billed", "list"), attributes={}))
    assert found.keys() == {"cost.attributed {USD}", "cost.attributed {EUR}"}
    assert {attributes(point)["cost.basis"] for points in found.values() for point in points} == {
        "billed",
        "list",
    }
    assert [point.as_double for point in found["cost.attributed {EUR}"]] == [2.0, 2.0]


def test_what_is_unpriced_is_a_quantity() -> None:
    """In its unit, and no cost of 0."""
    unpriced = replace(node()[0], amounts=Amounts(pricing_quantity=Decimal(3)), source=CostSource.UNPRICED)
    ((name, (point,)),) = metrics([unpriced]).items()
    assert (name, point.as_double) == ("cost.unpriced.quantity {Hours}", 3.0)


def test_cumulative_points_count_up_from_the_first_window() -> None:
    """Delta ones do not; sums are exact before they are doubles."""
    windows = [Period(HOUR.start_unix_nano + i * HOUR_NS, HOUR.end_unix_nano + i * HOUR_NS) for i in range(3)]
    records = [
        origin(str(i), replace(NODE, charge_period=window), costs("0.1", quantity="0.1", consumed="0.1"))
        for i, window in enumerate(windows)
    ]
    temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    (points,) = metrics(records[::-1], MetricOptions(temporality=temporality)).values()
    assert [point.as_double for point in points] == [0.1, 0.2, 0.3]
    assert {point.start_time_unix_nano for point in points} == {HOUR.start_unix_nano}
    (deltas,) = metrics(records).values()
    assert [point.as_double for point in deltas] == [0.1, 0.1, 0.1]


def test_the_order_of_the_records_does_not_matter() -> None:
    """The same bytes."""
    one, other = (list(cost_metrics(records)) for records in (ledger(), ledger()[::-1]))
    assert [r.SerializeToString(deterministic=True) for r in one] == [
        r.SerializeToString(deterministic=True) for r in other
    ]


def test_many_points_are_several_requests() -> None:
    """Each of a bounded size, nothing lost."""
    records = [
        replace(
            origin(str(i), NODE, costs("1", quantity="1", consumed="1")),
            subject=replace(node()[1].subject, tenant=str(i)),
        )
        for i in range(POINTS_MAX + 1)
    ]
    assert len(list(cost_metrics(records))) == 2
    (points,) = metrics(records).values()
    assert len(points) == POINTS_MAX + 1
