"""Requests of HTTP/1.1 by the letter of RFC 9112: where each of them ends, and what is in it.

What a server takes that is not in the grammar, somebody in front of it may read as something else (section 11.2). It is
more lenient only where nobody can find another request in the same bytes, and llhttp is: single CR and LF between
requests, several spaces around a target (section 3 leaves them to the recipient), and RTSP/1.0 or ICE/1.0, which are taken
for HTTP/1.0, the last of its connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TEXT: Final = rb"[\t \x21-\x7e\x80-\xff]*"
_EMPTY_LINES: Final = re.compile(rb"[\r\n]*")
_REQUEST_LINE: Final = re.compile(rb"(%b) +([\x21-\x7e]+) +(HTTP/1\.[01]|RTSP/1\.0|ICE/1\.0)\r\n" % _TOKEN)
_FIELD: Final = re.compile(rb"(%b):[ \t]*(%b)\r\n" % (_TOKEN, _TEXT))
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]+)(?:[ \t]*;%b)?\r\n" % _TEXT)
_DIGITS: Final = re.compile(rb"[0-9]+")


class NotInGrammarError(Exception):
    """What is there is no request."""


@dataclass(frozen=True, slots=True)
class Read:
    """One request, and where it ends."""

    method: str
    target: bytes
    body: bytes
    end: int


def read_request(data: bytes, at: int) -> Read:
    """Read the request that begins at `at`, all of which is there.

    Raises:
        NotInGrammarError: it is none, is not complete, or could be read in two ways.
    """
    begin = _EMPTY_LINES.match(data, at)
    assert begin is not None
    line = _match(_REQUEST_LINE, data, begin.end(), "request line")
    fields, at = _fields(data, line.end())
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked" or line[3] != b"HTTP/1.1":
            raise NotInGrammarError(f"framing: {codings}, {lengths}")
        body, at = _chunks(data, at)
    else:
        if len(set(lengths)) > 1 or not all(_DIGITS.fullmatch(length) for length in lengths):
            raise NotInGrammarError(f"Content-Length: {lengths}")
        size = int(lengths[0]) if lengths else 0
        body, at = data[at : at + size], at + size
    if at > len(data):
        raise NotInGrammarError("it is not complete")
    return Read(line[1].decode(), line[2], body, at)


def _match(pattern: re.Pattern[bytes], data: bytes, at: int, what: str) -> re.Match[bytes]:
    found = pattern.match(data, at)
    if found is None:
        raise NotInGrammarError(f"no {what}: {data[at : at + 40]!r}")
    return found


def _fields(data: bytes, at: int) -> tuple[list[tuple[bytes, bytes]], int]:
    fields = []
    while data[at : at + 2] != b"\r\n":
        field = _match(_FIELD, data, at, "field")
        fields.append((field[1].lower(), field[2].strip(b" \t")))
        at = field.end()
    return fields, at + 2


def _chunks(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while True:
        chunk = _match(_CHUNK, data, at, "chunk")
        size, at = int(chunk[1], 16), chunk.end()
        if not size:
            return body, _fields(data, at)[1]
        body += data[at : at + size]
        at += size
        if data[at : at + 2] != b"\r\n":
            raise NotInGrammarError(f"no end of a chunk: {data[at : at + 40]!r}")
        at += 2
