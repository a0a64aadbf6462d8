"""Quantiles from buckets."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.query.distribution import Distribution


def explicit(
    bounds: tuple[float, ...], counts: list[int], *, low: float | None = None, high: float | None = None
) -> Distribution:
    """Explicit buckets, with or without the smallest and largest value."""
    distribution = Distribution(count=sum(counts))
    distribution.add_explicit(bounds, counts)
    if low is None or high is None:
        distribution.limits_known = False
    else:
        distribution.min, distribution.max = low, high
    return distribution


@pytest.mark.parametrize(
    ("quantile", "expected"),
    [(0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.5, 5.5), (0.8, 10.0), (0.9, 10.0), (1, 10.0)],
)
def test_inside_a_bucket_values_are_spread_evenly(quantile: float, expected: float) -> None:
    """As in Prometheus' histogram_quantile: the first bucket begins at 0, the last gives its lower bound."""
    distribution = explicit((1.0, 10.0), [2, 6, 2])
    assert expected == pytest.approx(distribution.quantile(quantile))


def test_the_smallest_and_largest_value_close_the_open_buckets() -> None:
    """And narrow the others: no value lies outside of them."""
    distribution = explicit((1.0, 10.0), [2, 6, 2], low=0.5, high=30.0)
    assert [distribution.quantile(q) for q in (0, 0.1, 0.9, 1)] == [0.5, 0.75, 20.0, 30.0]


def test_one_value_is_every_quantile() -> None:
    """Minimum and maximum say exactly where it was."""
    distribution = explicit((1.0, 10.0), [0, 1, 0], low=7.0, high=7.0)
    assert [distribution.quantile(q) for q in (0, 0.5, 1)] == [7.0, 7.0, 7.0]


def test_bounds_below_zero_do_not_begin_at_zero() -> None:
    """Then the first bound is the best guess."""
    assert explicit((-5.0, 5.0), [4, 0, 0]).quantile(0.5) == -5.0


def test_a_histogram_without_buckets_has_only_its_limits() -> None:
    """Count, minimum and maximum; without these nothing is known."""
    assert explicit((), [4], low=0.0, high=10.0).quantile(0.5) == 5.0
    assert explicit((), [4]).quantile(0.5) is None
    assert Distribution().quantile(0.5) is None


@pytest.mark.parametrize("scale", [-3, 0, 3, 20])
def test_inside_an_exponential_bucket_values_are_spread_by_logarithm(scale: int) -> None:
    """The middle of bucket 5 is the geometric mean of its bounds."""
    distribution = Distribution(count=2, limits_known=False)
    distribution.add_exponential(scale, 1, {5: 2})
    base = 2 ** (2**-scale)
    assert base**5.5 == pytest.approx(distribution.quantile(0.5))


def test_negative_zero_and_positive_buckets_are_in_that_order() -> None:
    """-4…-2, then about 0, then 2…4."""
    distribution = Distribution(count=6, limits_known=False)
    distribution.add_exponential(0, -1, {1: 2})
    distribution.zero[0.0] = 2
    distribution.add_exponential(0, 1, {1: 2})
    found = [distribution.quantile(q) for q in (0, 0.25, 0.5, 0.75, 1)]
    assert [-4.0, pytest.approx(-(2**1.25)), 0.0, pytest.approx(2**1.25), 4.0] == found


def test_a_scale_that_no_double_reaches_does_not_fail() -> None:
    """Bucket bounds overflow to infinity or vanish."""
    distribution = Distribution(count=2, limits_known=False)
    distribution.add_exponential(-10, 1, {0: 1, 5: 1, -5: 1})
    assert distribution.quantile(1) is not None


BUCKETS = st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any)
QUANTILES = st.floats(0, 1)


@given(BUCKETS, BUCKETS, QUANTILES)
def test_histograms_with_different_bounds_add_up(one: list[int], other: list[int], quantile: float) -> None:
    """As many values lie below the quantile as it says, counted in each histogram by itself."""
    layouts = {(0.0, 5.0, 10.0): one, (2.0, 3.0, 20.0): other}
    merged = Distribution(count=sum(one) + sum(other), min=-1.0, max=30.0)
    for bounds, counts in layouts.items():
        merged.add_explicit(bounds, counts)
    found = merged.quantile(quantile)
    assert found is not None
    below = sum(_below(found, bounds, counts) for bounds, counts in layouts.items())
    just_below = sum(_below(found - 1e-6, bounds, counts) for bounds, counts in layouts.items())
    wanted = quantile * merged.count
    assert just_below <= wanted + 1e-6
    assert below >= wanted - 1e-6


def _below(value: float, bounds: tuple[float, ...], counts: list[int]) -> float:
    edges = [-1.0, *bounds, 30.0]
    whole = bisect_left(edges, value) - 1
    if whole < 0:
        return 0.0
    if whole >= len(counts):
        return float(sum(counts))
    share = (value - edges[whole]) / (edges[whole + 1] - edges[whole])
    return sum(counts[:whole]) + share * counts[whole]


@given(BUCKETS, st.lists(QUANTILES, min_size=2, max_size=5))
def test_a_larger_quantile_is_not_a_smaller_value(counts: list[int], quantiles: list[float]) -> None:
    """Quantiles rise, within the limits."""
    merged = explicit((0.0, 1.0, 10.0), counts, low=-3.0, high=12.0)
    merged.add_exponential(1, 1, {2: 3, 4: 1})
    found = [merged.quantile(q) for q in sorted(quantiles)]
    values = [value for value in found if value is not None]
    assert len(found) == len(values)
    assert all(a <= b + 1e-9 for a, b in pairwise(values))
    assert all(-3.0 <= value <= 12.0 and math.isfinite(value) for value in values)
