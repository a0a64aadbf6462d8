"""The lines in which requests wait for room: order, bounds, and the end of their patience."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config.types import Duration
from collector.model.errors import RetryableError
from collector.pipeline.admission import ByteBudget
from collector.receivers.otlp.config import AdmissionConfig
from collector.receivers.otlp.waiting import WAITERS_MAX, Admission, WaitingRoom
from tests.support.components import House, make_house

LIMIT = 8 * 1024 * 1024


class Loop:
    """The clock and the timers of an event loop, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[..., None], *arguments: Any) -> object:
        self._count += 1
        heapq.heappush(self._timers, (self.now + delay, self._count, lambda: call(*arguments)))
        return self._count

    @property
    def idle(self) -> bool:
        return not self._timers

    def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            self.now, _, call = heapq.heappop(self._timers)
            call()
        self.now = until


class Bench:
    """A budget, a waiting room, and what becomes of the requests that come."""

    def __init__(self, *, timeout: float = 0.5, limit: int = LIMIT, limit_mib: int | None = None) -> None:
        self.loop = Loop()
        self.house: House = make_house("otlp", "receiver", budget=limit)
        self.budget: ByteBudget = self.house.settings.budget
        config = AdmissionConfig(timeout=Duration(timeout), waiting_limit_mib=limit_mib)
        self.room = WaitingRoom(self.house.settings, config)
        self.admitted: list[str] = []
        self.refused: list[str] = []

    def come(self, name: str, size: int, *, deadline_s: float | None = None) -> Admission:
        """A request of `size` bytes, all of which are there."""
        admission = self.room.admission(cast(asyncio.AbstractEventLoop, self.loop), deadline_s)

        def ask() -> None:
            try:
                if admission.expect(size, size, ask):
                    self.admitted.append(name)
            except RetryableError:
                self.refused.append(name)

        ask()
        return admission

    def waits(self, outcome: str) -> float:
        """How many have waited, to that end."""
        labels = {"receiver": "otlp", "reason": "in_flight_bytes", "outcome": outcome}
        return self.house.sample("collector_receiver_wait_seconds_count", **labels)


def test_who_waits_is_admitted_when_there_is_room() -> None:
    """Not before, and at the next look around."""
    bench = Bench()
    bench.budget.reserve(LIMIT)
    bench.come("a", 100_000)
    bench.loop.sleep(0.3)
    assert (bench.admitted, bench.refused) == ([], [])
    bench.budget.release(LIMIT)
    bench.loop.sleep(0.011)
    assert bench.admitted == ["a"]
    assert bench.budget.used == 100_000
    assert bench.waits("admitted") == 1
    bench.loop.sleep(1)
    assert bench.loop.idle


def test_who_waits_in_vain_is_refused_after_the_time() -> None:
    """And holds nothing."""
    bench = Bench(timeout=0.5)
    bench.budget.reserve(LIMIT)
    admission = bench.come("a", 100_000)
    bench.loop.sleep(0.49)
    assert bench.refused == []
    bench.loop.sleep(0.03)
    assert bench.refused == ["a"]
    assert bench.waits("refused") == 1
    admission.release()
    assert bench.budget.used == LIMIT


def test_nobody_waits_past_the_deadline_of_its_client() -> None:
    """It gets its answer while it is still there."""
    bench = Bench(timeout=0.5)
    bench.budget.reserve(LIMIT)
    bench.come("a", 100_000, deadline_s=0.2)
    bench.loop.sleep(0.18)
    assert bench.refused == ["a"]


def test_without_a_timeout_everybody_is_refused_at_once() -> None:
    """0 turns the waiting off."""
    bench = Bench(timeout=0)
    bench.budget.reserve(LIMIT)
    bench.come("a", 100_000)
    assert bench.refused == ["a"]
    assert bench.loop.idle


def test_first_come_first_served_among_those_who_need_as_much() -> None:
    """Also who comes when there would be room, while others wait."""
    bench = Bench()
    bench.budget.reserve(LIMIT)
    for name in "abc":
        bench.come(name, 1_000_000)
    bench.budget.release(LIMIT)
    bench.budget.reserve(LIMIT - 2_500_000)
    bench.come("d", 1_000_000)
    assert bench.admitted == []
    bench.loop.sleep(0.02)
    assert bench.admitted == ["a", "b"]


def test_a_large_request_keeps_no_small_one_out() -> None:
    """It hopes for room that will not be there for long."""
    bench = Bench()
    bench.budget.reserve(2_000_000)
    bench.come("large", LIMIT - 1_000_000)
    bench.come("middling", 500_000)
    assert bench.admitted == ["middling"]


def test_who_leaves_is_not_called() -> None:
    """Its client has gone."""
    bench = Bench()
    bench.budget.reserve(LIMIT)
    first = bench.come("a", 100_000)
    bench.come("b", 100_000)
    first.release()
    first.release()
    bench.budget.release(LIMIT)
    bench.loop.sleep(1)
    assert (bench.admitted, bench.refused) == (["b"], [])
    assert bench.waits("gone") == 1


def test_a_closed_room_sends_everybody_away() -> None:
    """The receiver stops."""
    bench = Bench()
    bench.budget.reserve(LIMIT)
    bench.come("a", 100_000)
    bench.room.close()
    bench.loop.sleep(0.011)
    bench.come("b", 100_000)
    assert bench.refused == ["a", "b"]


@pytest.mark.parametrize(
    ("bench", "size", "places"),
    [
        (Bench(limit=64 << 20), 1000, WAITERS_MAX),
        (Bench(limit=LIMIT), 200_000, (LIMIT // 8) // 200_000),
        (Bench(limit=64 << 20, limit_mib=1), 100_000, (1 << 20) // 100_000),
    ],
    ids=["number", "share", "option"],
)
def test_those_who_wait_are_bounded_in_number_and_bytes(bench: Bench, size: int, places: int) -> None:
    """Who comes next is refused at once."""
    bench.budget.reserve(50_000)
    bench.budget.reserve(bench.budget.limit)
    while bench.budget.has_room(size):
        bench.budget.reserve(size)
    for number in range(places):
        bench.come(str(number), size)
    assert bench.refused == []
    bench.come("one more", size)
    assert bench.refused == ["one more"]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("come"), st.integers(1, LIMIT)),
            st.tuples(st.just("release"), st.integers(0, 50)),
            st.tuples(st.just("sleep"), st.sampled_from([0.005, 0.02, 0.2])),
        ),
        max_size=60,
    )
)
def test_everybody_gets_one_answer_and_nothing_is_kept(steps: list[tuple[str, float]]) -> None:
    """Whatever comes and goes: each is admitted or refused, once, within the time, and all is given back."""
    bench = Bench(timeout=0.3)
    here: dict[str, Admission] = {}
    came: set[str] = set()
    left: set[str] = set()
    for number, (what, value) in enumerate(steps):
        if what == "come":
            came.add(str(number))
            here[str(number)] = bench.come(str(number), int(value))
        elif what == "sleep":
            bench.loop.sleep(value)
        elif here:
            name = list(here)[int(value) % len(here)]
            here.pop(name).release()
            left.add(name)
    bench.loop.sleep(1)
    answered = bench.admitted + bench.refused
    assert len(answered) == len(set(answered))
    assert came - left <= set(answered) <= came
    assert bench.loop.idle
    for admission in here.values():
        admission.release()
    assert bench.budget.used == 0
