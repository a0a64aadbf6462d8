"""The queue on disk against a list: whatever is appended, released, broken off, damaged and started again.

A crash keeps any part of what was not synced; damage flips bits, cuts, and fills with zeros. The model knows which
records must come back, which may, and which cannot.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.disk_queue import DiskQueue, QueueStorage
from collector.pipeline.queue import Loss
from collector.pipeline.queue_segment import (
    FOOTER_SIZE,
    RECORD_HEADER_SIZE,
    REUSED_FOOTER_SIZE,
    REUSED_VERSION,
)
from collector.pipeline.queue_tail import Tail
from tests.support.fake_clock import FakeClock

PIECES: Final = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), min_size=1, max_size=4)
ALL: Final = BatchLimits(items_min=0, bytes_max=1 << 40)
SEGMENT_SIZE: Final = 700  # a few records


class DiskQueues(RuleBasedStateMachine):
    """One directory, one process after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        # In memory where there is such a place: a sync costs milliseconds, and what it does is modelled here.
        shared = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(prefix="disk-queue-", dir=shared if shared.is_dir() else None))
        self.losses: list[Loss] = []
        self.records: dict[int, Telemetry] = {}  # all that may still be delivered
        self.done = 0
        self.synced = 0
        self.reserved = 0
        self.serial = 0
        self.last = 0
        self.read_upto = 0
        self.damaged: Path | None = None
        self.dropped: dict[int, Telemetry] = {}
        self.former: dict[Path, bytes] = {}  # what is in a file before it is used again
        # What a power failure may leave of the position, the newest last; before it, what it says was given.
        self.positions: list[tuple[int, bytes]] = []

    @initialize(
        capacity=st.integers(1, 3000),
        overflow=st.sampled_from(("refuse", "drop_oldest")),
        remembered=st.sampled_from((0, 3, 1000)),
        alike=st.sampled_from((0, 0, 1, 3)),
    )
    def make(self, capacity: int, overflow: str, remembered: int, alike: int) -> None:
        self.alike = alike  # so many items are in each record; 0: it varies
        self.capacity = capacity
        self.remembered = remembered
        self.overflow = overflow
        self.open()

    def open(self) -> None:
        self.queue = DiskQueue(
            QueueStorage(directory=self.directory, segment_size=SEGMENT_SIZE),
            "queue",
            self.capacity,
            self.clock,
            overflow="drop_oldest" if self.overflow == "drop_oldest" else "refuse",
            sync_release=False,
        )
        self.queue._log._segment_size = SEGMENT_SIZE
        self.queue._log.tail = Tail(1 << 20, self.remembered)  # the rest is read from the disk
        self.queue.watch(self.losses.append)
        self.watch_positions()
        self.queue.open()
        self.reserved = 0
        self.read_upto = max(self.queue.released, min(self.read_upto, self.queue.last))

    def watch_positions(self) -> None:
        """Remember what is written until it is durable."""
        directory, write = self.queue._directory, self.queue._directory.write_position

        def watched(released: int, given: int, *, durable: bool) -> None:
            write(released, given, durable=durable)
            if durable:
                self.positions.clear()
            self.positions.append((given, (directory.path / "position").read_bytes()))

        directory.write_position = watched  # type: ignore[method-assign]

    def open_again(self, lag: int) -> None:
        """Start with a position that was written `lag` releases ago. The destination knows better, and is asked."""
        if self.positions:
            self.read_upto, content = self.positions[-1 - lag % len(self.positions)]
            (self.directory / "queue" / "position").write_bytes(content)
        told = len(self.losses)
        self.open()
        assert not any(loss.items or loss.records for loss in self.losses[told:]), "nobody has been asked yet"
        before = self.queue.items
        self.done = min(self.done, self.queue.last)
        sent = self.queue.release(self.done)
        assert before == sent + sum(loss.items for loss in self.losses[told:]) + self.queue.items

    def waiting(self) -> dict[int, Telemetry]:
        return {number: data for number, data in self.records.items() if number > self.done}

    def size(self) -> int:
        return sum(data.size for data in self.waiting().values())

    def reserve(self, size: int) -> bool:
        taken = self.size() + self.reserved
        lost = len(self.losses)
        try:
            self.queue.reserve(size)
        except RetryableError as error:
            assert error.reason == "queue_full"  # noqa: PT017  which of two outcomes it is depends on the model
            assert taken
            assert taken + size > self.capacity
            accepted = False
        else:
            accepted = True
        for loss in self.losses[lost:]:
            assert (loss.cause, self.overflow) == ("overflow", "drop_oldest")
            assert accepted, "dropped for nothing"
            candidates = [n for n in self.waiting() if self.read_upto < n <= self.synced]
            victims = candidates[: loss.records]
            assert len(victims) == loss.records
            self.dropped |= {number: self.records.pop(number) for number in victims}
            assert loss.items == sum(self.dropped[number].items for number in victims)
        if accepted:
            left = self.size() + self.reserved
            assert not taken or left + size <= self.capacity
        return accepted

    @rule(pieces=PIECES, wait=st.booleans())
    def append(self, pieces: list[tuple[int, int]], wait: bool) -> None:
        """All pieces or none, behind what is there."""
        new = []
        for size, items in pieces:
            self.serial += 1
            payload = self.serial.to_bytes(4, "big") * (1 + size // 4)
            new.append(Telemetry(Signal.LOGS, payload, self.alike or items))
        if not self.reserve(sum(data.size for data in new)):
            return
        last = self.queue.append_all(new)
        assert last > self.last
        for number, data in enumerate(new, last - len(new) + 1):
            self.records[number] = data
        self.last = last
        if wait:
            self.queue.wait_durable(last)
            self.synced = last

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

    @rule(items_min=st.integers(0, 12), items_max=st.integers(0, 12), size=st.integers(1, 300))
    def read(self, items_min: int, items_max: int, size: int) -> None:
        """A batch that could not have been one record longer, and not one shorter."""
        limits = BatchLimits(items_min=items_min, items_max=items_max, bytes_max=size)
        records = self.queue.read(self.done, limits)
        self.synced = self.queue._log.durable_upto
        waiting = {n: data for n, data in self.waiting().items() if n <= self.synced}
        if not waiting:
            assert self.synced == self.last, "it waits for the disk where only what is not on it is left"
        numbers = list(waiting)[: len(records)]
        assert [record.sequence for record in records] == numbers
        assert [record.data for record in records] == [waiting[n] for n in numbers]
        assert bool(records) == bool(waiting)
        if records:
            self.read_upto = max(self.read_upto, records[-1].sequence)
        items = [data.items for data in waiting.values()]
        sizes = [data.size for data in waiting.values()]

        def totals(count: int) -> tuple[int, int]:
            return sum(items[:count]), sum(sizes[:count])

        taken = len(records)
        assert taken <= 1 or (limits.fits(*totals(taken)) and not limits.complete(*totals(taken - 1)))
        assert taken == len(waiting) or limits.complete(*totals(taken)) or not limits.fits(*totals(taken + 1))

    @rule(ahead=st.integers(0, 6), tidy=st.booleans())
    def release(self, ahead: int, tidy: bool) -> None:
        """Up to any position that may have been read; room is given back now or later."""
        durable = self.queue._log.durable_upto
        upto = self.done + ahead
        before = sum(data.items for data in self.waiting().values())
        released = self.queue.release(upto)
        if tidy:
            self.queue.tidy()
            for spare in self.queue._log._spares.all:
                self.former[spare.path] = spare.path.read_bytes()
        self.done = max(self.done, min(upto, durable))
        assert released == before - sum(data.items for data in self.waiting().values())
        self.records = self.waiting()

    @rule(times=st.integers(3, 9), size=st.integers(0, 60))
    def keep_up(self, times: int, size: int) -> None:
        """What comes is delivered at once: files are used again."""
        for _ in range(times):
            self.append([(size, 1)] * 4, wait=True)
            self.release(4 + self.last - self.done, tidy=True)

    @rule(lag=st.integers(0, 5))
    def restart(self, lag: int) -> None:
        """In order: everything is there."""
        self.queue.close()
        self.open_again(lag)
        # What is damaged counts as waiting until it is come to; what overflow has removed may be back.
        found = {record.sequence: record.data for record in self.queue.read(self.done, ALL)}
        assert self.waiting().items() <= found.items() <= (self.waiting() | self.dropped).items()
        self.records = found
        self.synced = self.last
        self.read_upto = max([self.read_upto, *found])

    @precondition(lambda self: self.reserved == 0)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """The power fails: of what was not synced any prefix may be there, with rubbish or zeros behind it."""
        log = self.queue._log
        durable = log.durable_upto
        files = [(s.path, s.base, s.readable) for s in log.segments if s.last > durable]
        reused = {s.path: self.former[s.path] for s in log.segments if s.version == REUSED_VERSION}
        self.abandon()
        for path, base, readable in files:
            if base > durable + 1 and data.draw(st.booleans()):
                self.lose(path, reused)
                continue
            kept = data.draw(st.integers(readable, path.stat().st_size))
            rubbish = data.draw(st.sampled_from((b"", bytes(9), b"\xf5OTR\x01rubbish")))
            if path in reused:
                rubbish = reused[path][kept:]
            path.write_bytes(path.read_bytes()[:kept] + rubbish)
            for later, _, _ in files[files.index((path, base, readable)) + 1 :]:
                self.lose(later, reused)
            break
        self.survive(durable, lag=data.draw(st.integers(0, 5)))

    def lose(self, path: Path, reused: dict[Path, bytes]) -> None:
        """Nothing of it was synced: the name of a new file neither, and of one that was used again what was there."""
        if path in reused:
            path.write_bytes(reused[path])
        else:
            path.unlink()

    def abandon(self) -> None:
        """What the kernel does for a process that ends."""
        log = self.queue._log
        for fd in {*log._unsynced, log._active_fd, *(spare.fd for spare in log._spares.all)} - {-1}:
            os.close(fd)
        log._spares._spares.clear()
        # An example may end in the middle of a step; `teardown` must not close them again.
        log._unsynced.clear()
        log._active, log._active_fd = None, -1
        for cursor in self.queue._cursors:
            cursor.close()
        self.queue._directory.close()

    def survive(self, durable: int, *, lag: int) -> None:
        """Start again; what was durable is there, of the rest a prefix."""
        lost = len(self.losses)
        self.open_again(lag)
        if self.damaged is None or not self.damaged.exists():
            assert all(not loss.items for loss in self.losses[lost:])
        found = {record.sequence: record.data for record in self.queue.read(self.done, ALL)}
        waiting = self.waiting()
        assert {n: d for n, d in waiting.items() if n <= durable}.items() <= found.items()
        assert found.items() <= (waiting | self.dropped).items()
        unsynced = [n for n in waiting if n > durable]
        assert [n for n in found if n > durable] == unsynced[: len([n for n in found if n > durable])]
        self.records = found
        self.last = self.synced = self.queue.last
        assert self.last >= durable
        self.read_upto = max([self.read_upto, *found])

    @precondition(lambda self: self.overflow == "refuse" and self.reserved == 0)
    @rule(data=st.data(), kind=st.sampled_from(("flip", "zero", "cut")), lag=st.integers(0, 5))
    def damage(self, data: st.DataObject, kind: str, lag: int) -> None:
        """A file goes bad while nobody looks: what is whole is delivered, what is not is counted, to the item."""
        if self.damaged is not None and self.damaged.exists():
            return  # what is lost in it would be found, and told, once more
        self.queue.close()
        footer_hit = False
        paths = [p for p in sorted(self.directory.glob("queue/*.seg")) if p.stat().st_size > 200]
        if kind == "cut":  # what is missing at the end of the newest had not been acknowledged
            paths = paths[:-1]
        if paths:
            path = data.draw(st.sampled_from(paths))
            content = bytearray(path.read_bytes())
            begin = data.draw(st.integers(0, len(content) - 1))
            end = min(len(content), begin + data.draw(st.integers(1, 3 * RECORD_HEADER_SIZE)))
            version = int.from_bytes(content[8:12], "little")
            footer_hit = end > len(content) - (
                REUSED_FOOTER_SIZE if version == REUSED_VERSION else FOOTER_SIZE
            )
            for at in range(begin, end):
                content[at] = content[at] ^ 0x10 if kind == "flip" else 0
            if kind == "cut":
                del content[begin:]
            path.write_bytes(content)
            self.damaged = path
        lost = len(self.losses)
        self.open_again(lag)
        self.synced = self.last
        found = {record.sequence: record.data for record in self.queue.read(self.done, ALL)}
        assert found.items() <= self.waiting().items(), "invented"
        gone = [data for number, data in self.waiting().items() if number not in found]
        told = self.losses[lost:]
        items, records = sum(loss.items for loss in told), sum(loss.records for loss in told)
        gone_items = sum(data.items for data in gone)
        if kind == "cut":  # nobody knows how many items were in what is not there
            assert records == len(gone)
            assert items <= gone_items
        elif footer_hit:  # as after a crash: what is lost together with the end cannot be counted
            assert items <= gone_items
            assert records <= len(gone)
        else:
            assert records == len(gone)
            # Where headers are gone in a file of which a part was released, items are shared out: see `left_of`.
            partly = paths and not self.alike and int(path.stem) <= self.done
            assert items == gone_items or partly
        self.records = found
        self.last = self.synced = self.queue.last
        self.read_upto = max([self.read_upto, *found])

    @invariant()
    def agrees(self) -> None:
        """What the queue says of itself is true."""
        if not hasattr(self, "queue"):
            return
        assert self.queue.size == self.size()
        assert self.queue.items == sum(data.items for data in self.waiting().values())
        assert self.queue.last >= self.queue.released

    def teardown(self) -> None:
        if hasattr(self, "queue"):
            self.queue.close()
        shutil.rmtree(self.directory)


TestDiskQueues = DiskQueues.TestCase
TestDiskQueues.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
