"""`BatchReader`: takes batches out of a queue on disk, from memory where all of one is there, else from the segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from collector.pipeline.queue import Record
from collector.pipeline.queue_scan import Cursor
from collector.pipeline.queue_segment import Damage

if TYPE_CHECKING:
    from collector.pipeline.batching import BatchLimits
    from collector.pipeline.queue_damage import Damages
    from collector.pipeline.queue_log import SegmentLog


class BatchReader:
    """Used by one thread at a time, but for `next_size_in_memory`. `is_dropped`: what is left out."""

    def __init__(self, log: SegmentLog, damages: Damages, *, is_dropped: Callable[[int], bool]) -> None:
        self.cursor = Cursor()
        self.upto = 0  # the last record that anybody was given, an earlier process included: it may be stored
        self._log = log
        self._damages = damages
        self._is_dropped = is_dropped

    def read(self, after: int, limits: BatchLimits) -> list[Record]:
        """The batch behind position `after`, of what is on the disk."""
        records = self._remembered(after, limits)
        if records is None:
            self._seek(after)
            records = self._collect(after, limits)
        if records:
            self.upto = max(self.upto, records[-1].sequence)
        return records

    def _remembered(self, after: int, limits: BatchLimits) -> list[Record] | None:
        """The batch behind `after`, if all of it is in memory."""
        records: list[Record] = []
        items = size = 0
        last = None
        with self._log.state:
            if not self._log.tail.has_all_behind(after):
                return None
            for found in self._log.tail.behind(after):
                if found.sequence > self._log.durable_upto:
                    break
                if self._is_dropped(found.sequence):
                    continue
                items += found.data.items
                size += found.data.size
                if records and not limits.fits(items, size):
                    break
                records.append(Record(found.sequence, found.data))
                last = found
                if limits.complete(items, size):
                    break
        if last is not None:
            self.cursor.jump(last.segment, last.end, last.sequence)
        return records

    def _seek(self, after: int) -> None:
        """Move there. Who reads has asked the destination: what is damaged and not released is lost."""
        self._damages.confirm(self.cursor.seek(after, self._log.segments))

    def _collect(self, after: int, limits: BatchLimits) -> list[Record]:
        records: list[Record] = []
        items = size = 0
        while True:
            # Of the first, all; of those that follow, what goes with it.
            size_max = limits.size_left(items, size) if records else None
            found = self.cursor.next(self._log.segments, payload=True, size_max=size_max)
            if found is None:
                return records
            if isinstance(found, Damage):
                self._confirm_here()
                continue
            if found.sequence <= after or self._is_dropped(found.sequence):
                continue
            items += found.items
            size += found.size
            if found.data is None or (records and not limits.fits(items, size)):
                self.cursor.back(found)
                return records
            records.append(Record(found.sequence, found.data))
            if limits.complete(items, size):
                return records

    def _confirm_here(self) -> None:
        if self.cursor.segment is not None:
            self._damages.confirm([self.cursor.segment])

    def next_size_in_memory(self, after: int) -> tuple[int, int] | None:
        """Items and bytes of the record behind `after`, (0, 0) if there is none; None: memory does not say."""
        with self._log.state:
            if not self._log.tail.has_all_behind(after):
                return None
            for one in self._log.tail.behind(after):
                if one.sequence > self._log.durable_upto:
                    break
                if not self._is_dropped(one.sequence):
                    return one.data.items, one.data.size
            return 0, 0

    def next_size(self, after: int) -> tuple[int, int]:
        """The same, by what is on the disk."""
        self._seek(after)
        while (found := self.cursor.next(self._log.segments, payload=False)) is not None:
            if isinstance(found, Damage):
                self._confirm_here()
            elif found.sequence > after and not self._is_dropped(found.sequence):
                self.cursor.back(found)
                return found.items, found.size
        return 0, 0
