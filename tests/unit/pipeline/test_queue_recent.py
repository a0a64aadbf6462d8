"""What a queue on disk remembers of requests that an earlier process took."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import Consumer
from collector.pipeline.disk_queue import DiskQueue, QueueStorage
from collector.pipeline.fanout import Fanout, handing_over
from collector.pipeline.queue import SendingQueue
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import SenderConfig
from tests.support.components import RecordingExporter, logs, make_house
from tests.support.fake_clock import FakeClock


def origin(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Lives:
    """One process after the other on the same queue; what each left behind is closed as by the kernel."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.storage = QueueStorage(directory=directory, segment_size=256 * 1024)
        self.queue = self.open()

    def open(self) -> DiskQueue:
        self.queue = DiskQueue(self.storage, "q", 1 << 22, self.clock, tail_size=1 << 20)
        self.queue.open()
        for path in self.storage.directory.rglob(
            "*.seg"
        ):  # files have the system's time, records this clock's
            os.utime(path, ns=(self.clock.unix_nano(), self.clock.unix_nano()))
        return self.queue

    def restart(self, after_s: float = 1.0) -> DiskQueue:
        self.queue.close()
        self.clock.advance(after_s)
        return self.open()

    def put(self, *numbers: int, size: int = 10) -> int:
        pieces = [Telemetry(Signal.LOGS, bytes([number % 250]) * size, 1) for number in numbers]
        self.queue.reserve(sum(piece.size for piece in pieces))
        last = self.queue.append_all(pieces, [origin(number) for number in numbers])
        self.queue.wait_durable(last)
        return last


def test_a_queue_knows_what_an_earlier_process_took(tmp_path: Path) -> None:
    """And not what this one did: its receivers do."""
    lives = Lives(tmp_path)
    lives.put(1, 2)
    assert lives.queue.find(origin(1)) is None
    queue = lives.restart()
    assert [queue.find(origin(number)) for number in (1, 2, 3)] == [1, 2, None]
    lives.put(3)
    assert lives.restart().find(origin(3)) == 3
    lives.queue.close()


def test_it_forgets_after_a_minute(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    lives.put(1)
    queue = lives.restart(59.0)
    assert queue.find(origin(1)) == 1
    lives.clock.advance(2.0)
    assert queue.find(origin(1)) is None
    queue.close()


def test_it_knows_what_was_delivered_and_deleted(tmp_path: Path) -> None:
    """Segments go when they are released; which requests they held is kept."""
    lives = Lives(tmp_path)
    for number in range(40):
        lives.put(number, size=30_000)
    lives.queue.release(40)
    lives.queue.tidy()
    assert len(list(tmp_path.glob("q/*.seg"))) == 3  # the newest, and two that wait to be used again
    queue = lives.restart()
    assert [queue.find(origin(number)) for number in range(40)] == [*range(1, 41)]
    queue.close()


@pytest.mark.parametrize("damage", [b"", b"OTLPREC\n", b"OTLPREC\nnonsense", b"x" * 5000])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, damage: bytes) -> None:
    lives = Lives(tmp_path)
    for number in range(40):
        lives.put(number, size=30_000)
    lives.queue.release(40)
    lives.queue.tidy()
    lives.queue.close()
    (tmp_path / "q" / "recent").write_bytes(damage)
    queue = lives.open()
    assert queue.find(origin(1)) is None
    assert queue.find(origin(39)) == 40
    queue.close()


def test_what_the_disk_failed_to_keep_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client was refused: it must be taken when it comes again."""
    lives = Lives(tmp_path)
    lives.put(1)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("os.fdatasync", fail)
        with pytest.raises(RetryableError):
            lives.put(2)
    for number in range(3, 40):
        lives.put(number, size=30_000)
    lives.queue.release(lives.queue.last)
    lives.queue.tidy()
    queue = lives.restart()
    assert queue.find(origin(2)) is None
    assert queue.find(origin(1)) == 1
    queue.close()


def test_a_record_with_an_origin_is_as_whole_as_any(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    lives.put(1, 2)
    queue = lives.restart()
    records = queue.read(0, BatchLimits(items_min=0))
    assert [record.data.payload for record in records] == [b"\x01" * 10, b"\x02" * 10]
    assert (queue.size, queue.items, queue.release(2), queue.size) == (20, 2, 2, 0)
    queue.close()


def make_sender(queue: SendingQueue, name: str = "a") -> Sender:
    house = make_house(name, "exporter")
    limits = BatchLimits(items_max=2, items_min=2)
    return Sender(house.settings, RecordingExporter(), Signal.LOGS, queue, SenderConfig(), limits)


def send(consumer: Consumer, *bodies: str) -> bool:
    """Offer a request as a receiver does; return whether it was there already."""
    data = logs(*bodies)
    with handing_over(b"".join(body.encode() for body in bodies).ljust(12)[:12]) as handover:
        consumer.consume(data)
    handover.wait()
    return handover.repeated


def test_what_comes_again_after_a_crash_is_taken_once(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    assert not send(make_sender(lives.queue), "a", "b", "c")
    sender = make_sender(lives.restart())
    assert send(sender, "a", "b", "c")
    assert not send(sender, "d")
    assert (lives.queue.last, lives.queue.items) == (3, 4)
    lives.queue.reserve(1 << 21)  # what was not needed has been given back
    lives.queue.close()


def test_of_a_request_that_a_crash_tore_the_rest_is_taken(tmp_path: Path) -> None:
    """A large one is split into records; the first of them was on the disk."""
    lives = Lives(tmp_path)
    send(make_sender(lives.queue), "a", "b", "c", "d", "e")
    lives.queue.close()
    [segment] = tmp_path.glob("q/*.seg")
    content = segment.read_bytes()
    segment.write_bytes(content[: content.rindex(b"e") - 20])
    queue = lives.open()
    assert queue.items == 4
    assert not send(make_sender(queue), "a", "b", "c", "d", "e")
    assert (queue.items, queue.last) == (5, 3)
    queue.close()


def test_of_two_queues_only_the_one_that_lacks_it_takes_it(tmp_path: Path) -> None:
    """The process ended between the two."""
    first, second = Lives(tmp_path / "1"), Lives(tmp_path / "2")
    send(make_sender(first.queue), "a")
    both = Fanout([make_sender(first.restart()), make_sender(second.queue, "b")])
    assert not send(both, "a")
    assert (first.queue.items, second.queue.items) == (1, 1)
    both = Fanout([make_sender(first.restart()), make_sender(second.restart(), "b")])
    assert send(both, "a")
    assert (first.queue.items, second.queue.items) == (1, 1)
    first.queue.close()
    second.queue.close()
