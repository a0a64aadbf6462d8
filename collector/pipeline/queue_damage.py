"""`Damages`: what is found damaged in a queue on disk. It is set aside, counted once, and the rest is delivered.

A damaged segment is first of all a suspect. The destination may have had what it held: the position that was written
down is older than what a crash left undone. So what is lost by it is told by who reads, when he has asked the
destination, or when that has confirmed what lies behind it; opening, releasing and deleting only note what they meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from collector.pipeline.queue import Loss
from collector.pipeline.queue_scan import examine

if TYPE_CHECKING:
    from collector.pipeline.queue_directory import QueueDirectory
    from collector.pipeline.queue_log import SegmentLog
    from collector.pipeline.queue_scan import Examination
    from collector.pipeline.queue_segment import Segment


class Damages:
    """Of one queue. Used by one thread at a time: the one that moves the queue's cursors.

    Args:
        directory: Where the quarantine is.
        log: What destroyed records are taken out of.
        is_gone: Whether a record waits no more: it was released or dropped.
        tell: Is told of losses, while the log's `state` is held.
    """

    def __init__(
        self,
        directory: QueueDirectory,
        log: SegmentLog,
        *,
        is_gone: Callable[[int], bool],
        tell: Callable[[Loss], None],
    ) -> None:
        self._directory = directory
        self._log = log
        self._is_gone = is_gone
        self._tell = tell
        self._suspects: list[Segment] = []
        self._lost: set[int] = set()  # records that are counted as lost, though their headers can be read

    def suspect(self, segments: Iterable[Segment]) -> None:
        """There is damage in these. What is lost by it is told later."""
        self._suspects += segments

    def begin_behind(self, released: int) -> None:
        """At the start, suspects count for nothing up to the position that was written down."""
        for segment in self._suspects:
            if segment.base <= released:
                self._forget_delivered(segment)
        self._suspects = [segment for segment in self._suspects if segment.last > released]

    def confirm(self, segments: Iterable[Segment] = ()) -> None:
        """The destination was asked: what is damaged in these and in suspects, and not released, is lost."""
        for segment in (*self._take_suspects(), *segments):
            self._examine(segment)

    def settle(self) -> int:
        """The destination has what was released: of suspects, that waits no more, and the rest is lost.

        Returns:
            Items that were released by it.
        """
        items = 0
        for segment in self._take_suspects():
            items += self._forget_delivered(segment)
            self._examine(segment)
        return items

    def is_lost(self, sequence: int) -> bool:
        """Whether a record that is met was counted as lost."""
        return sequence in self._lost

    def forget(self, sequence: int) -> bool:
        """The same, of one that will not be met again."""
        lost = sequence in self._lost
        self._lost.discard(sequence)
        return lost

    def set_aside(self, segment: Segment, found: Examination) -> None:
        """Keep what was found in place of records in the quarantine, for people to look at."""
        for damage, raw in found.damages:
            if any(raw):
                self._directory.quarantine(f"{segment.path.stem}-{damage.offset}-{damage.reason}", raw)

    def _take_suspects(self) -> list[Segment]:
        suspects, self._suspects = self._suspects, []
        return suspects

    def _examine(self, segment: Segment) -> None:
        """Find all the damage in a segment, and tell what is lost by it: what is destroyed and waits."""
        if segment.damaged:
            return
        found = self._look_into(segment)
        segment.damaged = True
        self._lost.update(
            damage.sequence
            for damage, _ in found.damages
            if damage.sequence is not None and not self._is_gone(damage.sequence)
        )
        with self._log.state:
            whole, destroyed = found.left_of(segment, self._is_gone)
            items = segment.left_items - whole.items
            self._log.take_out(segment, items, segment.left_size - whole.size)
            if destroyed.records or items:  # else what is damaged had been delivered
                self._tell(
                    Loss(
                        cause="damaged",
                        detail=found.damages[0][0].reason if found.damages else "torn",
                        records=destroyed.records,
                        items=items,
                        message=f"{segment.path} is damaged; what was found in place of records is kept in "
                        f"{self._directory.path}/quarantine",
                    )
                )
        self.set_aside(segment, found)

    def _forget_delivered(self, segment: Segment) -> int:
        """Let what was released of a damaged segment wait no more, though it cannot be read; return its items."""
        if segment.damaged:
            return 0
        found = self._look_into(segment)
        with self._log.state:
            whole, destroyed = found.left_of(segment, self._is_gone)
            items = max(0, segment.left_items - whole.items - destroyed.items)
            size = max(0, segment.left_size - whole.size - destroyed.size)
            self._log.take_out(segment, items, size)
            return items

    def _look_into(self, segment: Segment) -> Examination:
        self._log.seal(segment)  # so that nothing follows behind what is examined here
        with self._log.state:
            self._log.tail.clear()  # what is lost on the disk must not come from memory
        return examine(segment, segment.end)
