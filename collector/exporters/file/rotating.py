"""`RotatingFile`: appends whole blocks to a file, and begins a new one when it is full."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from collector.exporters.file.config import RotationConfig
from collector.model.clock import Clock

_MIB: Final = 1024 * 1024
_DAY_NS: Final = 86_400 * 1_000_000_000
_CLOSED: Final = -1  # no file descriptor


class RotatingFile:
    """A file at `path`; older ones beside it as `name-2026-01-31T12-00-00.000.ext`, like lumberjack's.

    Not thread-safe.
    """

    def __init__(self, path: Path, rotation: RotationConfig, clock: Clock) -> None:
        self._path = path
        self._rotation = rotation
        self._clock = clock
        self._descriptor = _CLOSED
        self._size = 0

    def open(self, *, append: bool = True) -> None:
        """Open or make the file. A last line that a crash has cut off is ended, so that the next one is whole.

        Raises:
            OSError: it cannot be written.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (0 if append else os.O_TRUNC)
        self._descriptor = os.open(self._path, flags, 0o640)
        self._size = os.fstat(self._descriptor).st_size
        if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
            self._size += os.write(self._descriptor, b"\n")

    def append(self, block: bytes, *, sync: bool) -> None:
        """Append `block`, all or nothing.

        Raises:
            OSError: it could not be written; what was written of it is taken back.
        """
        if self._descriptor == _CLOSED or self._was_moved():
            self.close()
            self.open()
        limit = self._rotation.max_megabytes * _MIB
        if limit and self._size and self._size + len(block) > limit:
            self._rotate()
        try:
            view = memoryview(block)
            while view:
                view = view[os.write(self._descriptor, view) :]
            if sync:
                os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(block)

    def close(self) -> None:
        """Close the file. Safe twice."""
        if self._descriptor != _CLOSED:
            os.close(self._descriptor)
            self._descriptor = _CLOSED

    def _was_moved(self) -> bool:
        """Whether somebody has renamed or removed the file, as logrotate does."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def _rotate(self) -> None:
        self.close()
        stamp = _stamp(self._clock.unix_nano())
        target = self._backup(stamp)
        number = 1
        while target.exists():  # two within a millisecond, or a clock that was set back
            target = self._backup(f"{stamp}-{number}")
            number += 1
        self._path.rename(target)
        self.open()
        self._delete_old()

    def _backup(self, stamp: str) -> Path:
        return self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")

    def _delete_old(self) -> None:
        """Delete old files that are too many or too old."""
        pattern = re.compile(
            re.escape(self._path.stem)
            + r"-(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}\.\d{3})(?:-\d+)?"
            + re.escape(self._path.suffix)
        )
        found = [
            (match[1], path)
            for path in self._path.parent.iterdir()
            if (match := pattern.fullmatch(path.name))
        ]
        newest_first = sorted(found, reverse=True)
        rotation = self._rotation
        excess = newest_first[rotation.max_backups :] if rotation.max_backups else []
        if rotation.max_days:
            oldest_kept = _stamp(self._clock.unix_nano() - rotation.max_days * _DAY_NS)
            excess += [(stamp, path) for stamp, path in newest_first if stamp < oldest_kept]
        for _, path in excess:
            path.unlink(missing_ok=True)


def _stamp(unix_nano: int) -> str:
    moment = datetime.fromtimestamp(unix_nano // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H-%M-%S}.{unix_nano // 1_000_000 % 1000:03d}"
