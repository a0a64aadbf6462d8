"""The ranges of new partitions, whatever is there already."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from collector.storage.postgresql.partitions import Partition, free_range, uncovered

DAY = 86_400_000_000
HOUR = DAY // 24

_TIMES = st.integers(-3 * DAY, 3 * DAY)


def _made(times: list[int], intervals: list[int]) -> list[Partition]:
    """The partitions that `times` need one after the other, with the interval changed in between."""
    partitions: list[Partition] = []
    for number, time in enumerate(times):
        if uncovered(partitions, [time]):
            start, end = free_range(partitions, time, intervals[number % len(intervals)])
            partitions = sorted([*partitions, Partition(start, end, str(number))])
    return partitions


def test_a_new_partition_holds_a_whole_interval() -> None:
    """Cut at multiples of the interval since 1970, so that any collector makes the same."""
    assert free_range([], DAY + 5, DAY) == (DAY, 2 * DAY)
    assert free_range([], -1, DAY) == (-DAY, 0)


def test_a_new_partition_ends_where_its_neighbours_begin() -> None:
    """After the interval was changed from hours to days."""
    hours = [Partition(2 * HOUR, 3 * HOUR, "a"), Partition(5 * HOUR, 6 * HOUR, "b")]
    assert free_range(hours, 4 * HOUR, DAY) == (3 * HOUR, 5 * HOUR)
    assert free_range(hours, HOUR, DAY) == (0, 2 * HOUR)
    assert free_range(hours, 7 * HOUR, DAY) == (6 * HOUR, DAY)


def test_the_end_of_a_partition_is_not_in_it() -> None:
    """As PostgreSQL has it."""
    assert uncovered([Partition(0, DAY, "a")], [DAY, 0, DAY - 1, -1]) == [-1, DAY]


@given(st.lists(_TIMES, max_size=20), st.lists(st.sampled_from((HOUR, DAY, 7 * DAY, 1000)), min_size=1))
def test_partitions_never_overlap_and_every_time_has_one(times: list[int], intervals: list[int]) -> None:
    """Whatever times come, and however often the interval changes."""
    partitions = _made(times, intervals)
    assert uncovered(partitions, times) == []
    assert all(partition.start < partition.end for partition in partitions)
    assert all(left.end <= right.start for left, right in itertools.pairwise(partitions))
