"""What the disk itself takes to make a write safe: the floor below the latency of `ack: disk`.

Writes of one size at a steady rate, each followed by its sync, in the ways in which a log can be kept.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.bench.figure import Figure

_FILE_SIZE: Final = 16 * 1024 * 1024
_SECONDS: Final = 2.0

Write = Callable[[int, bytes, int], None]


def floor(rate: float, size: int) -> Iterator[Figure]:
    """Figures of writes of `size` bytes, `rate` per second, with nothing else at work."""
    with tempfile.TemporaryDirectory(prefix="collector-bench-") as temporary:
        path = Path(temporary) / "log"
        for name, prepare, write in (
            ("a file that grows", None, _then_sync),
            ("a file that is allocated", _allocate, _then_sync),
            ("a file that is overwritten", _fill, _then_sync),
            ("a file that is overwritten, RWF_DSYNC", _fill, _synced),
        ):
            times = _times(path, rate, size, prepare, write)
            for percent in (50, 99):
                value = times[len(times) * percent // 100] * 1000
                yield Figure(name=f"the disk alone, {name}: p{percent}", value=value, unit="ms")


def _times(
    path: Path, rate: float, size: int, prepare: Callable[[int], None] | None, write: Write
) -> list[float]:
    payload = os.urandom(size)
    times = []
    fd = _made(path, prepare)
    try:
        began, offset = time.monotonic(), 0
        for turn in range(round(rate * _SECONDS)):
            time.sleep(max(0.0, began + turn / rate - time.monotonic()))
            if offset + size > _FILE_SIZE:
                offset = 0
                if prepare is not _fill:  # the next one of its kind
                    os.close(fd)
                    fd = _made(path, prepare)
            written = time.monotonic()
            write(fd, payload, offset)
            times.append(time.monotonic() - written)
            offset += size
    finally:
        os.close(fd)
    return sorted(times)


def _made(path: Path, prepare: Callable[[int], None] | None) -> int:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    if prepare is not None:
        prepare(fd)
    os.fsync(fd)
    return fd


def _allocate(fd: int) -> None:
    os.posix_fallocate(fd, 0, _FILE_SIZE)


def _fill(fd: int) -> None:
    os.pwrite(fd, bytes(_FILE_SIZE), 0)


def _then_sync(fd: int, payload: bytes, offset: int) -> None:
    os.pwrite(fd, payload, offset)
    os.fdatasync(fd)


def _synced(fd: int, payload: bytes, offset: int) -> None:
    os.pwritev(fd, [payload], offset, os.RWF_DSYNC)
