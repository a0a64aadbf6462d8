"""`SegmentLog`: the row of segments of a queue on disk, and everything that writes to it.

Records are appended to the newest segment. Whoever waits for the disk first syncs for all that wait by then. What may
fail does so in the direction of refusing: a write that does not fit is taken back, and a sync that fails takes back
what it was for.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from collector.model.errors import RetryableError
from collector.pipeline.queue import Loss
from collector.pipeline.queue_scan import examine, open_segment, totals_upto
from collector.pipeline.queue_segment import (
    RECORD_HEADER_SIZE,
    REUSED_FOOTER_SIZE,
    REUSED_VERSION,
    SEGMENT_HEADER_SIZE,
    VERSION,
    Segment,
    encode_footer,
    encode_record_header,
    encode_segment_header,
    payload_crc,
    segment_base,
    segment_name,
)
from collector.pipeline.queue_spares import Spares, discard
from collector.pipeline.queue_tail import Appended, Tail

if TYPE_CHECKING:
    from collector.model.telemetry import Telemetry
    from collector.pipeline.queue_directory import QueueDirectory
    from collector.pipeline.queue_scan import Examination

_VECTORS_MAX: Final = 512  # buffers of one write; IOV_MAX is 1024
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_RETRY_AFTER_S: Final = 2.0


class SegmentLog:
    """Thread-safe: `state` guards all of it, and nobody waits for the disk's sync while holding it."""

    def __init__(
        self,
        directory: QueueDirectory,
        *,
        segment_size: int,
        fsync: bool,
        tail_size: int,
        lost: Callable[[Loss], None],
    ) -> None:
        self.state = threading.Condition(threading.RLock())
        self.segments: list[
            Segment
        ] = []  # replaced when some are deleted, so that it can be read without `state`
        self.tail = Tail(tail_size)
        self.last = 0
        self.durable_upto = 0
        self.items = 0  # in records that are neither released nor dropped nor lost
        self.size = 0
        self._directory = directory
        self._segment_size = segment_size
        self._fsync = fsync
        self._lost = lost
        self._active: Segment | None = None
        self._active_fd = -1
        self._spares = Spares(directory, fsync=fsync)
        self._making = 0  # the number of the spare that is being made
        self._unsynced: dict[int, Segment] = {}  # by descriptor: written since it was synced
        self._new_names = False  # a segment was made since the directory was synced
        self._syncing = False
        self._taken_back: deque[tuple[int, int]] = deque(maxlen=1000)  # ranges whose sync failed

    # --- life -------------------------------------------------------------------------------------------

    def open(self, released: int, set_aside: Callable[[Segment, Examination], None]) -> list[Segment]:
        """Find what an earlier process left: the ends of the segments are read, and the whole of the newest.

        Returns:
            Segments that end before the next one begins: something is missing.

        Raises:
            OSError: something cannot be read, or no new segment be made for another reason than a full disk.
        """
        named = [(segment_base(path), path) for path in self._directory.path.iterdir()]
        before = 0
        for number, path in sorted((base, path) for base, path in named if base is not None):
            self.segments.append(open_segment(number, path, self._directory.salt, before))
            before = self.segments[-1].last
        numbered = self._remove_spares()
        newest = self.segments[-1] if self.segments else None
        if newest is not None and not newest.finished:
            self._cut_torn_tail(newest, set_aside)
            self._finish(newest)
        self.last = self.durable_upto = max(released, numbered, newest.last if newest else 0)
        if newest is not None and not newest.records and newest.base > released:
            newest.path.unlink()  # made, and never used
            self.segments.pop()
        self.items = sum(segment.left_items for segment in self.segments)
        self.size = sum(segment.left_size for segment in self.segments)
        try:
            self._roll()
        except OSError as error:
            if error.errno not in _FULL:  # a full disk has room again when what is here was sent
                raise
        return self._cut_short()

    def _remove_spares(self) -> int:
        """Delete files that were about to be used again; return how many records there had been at least."""
        last = 0
        while self.segments and self.segments[-1].version == REUSED_VERSION and not self.segments[-1].records:
            spare = self.segments.pop()
            spare.path.unlink()
            last = (segment_base(spare.path) or 1) - 1
        return last

    def _cut_short(self) -> list[Segment]:
        found = []
        for segment, following in itertools.pairwise(self.segments):
            if not segment.finished and segment.last < following.base - 1:
                segment.last = following.base - 1
                found.append(segment)
        return found

    def _cut_torn_tail(self, newest: Segment, set_aside: Callable[[Segment, Examination], None]) -> None:
        """Remove what a crash left half written at the end: nobody was told that it is safe.

        Damage with whole records behind it is left to the reader: those had been written later.
        """
        found = examine(newest, newest.end)
        whole = found.frames[-1].end if found.frames else SEGMENT_HEADER_SIZE
        found.damages = [(damage, raw) for damage, raw in found.damages if damage.offset >= whole]
        if not found.damages:
            return
        set_aside(newest, found)
        os.truncate(newest.path, whole)
        newest.length = whole
        self._shorten(newest, whole)
        self._lost(
            Loss(
                cause="damaged",
                detail="torn",
                records=0,
                items=0,
                message=f"{newest.path} ended in the middle of a record, as after a power failure; cut there",
            )
        )

    def _finish(self, segment: Segment) -> None:
        """Write the footer that a crash has prevented."""
        if not segment.records:
            return
        with contextlib.suppress(OSError):  # a full disk: it is read again at the next start
            fd = os.open(segment.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                _write_all(fd, [encode_footer(segment)], segment.footer_at())
            finally:
                os.close(fd)

    def _shorten(self, segment: Segment, end: int) -> tuple[int, int]:
        """Forget the records behind `end`, none of which is released; return how many and their items."""
        records, items, size, last = totals_upto(segment, end)
        gone = segment.records - records, segment.items - items
        self.take_out(segment, segment.items - items, segment.size - size)
        segment.records, segment.items, segment.size, segment.last = records, items, size, last
        segment.end = segment.readable = end
        return gone

    def close(self) -> None:
        """Finish the newest segment and let go of it. Safe twice."""
        with self.state:
            self._seal()
            for fd in self._unsynced:
                with contextlib.suppress(OSError):  # nobody waits for it
                    os.fdatasync(fd)
                os.close(fd)
            self._unsynced.clear()
        self._spares.drop()

    # --- appending --------------------------------------------------------------------------------------

    def checksums(self, pieces: Sequence[Telemetry]) -> list[int]:
        """What `append_all` needs to know of the payloads: worked out before, while nobody waits for it."""
        return [payload_crc(data, self._directory.salt) for data in pieces]

    def append_all(
        self, pieces: Sequence[Telemetry], crcs: Sequence[int], unix_nano: int, origins: Sequence[bytes] = ()
    ) -> int:
        """Append all or none; return the sequence number of the last. `origins`: one for each piece, or none.

        Raises:
            RetryableError: the disk is full, or failed.
        """
        with self.state:
            try:
                try:
                    active, buffers = self._put(pieces, crcs, unix_nano, origins)
                except OSError as error:
                    if error.errno not in _FULL or not self._spares.drop():
                        raise
                    active, buffers = self._put(pieces, crcs, unix_nano, origins)
            except OSError as error:
                raise RetryableError(
                    f"the disk of the sending queue in {self._directory.path}: {error.strerror or error}",
                    reason="disk_full" if error.errno in _FULL else "disk_failed",
                    retry_after_s=_RETRY_AFTER_S,
                ) from error
            end = active.end - sum(map(len, buffers))
            for data, header in zip(pieces, buffers[::2], strict=True):
                self.last += 1
                end += len(header) + data.size
                active.add(self.last, data.items, data.size)
                self.tail.add(Appended(self.last, data, active, end))
                self.size += data.size
                self.items += data.items
            if self._fsync:
                self._unsynced[self._active_fd] = active
            else:
                active.readable = active.end
                self.durable_upto = self.last
            return self.last

    def _put(
        self, pieces: Sequence[Telemetry], crcs: Sequence[int], unix_nano: int, origins: Sequence[bytes]
    ) -> tuple[Segment, list[bytes]]:
        origins = origins or [b""] * len(pieces)
        active = self._room_for(
            sum(RECORD_HEADER_SIZE + data.size for data in pieces) + sum(map(len, origins))
        )
        buffers: list[bytes] = []
        each = zip(pieces, crcs, origins, strict=True)
        for sequence, (data, crc, origin) in enumerate(each, self.last + 1):
            header = encode_record_header(data, sequence, unix_nano, crc, active.seed, origin)
            buffers += (header, data.payload)
        self._write(active, buffers)
        return active, buffers

    def _room_for(self, size: int) -> Segment:
        active = self._active
        if active is None or (active.records and active.end + size > self._size_of(active)):
            return self._roll()
        return active

    def _size_of(self, segment: Segment) -> int:
        return max(self._segment_size, segment.length - REUSED_FOOTER_SIZE)

    def _write(self, active: Segment, buffers: list[bytes]) -> None:
        end = active.end
        try:
            for first in range(0, len(buffers), _VECTORS_MAX):
                end = _write_all(self._active_fd, buffers[first : first + _VECTORS_MAX], end)
        except OSError:
            self._cut(active)
            raise
        active.end = end

    def _cut(self, active: Segment) -> None:
        """Remove what lies behind the last record; if not even that works, write to this file no more."""
        try:
            os.ftruncate(self._active_fd, active.end)
            active.length = active.end
        except OSError:
            self._abandon()

    def _roll(self) -> Segment:
        """Begin a segment, in a file that is there already or in a new one, which makes the next sync longer.

        The one before is finished only when this one is there.
        """
        base = self.last + 1
        spare = self._spares.take()
        if spare is not None:
            self._seal()
            segment = Segment(
                spare.path, base, self._directory.salt, last=base - 1, sealed=False, version=REUSED_VERSION
            )
            segment.length = spare.length
            self._active, self._active_fd = segment, spare.fd
            self.segments.append(segment)
            return segment
        # Its name is the number of its first record, but where that name is taken.
        number = max(base, self._newest_number() + 1, self._making + 1)
        version = VERSION if number == base else REUSED_VERSION
        path = self._directory.path / segment_name(number)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, [encode_segment_header(number, self._directory.salt, version)], 0)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        self._seal()
        segment = Segment(path, base, self._directory.salt, last=base - 1, sealed=False, version=version)
        self.segments.append(segment)
        self._active, self._active_fd = segment, fd
        self._new_names = True
        return segment

    def seal(self, segment: Segment) -> None:
        """Write to `segment` no more."""
        with self.state:
            if segment is self._active:
                self._seal()

    def _seal(self) -> None:
        active = self._active
        if active is None:
            return
        if active.records:
            try:
                _write_all(self._active_fd, [encode_footer(active)], active.footer_at())
            except OSError:
                self._cut(active)  # its records will be read instead
        self._abandon()

    def _abandon(self) -> None:
        """Write no more to the newest segment; its descriptor is kept for the next sync."""
        if self._active is None:
            return
        self._active.sealed = True
        if self._fsync:
            self._unsynced[self._active_fd] = self._active
        else:
            os.close(self._active_fd)
        self._active, self._active_fd = None, -1

    # --- making durable ---------------------------------------------------------------------------------

    def wait_durable(self, sequence: int) -> None:
        """See `SendingQueue.wait_durable`."""
        with self.state:
            while not self._is_durable(sequence):
                if self._syncing:
                    self.state.wait()
                    continue
                self._syncing = True
                try:
                    self._sync()
                finally:
                    self._syncing = False
                    self.state.notify_all()

    def was_taken_back(self, sequence: int) -> bool:
        """Whether the record is not in the queue any more, because a sync failed."""
        return any(first <= sequence <= last for first, last in self._taken_back)

    def _is_durable(self, sequence: int) -> bool:
        if self.was_taken_back(sequence):
            raise RetryableError(
                f"the disk of the sending queue in {self._directory.path} failed to keep the data",
                reason="disk_failed",
                retry_after_s=_RETRY_AFTER_S,
            )
        return sequence <= self.durable_upto

    def _sync(self) -> None:
        """Sync what was written by now. `state` is held, but not while the disk works."""
        upto = self.last
        work = [(fd, segment, segment.end) for fd, segment in self._unsynced.items()]
        names, self._new_names = self._new_names, False
        self.state.release()
        try:
            failure = self._sync_files([fd for fd, _, _ in work], names=names)
        finally:
            self.state.acquire()
        if failure is not None:
            self._new_names |= names
            self._take_back(failure)
            return
        self.durable_upto = upto
        for fd, segment, end in work:
            segment.readable = end
            if segment.end == end:
                del self._unsynced[fd]
                if fd != self._active_fd:
                    os.close(fd)

    def _sync_files(self, fds: list[int], *, names: bool) -> OSError | None:
        try:
            for fd in fds:
                os.fdatasync(fd)
            if names:
                self._directory.sync()
        except OSError as error:
            return error
        return None

    def _take_back(self, failure: OSError) -> None:
        """Remove what a sync was for that failed: it may be on the disk or not, and a second sync would not tell.

        Nobody has been told that it is safe, and no reader has seen it.
        """
        self._taken_back.append((self.durable_upto + 1, self.last))
        self.tail.cut(self.durable_upto)
        self._abandon()
        records = items = 0
        for fd, segment in self._unsynced.items():
            gone = self._shorten(segment, segment.readable)
            records, items = records + gone[0], items + gone[1]
            if not any(
                one is segment for one in self.segments
            ):  # released, and its file may be another by now
                os.close(fd)
                continue
            with contextlib.suppress(OSError):  # then a restart finds it: refused, and delivered all the same
                os.ftruncate(fd, segment.end)
                segment.length = segment.end
                if segment.records:
                    _write_all(fd, [encode_footer(segment)], segment.footer_at())
            os.close(fd)
        self._unsynced.clear()
        self.durable_upto = self.last  # a gap in the numbers: they are not used again
        self._lost(
            Loss(
                cause="disk_failed",
                detail=errno.errorcode.get(failure.errno or 0, "unknown"),
                records=records,
                items=items,
                message=f"{self._directory.path}: {failure.strerror or failure}; clients are asked to send again",
            )
        )

    # --- taking out -------------------------------------------------------------------------------------

    def take_out(self, segment: Segment, items: int, size: int) -> None:
        """Count items of a segment as gone."""
        with self.state:
            segment.left_items -= items
            segment.left_size -= size
            self.items -= items
            self.size -= size

    def delete(
        self, is_over: Callable[[Segment], bool], before: Callable[[], None], *, reuse: bool
    ) -> list[Segment]:
        """Delete the finished segments for which that is true; `reuse`: or keep their files, which waits for the disk.

        The newest stays: its name holds the next number. `before` is called first, if there are any.
        """
        with self.state:
            gone = [segment for segment in self.segments[:-1] if segment.sealed and is_over(segment)]
            if gone:
                self.segments = [segment for segment in self.segments if segment not in gone]
        if gone:
            before()
        for segment in gone:
            if not (reuse and self._keep(segment)):
                segment.path.unlink(missing_ok=True)
        return gone

    def _keep(self, segment: Segment) -> bool:
        """Make a spare of its file, if one is wanted; say whether the file is gone."""
        with self.state:
            if self._active is None or not self._spares.wanted:
                return False
            number = self._making = max(self.last, self._newest_number()) + 1
        spare = self._spares.make(segment.path, number, self._segment_size)
        with self.state:
            self._making = 0
            if spare is None:
                return False
            if self._active is not None and self._newest_number() < number:
                self._spares.add(spare)
                return True
        discard(spare)  # meanwhile a new file was made, or everything was closed
        return True

    def _newest_number(self) -> int:
        return max([self._spares.newest_number, *(segment_base(one.path) or 0 for one in self.segments)])

    def delete_all(self, released: int, before: Callable[[], None]) -> list[Segment]:
        """Delete every segment, the newest too, if nothing was appended behind `released` and nothing is being synced.

        The caller has made durable that the next number is `released` + 1.
        """
        with self.state:
            if self._syncing or self.items or self.durable_upto != self.last or self.last != released:
                return []
            self._abandon()
            for fd in self._unsynced:
                os.close(fd)
            self._unsynced.clear()
            gone, self.segments = self.segments, []
            self.tail.clear()
        self._spares.drop()
        before()
        for segment in gone:
            segment.path.unlink(missing_ok=True)
        return gone


def _write_all(fd: int, buffers: Sequence[bytes], offset: int) -> int:
    """Write at `offset`; return the offset behind it.

    Raises:
        OSError: not all of it was written.
    """
    size = sum(map(len, buffers))
    written = os.pwritev(fd, buffers, offset)
    while written < size:
        more = os.pwrite(fd, b"".join(buffers)[written:], offset + written)
        if not more:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written += more
    return offset + size
