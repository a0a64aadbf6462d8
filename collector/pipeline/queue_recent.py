"""`Recent`: of which requests the last records of a queue on disk are, so that a restart does not forget it.

What lies in segments is found there. Of records in segments that were deleted, a file keeps it:

    recent = magic  (origin sequence unix_nano)*  crc

All integers are little-endian. It is a memory of what was delivered: losing it costs no data, only that a client
which had no answer may store something twice.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final
from zlib import crc32

from collector.pipeline.queue_segment import ORIGIN_SIZE, Frame, Segment, SegmentReader

REMEMBERED_S: Final = 60.0
_RECORDS_MAX: Final = 4096
_MAGIC: Final = b"OTLPREC\n"
_ENTRY: Final = struct.Struct(f"<{ORIGIN_SIZE}sQQ")
_CRC: Final = struct.Struct("<I")


class Recent:
    """The last 4096 records that have an origin. `find` knows those of earlier processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: deque[tuple[bytes, int, int]] = deque(
            maxlen=_RECORDS_MAX
        )  # origin, sequence, unix_nano
        self._found: dict[bytes, tuple[int, int]] = {}

    def note(self, origin: bytes, sequence: int, unix_nano: int) -> None:
        """A record was appended."""
        self._entries.append((origin, sequence, unix_nano))

    def find(self, origin: bytes, now_unix_nano: int) -> int | None:
        """The sequence number of the record of an earlier process, while it is remembered."""
        if not self._found:
            return None
        sequence, unix_nano = self._found.get(origin, (0, 0))
        return sequence if sequence and now_unix_nano - unix_nano <= REMEMBERED_S * 1e9 else None

    def load(self, segments: Sequence[Segment], now_unix_nano: int) -> list[Path]:
        """Find what earlier processes took lately. No more segments are read than may be remembered.

        Returns:
            The segments in which something was found: the disk may not have confirmed it yet.

        Raises:
            OSError: a segment cannot be read.
        """
        since = now_unix_nano - int(REMEMBERED_S * 1e9)
        entries = [entry for entry in self._read() if entry[2] >= since]
        newest: list[Segment] = []
        for segment in reversed(segments):
            if sum(one.records for one in newest) >= _RECORDS_MAX or segment.path.stat().st_mtime_ns < since:
                break
            newest.append(segment)
        read: list[Path] = []
        for segment in reversed(newest):
            frames = [frame for frame in _frames(segment) if frame.origin and frame.unix_nano >= since]
            entries += [(frame.origin, frame.sequence, frame.unix_nano) for frame in frames]
            if frames:
                read.append(segment.path)
        self._entries.extend(entries)
        self._found = {origin: (sequence, unix_nano) for origin, sequence, unix_nano in self._entries}
        return read

    def save(self, is_there: Callable[[int], bool]) -> None:
        """Write it down, of the records for which that is true: their segments may be deleted.

        Raises:
            OSError: it could not be written; what was written before is still there.
        """
        if not self._entries:
            return
        content = b"".join(_ENTRY.pack(*entry) for entry in list(self._entries) if is_there(entry[1]))
        temporary = self._path.with_name(f"{self._path.name}.new")
        temporary.write_bytes(_MAGIC + content + _CRC.pack(crc32(content)))
        temporary.replace(self._path)

    def _read(self) -> list[tuple[bytes, int, int]]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        body = content[len(_MAGIC) : -_CRC.size]
        whole = content.startswith(_MAGIC) and len(body) % _ENTRY.size == 0
        if not whole or content[-_CRC.size :] != _CRC.pack(crc32(body)):
            return []
        return list(_ENTRY.iter_unpack(body))


def _frames(segment: Segment) -> Iterable[Frame]:
    """The records of a segment, by their headers: payloads may be large, and were on the disk when it was finished.

    The newest of a process that crashed has been read as a whole, and cut behind its last whole record.
    """
    reader = SegmentReader(segment)
    try:
        while (found := reader.next(segment.end, payload=False)) is not None:
            if isinstance(found, Frame):
                yield found
    finally:
        reader.close()
