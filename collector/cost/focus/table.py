"""A file of rows and columns, whatever its format: what the importers and the checker read.

`open_table` looks at the first bytes: CSV, CSV in gzip, or Parquet. Values come as text, and NULL as None, so that
one rule judges all formats.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

KIB: Final = 1024

# Called with (rule, column, line) for what a reader has mended; column may be empty.
Note = Callable[[str, str, int], None]


class FileError(ValueError):
    """A file that cannot be taken. `str()` is `<file>:<line>: <column>: <problem>; <remedy>`."""

    def __init__(
        self, file: str, line: int, problem: str, *, column: str = "", remedy: str = "", rule: str = "file"
    ) -> None:
        where = f"{file}:{line}: " + (f"{column}: " if column else "")
        super().__init__(where + problem + (f"; {remedy}" if remedy else ""))
        self.file, self.line, self.column = file, line, column
        self.problem, self.remedy, self.rule = problem, remedy, rule


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLimits:
    """What a file may be. The largest real rows seen have about 20 KiB, the widest files about 350 columns.

    Lengths are in bytes for CSV and in characters for Parquet.
    """

    record_length_max: int = 1024 * KIB
    field_length_max: int = 128 * KIB
    columns_max: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A file whose header has been read.

    `rows` gives (line, values) once, in the file's order. `line` is the line of the file on which the record
    begins, or for Parquet the number of the row, from 1. A record may have more or fewer values than there are
    columns: the reader of the rows decides what that means. "" is an empty string that the file quotes, None
    is NULL. `types`: the columns' types in Parquet's words, empty for CSV.

    Raises (on reading on): FileError.
    """

    name: str
    columns: tuple[str, ...]
    rows: Iterator[tuple[int, list[str | None]]]
    types: dict[str, str] = field(default_factory=dict)


def open_table(
    stream: BinaryIO, name: str, *, limits: TableLimits | None = None, note: Note | None = None
) -> Table:
    """Read the header of a CSV (plain or gzip) or Parquet file.

    Args:
        stream: At its beginning; seekable for Parquet. It has to stay open while `rows` are read.
        name: For messages.
        limits: What is too long or too wide.
        note: Told of a byte order mark and of blank lines.

    Raises:
        FileError: it has no header, is too wide, or is not of these formats; Parquet without pyarrow.
    """
    # Each reader knows Table: imported here, so that a reader of CSV needs no pyarrow.
    from collector.cost.focus.table_csv import read_csv
    from collector.cost.focus.table_parquet import read_parquet

    limits = limits or TableLimits()
    note = note or _ignore
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(_Raw(stream))
    magic = buffered.peek(4)[:4]
    if magic == b"PAR1":
        return read_parquet(stream, name, limits)
    if magic[:2] == b"\x1f\x8b":
        buffered = io.BufferedReader(gzip.GzipFile(fileobj=buffered))
    return read_csv(buffered, name, limits, note)


def _ignore(_rule: str, _column: str, _line: int) -> None:
    pass


class _Raw(io.RawIOBase):
    """What `BufferedReader` needs, of anything that has `read`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]  # any writable buffer
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
