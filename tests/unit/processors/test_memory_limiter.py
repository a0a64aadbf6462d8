"""The `memory_limiter`: when it measures, refuses, collects and takes again."""

from __future__ import annotations

import contextlib

import pytest

from collector.config.types import Duration
from collector.model.errors import RetryableError
from collector.pipeline.component import State
from collector.processors.memory_limiter.config import MemoryLimiterConfig
from collector.processors.memory_limiter.factory import FACTORY
from collector.processors.memory_limiter.garbage import Garbage
from collector.processors.memory_limiter.processor import MemoryLimiter
from tests.support.components import House, RecordingConsumer, logs, make_house
from tests.support.fake_clock import FakeClock

MIB = 1024 * 1024


class CountedGarbage(Garbage):
    """Notes when it was asked; frees what it is told to."""

    def __init__(self, test: Bench) -> None:
        super().__init__()
        self.test = test
        self.asked: list[tuple[float, float]] = []

    def collect(self, now: float, interval_s: float) -> bool:
        self.asked.append((now, interval_s))
        self.test.used_mib -= self.test.freed_mib
        return True


class Bench:
    """A limiter with 100 MiB and a soft limit of 80, and the memory to be measured as a number."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.house: House = make_house("memory_limiter", "processor", clock=self.clock)
        self.consumer = RecordingConsumer()
        self.used_mib = 10
        self.freed_mib = 0
        self.measured = 0
        self.garbage = CountedGarbage(self)
        self.limiter = MemoryLimiter(
            self.house.settings,
            MemoryLimiterConfig(limit_mib=100),
            self.consumer,
            resident=self.resident,
            available=lambda: None,
            garbage=self.garbage,
        )
        self.limiter.start()
        self.measured = 0

    def resident(self) -> int:
        self.measured += 1
        return self.used_mib * MIB

    def offer(self) -> bool:
        try:
            self.limiter.consume(logs("a", "b"))
        except RetryableError as error:
            return error.reason != "memory_limited"
        return True


def test_limiter_passes_data_on_below_the_soft_limit() -> None:
    """Untouched, and counted."""
    test = Bench()
    test.used_mib = 79
    assert test.offer()
    assert [logs("a", "b")] == test.consumer.taken
    name = "otelcol_processor_memory_limiter_accepted_log_records_total"
    assert test.house.sample(name, processor="memory_limiter") == 2


def test_limiter_refuses_from_the_soft_limit_on() -> None:
    """Retryable, with a delay, counted, and visible in the state."""
    test = Bench()
    test.used_mib = 80
    with pytest.raises(RetryableError) as refusal:
        test.limiter.consume(logs("a", "b"))
    assert (refusal.value.reason, refusal.value.retry_after_s) == ("memory_limited", 1.0)
    assert test.consumer.taken == []
    name = "otelcol_processor_memory_limiter_refused_log_records_total"
    assert test.house.sample(name, processor="memory_limiter") == 2
    assert test.house.state() is State.DEGRADED


def test_limiter_takes_data_again_when_memory_has_gone_down() -> None:
    """At the first check after it; until then the answer stays."""
    test = Bench()
    test.used_mib = 90
    assert not test.offer()
    test.used_mib = 70
    assert not test.offer()
    test.clock.advance(1.0)
    assert test.offer()
    assert test.house.state() is State.OK


def test_limiter_measures_once_per_interval() -> None:
    """However much data comes."""
    test = Bench()
    for _ in range(100):
        test.offer()
    assert test.measured == 1
    test.clock.advance(1.0)
    test.offer()
    assert test.measured == 2


def test_limiter_collects_garbage_before_it_refuses() -> None:
    """What nobody refers to any more is no reason to refuse."""
    test = Bench()
    test.used_mib, test.freed_mib = 90, 30
    assert test.offer()
    assert test.garbage.asked == [(test.clock.monotonic(), 10.0)]


def test_limiter_collects_more_often_above_the_hard_limit() -> None:
    """Each limit has its own shortest interval."""
    test = Bench()
    test.used_mib = 100
    assert not test.offer()
    assert test.garbage.asked == [(test.clock.monotonic(), 5.0)]


def test_limiter_refuses_nothing_where_memory_cannot_be_measured() -> None:
    """No `/proc`: it says so, and lets everything through."""
    house = make_house("memory_limiter", "processor")
    consumer = RecordingConsumer()
    limiter = MemoryLimiter(house.settings, MemoryLimiterConfig(), consumer, resident=lambda: None)
    limiter.start()
    limiter.consume(logs("a"))
    assert len(consumer.taken) == 1
    assert "does not tell" in house.reports[-1][1]


def test_limiter_works_with_this_process() -> None:
    """The real measurement against a limit that this process exceeds, and one that it does not."""
    for limit_mib, taken in ((1, 0), (1_000_000, 1)):
        consumer = RecordingConsumer()
        house = make_house("memory_limiter", "processor")
        limiter = FACTORY.create(house.settings, MemoryLimiterConfig(limit_mib=limit_mib), consumer)
        limiter.start()
        with contextlib.suppress(RetryableError):
            limiter.consume(logs("a"))
        assert len(consumer.taken) == taken


def test_garbage_is_not_collected_too_often() -> None:
    """One collection per interval for the whole process, whoever asks."""
    garbage = Garbage()
    assert [
        garbage.collect(100.0, 5.0),
        garbage.collect(104.9, 5.0),
        garbage.collect(105.0, 5.0),
    ] == [True, False, True]


@pytest.mark.parametrize(
    ("config", "limits_mib"),
    [
        (MemoryLimiterConfig(), (640, 800)),
        (MemoryLimiterConfig(limit_mib=100), (80, 100)),
        (MemoryLimiterConfig(limit_mib=100, spike_limit_mib=30), (70, 100)),
        (MemoryLimiterConfig(limit_percentage=50.0, spike_limit_percentage=20.0), (300, 500)),
    ],
)
def test_limits_come_from_mebibytes_or_percent(
    config: MemoryLimiterConfig, limits_mib: tuple[int, int]
) -> None:
    """Soft is hard less spike; a fifth if nothing is said. limit_mib comes before percentages, as in otelcol."""
    assert config.limits(1000 * MIB) == (limits_mib[0] * MIB, limits_mib[1] * MIB)


def test_limits_in_percent_need_to_know_the_memory() -> None:
    """Of nothing known, 80 % is not known either; mebibytes are."""
    assert MemoryLimiterConfig().limits(None) is None
    assert MemoryLimiterConfig(limit_mib=10).limits(None) == (8 * MIB, 10 * MIB)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (MemoryLimiterConfig(check_interval=Duration(0.0)), "check_interval"),
        (MemoryLimiterConfig(limit_percentage=0.0), ""),
        (MemoryLimiterConfig(limit_mib=10, spike_limit_mib=10), "spike_limit_mib"),
        (MemoryLimiterConfig(spike_limit_mib=10), "spike_limit_mib"),
        (
            MemoryLimiterConfig(limit_percentage=50.0, spike_limit_percentage=50.0),
            "spike_limit_percentage",
        ),
    ],
)
def test_limits_that_contradict_each_other_are_found(config: MemoryLimiterConfig, key: str) -> None:
    """Each is reported at the option to change."""
    assert [finding.key for finding in config.validate()] == [key]
