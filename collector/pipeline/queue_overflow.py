"""`Dropper`: makes room in a queue on disk by removing the oldest records (`drop_oldest`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from collector.pipeline.queue import Loss, overflow_loss
from collector.pipeline.queue_scan import Cursor
from collector.pipeline.queue_segment import Damage, Frame, Segment

if TYPE_CHECKING:
    from collector.pipeline.queue_damage import Damages
    from collector.pipeline.queue_log import SegmentLog


class Dropper:
    """Remembers what it has removed until that is released. `tell` is called while the log's `state` is held."""

    def __init__(self, log: SegmentLog, damages: Damages, *, tell: Callable[[Loss], None]) -> None:
        self.cursor = Cursor()
        self._log = log
        self._damages = damages
        self._tell = tell
        self._dropped: deque[tuple[int, int]] = deque()  # ranges of sequence numbers

    def has_dropped(self, sequence: int) -> bool:
        """Whether this record was removed."""
        return any(first <= sequence <= last for first, last in self._dropped)

    def has_dropped_all(self, segment: Segment) -> bool:
        """Whether every record of a segment was."""
        return any(first <= segment.base and segment.last <= last for first, last in self._dropped)

    def forget(self, upto: int) -> None:
        """Records up to position `upto` are released."""
        while self._dropped and self._dropped[0][1] <= upto:
            self._dropped.popleft()

    def drop(self, after: int, excess: Callable[[], int]) -> bool:
        """Remove the oldest records behind position `after` that make up for the `excess` in bytes; False: none, all are too few."""
        if self._dropped:
            after = max(after, self._dropped[-1][1])
        # What is destroyed makes room as well.
        self._damages.confirm(self.cursor.seek(after, self._log.segments))
        wanted = excess()
        upto = after
        free = 0
        victims: list[tuple[Segment, Frame]] = []
        while free < wanted:
            found = self.cursor.next(self._log.segments, payload=False)
            if found is None:
                break
            owner = self.cursor.segment
            if owner is None:
                continue
            if isinstance(found, Damage):
                self._damages.confirm([owner])
                wanted = excess()
                victims = [victim for victim in victims if not self._damages.is_lost(victim[1].sequence)]
                free = sum(frame.size for _, frame in victims)
            elif not self._damages.is_lost(found.sequence):
                upto = found.sequence
                free += found.size
                victims.append((owner, found))
        if free < wanted:
            return False
        if victims:
            self._remove(victims, after, upto)
        return True

    def _remove(self, victims: list[tuple[Segment, Frame]], after: int, upto: int) -> None:
        if self._dropped and self._dropped[-1][1] == after:
            after = self._dropped.pop()[0] - 1
        self._dropped.append((after + 1, upto))
        with self._log.state:  # gone and told of in one moment
            for owner, frame in victims:
                self._log.take_out(owner, frame.items, frame.size)
            self._tell(overflow_loss(len(victims), sum(frame.items for _, frame in victims)))
