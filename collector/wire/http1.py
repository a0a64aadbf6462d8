"""HTTP/1.1 from the server's side, without sockets and clock: bytes in, requests out; answers as bytes (RFC 9110, 9112).

Parsing is llhttp's (httptools), in its strict mode. Added here is what it leaves to its user: bounds, and what makes
two parsers see different requests in the same bytes (RFC 9112, section 11.2), which is refused.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

import httptools

from collector.wire.gather import Gathered

# 64 KiB is what most servers allow for a whole header. The same for what surrounds a chunk, and for trailers.
HEAD_BYTES_MAX: Final = 64 * 1024
HEADERS_MAX: Final = 200
# Parsed at once where the end of a request is not known: what is parsed cannot be put back, so this bounds what is
# read ahead of a client that does not wait for its answers.
_STEP: Final = 4096

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why what arrived is no request. It is the end: where the next one begins is not known."""

    status: int
    message: str


class Request:
    """One request. The header is there; the body arrives."""

    __slots__ = (
        "_body",
        "complete",
        "expects_continue",
        "headers",
        "keeps_alive",
        "length",
        "method",
        "path",
        "query",
        "size",
    )

    def __init__(
        self, method: str, target: tuple[str, bytes], headers: dict[bytes, bytes], length: int | None
    ) -> None:
        self.method = method
        self.path, self.query = target  # the path without percent-encoding, the query with it
        self.headers = headers  # names in lower case; of several with one name the values, with ", " between
        self.length = length  # of the body, in bytes; None: it comes in chunks
        self.size = 0  # bytes of the body that have arrived
        self.complete = False
        self.keeps_alive = True  # the client may send another one after it
        self.expects_continue = False  # it waits for a word before it sends the body
        self._body: Gathered | None = Gathered()

    def add(self, piece: bytes) -> None:
        """Take more of the body."""
        self.size += len(piece)
        if self._body is not None:
            self._body.add(piece)

    def take_body(self) -> bytes:
        """The body, once: it is not kept."""
        body, self._body = self._body, None
        return b"" if body is None else body.take()

    def drop_body(self) -> None:
        """Nobody wants it: forget what is there, and what comes."""
        self._body = None


class _StopError(Exception):
    """Leave the parser: what is wrong has been noted."""


class Reader:
    """The requests of one connection. Whoever reads pushes bytes, and steps while it wants more.

    Not more is parsed than is asked for, so that a client that sends ahead waits in the kernel's buffers.
    """

    __slots__ = (
        "_data",
        "_headers",
        "_open",
        "_over",
        "_parsed",
        "_parser",
        "_requests",
        "_unseen",
        "_url",
        "begun",
        "problem",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._data = b""
        self._parsed = 0  # bytes of `_data`
        self._requests: deque[Request] = deque()
        self._open: Request | None = None  # its body is arriving
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._unseen = 0  # bytes since the header began, or since the last of the body
        self._over = False  # nothing can come any more
        self.begun = False  # some of a header is there, and not all
        self.problem: Problem | None = None

    @property
    def waits(self) -> bool:
        """Whether there are bytes that were not parsed, or requests that were not taken."""
        return bool(self._requests) or self._parsed < len(self._data)

    @property
    def ahead(self) -> int:
        """Bytes that are kept here and belong to no request that was taken: of a header, or not parsed."""
        return len(self._data) - self._parsed + (self._unseen if self.begun else 0)

    def push(self, data: bytes) -> None:
        """These bytes have arrived."""
        self._data = data if self._parsed == len(self._data) else self._data[self._parsed :] + data
        self._parsed = 0

    def next(self) -> Request | None:
        """The next request whose header is there."""
        return self._requests.popleft() if self._requests else None

    def step(self) -> bool:
        """Parse some more; False if there is nothing to parse. Never raises."""
        data, start = self._data, self._parsed
        left = len(data) - start
        if not left or self._over:
            self._data, self._parsed = b"", 0
            return False
        size = min(left, self._step_size(data, start))
        self._parsed = start + size
        self._unseen += size
        self._feed(data if size == len(data) else memoryview(data)[start : start + size], start)
        if self._parsed == len(self._data):  # what became a body need not be here as well
            self._data, self._parsed = b"", 0
        if self._unseen > HEAD_BYTES_MAX and self.problem is None:
            if self.begun:
                self._fail(431, f"the header exceeds {HEAD_BYTES_MAX} bytes")
            elif self._open is None:
                self._fail(400, f"{HEAD_BYTES_MAX} bytes of empty lines")
            elif self._open.length is None:
                self._fail(400, f"{HEAD_BYTES_MAX} bytes of a chunked body hold nothing of it")
        return True

    def forget(self) -> None:
        """Nothing more is wanted of what has arrived, or will."""
        self._over = True
        self._data, self._parsed, self._unseen = b"", 0, 0
        self._requests.clear()

    def close(self) -> None:
        """The connection has ended."""
        self.forget()
        del self._parser  # it knows this object: a cycle

    def _step_size(self, data: bytes, start: int) -> int:
        request = self._open
        if request is None:
            # All of a header and nothing else, in most cases; so the body is not cut into pieces.
            end = data.find(b"\r\n\r\n", start, start + _STEP)
            return _STEP if end < 0 else end + 4 - start
        return _STEP if request.length is None else request.length - request.size

    def _feed(self, data: bytes | memoryview, start: int) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parsed = start + upgrade.args[0]
            self._ignore_upgrade(self._requests.pop())
        except httptools.HttpParserError as error:
            if not self._over:
                self._fail(400, f"this is not a valid HTTP/1.1 request: {error}")

    def _ignore_upgrade(self, request: Request) -> None:
        """Take a request that offers to go on in another protocol, as HTTP/2, for one that does not.

        A server may (RFC 9110, section 7.8), and some clients offer it always. llhttp takes it for the end of HTTP/1.1.
        """
        if request.method == "CONNECT":
            self._fail(400, "this server is no proxy")
            return
        headers = {**request.headers, b"connection": b"keep-alive" if request.keeps_alive else b"close"}
        del headers[b"upgrade"]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers.items())
        self._open, self._over = None, False
        self._parser = httptools.HttpRequestParser(self)
        self._feed(b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode(), self._url, lines), 0)

    def _fail(self, status: int, message: str) -> None:
        self.problem = Problem(status, message)
        self._over = True

    # --- what the parser calls ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.begun = True
        self._unseen = 0
        self._url = b""
        self._headers = {}

    def on_url(self, piece: bytes) -> None:
        """Some of the target."""
        self._url += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody wants."""
        headers = self._headers
        name = name.lower()
        if not self.begun:
            return
        if name in headers:
            value = headers[name] + b", " + value
        elif len(headers) >= HEADERS_MAX:
            self._fail(431, f"more than {HEADERS_MAX} headers")
            raise _StopError
        headers[name] = value

    def on_headers_complete(self) -> None:
        """Make a request of it."""
        parser, headers = self._parser, self._headers
        self.begun = False
        self._unseen = 0
        version = parser.get_http_version()
        if version != "1.1" and version != "1.0":
            self._fail(505, f"HTTP/{version} is not supported, HTTP/1.1 is")
            raise _StopError
        target = _target(self._url)
        if target is None:
            self._fail(400, "the request target is not valid")
            raise _StopError
        length = None
        if (coding := headers.get(b"transfer-encoding")) is None:
            length = int(headers.get(b"content-length", b"0"))
        elif coding.lower() != b"chunked":
            self._fail(501, "the only Transfer-Encoding supported is 'chunked'")
            raise _StopError
        elif version == "1.0":
            self._fail(400, "HTTP/1.0 has no Transfer-Encoding")
            raise _StopError
        request = Request(parser.get_method().decode(), target, headers, length)
        # Keeping a connection was an extension of HTTP/1.0; who speaks it still can do without.
        request.keeps_alive = version == "1.1" and parser.should_keep_alive()
        request.expects_continue = (
            version == "1.1" and headers.get(b"expect", b"").lower() == b"100-continue" and length != 0
        )
        self._open = request
        self._requests.append(request)

    def on_body(self, piece: bytes) -> None:
        """Some of the body."""
        self._unseen = 0
        if self._open is not None:
            self._open.add(piece)

    def on_message_complete(self) -> None:
        """All of the request is there."""
        request, self._open = self._open, None
        if request is not None:
            request.complete = True
            self._over = not request.keeps_alive


@lru_cache(16)  # few, for each may have the size of a header
def _target(url: bytes) -> tuple[str, bytes] | None:
    """Path and query of a request target (RFC 9112, section 3.2); None if it is none."""
    if not url.startswith((b"/", b"*")):
        try:
            parsed = httptools.parse_url(url)  # the absolute form, which proxies are sent
        except httptools.HttpParserInvalidURLError:
            return None
        path, query = parsed.path or b"/", parsed.query or b""
    else:
        path, _, query = url.partition(b"#")[0].partition(b"?")
    text = path.decode("latin-1")
    return (unquote(text, errors="replace") if "%" in text else text), query


# --- answers --------------------------------------------------------------------------------------------------


def response_head(status: int, headers: bytes, length: int, *, last: bool) -> bytes:
    """The header of an answer. `headers`: lines that end in CRLF. `last`: the connection ends with it."""
    close = b"connection: close\r\n" if last else b""
    return b"%b%b%bcontent-length: %d\r\n\r\n" % (_status_line(status), headers, close, length)


def header_lines(headers: list[tuple[str, str]]) -> bytes:
    """Headers as they are sent.

    Raises:
        ValueError: a name or value holds what would end the line.
    """
    lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers).encode("latin-1", "replace")
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
        raise ValueError("a header holds a line break")
    return lines


@lru_cache(64)
def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
