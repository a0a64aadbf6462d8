"""Sorting more than fits in memory: lots are sorted in memory, written to temporary files, and merged."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from struct import Struct
from typing import IO, Final

_IN_MEMORY_MAX: Final = 64 * 1024 * 1024  # bytes of keys and values
_ENTRY_OVERHEAD: Final = 200  # bytes that Python needs for one entry beside its contents
_LENGTHS: Final = Struct("<IQI")  # of the key, the entry's number, length of the value

_Entry = tuple[bytes, int, bytes]


class SortedSpool:
    """Takes (key, value), gives them back by key; equal keys in the order in which they came.

    Iterating is possible more than once, but not twice at a time, and ends the adding.
    """

    def __init__(self, in_memory_max: int = _IN_MEMORY_MAX) -> None:
        self._in_memory_max = in_memory_max
        self._size = 0
        self._entries: list[_Entry] = []
        self._count = 0
        self._runs: list[IO[bytes]] = []

    def __len__(self) -> int:
        return self._count

    def add(self, key: bytes, value: bytes) -> None:
        """Take one entry."""
        self._entries.append((key, self._count, value))
        self._count += 1
        self._size += len(key) + len(value) + _ENTRY_OVERHEAD
        if self._size > self._in_memory_max:
            self._write_run()

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        self._entries.sort()
        for key, _, value in heapq.merge(self._entries, *(_read(run) for run in self._runs)):
            yield key, value

    def close(self) -> None:
        """Remove the temporary files; twice is fine."""
        self._entries.clear()
        for run in self._runs:
            run.close()
        self._runs.clear()

    def _write_run(self) -> None:
        self._entries.sort()
        run = tempfile.TemporaryFile(prefix="collector-spool-")  # noqa: SIM115  # closed by close()
        for key, number, value in self._entries:
            run.write(_LENGTHS.pack(len(key), number, len(value)) + key + value)
        self._runs.append(run)
        self._entries.clear()
        self._size = 0


def _read(run: IO[bytes]) -> Iterator[_Entry]:
    run.seek(0)
    while header := run.read(_LENGTHS.size):
        key_length, number, value_length = _LENGTHS.unpack(header)
        yield run.read(key_length), number, run.read(value_length)
