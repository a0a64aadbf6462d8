"""Any sending queue against the simplest model of one: a list, and a number that says how much of it is done."""

from __future__ import annotations

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import Consumer
from collector.pipeline.fanout import Fanout
from collector.pipeline.queue import MemoryQueue, SendingQueue
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import SenderConfig
from tests.support.components import RecordingExporter, make_house
from tests.support.fake_clock import FakeClock

PIECES: Final = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), min_size=1, max_size=4)


class Queue(RuleBasedStateMachine):
    """Appending, reading and releasing in any order gives what the list gives."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.arrived: list[tuple[Telemetry, float]] = []  # record n is at n - 1
        self.done = 0
        self.reserved = 0

    @initialize(capacity=st.integers(1, 200))
    def make(self, capacity: int) -> None:
        """A new queue."""
        self.queue: SendingQueue = MemoryQueue(capacity, self.clock)

    def size(self) -> int:
        return sum(data.size for data, _ in self.arrived[self.done :])

    def reserve(self, size: int) -> bool:
        taken = self.size() + self.reserved
        try:
            self.queue.reserve(size)
        except RetryableError as error:
            assert taken
            assert taken + size > self.queue.capacity
            assert error.reason == "queue_full"  # noqa: PT017  which of two outcomes it is depends on the model
            return False
        assert not taken or taken + size <= self.queue.capacity
        return True

    @rule(pieces=PIECES, seconds=st.floats(0, 10))
    def append(self, pieces: list[tuple[int, int]], seconds: float) -> None:
        """All pieces or none, behind what is there."""
        self.clock.advance(seconds)
        new = [Telemetry(Signal.LOGS, bytes(size), items) for size, items in pieces]
        if self.reserve(sum(data.size for data in new)):
            self.arrived += [(data, self.clock.monotonic()) for data in new]
            assert self.queue.append_all(new) == len(self.arrived)
            self.queue.wait_durable(len(self.arrived))

    @rule(size=st.integers(0, 100))
    def set_room_aside(self, size: int) -> None:
        """A reservation that waits for other queues."""
        if self.reserve(size):
            self.reserved += size

    @rule()
    def give_room_back(self) -> None:
        """Another queue was full."""
        self.queue.cancel(self.reserved)
        self.reserved = 0

    @rule(
        ahead=st.integers(0, 6),
        items_min=st.integers(0, 12),
        items_max=st.integers(0, 12),
        size=st.integers(1, 90),
        memory=st.sampled_from([0, 1100, 3000, 9000]),
    )
    def read(self, ahead: int, items_min: int, items_max: int, size: int, memory: int) -> None:
        """From any position: a batch that could not have been one record longer, and not one shorter."""
        limits = BatchLimits(items_min=items_min, items_max=items_max, bytes_max=size, memory_max=memory)
        after = min(self.done + ahead, len(self.arrived))
        waiting = [data for data, _ in self.arrived[after:]]
        assert self.queue.next_size(after) == ((waiting[0].items, waiting[0].size) if waiting else (0, 0))
        records = self.queue.read(after, limits)
        assert [record.sequence for record in records] == [*range(after + 1, after + 1 + len(records))]
        assert [record.data for record in records] == waiting[: len(records)]
        assert bool(records) == bool(waiting)

        def totals(count: int) -> tuple[int, int]:
            return sum(data.items for data in waiting[:count]), sum(data.size for data in waiting[:count])

        taken = len(records)
        assert taken <= 1 or (limits.fits(*totals(taken)) and not limits.complete(*totals(taken - 1)))
        more = taken < len(waiting)
        assert not more or limits.complete(*totals(taken)) or not limits.fits(*totals(taken + 1))

    @rule(ahead=st.integers(-2, 6))
    def release(self, ahead: int) -> None:
        """Up to any position, one that is released already or not there yet included."""
        self.queue.release(max(0, self.done + ahead))
        self.done = max(self.done, min(self.done + ahead, len(self.arrived)))

    @invariant()
    def agrees(self) -> None:
        """What the queue says of itself is true."""
        if not hasattr(self, "queue"):
            return
        waiting = self.arrived[self.done :]
        assert self.queue.size == self.size()
        assert self.queue.items == sum(data.items for data, _ in waiting)
        assert (self.queue.released, self.queue.last) == (self.done, len(self.arrived))
        assert self.queue.oldest_age_s() == (self.clock.monotonic() - waiting[0][1] if waiting else 0.0)


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


class Passing:
    """A processor that changes nothing."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def consume(self, data: Telemetry, /) -> None:
        self._consumer.consume(data)


@given(
    capacities=st.lists(st.integers(1, 60), min_size=3, max_size=3),
    requests=st.lists(st.integers(1, 30), min_size=1, max_size=15),
    released=st.lists(st.integers(0, 2), max_size=15),
)
def test_fanout_keeps_all_queues_equal(
    capacities: list[int], requests: list[int], released: list[int]
) -> None:
    """Queues of different sizes, emptied at different times: each takes the same requests as the others."""
    house = make_house("test", "exporter")
    queues = [MemoryQueue(capacity, house.settings.clock) for capacity in capacities]
    senders = [
        Sender(house.settings, RecordingExporter(), Signal.LOGS, queue, SenderConfig(), BatchLimits())
        for queue in queues
    ]
    # One receiver, two pipelines, one of them with two exporters.
    fanout = Fanout([Passing(Fanout(senders[:2])), Passing(senders[2])])
    accepted = 0
    for size, which in zip(requests, [*released, *[0] * len(requests)], strict=False):
        try:
            fanout.consume(Telemetry(Signal.LOGS, bytes(size), 1))
        except RetryableError:
            assert any(queue.size + size > queue.capacity for queue in queues)
        else:
            accepted += 1
        assert [accepted] * 3 == [queue.last for queue in queues]
        queues[which].release(accepted)
