"""FOCUS rows as CSV: UTF-8, one header, LF, NULL as nothing at all; the same rows give the same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from collector.cost.focus.columns import BY_NAME, DataType
from collector.cost.focus.rows import FocusRows

_SPECIAL: Final = re.compile(r'[",\r\n]')
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_CHUNK_ROWS: Final = 500


def csv_chunks(rows: FocusRows) -> Iterator[bytes]:
    """The file, piece by piece, each of whole rows.

    Raises:
        FocusExportError: see `FocusRows`. What came before is not a whole file.
    """
    yield (",".join(map(_field, rows.columns)) + "\n").encode()
    texts = _text_columns(rows.columns) if rows.options.spreadsheet_safe else ()
    lines: list[str] = []
    for row in rows:
        for index in texts:
            if (text := row[index]) and text.startswith(_FORMULA):
                row[index] = f"'{text}"
        lines.append(",".join([_field(value) if value else "" for value in row]))
        if len(lines) >= _CHUNK_ROWS:
            yield ("\n".join(lines) + "\n").encode()
            lines.clear()
    if lines:
        yield ("\n".join(lines) + "\n").encode()


def _field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


def _text_columns(columns: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(
        index
        for index, name in enumerate(columns)
        if name not in BY_NAME or BY_NAME[name].type is not DataType.DECIMAL
    )
