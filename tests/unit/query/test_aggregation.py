"""The names of aggregations."""

from __future__ import annotations

import pytest

from collector.query.aggregation import Aggregation, Over


@pytest.mark.parametrize(
    ("text", "millionths"),
    [("p50", 500_000), ("p99.9", 999_000), ("p99.9999", 999_999), ("p0", 0), ("p100", 1_000_000)],
)
def test_a_percentile_is_exact(text: str, millionths: int) -> None:
    """Kept in integers, because places in a list are."""
    assert Aggregation(Over.PERCENTILE, millionths) == Aggregation.parse(text)


@pytest.mark.parametrize("text", ["avg", "min", "max", "sum", "count", "first", "last", "rate", "increase"])
def test_every_other_aggregation_goes_by_its_name(text: str) -> None:
    """The name is the value."""
    assert text == Aggregation.parse(text).over.value


@pytest.mark.parametrize("text", ["p101", "p", "mean", "P50", "", "p-1", "p50.12345"])
def test_an_unknown_name_is_refused_with_those_there_are(text: str) -> None:
    """So that nobody has to look them up."""
    with pytest.raises(ValueError, match=r"avg, count, first.*p99\.9"):
        Aggregation.parse(text)
