"""A sending queue on disk: what is in it outlives the process, and after `wait_durable` the machine.

Records lie in a row of segments (`queue_log` writes them, `queue_scan` goes through them, `queue_segment` knows their
form) in a directory of its own (`queue_directory`). The reader (`queue_reader`) is given only what is on the disk, so
that no destination is ever ahead of the queue. Released segments are deleted, or written again. What is found damaged
is set aside and counted (`queue_damage`), and the rest is delivered. A full queue can remove its oldest records
(`queue_overflow`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from collector.model.errors import RetryableError
from collector.pipeline.component import StartError
from collector.pipeline.queue import Loss, Overflow, Record, Watcher, full_error
from collector.pipeline.queue_damage import Damages
from collector.pipeline.queue_directory import QueueDirectory, sync_file
from collector.pipeline.queue_log import SegmentLog
from collector.pipeline.queue_overflow import Dropper
from collector.pipeline.queue_reader import BatchReader
from collector.pipeline.queue_recent import Recent
from collector.pipeline.queue_scan import Arrivals, Cursor
from collector.pipeline.queue_segment import Damage, Frame, Segment

if TYPE_CHECKING:
    from collector.model.clock import Clock
    from collector.model.telemetry import Telemetry
    from collector.pipeline.batching import BatchLimits

SEGMENT_SIZE: Final = 16 * 1024 * 1024
_SEGMENT_SIZE_MIN: Final = 256 * 1024
# A segment is deleted as a whole: the larger its share of the queue, the more space waits for its last record.
_SEGMENT_SHARE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStorage:
    """Where queues are kept, and how safely.

    `fsync` false: an acknowledgement does not wait for the disk; a power failure may lose what it confirmed.
    """

    directory: Path
    fsync: bool = True
    segment_size: int = SEGMENT_SIZE


class DiskQueue:
    """See `SendingQueue`. Nothing is touched before `open`.

    `sync_release`: a released position has to survive a power failure, because the destination does not remember it.
    `tail_size`: bytes of the newest records that are kept in memory as well, for a sender that keeps up.
    """

    durable = True

    def __init__(
        self,
        storage: QueueStorage,
        name: str,
        capacity: int,
        clock: Clock,
        *,
        overflow: Overflow = "refuse",
        sync_release: bool = True,
        tail_size: int = 0,
    ) -> None:
        self._directory = QueueDirectory(storage.directory / name)
        self._log = SegmentLog(
            self._directory,
            segment_size=min(storage.segment_size, max(_SEGMENT_SIZE_MIN, capacity // _SEGMENT_SHARE)),
            fsync=storage.fsync,
            tail_size=tail_size,
            lost=self._tell,
        )
        self._capacity = capacity
        self._clock = clock
        self._overflow = overflow
        self._sync_release = sync_release
        self._watcher: Watcher = lambda loss: None
        self._opened = False
        self._state = self._log.state  # guards the reservations and the arrivals as well
        self._reserved = 0
        self._arrivals = Arrivals()
        self._recent = Recent(self._directory.path / "recent")
        # Cursors are moved by one thread at a time. Taken before `_state`.
        self._consuming = threading.Lock()
        self._released = 0
        self._noted = 0  # the position that was written down: what is behind it stays on the disk
        self._damages = Damages(self._directory, self._log, is_gone=self._is_gone, tell=self._tell)
        self._dropper = Dropper(self._log, self._damages, tell=self._tell)
        self._reader = BatchReader(self._log, self._damages, is_dropped=self._dropper.has_dropped)
        self._releaser = Cursor()
        self._cursors = (self._reader.cursor, self._releaser, self._dropper.cursor)

    @property
    def id(self) -> UUID:
        """See `SendingQueue`."""
        return self._directory.id

    @property
    def capacity(self) -> int:
        """See `SendingQueue`."""
        return self._capacity

    @property
    def size(self) -> int:
        """See `SendingQueue`."""
        return self._log.size

    @property
    def items(self) -> int:
        """See `SendingQueue`."""
        return self._log.items

    @property
    def released(self) -> int:
        """See `SendingQueue`."""
        return self._released

    @property
    def last(self) -> int:
        """See `SendingQueue`."""
        return self._log.last

    def oldest_age_s(self) -> float:
        """See `SendingQueue`."""
        with self._state:
            if not self._log.items:
                return 0.0
            return max(0.0, self._clock.monotonic() - self._arrivals.of(self._released + 1))

    # --- life -------------------------------------------------------------------------------------------

    def still(self) -> AbstractContextManager[object]:
        """See `SendingQueue`."""
        return self._state

    def watch(self, watcher: Watcher, /) -> None:
        """See `SendingQueue`."""
        self._watcher = watcher

    def _tell(self, loss: Loss) -> None:
        self._watcher(loss)

    def open(self) -> None:
        """See `SendingQueue`. However much is in it, little of it is read, and nothing is counted as lost."""
        if self._opened:
            return
        released, given = self._directory.open()
        try:
            self._damages.suspect(self._log.open(released, self._damages.set_aside))
            for path in self._recent.load(self._log.segments, self._clock.unix_nano()):
                sync_file(path)  # who sends again what is in it is told that it is safe
            self._begin_behind(released, given)
        except OSError as error:
            self._log.close()
            self._directory.close()
            raise StartError(f"the sending queue cannot use {self._directory.path}: {error}") from error
        self._opened = True

    def _begin_behind(self, released: int, given: int) -> None:
        segments = self._log.segments
        if segments:  # what was deleted had been released
            released = max(released, segments[0].base - 1)
        self._release(released)
        self._damages.begin_behind(released)
        self._noted = released
        self._reader.upto = max(released, min(given, self._log.last))
        oldest = self._releaser.next(segments, payload=False)
        age_s = 0.0
        if isinstance(oldest, Frame):
            self._releaser.back(oldest)
            age_s = max(0.0, (self._clock.unix_nano() - oldest.unix_nano) / 1e9)
        self._arrivals.note(released + 1, self._clock.monotonic() - age_s)
        self._delete_released()

    def renew(self) -> None:
        """See `SendingQueue`."""
        try:
            self._directory.renew()
        except OSError as error:
            raise RetryableError(
                f"the sending queue in {self._directory.path} cannot take a new id: {error.strerror or error}",
                reason="disk_failed",
            ) from error

    def close(self) -> None:
        """See `SendingQueue`."""
        with self._consuming:
            self._log.close()
            for cursor in self._cursors:
                cursor.close()
            self._directory.close()

    # --- putting in -------------------------------------------------------------------------------------

    def adjust(self, capacity: int, overflow: Overflow, /) -> None:
        """See `SendingQueue`."""
        with self._state:
            self._capacity, self._overflow = capacity, overflow

    def reserve(self, size: int, /, *, beyond: bool = False) -> None:
        """See `SendingQueue`. `beyond`: more than it may hold, for what takes the place of other records."""
        with self._state:
            excess = 0 if beyond else self._excess(size)
            if excess <= 0:
                self._reserved += size
                return
        if self._overflow != "drop_oldest" or not self._drop_oldest(size):
            taken = self._log.size + self._reserved
            raise full_error(taken, self._capacity, lambda: self._excess(size) <= 0)
        with self._state:
            self._reserved += size

    def _drop_oldest(self, size: int) -> bool:
        """Remove the oldest records that nobody was given, until `size` bytes find room; False: none, all are too few."""
        with self._consuming:
            given = max(self._reader.upto, self._released)
            if not self._dropper.drop(given, lambda: self._excess(size)):
                return False
            self._delete_released()
            return True

    def _excess(self, size: int) -> int:
        """How many bytes are in the way of `size` more."""
        with self._state:
            taken = self._log.size + self._reserved
            return taken + size - self._capacity if taken else 0

    def cancel(self, size: int, /) -> None:
        """See `SendingQueue`."""
        with self._state:
            self._reserved -= size

    def find(self, origin: bytes, /) -> int | None:
        """See `SendingQueue`."""
        return self._recent.find(origin, self._clock.unix_nano())

    def append_all(self, pieces: Sequence[Telemetry], origins: Sequence[bytes] = (), /) -> int:
        """See `SendingQueue`."""
        crcs = self._log.checksums(pieces)
        try:
            return self._append(pieces, crcs, origins, reserved=sum(data.size for data in pieces))
        except RetryableError as error:
            if error.reason != "disk_full" or not self._start_over():
                raise
            return self._append(pieces, crcs, origins, reserved=0)

    def _append(
        self, pieces: Sequence[Telemetry], crcs: Sequence[int], origins: Sequence[bytes], *, reserved: int
    ) -> int:
        with self._state:
            self._reserved -= reserved  # in any case: what is in the log counts there
            unix_nano = self._clock.unix_nano()
            last = self._log.append_all(pieces, crcs, unix_nano, origins)
            now = self._clock.monotonic()
            first = last - len(pieces) + 1
            for sequence in range(first, last + 1):
                self._arrivals.note(sequence, now)
            for sequence, origin in enumerate(origins, first):
                self._recent.note(origin, sequence, unix_nano)
            return last

    def wait_durable(self, sequence: int, /) -> None:
        """See `SendingQueue`."""
        self._log.wait_durable(sequence)

    # --- taking out -------------------------------------------------------------------------------------

    def read(self, after: int, limits: BatchLimits, /) -> list[Record]:
        """See `SendingQueue`. Waits for the disk where only what is not on it yet is left."""
        records = self._read(after, limits)
        if not records and self._log.durable_upto < self._log.last:
            try:
                self.wait_durable(self._log.last)
            except RetryableError:
                return []
            records = self._read(after, limits)
        return records

    def _read(self, after: int, limits: BatchLimits) -> list[Record]:
        with self._consuming:
            before = self._reader.upto
            records = self._reader.read(after, limits)
            if self._reader.upto > before:
                # Before anything is sent: after a crash, what may be stored is not dropped as if it were not.
                with contextlib.suppress(OSError):  # only that is at stake
                    self._directory.write_position(self._noted, self._reader.upto, durable=False)
            return records

    def next_size(self, after: int, /) -> tuple[int, int]:
        """See `SendingQueue`."""
        known = self._reader.next_size_in_memory(after)
        if known is not None:
            return known
        with self._consuming:
            return self._reader.next_size(after)

    def release(self, upto: int, /) -> int:
        """See `SendingQueue`."""
        with self._consuming:
            items = self._release(min(upto, self._log.durable_upto))
            items += self._damages.settle()
            try:
                self._directory.write_position(self._released, self._reader.upto, durable=self._sync_release)
            except OSError:
                return items  # no segment is deleted before its position is written; the next release tries again
            self._noted = self._released
            return items

    def tidy(self) -> None:
        """See `SendingQueue`."""
        with self._consuming:
            if self._opened:
                self._delete_released(reuse=True)

    def _release(self, upto: int) -> int:
        if (released := self._release_remembered(upto)) is not None:
            return released
        if self._opened:
            self._damages.suspect(self._releaser.seek(self._released, self._log.segments))
        released = 0
        while True:
            found = self._releaser.next(self._log.segments, payload=False)
            if found is None:
                break
            segment = self._releaser.segment
            if isinstance(found, Damage):
                self._damages.suspect([segment] if segment is not None else [])
                continue
            if found.sequence > upto:
                self._releaser.back(found)
                break
            counted = self._damages.forget(found.sequence) or self._dropper.has_dropped(found.sequence)
            if segment is not None and not counted:
                self._log.take_out(segment, found.items, found.size)
                released += found.items
        self._settle(upto)
        return released

    def _release_remembered(self, upto: int) -> int | None:
        """The same by what is in memory; None where that is not all."""
        released = 0
        last = None
        with self._state:
            if not self._log.tail.has_all_behind(self._released):
                return None
            for found in self._log.tail.take(upto):
                if self._dropper.has_dropped(found.sequence):
                    continue
                last = found
                self._log.take_out(found.segment, found.data.items, found.data.size)
                released += found.data.items
            self._settle(upto)
        if last is not None:
            self._releaser.jump(last.segment, last.end, last.sequence)
        return released

    def _settle(self, upto: int) -> None:
        with self._state:
            self._released = max(self._released, upto)
            self._arrivals.forget(self._released)
            for _ in self._log.tail.take(self._released):
                pass
            self._dropper.forget(self._released)

    def _delete_released(self, *, reuse: bool = False) -> None:
        self._leave(self._log.delete(self._is_over, self._before_deleting, reuse=reuse))

    def _start_over(self) -> bool:
        """Delete the newest segment too, if all is released: on a full disk nothing else would make room again."""
        with self._consuming:
            if self._released != self._log.last:
                return False
            try:  # the next number must be known without the name of the segment
                self._directory.write_position(self._released, self._reader.upto, durable=True)
            except OSError:
                return False
            gone = self._log.delete_all(self._released, self._before_deleting)
            self._leave(gone)
            return bool(gone)

    def _leave(self, gone: Sequence[Segment]) -> None:
        for segment in gone:
            for cursor in self._cursors:
                cursor.leave(segment)

    def _before_deleting(self) -> None:
        with contextlib.suppress(OSError):  # see `Delivery`: the destination knows better
            self._directory.write_position(self._noted, self._reader.upto, durable=True)
        with self._state, contextlib.suppress(OSError):  # see `queue_recent`: no data is lost by it
            self._recent.save(lambda sequence: not self._log.was_taken_back(sequence))

    def _is_over(self, segment: Segment) -> bool:
        return segment.last <= self._noted or self._dropper.has_dropped_all(segment)

    def _is_gone(self, sequence: int) -> bool:
        return sequence <= self._released or self._dropper.has_dropped(sequence)
