"""CSV (RFC 4180) as a `Table`: with the line of each record, quoted empty strings told from NULL, and limits."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from collector.cost.focus.table import FileError, Note, Table, TableLimits

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_QUOTED_FIELD: Final = re.compile(r'(?:\A|(?<=,))"(?:[^"]|"")*"')
_OPEN_QUOTE: Final = re.compile(r'(?:\A|,)"')


def read_csv(stream: BinaryIO, name: str, limits: TableLimits, note: Note) -> Table:
    """Read the header; the rows follow as they are asked for.

    Raises:
        FileError: there is no header, it repeats a column, or it is not separated by commas.
    """
    records = _Records(stream, name, limits, note)
    parsed = records.parsed()
    first = next(parsed, None)
    if first is None:
        raise FileError(name, 1, "the file is empty", remedy="the first line has to name the columns")
    line, header = first
    columns = tuple((value or "").strip() for value in header)
    if len(columns) == 1 and any(separator in columns[0] for separator in ";\t|"):
        raise FileError(
            name, line, "the columns are not separated by commas", remedy="export it again as RFC 4180 CSV"
        )
    check_header(name, line, columns, limits)
    return Table(name=name, columns=columns, rows=parsed)


def check_header(name: str, line: int, columns: tuple[str, ...], limits: TableLimits) -> None:
    """Refuse columns that are too many, without a name, or there twice.

    Raises:
        FileError: the first that is wrong.
    """
    if len(columns) > limits.columns_max:
        raise FileError(
            name, line, f"{len(columns)} columns, at most {limits.columns_max} are taken", rule="limit"
        )
    seen: set[str] = set()
    for position, column in enumerate(columns, 1):
        if not column:
            raise FileError(name, line, f"column {position} has no name", rule="header")
        if column in seen:
            raise FileError(name, line, "the header has this column twice", column=column, rule="header")
        seen.add(column)


class _Records:
    """The records of the file, put together from its lines."""

    def __init__(self, stream: BinaryIO, name: str, limits: TableLimits, note: Note) -> None:
        self._stream = stream
        self._name = name
        self._limits = limits
        self._note = note
        self._line = 0  # the last line read
        self._start = 0  # the line on which the current record began
        self._text = ""

    def parsed(self) -> Iterator[tuple[int, list[str | None]]]:
        try:
            for values in csv.reader(self._texts(), strict=True):
                if not values:
                    self._note("blank-line", "", self._start)
                    continue
                row: list[str | None] = [value or None for value in values]
                if _may_hold_empty(self._text):
                    _mark_empty(self._text, row)
                yield self._start, row
        except csv.Error as error:
            raise FileError(
                self._name,
                self._start,
                f"not a CSV record: {error}",
                remedy="quote fields that hold commas, quotes or line ends, and double the quotes in them",
            ) from None
        except (OSError, EOFError, zlib.error) as error:
            raise FileError(self._name, self._line, f"cannot be read on: {error}") from error

    def _texts(self) -> Iterator[str]:
        while chunk := self._read_line():
            self._start = self._line
            if chunk.startswith(_BYTE_ORDER_MARK) and self._line == 1:
                self._note("byte-order-mark", "", 1)
                chunk = chunk[3:]
            if chunk.count(b'"') & 1:
                chunk = self._continued(chunk)
            self._text = self._decode(chunk)
            yield self._text

    def _continued(self, chunk: bytes) -> bytes:
        """A record that holds line ends: read on until its last quote is closed."""
        while _is_open(chunk):
            more = self._read_line()
            if not more:
                raise FileError(self._name, self._start, "a quoted field is not closed")
            chunk += more
            if len(chunk) > self._limits.record_length_max:
                self._too_long()
        return chunk

    def _read_line(self) -> bytes:
        chunk = self._stream.readline(self._limits.record_length_max + 1)
        self._line += 1
        if len(chunk) > self._limits.record_length_max:
            self._start = self._line
            self._too_long()
        return chunk

    def _too_long(self) -> None:
        raise FileError(
            self._name,
            self._start,
            f"a record of more than {self._limits.record_length_max} bytes",
            remedy="look for a quote that is not closed",
            rule="limit",
        )

    def _decode(self, chunk: bytes) -> str:
        if b"\0" in chunk:
            raise FileError(self._name, self._start, "a NUL byte", remedy="save the file as UTF-8")
        try:
            return chunk.decode()
        except UnicodeDecodeError as error:
            raise FileError(
                self._name,
                self._start,
                f"not UTF-8: {error.reason} at byte {error.start} of the record",
                remedy="save the file as UTF-8",
            ) from None


def _is_open(chunk: bytes) -> bool:
    """Whether a field begins with a quote that nothing closes; a quote within a bare field opens nothing."""
    rest = _QUOTED_FIELD.sub("", chunk.decode(errors="replace"))
    return _OPEN_QUOTE.search(rest) is not None


def _may_hold_empty(text: str) -> bool:
    """Whether there may be a quoted empty field; a quoted text may look like it."""
    return (
        ',"",' in text
        or text.startswith('"",')
        or text.rstrip("\r\n").endswith((',""', '\n""'))
        or text == '""'
    )


def _mark_empty(text: str, row: list[str | None]) -> None:
    """Put "" where the record has a quoted empty field. Goes field by field, since `csv` does not tell them apart."""
    position = 0
    for index in range(len(row)):
        match = _QUOTED_FIELD.match(text, position)
        if match is not None:
            if match[0] == '""':
                row[index] = ""
            position = match.end()
        comma = text.find(",", position)
        if comma < 0:
            return
        position = comma + 1
