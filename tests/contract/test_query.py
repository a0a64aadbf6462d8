"""The same questions, the same answers, on every store: computed again in plain Python (`support.reference_query`)."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    SummaryDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.model.signal import Signal
from collector.query.client import QueryClient, connect
from collector.query.results import HistogramPoint, MetricPoint, Range
from collector.storage.store import QueryError, Store, open_store, store_for
from tests.support import otlp_builder as otlp
from tests.support.fake_clock import FakeClock
from tests.support.module_database import NAMES, module_database
from tests.support.reference_query import AGGREGATES, Point, bucket_quantile, increases, steps

S = 10**9
MINUTE = 60 * S
# A step that divides nothing evenly, on a start that is no round time.
STEP = 7 * MINUTE
NOW = 1_700_003_600 * S
START = NOW - 3600 * S + 123_000
END = NOW - 2 * MINUTE
HOSTS = ("a", "b", "c")
BOUNDS = (1.0, 5.0, 25.0)
TRACE = "5b8efff798038103d269b633813fc60c"
OTHER_TRACE = "00000000000000000000000000000002"
LONE_TRACE = "ffffffffffffffffffffffffffffffff"


# --- what is stored -----------------------------------------------------------------------------------------


def gauge_points() -> list[Point]:
    """Irregular, some without a value, some NaN, some int, nanoseconds that microseconds cannot hold."""
    rng = random.Random(1)
    points = []
    for host in HOSTS:
        for number in range(120):
            time = NOW - 3700 * S + number * 31 * S + rng.randrange(S)
            value = rng.choice((rng.gauss(20, 5), rng.gauss(20, 5), rng.randrange(40), None, math.nan))
            points.append(Point(stream=host, time=time, value=value, labels={"host": host}))
    return points


def counter_points(*, delta: bool = False, monotonic: bool = True) -> list[Point]:
    """Three streams: one steady and old, one that restarts, one that falls without a word and has a gap."""
    rng = random.Random(2)
    points = []
    for host in HOSTS:
        total = rng.randrange(1000)
        start = {"a": NOW - 10**6 * S, "b": NOW - 3650 * S, "c": 0}[host]
        for number in range(70):
            time = NOW - 3640 * S + number * 53 * S + rng.randrange(S)
            if host == "c" and 20 <= number < 32:
                continue  # longer than the lookback
            if host == "b" and number in (15, 40):
                # Restarted: once with a start that is known, once with "unknown" (equal to its own time).
                total, start = 0, time - 10 * S if number == 15 else time
            if host == "c" and number == 50:
                total = 0
            total += rng.randrange(-5 if not monotonic else 0, 20)
            points.append(
                Point(
                    stream=host,
                    time=time,
                    value=float(rng.randrange(20)) if delta else total,
                    labels={"host": host},
                    start=time - 53 * S if delta else start,
                    delta=delta,
                    monotonic=monotonic,
                )
            )
    return points


def delta_histograms() -> list[dict[str, Any]]:
    """Explicit buckets with limits."""
    rng = random.Random(3)
    found = []
    for number in range(50):
        values = [rng.uniform(0.2, 40) for _ in range(rng.randrange(1, 12))]
        found.append({"time": NOW - 3500 * S + number * 61 * S, "values": values, "host": HOSTS[number % 2]})
    return found


def counts_of(values: list[float]) -> list[int]:
    """How many values are in each bucket of `BOUNDS`."""
    counts = [0] * (len(BOUNDS) + 1)
    for value in values:
        counts[sum(1 for bound in BOUNDS if value > bound)] += 1
    return counts


def cumulative_histograms() -> list[HistogramDataPoint]:
    """A stream of which each point adds one value to each of the first two buckets; it restarts once."""
    points = []
    counts, start = [0, 0, 0, 0], NOW - 3600 * S
    for number in range(1, 41):
        time = NOW - 3600 * S + number * MINUTE
        if number == 21:
            counts, start = [0, 0, 0, 0], time - 30 * S
        counts = [counts[0] + 1, counts[1] + 1, *counts[2:]]
        points.append(
            HistogramDataPoint(
                time_unix_nano=time,
                start_time_unix_nano=start,
                count=sum(counts),
                sum=3.0 * sum(counts),
                bucket_counts=counts,
                explicit_bounds=BOUNDS,
            )
        )
    return points


def exponential_points() -> list[ExponentialHistogramDataPoint]:
    """A cumulative stream that halves its resolution on the way."""
    points = []
    for number in range(1, 21):
        scale = 1 if number <= 10 else 0
        point = ExponentialHistogramDataPoint(
            time_unix_nano=NOW - 3600 * S + number * MINUTE,
            start_time_unix_nano=NOW - 3600 * S,
            count=2 * number,
            sum=4.5 * number,
            scale=scale,
        )
        # Each adds a value in (2, 2.83], one in (5.66, 8]: indexes 2 and 5 at scale 1, 1 and 2 at scale 0.
        point.positive.offset = 2 if scale else 1
        point.positive.bucket_counts.extend([number, 0, 0, number] if scale else [number, number])
        points.append(point)
    return points


def _number_points(points: list[Point]) -> list[Any]:
    return [otlp.number_point(p.time, p.value, {**p.labels, "core": 1}, start=p.start) for p in points]


def telemetry() -> list[Any]:
    """Everything, as requests."""
    rng = random.Random(4)
    gauges = _number_points(gauge_points())
    rng.shuffle(gauges)
    histograms = [
        HistogramDataPoint(
            time_unix_nano=point["time"],
            start_time_unix_nano=point["time"] - 61 * S,
            count=len(point["values"]),
            sum=math.fsum(point["values"]),
            min=min(point["values"]),
            max=max(point["values"]),
            bucket_counts=counts_of(point["values"]),
            explicit_bounds=BOUNDS,
            attributes=otlp.attributes({"host": point["host"]}),
        )
        for point in delta_histograms()
    ]
    summary = SummaryDataPoint(time_unix_nano=NOW - 60 * S, count=4, sum=10.0)
    summary.quantile_values.add(quantile=0.5, value=2.0)
    cluster = {"k8s.cluster.name": "production", "replicas": 3}
    return [
        otlp.metrics_request("weather", [otlp.gauge("temperature", gauges[:200], unit="Cel")], cluster),
        otlp.metrics_request("weather", [otlp.gauge("temperature", gauges[200:], unit="Cel")], cluster),
        otlp.metrics_request("mixed", [otlp.gauge("both", [otlp.number_point(NOW - 60 * S, 1.0)], unit="s")]),
        otlp.metrics_request(
            "mixed", [otlp.counter("both", [otlp.number_point(NOW - 60 * S, 2, start=NOW - 90 * S)], unit="By")]
        ),
        otlp.metrics_request("shop", [otlp.counter("orders", _number_points(counter_points()))]),
        otlp.metrics_request(
            "shop", [otlp.counter("visits", _number_points(counter_points(delta=True)), temporality=otlp.DELTA)]
        ),
        otlp.metrics_request(
            "shop", [otlp.counter("baskets", _number_points(counter_points(monotonic=False)), monotonic=False)]
        ),
        otlp.metrics_request("shop", [otlp.histogram("latency", histograms, unit="ms")]),
        otlp.metrics_request(
            "shop", [otlp.histogram("size", cumulative_histograms(), temporality=otlp.CUMULATIVE)]
        ),
        otlp.metrics_request(
            "shop", [otlp.exponential_histogram("weight", exponential_points(), temporality=otlp.CUMULATIVE)]
        ),
        otlp.metrics_request("shop", [otlp.summary("old", [summary])]),
        otlp.metrics_request("dead", [otlp.gauge("temperature", [otlp.number_point(NOW - 40 * 86400 * S, 7)], unit="Cel")]),
        otlp.spans_request(
            "checkout",
            [
                otlp.span(TRACE, "a" * 16, "POST /order", NOW - 600 * S, NOW - 595 * S, kind=Span.SPAN_KIND_SERVER),
                otlp.span(
                    TRACE, "b" * 16, "SELECT", NOW - 599 * S, NOW - 598 * S, parent="a" * 16,
                    error="deadlock", attrs={"db.rows": 5, "nested": {"db.rows": 9}},
                ),
                otlp.span(OTHER_TRACE, "c" * 16, "GET /", NOW - 300 * S + 7, NOW - 300 * S + 1007, attrs={"db.rows": 9}),
            ],
            {"host.name": "h1"},
        ),
        otlp.spans_request(
            "payment",
            [
                otlp.span(TRACE, "d" * 16, "charge", NOW - 597 * S, NOW - 590 * S, parent="a" * 16),
                otlp.span(LONE_TRACE, "e" * 16, "unfinished", NOW - 200 * S, 0, parent="9" * 16),
            ],
        ),
        otlp.logs_request(
            "checkout",
            [
                otlp.log(NOW - 600 * S, 'said "no" to 50% of\nthem', severity=17, severity_text="ERROR", trace_id=TRACE, span_id="b" * 16),
                otlp.log(NOW - 500 * S + 1, {"order": 7, "paid": True}, severity=9, attrs={"user": "ann"}),
                otlp.log(NOW - 500 * S, None, severity=13, event_name="stock.low", attrs={"user": "bob"}),
            ],
        ),
    ]  # fmt: skip


@pytest.fixture(scope="module", params=[*NAMES, "memory"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with everything in it."""
    with ExitStack() as stack:
        url = "sqlite://"
        if request.param != "memory":
            url = stack.enter_context(module_database(request.param, request, tmp_path_factory))
        store = stack.enter_context(closing(store_for(url, clock=FakeClock(unix_nano=NOW))))
        store.open()
        store.migrate()
        otlp.store_requests(store, *telemetry())
        yield store


@pytest.fixture
def ask(filled: Store) -> QueryClient:
    """A client whose now is `NOW`."""
    return QueryClient(filled, clock=FakeClock(unix_nano=NOW))


def seconds(unix_nano: int) -> datetime:
    """A time in whole microseconds as an argument."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=unix_nano // 1000)


def samples(line: Range) -> list[tuple[int, Any]]:
    """Samples to compare: values to the precision that sums in any order have."""
    return [
        (sample.time_unix_nano, pytest.approx(sample.value, rel=1e-9, abs=1e-9)) for sample in line.samples
    ]


# --- metrics over time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("aggregation", sorted(AGGREGATES))
def test_range_aggregates_all_series(ask: QueryClient, aggregation: str) -> None:
    """One line over every point of the metric; what has no value or is NaN does not count."""
    [line] = ask.range("temperature", seconds(START), seconds(END), "7m", aggregation)
    assert steps(gauge_points(), START, END, STEP, AGGREGATES[aggregation]) == samples(line)
    assert (line.type, line.unit, dict(line.labels)) == ("gauge", "Cel", {})


@pytest.mark.parametrize("aggregation", sorted(AGGREGATES))
def test_range_groups_by_a_label(ask: QueryClient, aggregation: str) -> None:
    """One line for each value, and each is that of its points alone."""
    lines = ask.range("temperature", seconds(START), seconds(END), "7m", aggregation, group_by=["host"])
    expected = {
        host: steps(
            [p for p in gauge_points() if p.stream == host], START, END, STEP, AGGREGATES[aggregation]
        )
        for host in HOSTS
    }
    assert expected == {line.labels["host"]: samples(line) for line in lines}


def test_range_by_series_has_a_line_per_stream(ask: QueryClient) -> None:
    """With the stream's own attributes as labels."""
    lines = ask.range("temperature", seconds(START), seconds(END), "7m", "count", group_by="series")
    assert sorted(HOSTS) == sorted(line.labels["host"] for line in lines)
    assert all(line.labels["core"] == 1 and line.labels["service.name"] == "weather" for line in lines)


@pytest.mark.parametrize(
    "labels",
    [{"host": "b"}, {"host": "b", "service.name": "weather"}, {"host": "b", "core": "1", "replicas": 3}],
)
def test_range_takes_labels_of_points_and_of_resources(ask: QueryClient, labels: dict[str, Any]) -> None:
    """All of them must be there."""
    [line] = ask.range("temperature", seconds(START), seconds(END), "7m", "sum", labels)
    points = [p for p in gauge_points() if p.stream == "b"]
    assert steps(points, START, END, STEP, AGGREGATES["sum"]) == samples(line)


@pytest.mark.parametrize("labels", [{"host": "z"}, {"host": "b", "core": 2}, {"core": "b"}])
def test_range_of_labels_nobody_has_is_empty(ask: QueryClient, labels: dict[str, Any]) -> None:
    """Not an error: there may be such a host tomorrow."""
    assert ask.range("temperature", "-1h", labels=labels) == []


def test_range_keeps_types_and_units_apart(ask: QueryClient) -> None:
    """Seconds and bytes of one name are never averaged; `query_range`, which has one line, says so."""
    lines = ask.range("both", "-1h", step=None)
    assert {("gauge", "s", 1.0), ("sum", "By", 2.0)} == {(r.type, r.unit, r.samples[0].value) for r in lines}
    with pytest.raises(ValueError, match="gauge in s, sum in By"):
        ask.query_range("both", "-1h", "now", "1m")


COUNTERS = {
    "orders": counter_points(),
    "visits": counter_points(delta=True),
    "baskets": counter_points(monotonic=False),
}


@pytest.mark.parametrize("name", COUNTERS)
@pytest.mark.parametrize("step", [STEP, 97 * S, 40 * MINUTE])
def test_increase_respects_resets_and_temporality(ask: QueryClient, name: str, step: int) -> None:
    """Cumulative with restarts known, unknown and unsaid, with gaps; delta; sums that may fall."""
    [line] = ask.range(name, seconds(START), seconds(END), step / S, "increase")
    assert increases(COUNTERS[name], START, END, step) == samples(line)


def test_increase_by_label_adds_up_to_the_whole(ask: QueryClient) -> None:
    """Streams are compared with themselves only."""
    lines = ask.range("orders", seconds(START), seconds(END), "7m", "increase", group_by=["host"])
    expected = {
        host: increases([p for p in COUNTERS["orders"] if p.stream == host], START, END, STEP)
        for host in HOSTS
    }
    assert expected == {line.labels["host"]: samples(line) for line in lines}


def test_rate_is_increase_per_second_of_the_step_that_the_window_covers(ask: QueryClient) -> None:
    """The last step is cut off by the end of the window."""
    [rate] = ask.range("orders", seconds(START), seconds(END), "7m", "rate")
    expected = [
        (time, value / (min(STEP, END - time) / S))
        for time, value in increases(COUNTERS["orders"], START, END, STEP)
    ]
    assert expected == samples(rate)


def test_increases_of_neighbouring_windows_add_up(ask: QueryClient) -> None:
    """Nothing is lost or counted twice at the seam, because the point before it is looked for."""

    def total(start: int, end: int) -> float:
        lines = ask.range("orders", seconds(start), seconds(end), None, "increase", {"host": "b"})
        return sum(sample.value for line in lines for sample in line.samples)

    middle = START + 1234 * S
    assert total(START, END) == total(START, middle) + total(middle, END)


def test_a_gauge_has_no_rate(ask: QueryClient) -> None:
    """The message says what to ask for instead."""
    with pytest.raises(QueryError, match=r"temperature is a gauge.*avg"):
        ask.range("temperature", aggregation="rate")


def test_too_many_steps_are_refused(ask: QueryClient) -> None:
    """A mistyped step must not fill the memory."""
    with pytest.raises(ValueError, match="more than 100000 steps"):
        ask.range("temperature", "-30d", step="1ms")


# --- histograms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_percentiles_of_delta_histograms_come_from_their_buckets(ask: QueryClient, quantile: float) -> None:
    """Buckets of the step are added up, then read."""
    [line] = ask.range("latency", seconds(START), seconds(END), "7m", f"p{quantile * 100:g}")
    cells: dict[int, list[float]] = {}
    for point in delta_histograms():
        if START <= point["time"] < END:
            cells.setdefault(START + (point["time"] - START) // STEP * STEP, []).extend(point["values"])
    expected = [
        (time, bucket_quantile(BOUNDS, counts_of(values), min(values), max(values), quantile))
        for time, values in sorted(cells.items())
    ]
    assert expected == samples(line)


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("count", len),
        ("sum", math.fsum),
        ("min", min),
        ("max", max),
        ("avg", lambda values: math.fsum(values) / len(values)),
        ("rate", lambda values: len(values) / 3600),
    ],
)  # fmt: skip
def test_delta_histograms_know_count_sum_and_limits(
    ask: QueryClient, aggregation: str, expected: Any
) -> None:
    """Exact, as they were sent."""
    [line] = ask.range("latency", NOW // S - 3600, NOW // S, None, aggregation, {"host": "a"})
    values = [value for point in delta_histograms() if point["host"] == "a" for value in point["values"]]
    assert [(NOW - 3600 * S, expected(values))] == samples(line)


def test_cumulative_histograms_are_differences_with_resets(ask: QueryClient) -> None:
    """Two values a minute, whatever the running totals are, also across the restart."""
    [counts] = ask.range("size", NOW // S - 3600, NOW // S, "10m", "count")
    # The first step lacks the point at its very end, the fifth has only that point.
    assert [sample.value for sample in counts.samples] == [18.0, 20.0, 20.0, 20.0, 2.0]
    [medians] = ask.range("size", NOW // S - 3600, NOW // S, "10m", "p75")
    assert [sample.value for sample in medians.samples] == [3.0] * 5
    [means] = ask.range("size", NOW // S - 3600, NOW // S, "10m", "avg")
    assert [sample.value for sample in means.samples] == [3.0] * 5


def test_exponential_histograms_are_compared_at_the_coarser_scale(ask: QueryClient) -> None:
    """The scale changes between the tenth and the eleventh point; nothing is lost there."""
    [counts] = ask.range("weight", NOW // S - 3600, NOW // S, None, "count")
    assert counts.samples[0].value == 40
    [line] = ask.quantile("weight", 0.25, NOW // S - 3600)
    # Half of the first value's bucket: ten in (2, 2.83], ten in (2, 4]; a quarter of 40 is 10.
    assert 2.0 < line.samples[0].value < 2.83
    [top] = ask.quantile("weight", 1, NOW // S - 3600)
    assert top.samples[0].value == pytest.approx(8.0)


def test_quantile_of_a_gauge_is_over_its_points(ask: QueryClient) -> None:
    """One value for the whole window."""
    [line] = ask.quantile("temperature", 0.9, seconds(START), seconds(END))
    assert steps(gauge_points(), START, END, END - START, AGGREGATES["p90"]) == samples(line)


@pytest.mark.parametrize(("name", "aggregation"), [("latency", "last"), ("old", "p50"), ("old", "max")])
def test_what_histograms_and_summaries_cannot_say_is_refused(
    ask: QueryClient, name: str, aggregation: str
) -> None:
    """Quantiles of clients cannot be added up, and a histogram has no last value."""
    with pytest.raises(QueryError, match=name):
        ask.range(name, aggregation=aggregation)


# --- points -------------------------------------------------------------------------------------------------


def test_metrics_returns_points_newest_first_to_the_nanosecond(ask: QueryClient) -> None:
    """Values as they came: ints stay ints, no recorded value is None."""
    [exact] = [p for p in gauge_points() if p.stream == "a"][5:6]
    found = ask.metrics("temperature", labels={"host": "a"}, limit=None)
    expected = sorted((p for p in gauge_points() if p.stream == "a"), key=lambda p: -p.time)
    assert [p.time for p in expected] == [p.time_unix_nano for p in found]
    assert [repr(p.value) for p in expected] == [repr(p.value) for p in found]
    assert exact.time in {p.time_unix_nano for p in found}


def test_a_window_of_points_is_half_open_to_the_nanosecond(ask: QueryClient) -> None:
    """The start is in, the end is not."""
    times = sorted(p.time for p in gauge_points())

    def between(start: int, end: int) -> int:
        text = (f"{start // S}.{start % S:09d}", f"{end // S}.{end % S:09d}")
        return len(ask.metrics("temperature", *text))

    assert between(times[10], times[20]) == 10
    assert between(times[10] + 1, times[20]) == 9
    assert between(times[10], times[20] + 1) == 11


def test_limit_keeps_the_newest_points(ask: QueryClient) -> None:
    """Of all series together."""
    newest = sorted((p.time for p in gauge_points()), reverse=True)[:5]
    assert newest == [p.time_unix_nano for p in ask.metrics("temperature", limit=5)]


def test_points_carry_their_stream(ask: QueryClient) -> None:
    """Name, type, unit, attributes, resource, scope."""
    [point] = ask.metrics("temperature", labels={"host": "c"}, limit=1)
    stream = point.stream
    assert (stream.metric, stream.type, stream.unit) == ("temperature", "gauge", "Cel")
    assert (dict(stream.attributes), stream.service_name) == ({"host": "c", "core": 1}, "weather")
    assert stream.resource["k8s.cluster.name"] == "production"
    assert stream.scope_name == "tests"
    [counter] = ask.metrics("orders", limit=1)
    assert (counter.stream.temporality, counter.stream.monotonic) == ("cumulative", True)


def test_latest_is_the_newest_point_of_every_stream_however_old(ask: QueryClient) -> None:
    """One stream ended forty days ago."""
    newest: dict[str | None, int] = {
        host: max(p.time for p in gauge_points() if p.stream == host) for host in HOSTS
    }
    found = {p.stream.attributes.get("host"): p.time_unix_nano for p in ask.latest("temperature")}
    assert {**newest, None: NOW - 40 * 86400 * S} == found


def test_latest_takes_labels_and_any_type(ask: QueryClient) -> None:
    """A histogram's newest point is a histogram point."""
    [point] = ask.latest("temperature", {"host": "b"})
    assert point.stream.attributes["host"] == "b"
    [histogram] = ask.latest("size")
    assert isinstance(histogram, HistogramPoint)
    assert (histogram.count, histogram.bucket_counts, histogram.explicit_bounds) == (
        80 - 40,
        (20, 20, 0, 0),
        BOUNDS,
    )
    assert ask.latest("nothing") == []


def test_histograms_returns_both_kinds_of_points(ask: QueryClient) -> None:
    """With their buckets."""
    assert len(ask.histograms("latency", limit=None)) == 50
    newest = ask.histograms("weight", limit=1)[0]
    assert (newest.scale, newest.positive_offset, newest.positive_bucket_counts) == (0, 1, (20, 20))


def test_summaries_returns_the_quantiles_a_client_computed(ask: QueryClient) -> None:
    """As they were sent."""
    [point] = ask.summaries("old")
    assert (point.count, point.sum, point.quantiles, point.quantile_values) == (4, 10.0, (0.5,), (2.0,))


def test_metric_names_lists_what_there_is(ask: QueryClient) -> None:
    """By name, type and unit, with the number of series."""
    found = {(m.metric, m.type, m.unit): (m.series, m.services) for m in ask.metric_names()}
    assert found["temperature", "gauge", "Cel"] == (4, ("dead", "weather"))
    assert {("both", "gauge", "s"), ("both", "sum", "By")} <= found.keys()
    assert [m.metric for m in ask.metric_names("b")] == ["baskets", "both", "both"]


# --- by the names of our predecessors -----------------------------------------------------------------------


def test_query_historical_metrics_takes_epoch_seconds_and_a_cluster(ask: QueryClient) -> None:
    """All gauges and sums, newest first, at most `limit`."""
    found = ask.query_historical_metrics(start_time=NOW / S - 3700, cluster_id="production", limit=10_000)
    assert len(gauge_points()) == len(found)
    assert {"temperature"} == {point.stream.metric for point in found}
    everything = ask.query_historical_metrics(start_time=NOW / S - 3700, limit=None)
    expected = len(gauge_points()) + sum(map(len, COUNTERS.values())) + 2
    assert expected == len(everything)
    times = [point.time_unix_nano for point in everything]
    assert sorted(times, reverse=True) == times
    assert times[:7] == [p.time_unix_nano for p in ask.query_historical_metrics(limit=7)]
    assert ask.query_historical_metrics(cluster_id="elsewhere") == []


def test_query_latest_is_one_point(ask: QueryClient) -> None:
    """The newest of all streams."""
    point = ask.query_latest("temperature", {"host": "a"})
    assert isinstance(point, MetricPoint)
    assert max(p.time for p in gauge_points() if p.stream == "a") == point.time_unix_nano
    assert ask.query_latest("nothing") is None


def test_query_range_is_one_line_of_samples(ask: QueryClient) -> None:
    """The same values that `range` has."""
    found = ask.query_range("temperature", NOW // S - 3600, NOW // S, timedelta(minutes=5), "avg")
    [line] = ask.range("temperature", NOW // S - 3600, NOW // S, 300, "avg")
    assert list(line.samples) == found
    assert ask.query_range("nothing", "-1h", "now", "5m") == []


def test_query_metrics_is_metrics(ask: QueryClient) -> None:
    """By its other name."""
    assert ask.metrics("orders", limit=3) == ask.query_metrics("orders", limit=3)


# --- traces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["unfinished", "GET /", "charge", "SELECT", "POST /order"]),
        ({"limit": 2}, ["unfinished", "GET /"]),
        ({"service": "payment"}, ["unfinished", "charge"]),
        ({"name": "charge"}, ["charge"]),
        ({"status": "error"}, ["SELECT"]),
        ({"status": "unset", "service": "checkout"}, ["GET /", "POST /order"]),
        ({"min_duration": "5s"}, ["charge", "POST /order"]),
        ({"min_duration": 0.000001, "start": "-301s"}, ["GET /"]),
        ({"start": "-595s", "end": "-1m"}, ["unfinished", "GET /"]),
        ({"attributes": {"db.rows": 9}}, ["GET /"]),
        ({"attributes": {"db.rows": 9}, "limit": 1}, ["GET /"]),
        ({"attributes": {"db.rows": "5"}}, ["SELECT"]),
        ({"attributes": {"host.name": "h1"}}, ["GET /", "SELECT", "POST /order"]),
        ({"attributes": {"host.name": "h1", "db.rows": 5}}, ["SELECT"]),
        ({"attributes": {"db.rows": "%"}}, []),
    ],
)
def test_spans_are_found_by_what_they_are(
    ask: QueryClient, filters: dict[str, Any], names: list[str]
) -> None:
    """Newest first. An attribute deeper inside another is not an attribute."""
    assert names == [span.name for span in ask.spans(**filters)]


def test_a_span_comes_back_whole(ask: QueryClient) -> None:
    """Ids in hexadecimal, kind and status in words, attributes as values."""
    [span] = ask.spans(status="error")
    assert (span.trace_id, span.span_id, span.parent_span_id) == (TRACE, "b" * 16, "a" * 16)
    assert (span.status, span.status_message, span.kind) == ("error", "deadlock", "internal")
    assert dict(span.attributes) == {"db.rows": 5, "nested": {"db.rows": 9}}
    assert (span.time_unix_nano, span.duration_nano) == (NOW - 599 * S, S)
    assert dict(span.resource) == {"service.name": "checkout", "host.name": "h1"}


@pytest.mark.parametrize("written", [TRACE, TRACE.upper(), f"{TRACE[:8]}-{TRACE[8:]}"])
def test_a_trace_comes_back_as_a_tree(ask: QueryClient, written: str) -> None:
    """Across services, however the id is written."""
    trace = ask.trace(written)
    assert trace is not None
    assert [(d, n.span.name) for d, n in trace.walk()] == [(0, "POST /order"), (1, "SELECT"), (1, "charge")]
    assert (trace.spans, trace.duration_nano) == (3, 10 * S)


def test_a_trace_that_is_not_there_is_none_and_a_wrong_id_an_error(ask: QueryClient) -> None:
    """Different mistakes, different answers."""
    assert ask.trace("1" * 32) is None
    assert ask.trace(TRACE, start="-1m") is None
    for wrong in ("xyz", "0" * 32, TRACE[:-2]):
        with pytest.raises(ValueError, match="trace id"):
            ask.trace(wrong)


def test_slowest_traces_are_measured_from_first_start_to_last_end(ask: QueryClient) -> None:
    """Longest first; one of which nothing ended comes last."""
    found = ask.slowest_traces()
    assert [(t.trace_id, t.duration_nano, t.spans, t.errors, t.services) for t in found] == [
        (TRACE, 10 * S, 3, 1, 2),
        (OTHER_TRACE, 1000, 1, 0, 1),
        (LONE_TRACE, None, 1, 0, 1),
    ]
    assert (found[0].service_name, found[0].name) == ("checkout", "POST /order")
    assert found[:1] == ask.slowest_traces(limit=1) == ask.slowest_traces(service="payment", limit=1)


def test_slowest_traces_agree_with_the_view(ask: QueryClient, filled: Store) -> None:
    """What people read with SQL and what programs read is the same."""
    columns = "duration_ms, service_name, name, spans, errors, services"
    rows = filled.query(f"SELECT {columns} FROM traces ORDER BY duration_ms DESC NULLS LAST").rows
    found = [
        (t.duration_ms, t.service_name, t.name, t.spans, t.errors, t.services)
        for t in ask.slowest_traces("-1d")
    ]
    assert found == [tuple(row) for row in rows]


# --- logs, services, counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "severities"),
    [
        ({}, [9, 13, 17]),
        ({"limit": 1}, [9]),
        ({"severity": "warn"}, [13, 17]),
        ({"severity": 17}, [17]),
        ({"severity": "17"}, [17]),
        ({"text": 'said "no" to 50% of\nthem'}, [17]),
        ({"text": "order"}, [9]),
        ({"text": "SAID"}, []),
        ({"event_name": "stock.low"}, [13]),
        ({"trace_id": TRACE}, [17]),
        ({"attributes": {"user": "ann"}}, [9]),
        ({"service": "payment"}, []),
        ({"start": NOW // S - 500}, [9, 13]),
        ({"end": NOW // S - 500}, [17]),
    ],
)
def test_log_records_are_found_by_what_they_are(
    ask: QueryClient, filters: dict[str, Any], severities: list[int]
) -> None:
    """Newest first."""
    assert severities == [record.severity_number for record in ask.logs(**filters)]


def test_a_log_record_comes_back_whole(ask: QueryClient) -> None:
    """A body is any value, and none is None."""
    first, second, third = ask.logs()
    assert (first.body, dict(first.attributes), first.trace_id) == (
        {"order": 7, "paid": True},
        {"user": "ann"},
        None,
    )
    assert (second.body, second.event_name) == (None, "stock.low")
    assert (third.severity_text, third.trace_id, third.span_id) == ("ERROR", TRACE, "b" * 16)
    assert (first.time_unix_nano, first.observed_time_unix_nano) == (NOW - 500 * S + 1, NOW - 500 * S + 1)


def test_services_lists_who_has_sent(ask: QueryClient) -> None:
    """By name."""
    expected = ["checkout", "dead", "mixed", "payment", "shop", "weather"]
    assert expected == [service.service_name for service in ask.services()]


def test_items_counts_each_signal_in_the_window(ask: QueryClient) -> None:
    """Points of all types together."""
    counters = sum(map(len, COUNTERS.values()))
    assert {
        Signal.TRACES: 5,
        Signal.METRICS: len(gauge_points()) + counters + 2 + 50 + 40 + 20 + 1 + 1,
        Signal.LOGS: 3,
        Signal.COSTS: 0,
    } == ask.items()
    assert ask.items(NOW // S - 500)[Signal.LOGS] == 2


# --- manners ------------------------------------------------------------------------------------------------

EVIL = "x'; DROP TABLE otlp_spans; -- %(start)s %% \" \\ \x01 ?"


def test_nothing_given_becomes_sql(ask: QueryClient) -> None:
    """Quotes, percent signs and placeholders are just text."""
    assert ask.metrics(EVIL, labels={EVIL: EVIL}) == []
    assert ask.range(EVIL, labels={EVIL: EVIL}, group_by=[EVIL]) == []
    assert ask.range("temperature", group_by=[EVIL])[0].labels[EVIL] is None
    assert ask.spans(service=EVIL, name=EVIL, attributes={EVIL: EVIL}) == []
    assert ask.logs(service=EVIL, text=EVIL, event_name=EVIL, attributes={EVIL: EVIL}) == []
    assert ask.latest(EVIL, {EVIL: EVIL}) == []
    assert ask.metric_names(EVIL) == []
    assert len(ask.spans()) == 5


def test_infinities_do_not_fail(store: Store) -> None:
    """They are values like others; what is no number any more is NaN."""
    points = [
        otlp.number_point(NOW - n * S, value) for n, value in enumerate((math.inf, -math.inf, 1.0), start=1)
    ]
    otlp.store_requests(store, otlp.metrics_request("s", [otlp.gauge("g", points)]))
    ask = QueryClient(store, clock=FakeClock(unix_nano=NOW))

    def value(aggregation: str) -> float:
        return ask.range("g", step=None, aggregation=aggregation)[0].samples[0].value

    assert (value("max"), value("min"), value("p50"), value("p100")) == (math.inf, -math.inf, 1.0, math.inf)
    assert math.isnan(value("sum"))


def test_cleanup_old_data_deletes_what_is_older(store: Store) -> None:
    """Of all signals; what is younger stays."""
    day = 86_400 * S
    now = NOW // day * day
    for age in (10, 100):
        time = now - age * day
        otlp.store_requests(
            store,
            otlp.metrics_request("s", [otlp.gauge("g", [otlp.number_point(time, age)])]),
            otlp.spans_request("s", [otlp.span(TRACE, f"{age:016x}", "n", time, time + 1)]),
            otlp.logs_request("s", [otlp.log(time, "x")]),
        )
    ask = QueryClient(store, clock=FakeClock(unix_nano=now), retention_days=90)
    deleted = ask.cleanup_old_data()
    assert sum(deleted.values()) == 3
    assert {**dict.fromkeys(Signal, 1), Signal.COSTS: 0} == ask.items()
    assert sum(ask.cleanup_old_data(retention_days=5).values()) == 3
    with pytest.raises(ValueError, match="negative"):
        ask.cleanup_old_data(-1)


def test_connect_opens_and_closes(lasting_store_url: str) -> None:
    """A context manager; closing twice is safe."""
    with closing(open_store(lasting_store_url)) as store:
        store.migrate()
        otlp.store_requests(store, otlp.logs_request("s", [otlp.log(NOW, "x")]))
    with connect(lasting_store_url) as ask:
        assert [record.body for record in ask.logs()] == ["x"]
    ask.close()
