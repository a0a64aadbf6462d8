"""The method of largest remainders keeps its promises for all totals and weights."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cost.split import split

TOTALS = st.integers(-(10**38), 10**38) | st.integers(-20, 20)
WEIGHTS = st.lists(st.integers(0, 10**30) | st.integers(0, 3), min_size=1, max_size=20)


def keys(weights: list[int]) -> list[bytes]:
    """A key for each weight."""
    return [b"subject-%04d" % number for number in range(len(weights))]


@given(total=TOTALS, weights=WEIGHTS.filter(any))
def test_the_parts_sum_to_the_total_and_are_within_a_unit_of_exact(total: int, weights: list[int]) -> None:
    """Nothing is lost; nobody is wronged by a unit; who has no weight has no part."""
    parts = split(total, weights, keys(weights))
    assert parts is not None
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert weight or not part


@given(total=TOTALS, weights=WEIGHTS.filter(any), seed=st.integers())
def test_the_order_of_the_input_does_not_matter(total: int, weights: list[int], seed: int) -> None:
    """Each key has the same part in any order."""
    given_ = list(zip(keys(weights), weights, strict=True))
    shuffled = given_.copy()
    random.Random(seed).shuffle(shuffled)
    parts = [
        dict(
            zip(
                (key for key, _ in order),
                split(total, [w for _, w in order], [k for k, _ in order]) or [],
                strict=True,
            )
        )
        for order in (given_, shuffled)
    ]
    assert parts[0] == parts[1]


@given(total=TOTALS, weights=WEIGHTS.filter(any), factor=st.integers(1, 10**9))
def test_the_sign_and_the_scale_of_weights_do_not_matter(total: int, weights: list[int], factor: int) -> None:
    """A credit is split as the charge was; only the ratios of weights count."""
    parts = split(total, weights, keys(weights))
    assert parts is not None
    assert split(-total, weights, keys(weights)) == [-part for part in parts]
    assert split(total, [weight * factor for weight in weights], keys(weights)) == parts


@given(total=TOTALS, count=st.integers(0, 5))
def test_without_weights_the_total_is_nobodys(total: int, count: int) -> None:
    """The caller has to say where it goes."""
    assert split(total, [0] * count, keys([0] * count)) is None


def test_a_tie_goes_to_the_smaller_key() -> None:
    """Whatever the order."""
    assert split(4, [1, 1, 1], [b"c", b"a", b"b"]) == [1, 2, 1]
    assert split(-4, [1, 1, 1], [b"c", b"a", b"b"]) == [-1, -2, -1]


def test_a_hundred_thousand_subjects_are_exact() -> None:
    """One large group, as on a shared cluster."""
    rng = random.Random(20260101)
    weights = [rng.randrange(10**12) for _ in range(100_000)]
    total = 123_456_789_012_345_678_901_234
    parts = split(total, weights, keys(weights))
    assert parts is not None
    assert sum(parts) == total


def test_negative_weights_and_missing_keys_are_refused() -> None:
    """They would give sums that add up and mean nothing."""
    with pytest.raises(ValueError, match="weight -1 is negative"):
        split(1, [2, -1], [b"a", b"b"])
    with pytest.raises(ValueError, match="2 weights for 1 keys"):
        split(1, [2, 1], [b"a"])
