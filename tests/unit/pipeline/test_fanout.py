"""One request into several queues: all or none."""

from __future__ import annotations

import pytest

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import Consumer
from collector.pipeline.fanout import Fanout, Handover, fan_out
from collector.pipeline.queue import MemoryQueue
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import SenderConfig
from tests.support.components import RecordingConsumer, RecordingExporter, logs, make_house


def make_sender(name: str, capacity: int) -> tuple[Sender, MemoryQueue]:
    house = make_house(name, "exporter")
    queue = MemoryQueue(capacity, house.settings.clock)
    sender = Sender(
        house.settings, RecordingExporter(), Signal.LOGS, queue, SenderConfig(), BatchLimits(items_min=10**9)
    )
    return sender, queue


class Doubling:
    """A processor that passes two copies on."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def consume(self, data: Telemetry, /) -> None:
        self._consumer.consume(data)
        self._consumer.consume(data)


DATA = logs("a", "b")


def test_fanout_appends_to_every_queue() -> None:
    """Each exporter gets everything."""
    (first, first_queue), (second, second_queue) = make_sender("a", 1000), make_sender("b", 1000)
    Fanout([first, second]).consume(DATA)
    assert (first_queue.items, second_queue.items) == (2, 2)


@pytest.mark.parametrize("full_one", [0, 1, 2])
def test_fanout_appends_to_no_queue_when_one_is_full(full_one: int) -> None:
    """Wherever the full queue stands: the client retries, so nothing may have been taken. No room is kept."""
    made = [make_sender(name, DATA.size) for name in ("a", "b", "c")]
    blocker = made[full_one][1]
    blocker.reserve(1)
    fanout = Fanout([sender for sender, _ in made])
    with pytest.raises(RetryableError, match="full"):
        fanout.consume(DATA)
    assert [queue.items for _, queue in made] == [0, 0, 0]
    blocker.cancel(1)
    fanout.consume(DATA)
    assert [queue.items for _, queue in made] == [2, 2, 2]


def test_fanout_of_pipelines_holds_through_their_processors() -> None:
    """A receiver in two pipelines: what the first pipeline's processors passed on is taken back, too."""
    (first, first_queue), (second, second_queue) = make_sender("a", 1000), make_sender("b", 1000)
    fanout = Fanout([Doubling(Fanout([first, second])), Doubling(second)])
    second_queue.reserve(1000 - 3 * DATA.size)
    with pytest.raises(RetryableError):
        fanout.consume(DATA)
    assert (first_queue.items, second_queue.items) == (0, 0)
    second_queue.cancel(1000 - 3 * DATA.size)
    fanout.consume(DATA)
    assert (first_queue.items, second_queue.items) == (4, 8)


def test_fanout_takes_everything_back_when_a_pipeline_refuses_for_ever() -> None:
    """An error of any kind and in any branch leaves no queue changed, and reaches the caller as it is."""
    sender, queue = make_sender("a", 1000)
    refusing = RecordingConsumer(error=PermanentError("no", reason="not_wanted"))
    with pytest.raises(PermanentError, match="no"):
        Fanout([sender, refusing]).consume(DATA)
    assert queue.items == 0
    queue.reserve(1000)


def test_fanout_leaves_nothing_behind_after_an_error() -> None:
    """The next request of the same thread is a new one."""
    sender, queue = make_sender("a", 1000)
    refusing = RecordingConsumer(error=RetryableError("not now", reason="busy"))
    with pytest.raises(RetryableError):
        Fanout([sender, refusing]).consume(DATA)
    sender.consume(DATA)
    assert queue.items == 2


def test_fan_out_to_one_is_that_one() -> None:
    """No fan-out where there is nothing to fan."""
    consumer = RecordingConsumer()
    assert fan_out([consumer]) is consumer


class Step:
    """A reservation that writes down what becomes of it."""

    waits = True
    repeated = False
    waits_long = False

    def __init__(self, name: str, done: list[str], *, fails: bool = False) -> None:
        self.name, self.done, self.fails = name, done, fails

    def append(self, origin: bytes) -> None:
        self.done.append(f"append {self.name}")
        if self.fails:
            raise RetryableError("disk", reason="disk")

    def wait(self) -> None:
        self.done.append(f"wait {self.name}")

    def cancel(self) -> None:
        self.done.append(f"cancel {self.name}")


def test_handover_appends_everywhere_before_it_waits_anywhere() -> None:
    """Several disks sync at the same time."""
    done: list[str] = []
    handover = Handover()
    handover.add(Step("a", done))
    handover.add(Step("b", done))
    handover.append()
    handover.wait()
    assert done == ["append a", "append b", "wait a", "wait b"]


def test_handover_gives_back_what_it_did_not_come_to() -> None:
    """When a medium fails half way, the reservations behind it are not lost."""
    done: list[str] = []
    handover = Handover()
    handover.add(Step("a", done))
    handover.add(Step("b", done, fails=True))
    handover.add(Step("c", done))
    with pytest.raises(RetryableError):
        handover.append()
    assert done == ["append a", "append b", "cancel c"]
