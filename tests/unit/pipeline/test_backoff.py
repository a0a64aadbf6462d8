"""When to try again."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from collector.config.types import Duration
from collector.pipeline.backoff import Backoff
from collector.pipeline.sender_config import RetryConfig

STEADY = RetryConfig(
    initial_interval=Duration(1.0), multiplier=2.0, randomization_factor=0.0, max_interval=Duration(5.0)
)


def test_backoff_grows_to_its_maximum() -> None:
    """Each wait is `multiplier` times the one before, up to `max_interval`."""
    backoff = Backoff(STEADY, random.Random(0))
    assert [backoff.failed(0.0) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_backoff_begins_anew_after_reset() -> None:
    """A success forgets the failures before it."""
    backoff = Backoff(STEADY, random.Random(0))
    backoff.failed(0.0)
    backoff.failed(0.0)
    backoff.reset()
    assert backoff.failed(10.0) == 11.0


def test_backoff_honours_the_delay_the_destination_asked_for() -> None:
    """The wait is never shorter than what the destination said, and not longer for it."""
    backoff = Backoff(STEADY, random.Random(0))
    assert backoff.failed(0.0, retry_after_s=60.0) == 60.0
    assert backoff.failed(0.0, retry_after_s=0.1) == 2.0


def test_backoff_gives_up_when_the_next_attempt_would_be_too_late() -> None:
    """`max_elapsed_time` counts from the first failure."""
    config = RetryConfig(randomization_factor=0.0, multiplier=1.0, max_elapsed_time=Duration(2.5))
    backoff = Backoff(config, random.Random(0))
    assert [backoff.failed(100.0), backoff.failed(101.0), backoff.failed(102.0)] == [101.0, 102.0, None]


def test_backoff_never_gives_up_by_default() -> None:
    """Time does not delete data."""
    backoff = Backoff(RetryConfig(), random.Random(0))
    assert all(backoff.failed(float(day * 86_400)) is not None for day in range(1000))


def test_backoff_does_not_retry_when_disabled() -> None:
    """`enabled: false` is one attempt."""
    assert Backoff(RetryConfig(enabled=False), random.Random(0)).failed(0.0) is None


@given(seed=st.integers(), factor=st.floats(0.0, 1.0), failures=st.integers(1, 30))
def test_backoff_stays_within_its_randomised_interval(seed: int, factor: float, failures: int) -> None:
    """Every wait is positive and within `randomization_factor` of the interval."""
    backoff = Backoff(RetryConfig(randomization_factor=factor), random.Random(seed))
    interval_s = 1.0
    for _ in range(failures):
        at = backoff.failed(0.0)
        assert at is not None
        assert interval_s * (1 - factor) - 1e-9 <= at <= interval_s * (1 + factor) + 1e-9
        interval_s = min(interval_s * 1.5, 30.0)
