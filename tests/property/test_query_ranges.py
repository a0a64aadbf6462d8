"""Ranges over any points at all agree with the reference in plain Python."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.query.client import QueryClient
from collector.storage.store import Store, open_store
from tests.support import otlp_builder as otlp
from tests.support.fake_clock import FakeClock
from tests.support.reference_query import AGGREGATES, Point, increases, steps

S = 10**9
START = 1_700_000_000 * S
_names = itertools.count(1)

# Few different times and values, so that ties, resets and equal starts happen.
TIMES = st.integers(-400, 400).map(lambda n: START + n * S)
VALUES = st.none() | st.integers(-5, 50) | st.floats(allow_infinity=False, width=16)
STARTS = st.sampled_from(
    [0, START - 10_000 * S, START - 200 * S, START - 1, START + 100 * S, START + 250 * S]
)


@st.composite
def points(draw: st.DrawFn) -> list[Point]:
    """Up to three streams of one sum. No two points are at one time: they have no order."""
    delta = draw(st.booleans())
    monotonic = draw(st.booleans())
    found: list[Point] = []
    for stream in draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1)):
        for second in draw(st.lists(TIMES, unique=True, min_size=1, max_size=12)):
            time = second + ord(stream)
            start = draw(STARTS | st.just(time))
            found.append(
                Point(
                    stream=stream,
                    time=time,
                    value=draw(VALUES),
                    labels={"host": stream},
                    start=start,
                    delta=delta,
                    monotonic=monotonic,
                )
            )
    return found


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A store in memory; every example has a metric of its own."""
    with closing(open_store("sqlite://")) as opened:
        opened.migrate()
        yield opened


def stored(store: Store, sums: list[Point]) -> str:
    """Store the points; return the name of their metric."""
    name = f"m{next(_names)}"
    rows = [otlp.number_point(p.time, p.value, p.labels, start=p.start) for p in sums]
    temporality = otlp.DELTA if sums[0].delta else otlp.CUMULATIVE
    metric = otlp.counter(name, rows, temporality=temporality, monotonic=sums[0].monotonic)
    otlp.store_requests(store, otlp.metrics_request("s", [metric]))
    return name


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sums=points(),
    length=st.integers(1, 400),
    step=st.integers(1, 500),
    aggregation=st.sampled_from(["increase", *sorted(AGGREGATES)]),
    host=st.none() | st.sampled_from("abc"),
)
def test_any_range_agrees_with_the_reference(
    store: Store, sums: list[Point], length: int, step: int, aggregation: str, host: str | None
) -> None:
    """Whatever the points, the window, the step and the labels."""
    name = stored(store, sums)
    end = START + length * S
    chosen = [point for point in sums if host in (None, point.stream)]
    if aggregation == "increase":
        expected = increases(chosen, START, end, step * S)
    else:
        expected = steps(chosen, START, end, step * S, AGGREGATES[aggregation])
    ask = QueryClient(store, clock=FakeClock())
    labels = {} if host is None else {"host": host}
    lines = ask.range(name, START // S, end // S, step, aggregation, labels)
    found = [(sample.time_unix_nano, sample.value) for line in lines for sample in line.samples]
    assert [time for time, _ in expected] == [time for time, _ in found]
    assert [pytest.approx(value, rel=1e-9, abs=1e-9) for _, value in expected] == [v for _, v in found]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sums=points(), cut=st.integers(1, 399))
def test_increases_of_neighbouring_windows_add_up(store: Store, sums: list[Point], cut: int) -> None:
    """As long as no gap is longer than what is looked back, nothing is lost or counted twice at a seam."""
    name = stored(store, sums)
    ask = QueryClient(store, clock=FakeClock())

    def total(start: int, end: int) -> float:
        # A step as long as all of it, so that every window looks back at all there is.
        lines = ask.range(name, START // S + start, START // S + end, 1000, "increase")
        return sum(sample.value for line in lines for sample in line.samples)

    assert total(0, 401) == pytest.approx(total(0, cut) + total(cut, 401), abs=1e-6)
