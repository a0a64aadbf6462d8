"""Looking into a queue on disk without opening it: nothing is locked, made or changed, whoever has it open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collector.pipeline.queue_directory import read_owner, read_position
from collector.pipeline.queue_scan import open_segment
from collector.pipeline.queue_segment import Damage, Frame, Segment, SegmentReader, segment_base


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is in a queue on disk at one moment. Sizes are bytes of OTLP."""

    records: int
    items: int
    size: int
    oldest_unix_nano: int | None  # when the oldest record that waits was taken; None: none waits
    quarantined: int  # bytes of what was damaged, as it was found
    owner: int | None  # the process that has it open; None: none has


def survey(path: Path) -> Survey:
    """Count what waits in the queue in `path`. What is damaged is left out.

    Raises:
        OSError: it cannot be read.
    """
    released = read_position(path)
    records = items = size = 0
    oldest: int | None = None
    for segment in _segments(path, released):
        for frame in _frames(segment, released, payload=False):
            oldest = frame.unix_nano if oldest is None else oldest
            records, items, size = records + 1, items + frame.items, size + frame.size
    quarantine = path / "quarantine"
    return Survey(
        records=records,
        items=items,
        size=size,
        oldest_unix_nano=oldest,
        quarantined=sum(one.stat().st_size for one in quarantine.glob("*")),
        owner=read_owner(path),
    )


def waiting(path: Path) -> Iterator[Frame]:
    """The records that wait in the queue in `path`, oldest first, with their data. What is damaged is left out.

    Raises:
        OSError: it cannot be read.
    """
    released = read_position(path)
    for segment in _segments(path, released):
        yield from _frames(segment, released, payload=True)


def _segments(path: Path, released: int) -> Iterator[Segment]:
    salt = int(json.loads((path / "queue").read_text())["salt"])
    named = sorted((base, one) for one in path.iterdir() if (base := segment_base(one)) is not None)
    for base, one in named:
        try:
            segment = open_segment(base, one, salt)
        except FileNotFoundError:  # it was delivered meanwhile
            continue
        if segment.last > released:
            yield segment


def _frames(segment: Segment, released: int, *, payload: bool) -> Iterator[Frame]:
    try:
        reader = SegmentReader(segment)
    except FileNotFoundError:
        return
    try:
        while (found := reader.next(segment.end, payload=payload)) is not None:
            if not isinstance(found, Damage) and found.sequence > released:
                yield found
    finally:
        reader.close()
