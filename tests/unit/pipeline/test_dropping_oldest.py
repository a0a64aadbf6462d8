"""A queue that drops the oldest, before a real store: what is stored is counted as sent, what is dropped is not stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.pipeline.batching import BatchLimits
from collector.pipeline.disk_queue import DiskQueue, QueueStorage
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import RetryConfig, SenderConfig
from collector.storage.exporter import StoreExporter
from collector.storage.rows import Encoded
from collector.storage.sqlite.store import SqliteStore
from tests.support.components import House, logs, make_house
from tests.support.fake_clock import FakeClock
from tests.support.samples import NOW_UNIX_NANO
from tests.support.stamped import stored_stamps

_RECORDS: Final = 20
_CAPACITY: Final = _RECORDS * logs("0000").size
_LIMITS: Final = BatchLimits(items_min=4, items_max=4, interval_s=0.0)
_STEADY: Final = SenderConfig(retry_on_failure=RetryConfig(randomization_factor=0.0))


class DistantStore(SqliteStore):
    """A store whose connection can be cut: `cut` loses the answer to the next commit, and all is `away` from then on."""

    away = False
    cut = False

    def write(
        self, encoded: Encoded, *, queue_id: UUID, start: int, end: int, also: Collection[UUID] = ()
    ) -> bool:
        self._reach()
        written = super().write(encoded, queue_id=queue_id, start=start, end=end, also=also)
        self.away, self.cut = self.away or self.cut, False
        self._reach()
        return written

    def position(self, queue_id: UUID) -> int | None:
        self._reach()
        return super().position(queue_id)

    def _reach(self) -> None:
        if self.away:
            raise RetryableError("the connection is cut", reason="unreachable")


class Process:
    """A sender with its queue on disk and its store, driven by hand."""

    def __init__(self, directory: Path) -> None:
        self.house: House = make_house("test", "exporter", clock=FakeClock(unix_nano=NOW_UNIX_NANO))
        clock = self.house.settings.clock
        self.store = DistantStore(directory / "telemetry.db", clock=clock)
        self._exporter = StoreExporter(
            self.house.settings,
            self.store,
            migrate=True,
            retention_s={},
            retention_interval_s=3600.0,
            local=True,
        )
        self._exporter.start()
        self._queue = DiskQueue(
            QueueStorage(directory=directory),
            "q",
            _CAPACITY,
            clock,
            overflow="drop_oldest",
            sync_release=False,
        )
        self.sender = Sender(self.house.settings, self._exporter, Signal.LOGS, self._queue, _STEADY, _LIMITS)
        self.sender._books.open()
        self.sender._delivery.opened()

    def put(self, first: int, count: int) -> None:
        """Take over that many records, numbered from `first`."""
        for number in range(first, first + count):
            self.sender.consume(logs(f"{number:04d}"))

    def send(self) -> None:
        """Take turns until nothing is due, or the store is away."""
        for _ in range(100):
            if self.sender.turn() != 0.0:
                return
        raise AssertionError("the sender never rests")

    def send_later(self) -> None:
        """The same once the pause after a failure is over."""
        clock = self.house.settings.clock
        assert isinstance(clock, FakeClock)
        clock.advance(60.0)
        self.send()

    def crash(self) -> None:
        """End without a word, as a killed process does: files are let go of."""
        self._queue.close()
        self._exporter.shutdown()

    def count(self, name: str, **labels: str) -> float:
        return self.house.sample(name, exporter="test", **labels) or 0.0

    @property
    def enqueued(self) -> float:
        return self.count("collector_exporter_enqueued_log_records_total")

    @property
    def sent(self) -> float:
        return self.count("otelcol_exporter_sent_log_records_total")

    @property
    def dropped(self) -> float:
        return self.count("collector_exporter_dropped_items_total", otel_signal="logs", reason="overflow")

    @property
    def queued(self) -> float:
        return self.count("collector_exporter_queue_items", data_type="logs")


@contextmanager
def process(directory: Path) -> Iterator[Process]:
    running = Process(directory)
    try:
        yield running
    finally:
        running.crash()


def judge(directory: Path, last: Process, everything: int, sent_before: float) -> None:
    """All is stored once or counted as dropped, and never both."""
    stored = stored_stamps(f"sqlite:///{directory / 'telemetry.db'}")
    assert not [stamp for stamp, count in stored.items() if count > 1]
    assert last.queued == 0
    assert last.dropped > 0
    assert (sent_before + last.sent, last.dropped) == (len(stored), everything - len(stored))


def test_what_was_stored_without_an_answer_is_not_dropped(tmp_path: Path) -> None:
    """The batch in the sender's hands is committed, its answer lost; the queue overflows until the store is back."""
    with process(tmp_path) as running:
        running.put(0, _RECORDS)
        running.store.cut = True
        running.send()
        running.put(_RECORDS, _RECORDS)
        assert running.enqueued == running.sent + running.dropped + running.queued
        running.store.away = False
        running.send_later()
        judge(tmp_path, running, 2 * _RECORDS, 0.0)


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_what_was_stored_before_a_crash_is_not_dropped(tmp_path: Path, batches: int) -> None:
    """The same, and the process is killed before it has released the batch: the next one has not seen the store yet."""
    with process(tmp_path) as first:
        first.put(0, _RECORDS - 4 + 4 * batches if batches else _RECORDS)
        for _ in range(2 * batches):
            if first.sent < 4 * batches:
                first.sender.turn()
        first.store.cut = True
        first.send()
        sent_before = first.sent
    with process(tmp_path) as second:
        second.store.away = True
        second.put(1000, _RECORDS)
        assert second.enqueued == second.sent + second.dropped + second.queued
        second.store.away = False
        second.send_later()
        everything = int(first.enqueued - first.dropped) + _RECORDS
        judge(tmp_path, second, everything, sent_before)
