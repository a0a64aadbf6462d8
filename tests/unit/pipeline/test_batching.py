"""The triggers of a batch."""

from __future__ import annotations

import random
from dataclasses import replace

from collector.pipeline.batching import BatchLimits

LIMITS = BatchLimits(items_min=100, items_max=200, interval_s=2.0, bytes_max=1000)


def test_limits_wait_for_the_rest_of_the_interval() -> None:
    """What is not full waits until the oldest is as old as the interval."""
    assert LIMITS.wait_s(99, 999, 0.5) == 1.5


def test_limits_send_at_once_when_enough_items_wait() -> None:
    """`items_min` items are a batch."""
    assert LIMITS.wait_s(100, 10, 0.0) == 0.0


def test_limits_send_at_once_when_enough_bytes_wait() -> None:
    """`bytes_max` bytes are a batch, however few items they are."""
    assert LIMITS.wait_s(1, 1000, 0.0) == 0.0


def test_limits_send_at_once_when_the_oldest_is_old() -> None:
    """A clock that has gone past the interval gives no negative wait."""
    assert LIMITS.wait_s(1, 1, 7.0) == 0.0


def test_limits_without_items_min_wait_for_the_maximum_or_the_interval() -> None:
    """`items_min: 0` is no trigger: otelcol's `send_batch_size: 0`."""
    limits = BatchLimits(items_min=0, items_max=200, interval_s=2.0)
    assert (limits.full(199, 1), limits.full(200, 1)) == (False, True)
    assert not BatchLimits(items_min=0).full(1_000_000, 1)


def test_limits_fit_up_to_and_including_the_maxima() -> None:
    """A maximum is allowed, more is not; 0 items is no maximum."""
    assert LIMITS.fits(200, 1000)
    assert not LIMITS.fits(201, 1)
    assert not LIMITS.fits(1, 1001)
    assert BatchLimits(items_max=0).fits(1_000_000, 1)


def test_limits_of_many_collectors_are_spread_over_a_tenth_of_the_interval() -> None:
    """Nobody waits longer than was said, hardly two equally long; nothing else differs, and chance is the rng's."""
    spread = [LIMITS.spread(random.Random(seed)) for seed in range(200)]
    intervals = [limits.interval_s for limits in spread]
    assert all(1.8 <= interval <= 2.0 for interval in intervals)
    assert len({round(interval, 2) for interval in intervals}) > 15
    assert {replace(limits, interval_s=2.0) for limits in spread} == {LIMITS}
    assert spread[7] == LIMITS.spread(random.Random(7))


def test_limits_that_send_at_once_do_so_for_everybody() -> None:
    """There is nothing to spread."""
    assert BatchLimits(interval_s=0.0).spread(random.Random(0)).interval_s == 0.0


def test_a_batch_takes_along_what_is_waiting() -> None:
    """Up to the maximum that somebody has set, else a few times what makes it full."""
    assert not LIMITS.complete(199, 1)
    assert LIMITS.complete(200, 1)
    assert LIMITS.complete(1, 1000)
    assert not BatchLimits(items_min=100).complete(499, 1)
    assert BatchLimits(items_min=100).complete(500, 1)
    assert not BatchLimits(items_min=0).complete(1_000_000, 1)
