"""Dead letters: what is kept, how it is found again, and what a sender does with them."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import Batch, State
from collector.pipeline.dead_letters import DeadLetters, Letter
from collector.pipeline.disk_queue import QueueStorage
from collector.pipeline.queue import Loss, MemoryQueue
from collector.pipeline.queue_segment import SEGMENT_HEADER_SIZE
from collector.pipeline.refusals import Overflow, Refusals
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import SenderConfig
from tests.support.components import RecordingExporter, bodies, logs, make_house
from tests.support.fake_clock import FakeClock

QUEUE = UUID(int=7)
LABELS = {"exporter": "test", "otel_signal": "logs"}


def letter(sequence: int, first: int = 0, *, text: str = "x", message: str = "no") -> Letter:
    data = Telemetry(Signal.LOGS, text.encode(), 1)
    return Letter(queue_id=QUEUE, sequence=sequence, first=first, reason="data", message=message, data=data)


def opened(directory: Path, capacity: int = 1 << 20) -> DeadLetters:
    letters = DeadLetters(QueueStorage(directory=directory), "q", capacity, FakeClock())
    letters.open(0)
    return letters


def test_a_letter_says_all_that_is_known_of_its_items() -> None:
    written = letter(2**40, 9999, message="pfüi\n")
    assert Letter.decode(written.encode()) == written
    assert written.name == f"{2**40}.9999"


def test_a_long_message_is_cut() -> None:
    read = Letter.decode(letter(1, message="ü" * 10_000).encode())
    assert read is not None
    assert 400 < len(read.message) <= 1000
    assert read.data.payload == b"x"


def test_a_letter_of_another_version_is_left_alone(tmp_path: Path) -> None:
    """It is neither shown nor removed: the version that wrote it can."""
    letters = opened(tmp_path)
    letters.add([letter(1)])
    strange = Telemetry(Signal.LOGS, b"\x63" + letter(2).encode().payload[1:], 1)
    letters._queue.reserve(strange.size)
    letters._queue.append_all([strange])
    assert [one.sequence for one in letters] == [1]
    assert letters.remove(lambda one: True) == 1
    assert letters.items == 1
    letters.close()


def test_nothing_is_on_the_disk_before_the_first_letter(tmp_path: Path) -> None:
    letters = opened(tmp_path)
    assert list(letters) == []
    assert not any(tmp_path.iterdir())
    letters.add([letter(1), letter(1, 3)])
    letters.close()
    again = opened(tmp_path)
    assert [one.name for one in again] == ["1.0", "1.3"]
    again.close()


def test_letters_are_removed_one_by_one(tmp_path: Path) -> None:
    letters = opened(tmp_path)
    letters.add([letter(number) for number in range(10)])
    assert letters.remove(lambda one: one.sequence % 3 == 0) == 4
    letters.add([letter(11)])
    letters.close()
    again = opened(tmp_path)
    assert [one.sequence for one in again] == [1, 2, 4, 5, 7, 8, 11]
    assert again.items == 7
    assert again.remove(lambda one: True) == 7
    assert (again.items, again.size, list(again)) == (0, 0, [])
    again.close()


def test_what_an_interrupted_removal_left_twice_is_there_once(tmp_path: Path) -> None:
    letters = opened(tmp_path)
    letters.add([letter(1), letter(2)])
    letters.add([letter(2)])
    letters.close()
    again = opened(tmp_path)
    assert [one.sequence for one in again] == [1, 2]
    assert again.remove(lambda one: one.sequence == 2) == 1
    assert [one.sequence for one in again] == [1]
    again.close()


def test_letters_that_are_missing_are_told_when_they_are_opened(tmp_path: Path) -> None:
    """Nobody reads them in a daemon, and no destination has a position in them to wait for."""
    letters = opened(tmp_path)
    for number in range(2):
        letters.add([letter(number)])
        active = letters._queue._log._active
        assert active is not None
        letters._queue._log.seal(active)
    letters.close()
    first = min(tmp_path.glob("q/dead-letters/*.seg"))
    first.write_bytes(first.read_bytes()[:SEGMENT_HEADER_SIZE])
    losses: list[Loss] = []
    again = DeadLetters(QueueStorage(directory=tmp_path), "q", 1 << 20, FakeClock())
    again.watch(losses.append)
    again.open(0)
    assert [(loss.cause, loss.records) for loss in losses] == [("damaged", 1)]
    assert [one.sequence for one in again] == [1]
    again.close()


def test_full_letters_take_no_more(tmp_path: Path) -> None:
    letters = opened(tmp_path, capacity=300)
    letters.add([letter(1, text="x" * 200)])
    with pytest.raises(RetryableError) as refusal:
        letters.add([letter(2, text="x" * 200)])
    assert refusal.value.reason == "dead_letters_full"
    letters.remove(lambda one: True)
    letters.add([letter(2, text="x" * 200)])
    letters.close()


class Selective(RecordingExporter):
    """Refuses for ever what has an "X" in it, and cannot say more."""

    def __init__(self) -> None:
        super().__init__(self.judge)

    def judge(self, batch: Batch) -> None:
        if any("X" in body for record in batch.records for body in bodies(record)):
            raise PermanentError("no X", reason="data")


class Bench:
    def __init__(self, letters: DeadLetters | None, overflow: Overflow = "refuse") -> None:
        self.clock = FakeClock()
        self.house = make_house("test", "exporter", clock=self.clock)
        self.queue = MemoryQueue(1 << 20, self.clock, queue_id=QUEUE)
        self.exporter = Selective()
        self.sender = Sender(
            self.house.settings,
            self.exporter,
            Signal.LOGS,
            self.queue,
            SenderConfig(),
            BatchLimits(items_min=1, interval_s=0.0),
            Refusals(letters, overflow),
        )

    def send(self, *requests: str) -> None:
        for request in requests:
            self.sender.consume(logs(*request))
        while self.sender.turn() == 0.0:
            pass

    def count(self, name: str, **labels: str) -> float:
        return self.house.sample(name, **(labels or {"exporter": "test"}))


def test_a_destination_that_cannot_say_more_makes_a_letter_of_the_record(tmp_path: Path) -> None:
    """The record alone: those before and behind it in the batch are delivered."""
    letters = opened(tmp_path)
    test = Bench(letters)
    test.send("ab", "cX", "de")
    assert test.exporter.delivered() == [*"abde"]
    [kept] = letters
    assert (kept.sequence, kept.first, kept.reason, kept.message) == (2, 0, "data", "no X")
    assert bodies(kept.data) == ["c", "X"]
    assert test.count("collector_exporter_dead_lettered_items_total", **LABELS, reason="data") == 2
    assert test.count("otelcol_exporter_sent_log_records_total") == 4
    assert test.count("collector_exporter_dead_letter_items", **LABELS) == 2
    assert test.queue.items == 0
    letters.close()


def test_without_a_disk_what_is_refused_is_dropped() -> None:
    test = Bench(None)
    test.send("ab", "cX")
    assert test.count("collector_exporter_dropped_items_total", **LABELS, reason="data") == 2


@pytest.mark.parametrize("overflow", ["refuse", "drop"])
def test_full_letters_hold_the_queue_up_or_are_passed_by(tmp_path: Path, overflow: Overflow) -> None:
    """`refuse` keeps the batch in the queue until there is room, and says so; `drop` counts and goes on."""
    letters = opened(tmp_path, capacity=100)
    test = Bench(letters, overflow)
    test.send("aX", "bX", "c")
    assert len(list(letters)) == 1
    if overflow == "drop":
        dropped = "collector_exporter_dropped_items_total"
        assert test.count(dropped, **LABELS, reason="dead_letters_full") == 2
        assert test.exporter.delivered() == ["c"]
        letters.close()
        return
    assert test.exporter.delivered() == []
    assert test.queue.items == 3
    state, message = test.house.reports[-1]
    assert state is State.DEGRADED
    assert "dead letters are full" in message
    letters.remove(lambda one: True)
    test.clock.advance(60)
    test.send()
    assert test.exporter.delivered() == ["c"]
    assert [one.sequence for one in letters] == [2]
    letters.close()
