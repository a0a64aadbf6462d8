"""`Tail`: the newest records of a queue on disk, which are in memory anyway.

A sender that keeps up is given what arrived a moment ago. To read that back, and to check it, would take more CPU than
it took to write it, and hold up those who append.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.model.telemetry import Telemetry

if TYPE_CHECKING:
    from collector.pipeline.queue_segment import Segment

_RECORDS_MAX: Final = 8192


@dataclass(frozen=True, slots=True)
class Appended:
    """A record, and where it is: it ends at offset `end` of `segment`."""

    sequence: int
    data: Telemetry
    segment: Segment
    end: int


class Tail:
    """All records from some number on, up to the last. Whoever uses it holds the log's `state`.

    Args:
        bytes_max: What is kept at most, in bytes of payload; 0: nothing.
        records_max: The same in records.
    """

    def __init__(self, bytes_max: int, records_max: int = _RECORDS_MAX) -> None:
        self._bytes_max = bytes_max
        self._records_max = records_max
        self._records: deque[Appended] = deque()
        self._size = 0

    def add(self, record: Appended) -> None:
        """It was appended. The oldest are left out when they are too many."""
        self._records.append(record)
        self._size += record.data.size
        while self._size > self._bytes_max or len(self._records) > self._records_max:
            self._forget_oldest()

    def _forget_oldest(self) -> Appended:
        record = self._records.popleft()
        self._size -= record.data.size
        return record

    def has_all_behind(self, position: int) -> bool:
        """Whether every record behind `position` is here."""
        return bool(self._records) and self._records[0].sequence <= position + 1

    def behind(self, position: int) -> Iterator[Appended]:
        """The records behind `position` that are here, in order."""
        return (record for record in self._records if record.sequence > position)

    def take(self, upto: int) -> Iterator[Appended]:
        """Take out the records up to position `upto`."""
        while self._records and self._records[0].sequence <= upto:
            yield self._forget_oldest()

    def cut(self, last: int) -> None:
        """The records behind `last` were taken back."""
        while self._records and self._records[-1].sequence > last:
            self._size -= self._records.pop().data.size

    def clear(self) -> None:
        """From now on only what is on the disk counts."""
        self._records.clear()
        self._size = 0
