"""Going through the segments of a queue: at start, while reading, and when something in one is found damaged."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from collector.pipeline.queue_segment import (
    REUSED_VERSION,
    SEGMENT_HEADER_SIZE,
    VERSION,
    Damage,
    Frame,
    Segment,
    SegmentReader,
    read_footer,
    read_header,
)

_ARRIVALS_MAX: Final = 2048


class Cursor:
    """A place in a row of segments. Moved by one thread at a time, while others append to the row."""

    def __init__(self) -> None:
        self.segment: Segment | None = None
        self._reader: SegmentReader | None = None
        self._passed = 0  # the base of the segment that comes before the next one
        self._after = 0  # the sequence number of the record before the next one
        self._before = 0
        self._unreadable = False
        self._start: tuple[int, int] | None = None  # where to go in `segment`, once it is open

    def close(self) -> None:
        """Close the file. The place is kept."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def leave(self, segment: Segment) -> None:
        """Go on behind `segment`, which is about to be deleted."""
        if self.segment is segment:
            self.close()
            self.segment = self._start = None

    def jump(self, segment: Segment, end: int, sequence: int) -> None:
        """Move behind a record: its number, and where it ends."""
        if self.segment is not segment:
            self.close()
            self.segment, self._passed = segment, segment.base
        self._after = sequence
        if self._reader is None:
            self._start = end, sequence
        else:
            self._reader.go(end, sequence)

    def seek(self, after: int, segments: Sequence[Segment]) -> list[Segment]:
        """Move to the first record behind position `after`. Costs nothing where the cursor is there already.

        Returns:
            Segments in which damage was met on the way.
        """
        damaged: list[Segment] = []
        if after == self._after and after:
            return damaged
        self._go_before(after, segments)
        while (found := self.next(segments, payload=False)) is not None:
            if isinstance(found, Damage):
                if self.segment is not None:
                    damaged.append(self.segment)
            elif found.sequence > after:
                self.back(found)
                break
        self._after = after
        return damaged

    def _go_before(self, after: int, segments: Sequence[Segment]) -> None:
        """Go to the beginning of the segment that holds what is behind position `after`."""
        self.close()
        self.segment = self._start = None
        bases = [segment.base for segment in segments if segment.base <= after + 1]
        self._passed = bases[-1] - 1 if bases else 0
        self._after = after

    def next(
        self, segments: Sequence[Segment], *, payload: bool, size_max: int | None = None
    ) -> Frame | Damage | None:
        """What comes next in `segments`; None at what is not readable yet. See `SegmentReader.next`."""
        while True:
            if self._reader is None:
                if self._unreadable:
                    self.segment, self._unreadable = None, False
                following = self.segment or next((one for one in segments if one.base > self._passed), None)
                if following is None:
                    return None
                self.segment, self._passed = following, following.base
                try:
                    self._reader = SegmentReader(following)
                except OSError:  # somebody has deleted it
                    self._unreadable = True
                    return Damage(SEGMENT_HEADER_SIZE, following.readable, "unreadable")
                if self._start is not None:
                    self._reader.go(*self._start)
                    self._start = None
            segment = self._reader.segment
            complete = segment.sealed and segment.readable >= segment.end  # before reading: both may grow
            found = self._reader.next(segment.readable, payload=payload, size_max=size_max)
            if found is not None:
                if isinstance(found, Frame):
                    self._before, self._after = self._after, found.sequence
                return found
            if not complete or not any(one.base > segment.base for one in segments):
                return None
            self.close()
            self.segment = None

    def back(self, frame: Frame) -> None:
        """Return to `frame`, which `next` has given last."""
        if self._reader is not None:
            self._reader.back(frame)
            self._after = self._before


class Arrivals:
    """When records came, by the monotonic clock. Exact for a few thousand, coarser and never later beyond."""

    def __init__(self) -> None:
        self._times: deque[tuple[int, float]] = deque()

    def note(self, sequence: int, monotonic: float) -> None:
        """A record came."""
        self._times.append((sequence, monotonic))
        if len(self._times) > _ARRIVALS_MAX:
            self._times = deque(list(self._times)[::2])

    def of(self, sequence: int) -> float:
        """When the record came, or one before it."""
        self.forget(sequence - 1)
        return self._times[0][1]

    def forget(self, upto: int) -> None:
        """These will not be asked for again."""
        while len(self._times) > 1 and self._times[1][0] <= upto + 1:
            self._times.popleft()


class Totals(NamedTuple):
    """Of some records; `size` in bytes of OTLP."""

    records: int
    items: int
    size: int


@dataclass(slots=True)
class Examination:
    """What a segment really holds, byte by byte: whole records, and what is between them."""

    frames: list[Frame] = field(default_factory=list)  # without their data
    damages: list[tuple[Damage, bytes]] = field(default_factory=list)  # with the bytes as found

    def left_of(self, segment: Segment, is_gone: Callable[[int], bool]) -> tuple[Totals, Totals]:
        """What is whole of `segment`, and what is destroyed, of the records that are not gone for another reason.

        What a footer counts beyond the headers that are left is shared out evenly among the records whose header is
        not: that is exact where they are alike. Without a footer nothing is known of those but their numbers.
        """
        whole = {frame.sequence: (frame.items, frame.size) for frame in self.frames}
        named = {
            damage.sequence: (damage.items or 0, damage.size or 0)
            for damage, _ in self.damages
            if damage.sequence is not None and damage.sequence not in whole
        }
        known = whole | named
        nameless = [number for number in range(segment.base, segment.last + 1) if number not in known]
        waiting = sum(not is_gone(number) for number in nameless)
        items, size = (
            max(0, total - sum(of_one)) * waiting // max(1, len(nameless))
            for total, of_one in (
                (segment.items, [one[0] for one in known.values()]),
                (segment.size, [one[1] for one in known.values()]),
            )
        )
        destroyed = _totals(named, is_gone)
        return _totals(whole, is_gone), Totals(
            destroyed.records + waiting, destroyed.items + items, destroyed.size + size
        )


def _totals(known: dict[int, tuple[int, int]], is_gone: Callable[[int], bool]) -> Totals:
    left = [one for sequence, one in known.items() if not is_gone(sequence)]
    return Totals(len(left), sum(items for items, _ in left), sum(size for _, size in left))


def examine(segment: Segment, end: int) -> Examination:
    """Read all of a segment and check every payload."""
    found = Examination()
    try:
        reader = SegmentReader(segment)
    except OSError:
        found.damages.append((Damage(SEGMENT_HEADER_SIZE, end, "unreadable"), b""))
        return found
    try:
        while (one := reader.next(end, payload=True)) is not None:
            if isinstance(one, Damage):
                raw = b"" if one.reason == "unreadable" else reader.raw(one.offset, one.end - one.offset)
                found.damages.append((one, raw))
            else:
                found.frames.append(replace(one, data=None))
    finally:
        reader.close()
    return found


def totals_upto(segment: Segment, end: int) -> tuple[int, int, int, int]:
    """Records, items, bytes and the last sequence number of what lies before offset `end`."""
    records = items = size = 0
    last = segment.base - 1
    reader = SegmentReader(segment)
    try:
        while (one := reader.next(end, payload=False)) is not None:
            if isinstance(one, Frame):
                records, items, size, last = records + 1, items + one.items, size + one.size, one.sequence
    finally:
        reader.close()
    return records, items, size, last


def open_segment(number: int, path: Path, salt: int, before: int = 0) -> Segment:
    """Learn what a segment holds: from its footer, or from the headers of its records.

    Args:
        number: The number in its name.
        path: The file.
        salt: The queue's, in case that the header is damaged.
        before: The sequence number of the last record in the segment before it, as far as it is known.

    Raises:
        OSError: it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = read_header(fd, number)
        # Without a header it is what its records, or its footer, say that it is.
        versions = [found[0]] if found else [REUSED_VERSION, VERSION]
        for version in versions:
            base = number if version == VERSION else before + 1
            segment = Segment(path, base, found[1] if found else salt, last=base - 1, version=version)
            segment.length = os.fstat(fd).st_size
            if read_footer(fd, segment.length, segment):
                break
            _scan(segment)
            if segment.records:
                break
    finally:
        os.close(fd)
    return segment


def _scan(segment: Segment) -> None:
    segment.end = segment.readable = max(segment.length, SEGMENT_HEADER_SIZE)
    reader = SegmentReader(segment)
    try:
        while (one := reader.next(segment.end, payload=False)) is not None:
            if isinstance(one, Frame):
                if segment.version == REUSED_VERSION and one.offset == SEGMENT_HEADER_SIZE:
                    segment.base = one.sequence
                segment.add(one.sequence, one.items, one.size)
            elif one.sequence is not None and one.items is not None:  # its reader will count it as lost
                segment.add(one.sequence, one.items, one.size or 0)
            elif segment.version == REUSED_VERSION and one.end == segment.end:
                segment.end = segment.readable = one.offset  # behind it is what the file was before
    finally:
        reader.close()
