"""Queue, sender and dead letters against a destination that refuses items and processes that end at any moment.

Whatever happens, each item that was taken over is in the destination once or among the dead letters once, never in
both and never in neither; and the counts say which.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import Batch, Refused
from collector.pipeline.dead_letters import DeadLetters, Letter
from collector.pipeline.disk_queue import DiskQueue, QueueStorage
from collector.pipeline.refusals import Refusals
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import SenderConfig
from tests.support.components import House, RecordingExporter, make_house
from tests.support.fake_clock import FakeClock

LABELS: Final = {"exporter": "test", "otel_signal": "logs"}


class CrashError(BaseException):
    """The process ends here."""


def ids(data: Telemetry) -> list[int]:
    """The payload of these tests is their ids, four bytes each: the pipeline never looks inside."""
    return [int.from_bytes(data.payload[at : at + 4], "big") for at in range(0, data.size, 4)]


class Destination(RecordingExporter):
    """Outlives processes. `event` is asked before each of the steps of an attempt, and may raise."""

    def __init__(self, event: Callable[[str], None]) -> None:
        super().__init__()
        self.event = event
        self.poison: set[int] = set()
        self.stored: list[int] = []
        self.positions: dict[UUID, int] = {}

    def position(self, queue_id: UUID, /) -> int | None:
        """See `TransactionalExporter`."""
        return self.positions.get(queue_id)

    def export(self, batch: Batch, /) -> None:
        """See `Exporter`."""
        if self._is_there(batch):
            return
        numbers = [number for record in batch.records for number in ids(record)]
        if self.poison & {*numbers}:
            raise PermanentError("bad data", reason="data")
        self._commit(batch, numbers)

    def salvage(self, batch: Batch, set_aside: Callable[[Sequence[Refused]], None], /) -> None:
        """See `SalvagingExporter`."""
        if self._is_there(batch):
            return
        refused = [
            Refused(place, first, Telemetry(Signal.LOGS, number.to_bytes(4, "big"), 1), "data", "bad data")
            for place, record in enumerate(batch.records)
            for first, number in enumerate(ids(record))
            if number in self.poison
        ]
        self.event("before set aside")
        set_aside(refused)
        self.event("after set aside")
        good = [number for record in batch.records for number in ids(record) if number not in self.poison]
        self._commit(batch, good)

    def _is_there(self, batch: Batch) -> bool:
        stored = self.positions.get(batch.queue_id, 0)
        assert stored >= batch.end or stored <= batch.start
        return stored >= batch.end

    def _commit(self, batch: Batch, numbers: list[int]) -> None:
        self.event("before commit")
        self.stored += numbers
        self.positions[batch.queue_id] = batch.end
        self.event("after commit")


class Lives(RuleBasedStateMachine):
    """One process after the other on the same directory."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.directory = self.folder / "0"
        self.clock = FakeClock()
        self.next_id = 0
        self.taken: set[int] = set()
        self.troubles: list[tuple[str, type[BaseException]]] = []
        self.destination = Destination(self.event)

    def event(self, step: str) -> None:
        if self.troubles and self.troubles[0][0] == step:
            _, kind = self.troubles.pop(0)
            raise CrashError if kind is CrashError else RetryableError("away", reason="unreachable")

    @initialize(items_min=st.integers(1, 12), letters_max=st.sampled_from((150, 1 << 20)))
    def begin(self, items_min: int, letters_max: int) -> None:
        """The first process."""
        self.items_min, self.letters_max = items_min, letters_max
        self.live()

    def live(self) -> None:
        storage = QueueStorage(directory=self.directory, fsync=False)
        self.house: House = make_house(
            "test", "exporter", clock=self.clock, spawn=lambda name, body: threading.Thread(target=body)
        )
        self.queue = DiskQueue(storage, "q", 1 << 20, self.clock, tail_size=1 << 20)
        self.letters = DeadLetters(storage, "q", self.letters_max, self.clock)
        self.sender = Sender(
            self.house.settings,
            self.destination,
            Signal.LOGS,
            self.queue,
            SenderConfig(),
            BatchLimits(items_min=self.items_min, interval_s=1.0),
            Refusals(self.letters),
        )
        self.sender.start()

    def end(self) -> None:
        """What the kernel does for a process that ends; the next finds what was written."""
        following = self.folder / str(int(self.directory.name) + 1)
        shutil.copytree(self.directory, following)
        self.queue.close()
        self.letters.close()
        self.directory = following
        self.live()

    @rule(items=st.integers(1, 9), poisonous=st.integers(0, 3))
    def consume(self, items: int, poisonous: int) -> None:
        """A client sends."""
        new = range(self.next_id, self.next_id + items)
        self.next_id += items
        self.destination.poison.update(list(new)[: max(0, poisonous - 1)])
        self.sender.consume(
            Telemetry(Signal.LOGS, b"".join(number.to_bytes(4, "big") for number in new), items)
        )
        self.taken.update(new)

    @rule(turns=st.integers(1, 6), seconds=st.floats(0.0, 40.0))
    def turn(self, turns: int, seconds: float) -> None:
        """The sender's thread gets to run."""
        self.clock.advance(seconds)
        try:
            for _ in range(turns):
                self.sender.turn()
        except CrashError:
            self.end()

    @rule(
        step=st.sampled_from(("before set aside", "after set aside", "before commit", "after commit")),
        kind=st.sampled_from((CrashError, RetryableError)),
    )
    def trouble(self, step: str, kind: type[BaseException]) -> None:
        """Something will happen at the next such step."""
        self.troubles.append((step, kind))

    @rule(step=st.sampled_from(("after set aside", "before commit", "after commit")), allowed=st.booleans())
    def crash_while_salvaging(self, step: str, allowed: bool) -> None:
        """It ends in the middle of an attempt, and the rule may be gone when the next one tries."""
        self.consume(5, 2)
        self.troubles.insert(0, (step, CrashError))
        self.turn(6, 40.0)
        if allowed:
            self.allow()

    @rule()
    def crash(self) -> None:
        """The process ends between two attempts."""
        self.end()

    @rule()
    def allow(self) -> None:
        """The destination's rule is taken back; dead letters remain what they are."""
        self.destination.poison.clear()

    @rule()
    def drop(self) -> None:
        """Somebody makes room: letters of what is settled are dropped."""
        gone: list[int] = []
        settled = self.queue.released

        def is_settled(letter: Letter) -> bool:
            if letter.sequence > settled:
                return False
            gone.extend(ids(letter.data))
            return True

        self.letters.remove(is_settled)
        self.taken -= {*gone}

    @rule(crash=st.sampled_from(("", "before", "after")))
    def redeliver(self, crash: str) -> None:
        """While no process runs, letters are put back; an interruption leaves each in one of the two places."""
        settled = self.queue.released
        append, finish = self.queue.append_all, self.letters._finish_redelivery

        def interrupted(*_: object) -> int:
            raise CrashError

        try:
            if crash == "before":
                self.queue.append_all = interrupted  # type: ignore[method-assign]
            if crash == "after":
                self.letters._finish_redelivery = interrupted  # type: ignore[method-assign, assignment]
            self.letters.redeliver(self.queue, lambda letter: letter.sequence <= settled)
        except CrashError:
            pass
        finally:
            self.queue.append_all = append  # type: ignore[method-assign]
            self.letters._finish_redelivery = finish  # type: ignore[method-assign]
        self.end()

    @invariant()
    def counts(self) -> None:
        """The equation, of this process."""
        if not hasattr(self, "sender"):
            return
        enqueued = self.house.sample("collector_exporter_enqueued_log_records_total", exporter="test")
        sent = self.house.sample("otelcol_exporter_sent_log_records_total", exporter="test")
        lettered = self.house.sample("collector_exporter_dead_lettered_items_total", **LABELS, reason="data")
        assert enqueued == sent + lettered + self.queue.items
        assert len(self.destination.stored) == len({*self.destination.stored}), "stored twice"

    def teardown(self) -> None:
        if hasattr(self, "sender"):
            self.troubles.clear()
            for _ in range(1000):
                if not self.queue.items:
                    break
                self.letters._queue._capacity = 1 << 20
                self.clock.advance(self.sender.turn() or 0.0)
            stored = {*self.destination.stored}
            kept = [number for letter in self.letters for number in ids(letter.data)]
            assert len(kept) == len({*kept}), "two letters of one item"
            assert not stored & {*kept}, "stored and a letter"
            assert stored | {*kept} >= self.taken, "lost"
            self.counts()
            self.queue.close()
            self.letters.close()
        shutil.rmtree(self.folder)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
