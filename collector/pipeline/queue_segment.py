"""One file of a queue on disk: how records lie in it, and how it is read when parts of it are damaged.

    segment = header  record*  [footer]
    record  = magic version signal origin-length items length sequence unix_nano crc(payload) crc(these fields, origin)
              origin  payload
    footer  = magic version records items bytes last [base end] crc        written when no more records will follow

A file that was released is used again (version 2): overwriting costs the disk half of what a file that grows does, and
no file is made or deleted while somebody waits. What it held before lies behind its last record, and is told from
records by two things: their numbers are smaller than any that follow, and the CRC of a header starts from the file's
name, which is another each time. Its footer is at the end of the file, and says where the last record ends.

All integers are little-endian. CRC-32 as in zlib, worked out by ISA-L where there is one: 37 GB/s instead of 2.9. Each
CRC starts from the queue's salt, so that neither the remains of another file nor an OTLP payload that contains the
bytes of a record can pass for one.

The footer only saves reading the file at start. What is in the records is what counts.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

try:
    from isal.isal_zlib import crc32
except ImportError:  # no wheel for this machine
    from zlib import crc32

from collector.model.signal import Signal
from collector.model.telemetry import Telemetry

VERSION: Final = 1  # of segments, footers, and of records without an origin
REUSED_VERSION: Final = 2  # of segments whose file was another before, and of their footers
ORIGIN_VERSION: Final = 2
ORIGIN_SIZE: Final = 16  # says of which request a record is: see `SendingQueue.find`
SUFFIX: Final = ".seg"

_SEGMENT: Final = struct.Struct("<8sIIQ")  # magic, version, salt, base
_RECORD: Final = struct.Struct("<4sBBHIIQQI")
_FOOTER: Final = struct.Struct("<4sIIQQQ")
_REUSED_FOOTER: Final = struct.Struct("<4sIIQQQQQ")
_NUMBER: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")
SEGMENT_HEADER_SIZE: Final = _SEGMENT.size + _CRC.size
RECORD_HEADER_SIZE: Final = _RECORD.size + _CRC.size
FOOTER_SIZE: Final = _FOOTER.size + _CRC.size
REUSED_FOOTER_SIZE: Final = _REUSED_FOOTER.size + _CRC.size

_SEGMENT_MAGIC: Final = b"OTLPSEG\n"
_RECORD_MAGIC: Final = b"\xf5OTR"
_FOOTER_MAGIC: Final = b"\xf5OTF"
# Never used again for another. What a version does not know, it sets aside as `wrong_version`.
_SIGNALS: Final = {Signal.TRACES: 1, Signal.METRICS: 2, Signal.LOGS: 3, Signal.COSTS: 4}
_BY_NUMBER: Final = {number: signal for signal, number in _SIGNALS.items()}

# What is read at once: of small records many, of large ones only the header; then their payload by itself.
_WINDOW: Final = 64 * 1024
_LARGE: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """A record as found in a file. `data` is None when only its header was asked for."""

    offset: int
    end: int
    sequence: int
    items: int
    size: int
    unix_nano: int
    data: Telemetry | None
    origin: bytes = b""


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a file that holds no record that can be believed.

    `reason`: `torn` (the file ends inside of it), `corrupt`, `zero_filled`, `wrong_version` or `unreadable`.
    `sequence`, `items` and `size` are known where the record's header is whole.
    """

    offset: int
    end: int
    reason: str
    sequence: int | None = None
    items: int | None = None
    size: int | None = None


@dataclass(slots=True)
class Segment:
    """What is known of a file. Sizes are bytes of OTLP, offsets are bytes of the file."""

    path: Path
    base: int  # no record has a smaller sequence number
    salt: int
    end: int = SEGMENT_HEADER_SIZE  # behind the last record
    readable: int = SEGMENT_HEADER_SIZE  # up to here it may be read: what lies behind is not on the disk yet
    last: int = 0  # the last record's sequence number; base - 1 when there is none
    records: int = 0
    items: int = 0
    size: int = 0
    left_items: int = 0  # not released, dropped or lost
    left_size: int = 0
    sealed: bool = True  # no more records will follow
    finished: bool = False  # has a footer, as it was found
    damaged: bool = False
    version: int = VERSION
    seed: int = 0  # what the CRCs of headers start from
    length: int = 0  # of a file that was another before: its bytes

    def __post_init__(self) -> None:
        number = segment_base(self.path) or 0
        self.seed = self.salt if self.version == VERSION else crc32(_NUMBER.pack(number), self.salt)

    def footer_at(self) -> int:
        """Where the footer belongs."""
        return self.end if self.version == VERSION else max(self.end, self.length - REUSED_FOOTER_SIZE)

    def add(self, sequence: int, items: int, size: int) -> None:
        """Count a record."""
        self.last = sequence
        self.records += 1
        self.items += items
        self.size += size
        self.left_items += items
        self.left_size += size


def segment_name(base: int) -> str:
    """The file's name: sorted by name, segments are sorted by their records."""
    return f"{base:020d}{SUFFIX}"


def segment_base(path: Path) -> int | None:
    """The number in a segment's name; None for any other file."""
    return int(path.stem) if path.suffix == SUFFIX and path.stem.isdigit() else None


def encode_segment_header(number: int, salt: int, version: int = VERSION) -> bytes:
    """The beginning of a file with this number in its name."""
    fields = _SEGMENT.pack(_SEGMENT_MAGIC, version, salt, number)
    return fields + _CRC.pack(crc32(fields))


def read_header(fd: int, number: int) -> tuple[int, int] | None:
    """Version and salt in the header of a file; None where that is not whole, or of what the file was before."""
    header = os.pread(fd, SEGMENT_HEADER_SIZE, 0)
    if len(header) < SEGMENT_HEADER_SIZE:
        return None
    magic, version, salt, found = _SEGMENT.unpack_from(header)
    (crc,) = _CRC.unpack_from(header, _SEGMENT.size)
    if (magic, found) != (_SEGMENT_MAGIC, number) or crc != crc32(header[: _SEGMENT.size]):
        return None
    return version, salt


def payload_crc(data: Telemetry, salt: int) -> int:
    """The CRC of a record's payload: the part of encoding that takes time."""
    return crc32(data.payload, salt)


def encode_record_header(
    data: Telemetry, sequence: int, unix_nano: int, crc: int, seed: int, origin: bytes = b""
) -> bytes:
    """What goes before the payload; `crc` is its `payload_crc`, `seed` the segment's."""
    fields = _RECORD.pack(
        _RECORD_MAGIC,
        ORIGIN_VERSION if origin else VERSION,
        _SIGNALS[data.signal],
        len(origin),
        data.items,
        data.size,
        sequence,
        unix_nano,
        crc,
    )
    return fields + _CRC.pack(crc32(origin, crc32(fields, seed))) + origin


def encode_footer(segment: Segment) -> bytes:
    """The end of a file that is finished."""
    totals = segment.records, segment.items, segment.size, segment.last
    if segment.version == VERSION:
        fields = _FOOTER.pack(_FOOTER_MAGIC, VERSION, *totals)
    else:
        fields = _REUSED_FOOTER.pack(_FOOTER_MAGIC, REUSED_VERSION, *totals, segment.base, segment.end)
    return fields + _CRC.pack(crc32(fields, segment.seed))


def read_footer(fd: int, file_size: int, segment: Segment) -> bool:
    """Take over what the footer says; return whether there is one."""
    form = _FOOTER if segment.version == VERSION else _REUSED_FOOTER
    at = file_size - form.size - _CRC.size
    if at < SEGMENT_HEADER_SIZE:
        return False
    footer = os.pread(fd, form.size + _CRC.size, at)
    magic, version, records, items, size, last, *more = form.unpack_from(footer)
    (crc,) = _CRC.unpack_from(footer, form.size)
    if (magic, version) != (_FOOTER_MAGIC, segment.version) or crc != crc32(
        footer[: form.size], segment.seed
    ):
        return False
    segment.base, end = more or (segment.base, at)
    segment.records, segment.items, segment.size, segment.last = records, items, size, last
    segment.left_items, segment.left_size = items, size
    segment.end = segment.readable = end
    segment.finished = True
    return True


class SegmentReader:
    """Reads a segment from front to back; `back` returns to a record.

    Sequence numbers rise within a segment. What has a smaller one was put there by the disk: blocks of a file that
    was deleted, or this file's own a second time.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.offset = SEGMENT_HEADER_SIZE
        self._before = segment.base - 1  # the sequence number of the record before `offset`, or less
        self._ahead = _WINDOW
        self._fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        self._window = b""
        self._window_at = 0

    def close(self) -> None:
        """Close the file. Safe twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def raw(self, offset: int, size: int) -> bytes:
        """The bytes of the file, as they are."""
        return os.pread(self._fd, size, offset)

    def next(self, end: int, *, payload: bool, size_max: int | None = None) -> Frame | Damage | None:
        """The record at `offset`, or what is there in its place; None at `end`. Moves on behind it.

        `size_max`: of a larger one no payload is read.
        """
        if self.offset >= end:
            return None
        try:
            found = self._at(self.offset, end, payload=payload, size_max=size_max)
        except OSError:
            found = Damage(self.offset, end, "unreadable")
        self.offset = found.end
        if isinstance(found, Frame):
            self._before = found.sequence
        return found

    def go(self, end: int, sequence: int) -> None:
        """Move behind the record with this number, which ends at offset `end`."""
        self.offset, self._before = end, sequence

    def back(self, frame: Frame) -> None:
        """Return to `frame`, which `next` has given last."""
        self.offset = frame.offset
        self._before = frame.sequence - 1

    def _at(self, offset: int, end: int, *, payload: bool, size_max: int | None) -> Frame | Damage:
        header = self._header(offset, end, self._ahead if payload else RECORD_HEADER_SIZE + ORIGIN_SIZE)
        if header is None:
            return self._resynchronise(offset, end)
        signal, version, crc, frame = header
        if frame.end > end:
            return Damage(offset, end, "torn", frame.sequence, frame.items, frame.size)
        if version not in (VERSION, ORIGIN_VERSION) or signal is None:
            return Damage(offset, frame.end, "wrong_version", frame.sequence, frame.items, frame.size)
        if not payload or (size_max is not None and frame.size > size_max):
            return frame
        self._ahead = _WINDOW if frame.size < _LARGE else RECORD_HEADER_SIZE + ORIGIN_SIZE
        body = self._payload(frame)
        if len(body) < frame.size or crc32(body, self.segment.salt) != crc:
            reason = "corrupt" if any(body) else "zero_filled"
            return Damage(offset, frame.end, reason, frame.sequence, frame.items, frame.size)
        return replace(frame, data=Telemetry(signal, body, frame.items))

    def _header(self, offset: int, end: int, ahead: int) -> tuple[Signal | None, int, int, Frame] | None:
        """The header at `offset`, if there is one: signal, version, CRC of the payload, and the rest."""
        header = self._bytes(offset, RECORD_HEADER_SIZE, end, ahead)
        if len(header) < RECORD_HEADER_SIZE or not header.startswith(_RECORD_MAGIC):
            return None
        (header_crc,) = _CRC.unpack_from(header, _RECORD.size)
        _, version, signal, more, items, size, sequence, unix_nano, crc = _RECORD.unpack_from(header)
        origin = self._bytes(offset + RECORD_HEADER_SIZE, more, end) if more else b""
        if header_crc != crc32(origin, crc32(header[: _RECORD.size], self.segment.seed)):
            return None
        if sequence <= self._before:
            # A file system may not clear the end of a file that a crash found it extending. Taken for a record, it
            # would turn the numbers back, and what follows would look as if the destination had it.
            return None
        start = offset + RECORD_HEADER_SIZE + more
        frame = Frame(offset, start + size, sequence, items, size, unix_nano, None, origin)
        return _BY_NUMBER.get(signal), version, crc, frame

    def _payload(self, frame: Frame) -> bytes:
        start = frame.end - frame.size
        at = start - self._window_at
        if at >= 0 and at + frame.size <= len(self._window):
            return self._window[at : at + frame.size]
        return os.pread(self._fd, frame.size, start)

    def _resynchronise(self, offset: int, end: int) -> Damage:
        """Look for the next record behind a header that cannot be believed."""
        zero = True
        at = offset
        while at < end:
            chunk = os.pread(self._fd, min(_WINDOW, end - at), at)
            if not chunk:
                break
            found = chunk.find(_RECORD_MAGIC, 1 if at == offset else 0)
            while found >= 0 and self._header(at + found, end, _WINDOW) is None:
                found = chunk.find(_RECORD_MAGIC, found + 1)
            if found >= 0:
                zero = zero and not any(chunk[:found])
                return Damage(offset, at + found, "zero_filled" if zero else "corrupt")
            # On, so that a magic across the edge of the chunk is seen.
            step = max(1, len(chunk) - len(_RECORD_MAGIC) + 1)
            zero = zero and not any(chunk[:step])
            at += step
        # To the end: no telling whether it was one record or many.
        return Damage(offset, end, "zero_filled" if zero else "torn")

    def _bytes(self, offset: int, size: int, end: int, ahead: int = 0) -> bytes:
        at = offset - self._window_at
        if at < 0 or at + size > len(self._window):
            wanted = min(max(size, ahead), end - offset)
            self._window = os.pread(self._fd, wanted, offset)
            self._window_at = offset
            at = 0
        return self._window[at : at + size]
