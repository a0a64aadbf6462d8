"""How memory is divided: nobody gets more than there is."""

from __future__ import annotations

import pytest

from collector.pipeline.memory_plan import UNBOUNDED, LargeRecords, delivery_bytes, memory_plan

MIB = 1024 * 1024


@pytest.mark.parametrize("available", [64, 100, 128, 256, 512, 2048, 1 << 20])
@pytest.mark.parametrize("senders", [1, 3, 4, 12])
def test_all_parts_together_are_there(available: int, senders: int) -> None:
    """Of 128 MiB the process itself has 76; where there is less than it needs, an eighth is planned with."""
    plan = memory_plan(available * MIB)
    batches = senders * plan.batch(senders) * (2 if plan.ahead(senders) else 1)
    queues = plan.queues  # taken from what batches would have: see the module
    tails = senders * plan.tail(senders)
    assert plan.requests + batches + tails + plan.largest <= max((available - 76) * MIB, available * MIB // 8)
    assert queues <= plan.batches + plan.largest
    assert plan.requests <= 1024 * MIB


def test_where_memory_is_plenty_nothing_is_smaller_than_it_was() -> None:
    """A batch of 10 000 items or 32 MiB, the next one ahead, and the largest request that OTLP recommends to take."""
    plan = memory_plan(4096 * MIB)
    assert plan.ahead(8)
    assert plan.batch(8) >= delivery_bytes(10_000, 32 * MIB)
    assert plan.largest >= delivery_bytes(500_000, 64 * MIB)
    assert (plan.identities, plan.keys, plan.spare) == (UNBOUNDED.identities, UNBOUNDED.keys, UNBOUNDED.spare)


def test_a_bound_on_requests_that_somebody_sets_is_theirs() -> None:
    """It changes nothing else."""
    assert memory_plan(128 * MIB, 5 * MIB).requests == 5 * MIB
    assert memory_plan(128 * MIB, 5 * MIB).batches == memory_plan(128 * MIB).batches


def test_turns_are_taken_in_order() -> None:
    """Who asks first, has it first; who gives up leaves the line."""
    turns, a, b, c = LargeRecords(), object(), object(), object()
    assert turns.take(a)
    assert turns.take(a)
    assert not turns.take(b)
    assert not turns.take(c)
    turns.give_back(b)
    turns.give_back(a)
    assert turns.take(c)
    assert not turns.take(a)
