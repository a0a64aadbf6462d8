"""JSON entries of a file, each with the line on which it begins: one a line, or all in one array."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO, Final

from collector.cost.focus.table import FileError

LINE_MAX: Final = 1024 * 1024  # bytes of one entry in a file of lines
FILE_MAX: Final = 256 * 1024 * 1024  # bytes of an array, which is read at once

_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)
_NO_SPACE: Final = re.compile(r"[^ \t\r\n]|\Z")


def json_entries(stream: BinaryIO, name: str) -> Iterator[tuple[int, Any]]:
    """Yield (line, value), numbers as Decimal.

    An entry of a file of lines that is no JSON is a FileError in place of its value, so that the rest is read too.

    Raises:
        FileError: an array that is no JSON, or something that is too large.
    """
    stream.seek(0)
    beginning = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    stream.seek(0)
    if beginning.startswith(b"["):
        body = stream.read(FILE_MAX + 1)
        if len(body) > FILE_MAX:
            raise FileError(
                name,
                1,
                f"more than {FILE_MAX} bytes of one array",
                remedy="write one entry a line",
                rule="limit",
            )
        yield from _of_array(_decoded(body, name, 1), name)
        return
    line = 0
    while text := stream.readline(LINE_MAX + 1):
        line += 1
        if len(text) > LINE_MAX:
            raise FileError(name, line, f"an entry of more than {LINE_MAX} bytes", rule="limit")
        if text.strip():
            try:
                yield line, _of_line(_decoded(text, name, line), name, line)
            except FileError as error:
                yield line, error


def _of_line(text: str, name: str, line: int) -> Any:
    at = _skip(text, 0)
    value, end = _value(text, at, name, line - 1)
    if _skip(text, end) != len(text):
        raise FileError(name, line, "not JSON: there is more after the entry")
    return value


def _of_array(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """Parsed one after the other, since that says where each begins."""
    line, counted = 1, 0
    at = _skip(text, text.index("[") + 1)
    more = not text.startswith("]", at)
    at += not more
    while more:
        line, counted = line + text.count("\n", counted, at), at
        value, end = _value(text, at, name, 0)
        yield line, value
        at = _skip(text, end)
        if text[at : at + 1] not in {",", "]"}:
            raise FileError(
                name, line + text.count("\n", counted, at), "not JSON: ',' or ']' expected after an entry"
            )
        more = text[at] == ","
        at = _skip(text, at + 1) if more else at + 1
    at = _skip(text, at)
    if at != len(text):
        raise FileError(name, line + text.count("\n", counted, at), "not JSON: there is more after the array")


def _value(text: str, at: int, name: str, lines_before: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise FileError(name, lines_before + error.lineno, f"not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise FileError(name, lines_before + 1, f"not JSON: {error}") from None


def _decoded(text: bytes, name: str, line: int) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(name, line + text.count(b"\n", 0, error.start), f"not JSON: {error}") from None


def _skip(text: str, at: int) -> int:
    found = _NO_SPACE.search(text, at)
    return len(text) if found is None else found.start()
