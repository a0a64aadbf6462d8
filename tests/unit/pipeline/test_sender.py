"""The sender, turn by turn, with a clock that tests move: batches, retries, positions, counts, the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from collector.config.types import ByteSize, Duration
from collector.model.clock import SystemClock
from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import Batch, State
from collector.pipeline.disk_queue import DiskQueue, QueueStorage
from collector.pipeline.memory_plan import LargeRecords, delivery_bytes, memory_plan
from collector.pipeline.queue import MemoryQueue, Record
from collector.pipeline.queue_segment import FOOTER_SIZE
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import RetryConfig, SenderConfig, SendingQueueConfig
from collector.wire.errors import TooMuchMemoryError
from tests.support.components import (
    House,
    PositionedExporter,
    PreparingExporter,
    RecordingExporter,
    bodies,
    logs,
    make_house,
)
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock

STEADY = RetryConfig(randomization_factor=0.0)
NOW = BatchLimits(items_min=1, interval_s=0.0)


class DurableQueue(MemoryQueue):
    """A memory queue that says of itself what a disk queue does."""

    durable = True


@dataclass
class Bench:
    """A sender with everything around it, driven by hand."""

    clock: FakeClock
    house: House
    queue: MemoryQueue | DiskQueue
    sender: Sender

    def counts(self) -> dict[str, float]:
        labels = {"exporter": "test", "otel_signal": "logs"}
        dropped = {
            f"dropped {sample.labels['reason']}": sample.value
            for metric in self.house.meters.registry.collect()
            for sample in metric.samples
            if sample.name == "collector_exporter_dropped_items_total"
            and sample.labels.items() >= labels.items()
        }
        counted = {
            "enqueued": self.house.sample("collector_exporter_enqueued_log_records_total", exporter="test"),
            "sent": self.house.sample("otelcol_exporter_sent_log_records_total", exporter="test"),
            "queued": self.house.sample("collector_exporter_queue_items", exporter="test", data_type="logs"),
            **dropped,
        }
        return {name: value for name, value in counted.items() if value}

    def turn_until_quiet(self) -> float | None:
        """Take turns while something is due; return the wait after it."""
        for _ in range(1000):
            wait_s = self.sender.turn()
            if wait_s != 0.0:
                return wait_s
        raise AssertionError("the sender never rests")


def bench(
    exporter: RecordingExporter,
    *,
    limits: BatchLimits = NOW,
    retry: RetryConfig = STEADY,
    queue_type: Callable[[int, FakeClock], MemoryQueue | DiskQueue] = MemoryQueue,
    large: LargeRecords | None = None,
) -> Bench:
    clock = FakeClock()
    house = make_house("test", "exporter", clock=clock)
    queue = queue_type(1_000_000, clock)
    config = SenderConfig(retry_on_failure=retry)
    sender = Sender(house.settings, exporter, Signal.LOGS, queue, config, limits, large=large)
    return Bench(clock, house, queue, sender)


def away(_batch: Batch) -> None:
    raise RetryableError("the database is away", reason="unreachable")


def refusing(*poison: str) -> Callable[[Batch], None]:
    """Refuse for ever any batch that has one of these bodies in it."""

    def behaviour(batch: Batch) -> None:
        found = {body for record in batch.records for body in bodies(record)} & set(poison)
        if found:
            raise PermanentError(f"cannot store {sorted(found)}", reason="data")

    return behaviour


# --- batches


def test_sender_waits_for_the_interval() -> None:
    """Few items leave together when the oldest has waited long enough, and not before."""
    exporter = RecordingExporter()
    test = bench(exporter, limits=BatchLimits(items_min=10, interval_s=1.0))
    test.sender.consume(logs("a"))
    test.clock.advance(0.75)
    test.sender.consume(logs("b"))
    assert test.turn_until_quiet() == 0.25
    assert exporter.attempts == []
    test.clock.advance(0.25)
    test.turn_until_quiet()
    assert exporter.delivered() == ["a", "b"]
    assert len(exporter.batches) == 1


def test_sender_sends_a_full_batch_at_once() -> None:
    """`items_min` items do not wait; what no more fits does."""
    exporter = RecordingExporter()
    test = bench(exporter, limits=BatchLimits(items_min=4, items_max=4, interval_s=1.0))
    for pair in ("ab", "cd", "ef"):
        test.sender.consume(logs(*pair))
    test.turn_until_quiet()
    assert [*"abcd"] == exporter.delivered()
    assert test.queue.items == 2


def test_the_next_batch_is_prepared_if_it_is_full() -> None:
    """While one is exported. One ahead and no more, and nothing that may still grow."""
    exporter = PreparingExporter()
    test = bench(exporter, limits=BatchLimits(items_min=2, items_max=2, interval_s=9.0))
    for body in "abcde":
        test.sender.consume(logs(body))
    assert test.turn_until_quiet() == 9.0
    assert exporter.calls == [("prepare", 2, 4), ("export", 0, 2), ("export", 2, 4)]
    assert exporter.delivered() == [*"abcd"]


def test_what_was_prepared_is_exported_as_it_was() -> None:
    """Also when the batch before it fails, is tried again, and more arrives meanwhile."""
    exporter = PreparingExporter(away)
    test = bench(exporter, limits=BatchLimits(items_min=2, items_max=2, interval_s=0.0))
    for body in "abcd":
        test.sender.consume(logs(body))
    test.turn_until_quiet()
    exporter.behaviour = lambda batch: None
    test.sender.consume(logs("e"))
    test.clock.advance(60.0)
    test.turn_until_quiet()
    assert exporter.delivered() == [*"abcde"]
    assert [(batch.start, batch.end) for batch in exporter.batches] == [(0, 2), (2, 4), (4, 5)]
    assert test.counts() == {"enqueued": 5, "sent": 5}


def test_nothing_is_prepared_while_a_batch_is_in_parts() -> None:
    """The next batch is not what comes next then. It comes later, whole."""
    exporter = PreparingExporter(refusing("b"))
    test = bench(exporter, limits=BatchLimits(items_min=2, items_max=2, interval_s=0.0))
    for body in "abcd":
        test.sender.consume(logs(body))
    test.turn_until_quiet()
    assert exporter.delivered() == [*"acd"]
    assert exporter.calls[:3] == [("prepare", 2, 4), ("export", 0, 2), ("export", 0, 1)]
    assert exporter.calls[-1] == ("export", 2, 4)


def test_an_exporter_that_takes_over_prepares_for_itself() -> None:
    """The one before it is asked for nothing more."""
    first, second = PreparingExporter(away), PreparingExporter()
    test = bench(first, limits=BatchLimits(items_min=2, items_max=2, interval_s=0.0))
    for body in "abcd":
        test.sender.consume(logs(body))
    test.turn_until_quiet()
    calls = list(first.calls)
    test.sender.adjust(
        second, SenderConfig(retry_on_failure=STEADY), BatchLimits(items_min=2, items_max=2, interval_s=0.0)
    )
    test.turn_until_quiet()
    assert second.calls == [("prepare", 2, 4), ("export", 0, 2), ("export", 2, 4)]
    assert first.calls == calls


def test_what_was_prepared_and_is_stored_already_is_left_out() -> None:
    """The destination turns out to hold more than was thought: the sender goes on from there."""
    exporter = PositionedExporter(away)
    exporter.prepare = lambda batch: None  # type: ignore[attr-defined]
    test = bench(exporter, limits=BatchLimits(items_min=2, items_max=2, interval_s=0.0))
    for body in "abcdef":
        test.sender.consume(logs(body))
    test.sender.turn()
    exporter.behaviour = lambda batch: None
    exporter.positions[test.queue.id] = 2
    test.clock.advance(60.0)
    test.turn_until_quiet()
    assert exporter.delivered() == [*"cdef"]


def test_sender_numbers_batches_by_positions() -> None:
    """A batch covers (start, end] of its queue, and the next begins where it ends."""
    exporter = RecordingExporter()
    test = bench(exporter, limits=BatchLimits(items_min=2, items_max=2, interval_s=0.0))
    for body in "abc":
        test.sender.consume(logs(body))
    test.turn_until_quiet()
    assert [(batch.start, batch.end) for batch in exporter.batches] == [(0, 2), (2, 3)]
    assert {batch.queue_id for batch in exporter.batches} == {test.queue.id}


def test_sender_splits_what_is_larger_than_a_batch_may_be() -> None:
    """One large request becomes several records, none above `items_max`; nothing is lost between them."""
    exporter = RecordingExporter()
    test = bench(exporter, limits=BatchLimits(items_min=2, items_max=3, interval_s=0.0))
    test.sender.consume(logs(*"abcdefg"))
    test.turn_until_quiet()
    assert all(batch.items <= 3 for batch in exporter.batches)
    assert [*"abcdefg"] == exporter.delivered()
    assert test.counts() == {"enqueued": 7, "sent": 7}


def test_sender_takes_no_place_for_nothing() -> None:
    """An empty request is answered and forgotten."""
    test = bench(RecordingExporter())
    test.sender.consume(Telemetry(Signal.LOGS, b"", 0))
    assert test.queue.last == 0


# --- retries


def test_sender_retries_until_the_destination_is_back() -> None:
    """An outage of any length delays, counts and says so; then the same batch is delivered once."""
    exporter = RecordingExporter(away)
    test = bench(exporter)
    test.sender.consume(logs("a"))
    assert [_wait_and_advance(test) for _ in range(3)] == [1.0, 1.5, 2.25]
    assert test.house.state() is State.DEGRADED
    assert "1 items are waiting" in test.house.reports[-1][1]
    exporter.behaviour = lambda batch: None
    test.turn_until_quiet()
    assert exporter.delivered() == ["a"]
    assert test.house.state() is State.OK
    assert test.counts() == {"enqueued": 1, "sent": 1}
    retries = test.house.sample(
        "collector_exporter_retries_total", exporter="test", otel_signal="logs", reason="unreachable"
    )
    assert retries == 3


def _wait_and_advance(test: Bench) -> float:
    wait_s = test.turn_until_quiet()
    assert wait_s is not None
    test.clock.advance(wait_s)
    return wait_s


def test_sender_makes_no_attempt_before_its_time() -> None:
    """A wake-up by new data does not shorten the pause of an overloaded destination."""
    exporter = RecordingExporter(away)
    test = bench(exporter)
    test.sender.consume(logs("a"))
    test.turn_until_quiet()
    test.sender.consume(logs("b"))
    assert test.turn_until_quiet() == 1.0
    assert len(exporter.attempts) == 1


def test_sender_drops_after_max_elapsed_time_if_told_to() -> None:
    """Each batch has its own time; what is dropped is counted with its reason."""
    exporter = RecordingExporter(away)
    test = bench(exporter, retry=RetryConfig(randomization_factor=0.0, max_elapsed_time=Duration(1.2)))
    test.sender.consume(logs("a", "b"))
    _wait_and_advance(test)
    test.turn_until_quiet()
    assert test.counts() == {"enqueued": 2, "dropped retry_expired": 2}
    assert test.house.sample("otelcol_exporter_send_failed_log_records_total", exporter="test") == 2
    test.sender.consume(logs("c"))
    assert test.turn_until_quiet() == 1.0


def test_sender_drops_at_once_with_retries_disabled() -> None:
    """One attempt, then counted as dropped."""
    test = bench(RecordingExporter(away), retry=RetryConfig(enabled=False))
    test.sender.consume(logs("a"))
    test.turn_until_quiet()
    assert test.counts() == {"enqueued": 1, "dropped retry_disabled": 1}


# --- refused for ever


def test_sender_drops_the_bad_record_alone() -> None:
    """A batch that is refused is halved until the bad record stands alone; all others are delivered once."""
    exporter = RecordingExporter(refusing("5"))
    test = bench(exporter, limits=BatchLimits(items_min=64, interval_s=1.0))
    for number in range(64):
        test.sender.consume(logs(str(number)))
    test.turn_until_quiet()
    assert [str(number) for number in range(64) if number != 5] == exporter.delivered()
    assert test.counts() == {"enqueued": 64, "sent": 63, "dropped data": 1}
    assert len(exporter.attempts) == 13  # the whole; then per halving the bad half and the good one
    assert exporter.batches[-1].end == 64


def test_sender_halves_in_the_order_of_positions() -> None:
    """Each part begins where the one before ended, past what was dropped: a store can check it."""
    exporter = PositionedExporter(refusing("b", "g"))
    test = bench(exporter, limits=BatchLimits(items_min=8, interval_s=1.0))
    for body in "abcdefgh":
        test.sender.consume(logs(body))
    test.turn_until_quiet()
    assert [*"acdefh"] == exporter.delivered()
    assert exporter.positions == {test.queue.id: 8}


def test_sender_retries_inside_a_halved_batch() -> None:
    """An outage between two halves loses and doubles nothing."""
    exporter = RecordingExporter(refusing("c"))
    test = bench(exporter, limits=BatchLimits(items_min=4, interval_s=1.0))
    for body in "abcd":
        test.sender.consume(logs(body))
    assert test.sender.turn() == 0.0  # refused as a whole
    assert test.sender.turn() == 0.0  # a, b
    exporter.behaviour = away
    assert test.turn_until_quiet() == 1.0
    test.clock.advance(1.0)
    exporter.behaviour = refusing("c")
    test.turn_until_quiet()
    assert [*"abd"] == exporter.delivered()


# --- our bugs


def test_sender_survives_an_exporter_that_fails_unexpectedly() -> None:
    """A bug is retried twice, then its records are set apart like refused ones; the rest goes on."""

    def buggy(batch: Batch) -> None:
        if any("b" in bodies(record) for record in batch.records):
            raise KeyError("b")

    exporter = RecordingExporter(buggy)
    test = bench(exporter, limits=BatchLimits(items_min=3, interval_s=1.0))
    for body in "abc":
        test.sender.consume(logs(body))
    _wait_and_advance(test)
    _wait_and_advance(test)
    test.turn_until_quiet()
    assert [*"ac"] == exporter.delivered()
    assert test.counts() == {"enqueued": 3, "sent": 2, "dropped internal_error": 1}
    assert "The exporter failed unexpectedly: this is a bug." in test.house.log.messages("error")


def test_sender_gives_every_batch_its_own_attempts() -> None:
    """A bug that one batch has used up its attempts on does not shorten the next one's."""

    def buggy(_batch: Batch) -> None:
        raise ZeroDivisionError

    exporter = RecordingExporter(buggy)
    test = bench(exporter)
    for body in "ab":
        test.sender.consume(logs(body))
        _wait_and_advance(test)
        _wait_and_advance(test)
        test.turn_until_quiet()
    assert [(batch.start, batch.end) for batch in exporter.attempts] == [(0, 1)] * 3 + [(1, 2)] * 3


# --- positions


def test_sender_asks_the_destination_after_a_doubtful_failure() -> None:
    """The commit went through and its answer did not: the batch counts as sent and is not sent again."""

    def lose_the_answer(_batch: Batch) -> None:
        raise RetryableError("connection lost during commit", reason="connection_lost")

    exporter = PositionedExporter(after_commit=lose_the_answer)
    test = bench(exporter)
    test.sender.consume(logs("a", "b"))
    _wait_and_advance(test)
    test.turn_until_quiet()
    assert (len(exporter.attempts), exporter.delivered()) == (1, ["a", "b"])
    assert test.counts() == {"enqueued": 2, "sent": 2}
    assert test.house.state() is State.OK


def test_sender_waits_when_the_position_cannot_be_asked() -> None:
    """As long as nobody knows whether the batch is stored, it is neither sent nor dropped."""
    exporter = PositionedExporter(away)
    test = bench(exporter)
    exporter.position_error = RetryableError("still away", reason="unreachable")
    test.sender.consume(logs("a"))
    for _ in range(3):
        _wait_and_advance(test)
    assert len(exporter.attempts) == 1
    assert test.counts() == {"enqueued": 1, "queued": 1}
    exporter.position_error = None
    exporter.behaviour = lambda batch: None
    test.turn_until_quiet()
    assert exporter.delivered() == ["a"]


def left_behind(capacity: int, clock: FakeClock) -> MemoryQueue:
    """A queue in which an earlier process left four records."""
    queue = DurableQueue(capacity, clock)
    for body in "abcd":
        queue.reserve(logs(body).size)
        queue.append_all([logs(body)])
    return queue


def test_sender_begins_where_the_destination_says() -> None:
    """After a restart, the destination's position counts and not the queue's, which is a hint."""
    exporter = PositionedExporter()
    test = bench(exporter, queue_type=left_behind)
    exporter.positions[test.queue.id] = 3
    test.house.settings.meters.exporter_enqueued[Signal.LOGS].labels("test").inc(4)
    test.turn_until_quiet()
    assert exporter.delivered() == ["d"]
    assert (exporter.batches[0].start, exporter.batches[0].end) == (3, 4)
    assert test.counts() == {"enqueued": 4, "sent": 4}


def test_sender_asks_the_destination_before_it_reads() -> None:
    """What a reader finds damaged counts as lost: first it has to be known what was delivered."""
    exporter = PositionedExporter()
    test = bench(exporter, queue_type=left_behind)
    reads: list[int] = []
    read = test.queue.read

    def watched(after: int, limits: BatchLimits) -> list[Record]:
        reads.append(after)
        return read(after, limits)

    test.queue.read = watched  # type: ignore[method-assign]
    exporter.positions[test.queue.id] = 3
    exporter.position_error = RetryableError("away", reason="unreachable")
    for _ in range(3):
        _wait_and_advance(test)
    assert reads == []
    exporter.position_error = None
    test.turn_until_quiet()
    assert set(reads) == {3}
    assert exporter.delivered() == ["d"]


def test_sender_gives_up_what_waits_while_the_position_cannot_be_asked() -> None:
    """Each batch after its own time, as when it could not be sent."""
    exporter = PositionedExporter()
    retry = RetryConfig(randomization_factor=0.0, max_elapsed_time=Duration(20.0))
    one_by_one = BatchLimits(items_min=1, items_max=1, interval_s=0.0)
    test = bench(exporter, queue_type=left_behind, retry=retry, limits=one_by_one)
    test.house.settings.meters.exporter_enqueued[Signal.LOGS].labels("test").inc(4)
    exporter.position_error = RetryableError("away", reason="unreachable")
    began = test.clock.monotonic()
    given_up: list[float] = []
    while len(given_up) < 4:
        before = test.queue.items
        _wait_and_advance(test)
        if test.queue.items < before:
            given_up.append(test.clock.monotonic() - began)
    assert test.counts() == {"enqueued": 4, "dropped retry_expired": 4}
    waits = [later - earlier for earlier, later in zip([0.0, *given_up], given_up, strict=False)]
    assert min(waits) > 5.0
    assert test.turn_until_quiet() == 60.0


@pytest.mark.parametrize("at", [0.05, 0.4, 0.9])
@pytest.mark.parametrize("held", [0, 3, 20, None])
def test_sender_counts_damage_against_what_the_destination_holds(
    tmp_path: Path, at: float, held: int | None
) -> None:
    """Records that a crash has left delivered and not released are destroyed: they are sent, and not lost."""

    def damaged(capacity: int, clock: FakeClock) -> DiskQueue:
        queue = DiskQueue(QueueStorage(directory=tmp_path), "q", capacity, clock)
        queue.open()
        for number in range(20):
            queue.reserve(logs(str(number)).size)
            queue.append_all([logs(str(number))])
        queue.close()
        (path,) = tmp_path.glob("q/*.seg")
        content = path.read_bytes()
        begin, end = int(at * len(content)), len(content) - FOOTER_SIZE
        path.write_bytes(content[:begin] + bytes(end - begin) + content[end:])
        return DiskQueue(QueueStorage(directory=tmp_path), "q", capacity, clock)

    exporter = RecordingExporter() if held is None else PositionedExporter()
    test = bench(exporter, queue_type=damaged)
    test.sender._books.open()
    test.sender._delivery.opened()
    if isinstance(exporter, PositionedExporter):
        exporter.positions[test.queue.id] = held or 0
    test.turn_until_quiet()
    lost = 20 - (held or 0) - len(exporter.delivered())
    expected = {"enqueued": 20, "sent": 20 - lost, "dropped damaged": lost}
    assert test.counts() == {name: count for name, count in expected.items() if count}
    test.queue.close()


def test_sender_takes_a_new_id_for_a_queue_that_was_restored_from_a_copy() -> None:
    """What the copy held was sent by the original; what came since has the same numbers as others, and is new."""
    exporter = PositionedExporter()
    test = bench(exporter, queue_type=left_behind)
    original = test.queue.id
    exporter.positions[original] = 6
    test.sender.consume(logs("e"))
    test.sender.consume(logs("f"))
    test.turn_until_quiet()
    assert exporter.delivered() == ["e", "f"]
    assert test.queue.id != original
    assert exporter.positions == {original: 6, test.queue.id: 6}


# --- acknowledgements


def test_sender_answers_stored_when_it_is() -> None:
    """`stored` returns after the commit."""
    exporter = PositionedExporter()
    house = make_house("test", "exporter", clock=SystemClock())
    queue = MemoryQueue(1_000_000, SystemClock())
    sender = Sender(house.settings, exporter, Signal.LOGS, queue, SenderConfig(), NOW)
    sender.start()
    try:
        sender.entry("stored").consume(logs("a"))
        assert exporter.delivered() == ["a"]
    finally:
        sender.shutdown()


def test_sender_tells_who_waits_for_stored_that_it_was_refused() -> None:
    """What the destination will never take is not acknowledged."""
    house = make_house("test", "exporter", clock=SystemClock())
    queue = MemoryQueue(1_000_000, SystemClock())
    sender = Sender(house.settings, RecordingExporter(refusing("a")), Signal.LOGS, queue, SenderConfig(), NOW)
    sender.start()
    try:
        with pytest.raises(PermanentError):
            sender.entry("stored").consume(logs("a"))
        sender.entry("stored").consume(logs("b"))
    finally:
        sender.shutdown()


def test_sender_asks_to_come_again_when_it_is_not_stored_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is bounded; the data stays in the queue."""
    monkeypatch.setattr("collector.pipeline.books._STORED_WAIT_S", 0.05)
    house = make_house("test", "exporter", clock=SystemClock())
    queue = MemoryQueue(1_000_000, SystemClock())
    sender = Sender(house.settings, RecordingExporter(away), Signal.LOGS, queue, SenderConfig(), NOW)
    with pytest.raises(RetryableError) as refusal:
        sender.entry("stored").consume(logs("a"))
    assert refusal.value.reason == "not_stored_yet"
    assert queue.items == 1


# --- full


def test_sender_refuses_when_its_queue_is_full() -> None:
    """The refusal is retryable and counted, and is not a loss."""
    clock = FakeClock()
    house = make_house("test", "exporter", clock=clock)
    sender = Sender(
        house.settings, RecordingExporter(), Signal.LOGS, MemoryQueue(20, clock), SenderConfig(), NOW
    )
    sender.consume(logs("a" * 30))
    with pytest.raises(RetryableError):
        sender.consume(logs("b", "c"))
    assert house.sample("otelcol_exporter_enqueue_failed_log_records_total", exporter="test") == 2
    assert house.sample("collector_exporter_enqueued_log_records_total", exporter="test") == 1


# --- the end


def test_sender_drains_without_waiting_for_more() -> None:
    """What waits for its interval leaves at once when the collector stops."""
    exporter = RecordingExporter()
    test = bench(exporter, limits=BatchLimits(items_min=10, interval_s=3600.0))
    test.sender.consume(logs("a"))
    assert test.turn_until_quiet() == 3600.0
    test.sender.drain(test.clock.monotonic() + 20)
    assert test.turn_until_quiet() is None
    assert exporter.delivered() == ["a"]


def test_sender_refuses_while_it_drains() -> None:
    """A client gets a retryable answer, for the next process to serve."""
    test = bench(RecordingExporter())
    test.sender.drain(test.clock.monotonic() + 20)
    with pytest.raises(RetryableError) as refusal:
        test.sender.consume(logs("a"))
    assert refusal.value.reason == "shutting_down"


def test_sender_tries_once_more_at_once_when_it_drains() -> None:
    """A long pause is not sat out while the time to stop runs."""
    exporter = RecordingExporter(away)
    test = bench(exporter)
    test.sender.consume(logs("a"))
    for _ in range(8):
        _wait_and_advance(test)
    exporter.behaviour = lambda batch: None
    test.turn_until_quiet()
    exporter.behaviour = away
    test.sender.consume(logs("b"))
    test.turn_until_quiet()
    exporter.behaviour = lambda batch: None
    test.sender.drain(test.clock.monotonic() + 0.1)
    assert test.turn_until_quiet() is None
    assert exporter.delivered() == ["a", "b"]


def test_sender_gives_up_at_the_deadline_and_counts_what_is_lost() -> None:
    """A queue in memory ends with the process: what is in it is dropped, counted, and said once."""
    test = bench(RecordingExporter(away))
    test.sender.consume(logs("a", "b"))
    test.sender.drain(test.clock.monotonic() + 20)
    waited_s = 0.0
    while (wait_s := test.turn_until_quiet()) is not None:
        test.clock.advance(wait_s)
        waited_s += wait_s
    assert waited_s == pytest.approx(20.0)
    test.sender.shutdown()
    assert test.counts() == {"enqueued": 2, "dropped shutdown": 2}
    assert test.house.log.messages("error") == [
        "Stopped before all was sent; what was queued in memory is lost."
    ]
    assert test.house.state() is State.STOPPED


def test_sender_keeps_what_is_durable_at_the_end() -> None:
    """What a disk holds is not lost and not counted as dropped."""
    test = bench(RecordingExporter(away), queue_type=DurableQueue)
    test.sender.consume(logs("a"))
    test.sender.drain(test.clock.monotonic())
    test.sender.shutdown()
    assert test.counts() == {"enqueued": 1, "queued": 1}


def test_sender_shuts_down_unstarted_and_twice() -> None:
    """See `Component`."""
    test = bench(RecordingExporter())
    test.sender.shutdown()
    test.sender.shutdown()
    assert test.house.state() is State.STOPPED


# --- with a thread and the system's clock


def started(
    exporter: RecordingExporter, limits: BatchLimits, queue_type: type[MemoryQueue] = MemoryQueue
) -> tuple[Sender, House, MemoryQueue]:
    clock = SystemClock()
    house = make_house("test", "exporter", clock=clock)
    queue = queue_type(1_000_000, clock)
    sender = Sender(house.settings, exporter, Signal.LOGS, queue, SenderConfig(), limits)
    sender.start()
    return sender, house, queue


def test_sender_thread_sends_what_arrives_when_idle() -> None:
    """The first record wakes the thread; nobody has to wait for its long sleep."""
    exporter = RecordingExporter()
    sender, _, queue = started(exporter, BatchLimits(items_min=100, interval_s=0.01))
    for body in ("a", "b"):
        sender.consume(logs(body))
        eventually(lambda: not queue.items, within_s=5)
    assert exporter.delivered() == ["a", "b"]
    sender.shutdown()


def test_sender_thread_sends_a_full_batch_before_its_interval() -> None:
    """The record that makes the batch full wakes the thread out of its wait for the interval."""
    exporter = RecordingExporter()
    sender, _, queue = started(exporter, BatchLimits(items_min=3, interval_s=3600.0))
    for body in "abc":
        sender.consume(logs(body))
    eventually(lambda: not queue.items, within_s=5)
    assert [*"abc"] == exporter.delivered()
    sender.shutdown()


def test_sender_loses_nothing_from_many_threads() -> None:
    """Eight clients at once: everything arrives once, and the counts agree."""
    exporter = RecordingExporter()
    sender, house, _ = started(exporter, BatchLimits(items_min=50, interval_s=0.005))

    def client(number: int) -> None:
        for index in range(100):
            sender.consume(logs(f"{number}/{index}"))

    clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    sender.shutdown()
    assert {f"{number}/{index}" for number in range(8) for index in range(100)} == set(exporter.delivered())
    assert len(exporter.delivered()) == 800
    assert house.sample("otelcol_exporter_sent_log_records_total", exporter="test") == 800
    assert not any(thread.is_alive() for thread in house.threads)


@pytest.mark.parametrize(
    ("queue_type", "dropped", "left"), [(MemoryQueue, 1, 0), (DurableQueue, 0, 1)], ids=["memory", "durable"]
)
def test_sender_changes_nothing_when_an_attempt_outlives_the_shutdown(
    queue_type: type[MemoryQueue], dropped: int, left: int
) -> None:
    """An attempt that hangs past the deadline is not waited for, and its late success is not counted again."""
    go_on = threading.Event()

    def hang(_batch: Batch) -> None:
        go_on.wait(30)

    exporter = RecordingExporter(hang)
    sender, house, queue = started(exporter, NOW, queue_type)
    sender.consume(logs("a"))
    eventually(lambda: exporter.attempts, within_s=5)
    sender.drain(SystemClock().monotonic())
    sender.shutdown()
    go_on.set()
    house.threads[0].join(5)
    assert not house.threads[0].is_alive()
    assert house.sample("otelcol_exporter_sent_log_records_total", exporter="test") == 0
    counted = house.sample(
        "collector_exporter_dropped_items_total", exporter="test", otel_signal="logs", reason="shutdown"
    )
    assert (counted, queue.items) == (dropped, left)


# --- another exporter --------------------------------------------------------------------------------------


def test_another_exporter_goes_on_behind_the_last_batch() -> None:
    """What the first one delivered is not given to the second, and what waits is."""
    first, second = RecordingExporter(), RecordingExporter()
    table = bench(first)
    table.sender.consume(logs("a"))
    table.turn_until_quiet()
    table.sender.consume(logs("b"))
    done = table.sender.adjust(second, SenderConfig(retry_on_failure=STEADY), NOW)
    assert not done.is_set()
    table.turn_until_quiet()
    assert done.is_set()
    assert (first.delivered(), second.delivered()) == (["a"], ["b"])
    assert table.counts() == {"enqueued": 2, "sent": 2}


def test_another_exporter_is_asked_what_a_lost_answer_left_open() -> None:
    """The commit had happened, its answer got lost, the configuration changed: stored once."""

    def answer_lost(batch: Batch) -> None:
        raise RetryableError("connection lost", reason="connection")

    first = PositionedExporter(after_commit=answer_lost)
    table = bench(first, queue_type=DurableQueue)
    table.sender.consume(logs("a"))
    table.turn_until_quiet()
    second = PositionedExporter()  # the same database
    second.positions = first.positions
    table.sender.adjust(second, SenderConfig(retry_on_failure=STEADY), NOW)
    table.turn_until_quiet()
    assert first.delivered() == ["a"]
    assert second.delivered() == []
    assert table.counts() == {"enqueued": 1, "sent": 1}


def test_another_exporter_does_not_sit_out_the_pause_of_the_first() -> None:
    """The address was wrong and is right now: what waits is sent at once."""

    def away(batch: Batch) -> None:
        raise RetryableError("no such host", reason="connection")

    table = bench(RecordingExporter(away))
    table.sender.consume(logs("a"))
    assert (table.turn_until_quiet() or 0) > 0
    second = RecordingExporter()
    table.sender.adjust(second, SenderConfig(retry_on_failure=STEADY), NOW)
    table.turn_until_quiet()
    assert second.delivered() == ["a"]


def test_other_limits_and_another_bound_hold_for_what_waits_already() -> None:
    """Nothing is sent again or given up for them, the exporter stays, and its destination is not asked."""
    exporter = PositionedExporter()
    exporter.position_error = RetryableError("away", reason="connection")
    table = bench(exporter, limits=BatchLimits(items_min=100, interval_s=60.0))
    table.sender.consume(logs("a"))
    assert table.turn_until_quiet() == 60.0
    config = SenderConfig(sending_queue=SendingQueueConfig(queue_size=ByteSize(1 << 20)))
    table.sender.adjust(exporter, config, NOW)
    table.turn_until_quiet()
    assert exporter.delivered() == ["a"]
    assert table.queue.capacity == 1 << 20


def test_an_exporter_is_let_go_of_when_the_sender_ends() -> None:
    """Whoever waits to shut it down must not wait for a turn that never comes."""
    table = bench(RecordingExporter())
    table.house.settings.spawn("sender", table.sender._run)
    table.sender.drain(table.clock.monotonic())
    eventually(lambda: table.sender._delivery._ended)
    assert table.sender.adjust(RecordingExporter(), SenderConfig(), NOW).is_set()
    table.sender.shutdown()


def test_a_drain_can_be_made_shorter() -> None:
    """And not longer."""
    table = bench(RecordingExporter())
    table.sender.drain(2000.0)
    table.sender.drain(1500.0)
    table.sender.drain(3000.0)
    assert table.sender._books.drain_until == 1500.0


# --- memory


SMALL = BatchLimits(items_min=1, interval_s=0.0, memory_max=delivery_bytes(2, 200))


def test_a_batch_is_cut_by_what_it_takes_in_memory() -> None:
    """Few items can be many bytes, and few bytes many objects."""
    exporter = RecordingExporter()
    table = bench(exporter, limits=BatchLimits(items_min=100, interval_s=0.0, memory_max=8 * 1024))
    for _ in range(4):
        table.sender.consume(logs("x" * 800))
        table.sender.consume(logs(*"ab"))
    table.turn_until_quiet()
    assert table.queue.items == 0
    assert len(exporter.batches) > 1
    for batch in exporter.batches:
        assert delivery_bytes(batch.items, batch.size) <= 8 * 1024


def test_one_large_record_is_delivered_at_a_time() -> None:
    """Two senders that share: the second waits, without having read it, and goes on when it is its turn."""
    large, begun, go_on = LargeRecords(), threading.Event(), threading.Event()

    def slow(_batch: Batch) -> None:
        begun.set()
        assert go_on.wait(20)

    first, second = bench(RecordingExporter(slow), limits=SMALL, large=large), PositionedExporter()
    other = bench(second, limits=SMALL, large=large)
    first.sender.consume(logs("x" * 900))
    other.sender.consume(logs("y" * 900))
    thread = threading.Thread(target=first.turn_until_quiet)
    thread.start()
    assert begun.wait(20)
    wait_s = other.turn_until_quiet()
    assert wait_s is not None
    assert 0 < wait_s < 1
    assert not second.attempts
    go_on.set()
    thread.join(20)
    assert other.turn_until_quiet() == 60.0
    assert second.delivered() == ["y" * 900]


def test_a_large_record_that_cannot_be_sent_holds_up_no_other() -> None:
    """Between two attempts it is in its queue, and its turn is somebody else's."""
    large = LargeRecords()
    exporter, other = PositionedExporter(away), RecordingExporter()
    first, second = bench(exporter, limits=SMALL, large=large), bench(other, limits=SMALL, large=large)
    first.sender.consume(logs("x" * 900))
    second.sender.consume(logs("y" * 900))
    first.turn_until_quiet()
    second.turn_until_quiet()
    assert other.delivered() == ["y" * 900]
    exporter.behaviour = lambda batch: None
    first.clock.advance(60.0)
    first.turn_until_quiet()
    assert exporter.delivered() == ["x" * 900]
    assert first.counts() == {"enqueued": 1, "sent": 1}


def test_a_large_record_is_not_read_ahead() -> None:
    """It is not its turn yet."""
    exporter = PreparingExporter()
    table = bench(exporter, limits=SMALL)
    table.sender.consume(logs("a"))
    table.sender.consume(logs("x" * 900))
    table.sender.consume(logs("b"))
    table.turn_until_quiet()
    assert exporter.calls == [("export", 0, 1), ("export", 1, 2), ("export", 2, 3)]


def test_what_could_never_be_stored_is_not_taken() -> None:
    """Or it would wait in the queue for ever, and all behind it."""
    table = bench(RecordingExporter())
    memory = memory_plan(1 << 20)
    table.sender._settings = replace(table.house.settings, memory=memory)
    with pytest.raises(TooMuchMemoryError, match="smaller batches"):
        table.sender.consume(Telemetry(Signal.LOGS, bytes(100), memory.largest // 1000 + 1))
    assert table.queue.size == 0


# --- the books ---------------------------------------------------------------------------------------------


def test_nothing_changes_hands_while_the_counters_are_read() -> None:
    """Whoever reads them sees one moment: what comes meanwhile waits."""
    table = bench(RecordingExporter())
    entered = threading.Event()

    def bring() -> None:
        entered.set()
        table.sender.consume(logs("a"))

    thread = threading.Thread(target=bring)
    with table.sender.still():
        thread.start()
        assert entered.wait(10)
        thread.join(0.05)
        assert table.counts() == {}
    thread.join(10)
    assert table.counts() == {"enqueued": 1, "queued": 1}


def test_what_an_earlier_process_left_is_counted_as_restored() -> None:
    """So that enqueued is what was taken here and what was found here."""

    class Left(DurableQueue):
        def open(self) -> None:
            data = logs("a", "b")
            self.reserve(data.size)
            self.append_all([data])

    table = bench(RecordingExporter(), queue_type=Left)
    table.sender.start()
    assert table.house.sample("collector_exporter_restored_log_records_total", exporter="test") == 2
    eventually(lambda: table.counts() == {"enqueued": 2, "sent": 2})
    table.sender.shutdown()
