"""What is stored of a window as the attribution engine is given it, on every store."""

from __future__ import annotations

import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.accounting.errors import TooManyGroupsError
from collector.accounting.usage import UsageReader
from collector.cost.config import CostConfig
from collector.cost.record import CostSource, Period
from collector.cost.usage import Series, SeriesValue, WindowUsage
from collector.model.clock import SystemClock
from collector.model.signal import Signal
from collector.query.dialect import Dialect
from collector.query.reader import Reader
from collector.storage.store import Store
from tests.support.cost import cost_config
from tests.support.otlp_builder import (
    DELTA,
    counter,
    gauge,
    metrics_request,
    number_point,
    span,
    spans_request,
)
from tests.support.stores import put

SECOND: Final = 10**9
HOUR: Final = 3600 * SECOND
START: Final = 1_790_000_000 * SECOND // HOUR * HOUR
PERIOD: Final = Period(START, START + HOUR)
POD: Final = {"k8s.pod.uid": "p1", "k8s.node.name": "n1"}
TRACE: Final = "5b8efff798038103d269b633813fc60c"

NODE_RULE: Final = """
prices:
  - {id: node, unit: Hours, list: "1.00"}
rules:
  - id: nodes
    origin: {per: k8s.node.name, price: node}
    split:
      elements:
        cpu: {usage: "%s", capacity: node.cores(max), unit: Core-Hours}
"""
REQUEST_RULE: Final = (
    NODE_RULE % "pod.cores(avg)"
    + """
  - id: requests
    parent: {rule: nodes, join: k8s.pod.uid}
    match: {kind: [SERVER]}
    weight: %s
    basis: spread
    group_by: [service, tenant]
"""
)


def usage_of(store: Store, config: CostConfig, period: Period = PERIOD) -> WindowUsage:
    reader = Reader(store, Dialect(store.dialect == "sqlite"), SystemClock(), None)
    return UsageReader(reader, config).read(period)[0]


def series_of(store: Store, text: str) -> list[SeriesValue]:
    return list(usage_of(store, cost_config(NODE_RULE % text)).series[Series.parse(text)])


def put_gauge(store: Store, values: Mapping[int, float | int], **resource: Any) -> None:
    """Points of `m` by seconds after the start of the window."""
    points = [number_point(START + at * SECOND, value) for at, value in values.items()]
    put(store, Signal.METRICS, metrics_request("app", [gauge("m", points)], {**POD, **resource}))


def test_a_gauge_is_averaged_over_the_time_it_was_there(store: Store) -> None:
    """Point by point to the digit; attributes are those of the resource and the points, as texts."""
    put_gauge(store, dict.fromkeys(range(0, 3600, 60), 0.1), zone=7)
    [value] = series_of(store, "m(avg)")
    assert (value.value, value.observed_ns) == (Decimal("0.1"), HOUR)
    assert value.attributes == {"service.name": "app", **POD, "zone": "7"}


@pytest.mark.parametrize(
    ("seconds", "there"),
    [
        ([0, 60, 120], 180),  # ended
        ([1800, 1860, 1920], 180),  # came and ended
        ([-60, 0, 60], 120),  # there before
        ([-30, 30, 90], 150),
        ([3480, 3540], 120),  # came, and stayed
        ([0], 60),  # the interval is not known
        (list(range(30, 3600, 60)), 3570),  # began half a minute late
        (list(range(-30, 3600, 60)), 3600),
    ],
)
def test_how_long_a_series_was_there(store: Store, seconds: list[int], there: int) -> None:
    """By its points and the interval between them."""
    put_gauge(store, dict.fromkeys(seconds, 1))
    [value] = series_of(store, "m(avg)")
    assert value.observed_ns == there * SECOND
    assert value.value == 1


def test_jitter_costs_nothing(store: Store) -> None:
    """A point that comes a little early leaves no gap at the end."""
    points = [number_point(START + at * SECOND - 50_000_000 * (at % 120 > 0), 4) for at in range(0, 3600, 60)]
    put(store, Signal.METRICS, metrics_request("app", [gauge("m", points)], POD))
    [value] = series_of(store, "m(max)")
    assert (value.value, value.observed_ns) == (Decimal(4), HOUR)


@pytest.mark.parametrize(
    ("aggregation", "expected"), [("avg", "2.25"), ("max", "4"), ("min", "0.5"), ("last", "0.5")]
)
def test_aggregations(store: Store, aggregation: str, expected: str) -> None:
    """Of gauges; integers and doubles mix."""
    put_gauge(store, {-60: 100, 0: 2, 60: 4, 120: 2.5, 180: 0.5})
    [value] = series_of(store, f"m({aggregation})")
    assert value.value == Decimal(expected)


def test_numbers_that_are_none_are_left_out(store: Store) -> None:
    """NaN, infinities and points without a value say nothing."""
    points = [
        number_point(START + at * SECOND, value)
        for at, value in enumerate([1.5, float("nan"), float("inf"), None, 2.5, float("-inf"), 1e300])
    ]
    put(store, Signal.METRICS, metrics_request("app", [gauge("m", points)], POD))
    [value] = series_of(store, "m(avg)")
    assert value.value == 2


def test_the_order_of_rows_does_not_matter(store: Store, refresh_rollups: object) -> None:
    """Doubles that add up differently in another order give the same value."""
    rng = random.Random(7)
    values = [rng.uniform(0, 1e9) * 10 ** rng.randint(-9, 0) for _ in range(360)]
    places = list(range(0, 3600, 10))
    expected = sum(
        (Decimal(repr(value)).quantize(Decimal("1e-9"), "ROUND_DOWN") for value in values), Decimal()
    )
    found = set()
    for name in ("m", "n"):
        rng.shuffle(places)
        rng.shuffle(values)
        for at in range(0, 360, 90):
            points = [
                number_point(START + second * SECOND, value)
                for second, value in zip(places[at : at + 90], values[at : at + 90], strict=True)
            ]
            put(store, Signal.METRICS, metrics_request("app", [gauge(name, points)], POD))
        [value] = series_of(store, f"{name}(avg)")
        found.add(value.value)
    [average] = found
    assert abs(average - expected / 360) < Decimal("1e-8")


def test_the_rate_of_a_counter(store: Store) -> None:
    """Increases of neighbouring windows add up; a reset counts what came after it."""
    seconds = {-60: 100.0, 0: 110.0, 600: 140.5, 1200: 3.25, 3540: 40.0, 3660: 90.0}
    points = [number_point(START + at * SECOND, value, start=1) for at, value in seconds.items()]
    put(store, Signal.METRICS, metrics_request("app", [counter("m", points)], POD))
    [value] = series_of(store, "m(rate)")
    assert value.observed_ns == HOUR
    assert round(value.value * 3600, 6) == Decimal("80.5")


def test_the_rate_of_delta_points(store: Store) -> None:
    """They are added up."""
    points = [number_point(START + at * SECOND, 30) for at in range(0, 3600, 60)]
    put(store, Signal.METRICS, metrics_request("app", [counter("m", points, temporality=DELTA)], POD))
    [value] = series_of(store, "m(rate)")
    assert value.value == Decimal("0.5")


def test_a_counter_that_began_in_the_window_counts_whole(store: Store) -> None:
    """Its start time says that it came from 0; without one nobody knows, and it counts from its first point."""
    for name, begun in (("m", START + 10 * SECOND), ("n", 0)):
        points = [number_point(START + at * SECOND, at / 2, start=begun) for at in range(60, 3600, 60)]
        put(store, Signal.METRICS, metrics_request("app", [counter(name, points)], POD))
    [whole], [later] = series_of(store, "m(rate)"), series_of(store, "n(rate)")
    assert round(whole.value * whole.observed_ns / SECOND, 6) == 1770
    assert round(later.value * later.observed_ns / SECOND, 6) == 1740


def spans(store: Store, *made: Span, **resource: Any) -> None:
    put(store, Signal.TRACES, spans_request("app", made, {**POD, **resource}))


def request_span(
    number: int, seconds: float, attributes: Mapping[str, Any] | None = None, *, at: int = 0, parent: str = ""
) -> Span:
    start = START + at * SECOND
    return span(
        TRACE,
        f"{number:016x}",
        "GET /",
        start,
        start + round(seconds * SECOND),
        parent=parent,
        kind=Span.SPAN_KIND_SERVER,
        attrs=attributes or {},
    )


def test_self_times_of_requests(store: Store) -> None:
    """Nested spans count once, waiting for others not at all, another process apart; whatever arrives first."""
    inner = span(
        TRACE, f"{2:016x}", "work", START + SECOND, START + 4 * SECOND, parent=f"{1:016x}",
    )  # fmt: skip
    call = span(
        TRACE, f"{3:016x}", "call", START + 5 * SECOND, START + 8 * SECOND, parent=f"{1:016x}",
        kind=Span.SPAN_KIND_CLIENT,
    )  # fmt: skip
    called = request_span(4, 2, at=6, parent=f"{3:016x}")
    spans(store, inner, call)
    spans(store, request_span(1, 10, {"tenant.id": "a"}))
    spans(store, called, **{"k8s.pod.uid": "p2"})
    [one, other] = sorted(
        usage_of(store, cost_config(REQUEST_RULE % "self_time")).requests["requests"],
        key=lambda group: group.attributes["k8s.pod.uid"],
    )
    assert one.attributes == {"k8s.pod.uid": "p1", "service.name": "app", "tenant.id": "a"}
    assert (one.weight, one.spans) == (7 * SECOND, 1)
    assert (other.attributes["k8s.pod.uid"], other.weight, other.spans) == ("p2", 2 * SECOND, 1)


def test_self_times_are_cut_at_the_edges_of_windows(store: Store) -> None:
    """And the parts of a request's time add up to it; it is counted where it starts.

    One of 40 s begins 10 s before the edge, waits 5 s from 10 s after it, and leaves a task behind that works from 35 s
    to 55 s after it: 10 s before the edge and 20 - 5 + 20 after it, whether its own or the task's. Another's trace began two hours
    ago, longer than is looked back; of it the 7 s of a request are known. `count` is not looked back for.
    """
    edge = 3600
    task = span(
        TRACE, f"{3:016x}", "task", START + (edge + 35) * SECOND, START + (edge + 55) * SECOND, parent=f"{1:016x}"
    )  # fmt: skip
    wait = span(
        TRACE, f"{2:016x}", "call", START + (edge + 10) * SECOND, START + (edge + 15) * SECOND, parent=f"{1:016x}",
        kind=Span.SPAN_KIND_CLIENT,
    )  # fmt: skip
    ancient = span(
        TRACE[::-1], f"{4:016x}", "old", START - 2 * edge * SECOND, START + (edge + 900) * SECOND,
        kind=Span.SPAN_KIND_SERVER, attrs={"tenant.id": "old"},
    )  # fmt: skip
    recent = span(
        TRACE[::-1], f"{5:016x}", "new", START + (edge + 60) * SECOND, START + (edge + 67) * SECOND, parent=f"{4:016x}",
        kind=Span.SPAN_KIND_SERVER, attrs={"tenant.id": "new"},
    )  # fmt: skip
    spans(store, task, wait, ancient, recent)
    spans(store, request_span(1, 30, {"tenant.id": "a"}, at=edge - 10))
    rule = cost_config(REQUEST_RULE % "self_time")
    later = Period(PERIOD.end_unix_nano, PERIOD.end_unix_nano + HOUR)
    expected = [{"a": (10 * SECOND, 1)}, {"a": (35 * SECOND, 0), "new": (7 * SECOND, 1)}]
    for period, groups in zip((PERIOD, later), expected, strict=True):
        found = usage_of(store, rule, period).requests["requests"]
        assert {group.attributes["tenant.id"]: (group.weight, group.spans) for group in found} == groups
    counted = usage_of(store, cost_config(REQUEST_RULE % "count"), later).requests["requests"]
    assert {group.attributes["tenant.id"]: group.weight for group in counted} == {"new": 1}
    blind = cost_config("span_lookback: 0s\n" + REQUEST_RULE % "self_time")
    [group] = usage_of(store, blind, later).requests["requests"]
    assert (group.attributes["tenant.id"], group.weight) == ("new", 7 * SECOND)


def test_single_requests_that_weigh_most(store: Store) -> None:
    """By their own time, with their ids; the others of the same pod are one."""
    made = [request_span(number, number, {"tenant.id": "a"}, at=number * 100) for number in range(1, 6)]
    spans(store, *made)
    rule = cost_config(REQUEST_RULE % "self_time" + "    spans_max: 2\n")
    first, second, rest = usage_of(store, rule).requests["requests"]
    assert [(group.weight, group.span_id) for group in (first, second)] == [
        (number * SECOND, number.to_bytes(8, "big")) for number in (5, 4)
    ]
    assert first.trace_id == bytes.fromhex(TRACE)
    assert (rest.attributes, rest.weight, rest.spans) == ({"k8s.pod.uid": "p1"}, 6 * SECOND, 3)
    assert rest.is_rest


def test_counts_and_sums_of_requests(store: Store) -> None:
    """A sampled span stands for several."""
    sampled = request_span(2, 1, {"rows": 10}, at=2)
    sampled.trace_state = "vendor=x,ot=th:8"
    other = span(TRACE, f"{3:016x}", "inner", START, START + SECOND, attrs={"rows": 1000})
    spans(store, request_span(1, 1, {"rows": 5}), sampled, other)
    [group] = usage_of(store, cost_config(REQUEST_RULE % "count")).requests["requests"]
    assert (group.weight, group.spans) == (3, 2)
    [group] = usage_of(store, cost_config(REQUEST_RULE % "sum:rows")).requests["requests"]
    assert (group.weight, group.spans) == (25, 2)


def test_a_span_belongs_to_the_window_in_which_it_starts(store: Store) -> None:
    """To the nanosecond."""
    made = [request_span(number, 1, at=at) for number, at in ((1, -1), (2, 0), (3, 3599), (4, 3600))]
    spans(store, *made)
    [group] = usage_of(store, cost_config(REQUEST_RULE % "count")).requests["requests"]
    assert group.spans == 2


TOKENS: Final = """
rules:
  - id: llm
    tokens: {}
    match: {any: [gen_ai.usage.input_tokens], attributes: {gen_ai.operation.name: "ch*"}}
    attribute_to: [service, tenant]
  - id: functions
    match: {attributes: {faas.name: "*"}}
    quantities: {memory-time: faas.max_memory * duration, requests: count}
    granularity: 1ms
    attribute_to: [faas.name]
"""


def test_tokens_and_quantities(store: Store) -> None:
    """Both rules in one pass; what a rule is not about, and spans that it cannot read, are told apart."""
    call = {
        "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60, "gen_ai.provider.name": "p", "gen_ai.response.model": "m",
    }  # fmt: skip
    paid = {**call, "gen_ai.usage.cost.amount": 0.25, "gen_ai.usage.cost.currency": "EUR"}
    run = {"faas.name": "f", "faas.max_memory": 1024}
    spans(
        store,
        request_span(1, 1, call, at=1),
        request_span(2, 1, call, at=2),
        request_span(3, 1, paid, at=3),
        request_span(4, 1, {**call, "gen_ai.operation.name": "embeddings"}, at=4),
        request_span(5, 0.0015, run, at=5),
        request_span(6, 0.5, {**run, "faas.max_memory": "much"}, at=6),
    )
    reader = Reader(store, Dialect(store.dialect == "sqlite"), SystemClock(), None)
    usage, oddities = UsageReader(reader, cost_config(TOKENS)).read(PERIOD)
    priced, reported = sorted(usage.tokens["llm"], key=lambda group: group.currency)
    assert priced.tokens == {"input": 80, "cache_read": 120, "output": 40}
    assert (priced.spans, priced.reported_cost) == (2, None)
    assert (reported.reported_cost, reported.currency) == (Decimal("0.25"), "EUR")
    assert reported.source is CostSource.REPORTED_BY_CLIENT
    assert reported.attributes["service.name"] == "app"
    [group] = usage.metered["functions"]
    assert group.quantities == {"memory-time": 1024 * 2_000_000, "requests": 2 * SECOND}
    assert [(oddity.rule_id, oddity.what, oddity.spans) for oddity in oddities] == [
        ("functions", "quantity_incomplete", 1)
    ]


def test_too_many_groups_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound; the message says what to change."""
    monkeypatch.setattr("collector.accounting.spans._GROUPS_MAX", 2)
    spans(store, *[request_span(n, 1, {"tenant.id": str(n)}, at=n) for n in range(3)])
    with pytest.raises(TooManyGroupsError, match=r"rule 'requests' .* group_by"):
        usage_of(store, cost_config(REQUEST_RULE % "self_time"))
