"""The sending queue in memory: room, order and positions."""

from __future__ import annotations

import pytest

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.queue import MemoryQueue
from tests.support.fake_clock import FakeClock

NO_LIMITS = BatchLimits(items_min=0, bytes_max=1 << 40)


def piece(size: int, items: int = 1) -> Telemetry:
    return Telemetry(Signal.LOGS, bytes(size), items)


def put(queue: MemoryQueue, *pieces: Telemetry) -> int:
    queue.reserve(sum(data.size for data in pieces))
    return queue.append_all(pieces)


def test_queue_numbers_records_from_one_without_gaps() -> None:
    """A sequence number is a place in the order of arrival."""
    queue = MemoryQueue(100, FakeClock())
    assert (put(queue, piece(1)), put(queue, piece(1), piece(1))) == (1, 3)
    assert [record.sequence for record in queue.read(0, NO_LIMITS)] == [1, 2, 3]


def test_queue_reads_behind_a_position_and_again() -> None:
    """Reading takes nothing away."""
    queue = MemoryQueue(100, FakeClock())
    put(queue, piece(1), piece(2), piece(3))
    first = queue.read(1, NO_LIMITS)
    assert [record.sequence for record in first] == [2, 3]
    assert first == queue.read(1, NO_LIMITS)


def test_queue_reads_on_behind_what_was_released() -> None:
    """Positions stay what they are when records before them are gone."""
    queue = MemoryQueue(100, FakeClock())
    put(queue, piece(1), piece(1), piece(1))
    queue.release(1)
    assert [record.sequence for record in queue.read(2, NO_LIMITS)] == [3]


def test_queue_refuses_what_would_exceed_its_bytes() -> None:
    """A full queue asks for a retry, and keeps nothing of what it refused."""
    queue = MemoryQueue(10, FakeClock())
    put(queue, piece(8))
    with pytest.raises(RetryableError) as refusal:
        queue.reserve(3)
    assert refusal.value.reason == "queue_full"
    assert (queue.size, queue.items) == (8, 1)
    queue.reserve(2)


def test_queue_counts_what_is_reserved_as_taken() -> None:
    """Two requests cannot both be promised the last bytes; what is given back is to be had again."""
    queue = MemoryQueue(10, FakeClock())
    queue.reserve(8)
    with pytest.raises(RetryableError):
        queue.reserve(3)
    queue.cancel(8)
    queue.reserve(3)


def test_queue_has_room_again_after_release() -> None:
    """What is released makes room, and the counts say so."""
    queue = MemoryQueue(10, FakeClock())
    put(queue, piece(6, items=3), piece(4, items=1))
    queue.release(1)
    assert (queue.size, queue.items, queue.released, queue.last) == (4, 1, 1, 2)
    queue.reserve(6)


def test_queue_takes_a_request_larger_than_itself_when_it_is_empty() -> None:
    """Or such a request would be refused for ever."""
    queue = MemoryQueue(10, FakeClock())
    put(queue, piece(11))
    with pytest.raises(RetryableError):
        queue.reserve(1)


def test_queue_tells_how_long_the_oldest_has_waited() -> None:
    """The age is that of the first record not released."""
    clock = FakeClock()
    queue = MemoryQueue(10, clock)
    assert queue.oldest_age_s() == 0.0
    put(queue, piece(1))
    clock.advance(3.0)
    put(queue, piece(1))
    clock.advance(1.0)
    assert queue.oldest_age_s() == 4.0
    queue.release(1)
    assert queue.oldest_age_s() == 1.0


def test_queue_reads_until_a_batch_is_complete() -> None:
    """A long backlog leaves in batches of several times the usual size, not in one that fits no memory."""
    queue = MemoryQueue(1000, FakeClock())
    put(queue, *(piece(1, items=4) for _ in range(20)))
    assert [record.sequence for record in queue.read(0, BatchLimits(items_min=10))] == [*range(1, 14)]
    assert [record.sequence for record in queue.read(0, BatchLimits(items_min=10, items_max=10))] == [1, 2]


def test_queue_reads_no_more_than_the_maxima() -> None:
    """A record that would exceed `items_max` or `bytes_max` is left for the next batch."""
    queue = MemoryQueue(1000, FakeClock())
    put(queue, *(piece(10, items=4) for _ in range(10)))
    by_items = BatchLimits(items_min=11, items_max=11)
    by_bytes = BatchLimits(items_min=1000, bytes_max=35)
    assert [record.sequence for record in queue.read(0, by_items)] == [1, 2]
    assert [record.sequence for record in queue.read(0, by_bytes)] == [1, 2, 3]


def test_queue_reads_a_record_larger_than_the_maxima_alone() -> None:
    """It must leave, or nothing behind it ever would."""
    queue = MemoryQueue(1000, FakeClock())
    put(queue, piece(50, items=50), piece(1))
    limits = BatchLimits(items_min=5, items_max=5, bytes_max=10)
    assert [record.sequence for record in queue.read(0, limits)] == [1]


def test_queue_ids_differ_from_queue_to_queue() -> None:
    """A destination that remembers positions by id must never take one queue for another."""
    assert len({MemoryQueue(1, FakeClock()).id for _ in range(100)}) == 100
