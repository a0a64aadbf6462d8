"""`Spares`: files of released segments that wait to be used again.

On the disk they are new segments without a record already, so that to begin one takes no sync of its own.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector.pipeline.queue_segment import REUSED_VERSION, encode_segment_header, segment_name

if TYPE_CHECKING:
    from collector.pipeline.queue_directory import QueueDirectory

# One for each segment that fills while a batch is sent.
_SPARES_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class Spare:
    """A file of `length` bytes under its new name, open."""

    number: int
    path: Path
    fd: int
    length: int


class Spares:
    """Made by one thread at a time, taken by any."""

    def __init__(self, directory: QueueDirectory, *, fsync: bool) -> None:
        self._directory = directory
        self._fsync = fsync
        self._lock = threading.Lock()
        self._spares: deque[Spare] = deque()

    @property
    def all(self) -> list[Spare]:
        """In the order in which they will be taken."""
        with self._lock:
            return list(self._spares)

    @property
    def wanted(self) -> bool:
        """Whether there are fewer than are kept."""
        return len(self._spares) < _SPARES_MAX

    @property
    def newest_number(self) -> int:
        """The highest number in a name; 0 where there is none."""
        with self._lock:
            return self._spares[-1].number if self._spares else 0

    def make(self, path: Path, number: int, size: int) -> Spare | None:
        """Make a spare with this number of a file, if it has about the right size. It waits for the disk.

        Returns:
            What `add` takes; None: the file is as it was, or gone.
        """
        target = self._directory.path / segment_name(number)
        fd = -1
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            length = os.fstat(fd).st_size
            if not size / 2 <= length <= size * 2:
                os.close(fd)
                return None
            os.pwrite(fd, encode_segment_header(number, self._directory.salt, REUSED_VERSION), 0)
            if self._fsync:  # before it has the name: under the old one it is still what it was
                os.fdatasync(fd)
            path.rename(target)
            if self._fsync:
                self._directory.sync()
        except OSError:
            if fd >= 0:
                os.close(fd)
            target.unlink(missing_ok=True)
            return None
        return Spare(number, target, fd, length)

    def add(self, spare: Spare) -> None:
        """It may be taken from now on."""
        with self._lock:
            self._spares.append(spare)

    def take(self) -> Spare | None:
        """The next one, which is the caller's from now on."""
        with self._lock:
            return self._spares.popleft() if self._spares else None

    def drop(self) -> bool:
        """Delete them; say whether there were any."""
        with self._lock:
            spares, self._spares = self._spares, deque()
        for spare in spares:
            discard(spare)
        return bool(spares)


def discard(spare: Spare) -> None:
    """Delete it."""
    os.close(spare.fd)
    spare.path.unlink(missing_ok=True)
