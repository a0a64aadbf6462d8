"""Requests that two parsers could read in two ways, or nearly; and whether ours takes them only as the grammar has them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from collector.wire.http1 import HEAD_BYTES_MAX, HEADERS_MAX, Reader, Request
from tests.support.http1_grammar import NotInGrammarError, Read, read_request

_Part = TypeVar("_Part")

_LATE: Final = 2 * 4096  # how much behind a bound it is noticed, at most

_COLONS: Final = (b": ", b":", b":\t", b":  ")
_BODIES: Final = (
    b"",
    b"hello",
    b"GET /evil HTTP/1.1\r\nX: y\r\n\r\n",
    b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
    b"\r\n\r\n",
)
# Fields that mean nothing for where a request ends.
_FIELDS: Final = (
    b"X: y",
    b"X:",
    b"X: \xff\t \x80",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"Connection: Transfer-Encoding",
    b"Expect: 100-continue",
    b'Content-Type: a;b="c"',
    b"TE: chunked",
    b"Trailer: Content-Length",
)
# Of all that follows the first is as it should be.
_LINE_ENDS: Final = (
    b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"\r\n\t", b"\0\r\n", b" \r\n", b"\x0b\r\n", b"\r\n\r\n", b"",
)  # fmt: skip
_METHODS: Final = (
    b"POST", b"GET", b"HEAD", b"PUT", b"post", b"CONNECT", b"PRI", b"M-SEARCH", b"\r\nPOST", b" POST", b"\nPOST",
    b"\0POST", b"POST ", b"P\tOST", b"PO\r\nST", b"QUERY",
)  # fmt: skip
_TARGETS: Final = (
    b"/v1/logs", b"/", b"*", b"http://a/b?c", b"/a b", b"/\x80", b"/#f", b"a:1", b"/\t", b"//x", b"/%00", b"", b"/\0",
    b"/\r", b"http://a b/", b"/a HTTP/1.1\r\nX: y",
)  # fmt: skip
_VERSIONS: Final = (
    b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 ", b"http/1.1", b"HTTP/01.1",
    b"HTTP/1.10", b"", b"HTTP/1", b"ICE/1.0", b"RTSP/1.0",
)  # fmt: skip
_LENGTH_NAMES: Final = (
    b"Content-Length", b"content-length", b"Content-Length ", b" Content-Length", b"Content-Length\t",
    b"Content_Length", b"Content-Length\0", b"X: y\rContent-Length", b"X: y\nContent-Length", b"\x0bContent-Length",
    b"Content-Length:", b"\xc3\x84Content-Length", b"X: y\r\n Content-Length",
)  # fmt: skip
_CODING_NAMES: Final = tuple(
    name.replace(b"Content", b"Transfer").replace(b"Length", b"Encoding") for name in _LENGTH_NAMES
)
_CODINGS: Final = (
    b"chunked", b"Chunked", b"CHUNKED", b" chunked", b"chunked ", b"\tchunked", b"chunked\t", b"\x0bchunked",
    b"chunked\0", b"chunked;q=1", b"chunked, chunked", b"identity", b"identity, chunked", b"gzip, chunked",
    b"chunked, identity", b"chunked,", b",chunked", b"xchunked", b'"chunked"', b"", b"chunk", b"chunked\r\n x", b"c",
)  # fmt: skip
_SIZE_FORMS: Final = (
    "{0:x}", "{0:X}", "0{0:x}", "00000000000000000{0:x}", "0x{0:x}", "+{0:x}", "-{0:x}", " {0:x}", "{0:x} ", "{0:x}\t",
    "{0:x};a=b", "{0:x} ;a", '{0:x};a="b;c"', "{0:x};\n", "{0:x};\r", '{0:x};a="\r\n"', "{0:x}\0", "{0:x},", "{0:x}g",
    "1{0:016x}", "", "{0:x};\x7f", "{0:x};\x01", "{0:x};a;b", '{0:x};a="\\""', '{0:x};"', "{0:x}; a",
)  # fmt: skip
_LENGTH_FORMS: Final = (
    "{0}", "0{0}", "+{0}", "-{0}", "{0}, {0}", "{0},{0}", "{0} {0}", "0x{0:x}", "{0}.0", "{0}e0", "{0} ", "\t{0}",
    "{0}\t", "", "{0}\0", "{0};", "18446744073709551616", "99999999999999999999999", "{0}\x0b", "\u0665", "{0}\r\n 1",
)  # fmt: skip
_LAST_CHUNKS: Final = (b"0", b"00", b"0;a", b"-0", b"", b"0 ", b"0x0", b"0;a=\n")
_TRAILERS: Final = (
    b"",
    b"X: y\r\n",
    b"Content-Length: 5\r\n",
    b"X: y\n",
    b"X\r\n",
    b" x\r\n",
    b"X: y\r\n z\r\n",
    b"\0",
)
_ODD_FIELDS: Final = (
    b":", b"X", b"X y: z", b"X: a\0b", b"X: a\rb", b"X: \x7f", b"X: y\r\n z", b"(: x", b"X: y\n z", b"X: y\nZ: y",
    b"X: y\r\r\n", b"\xff: x", b"X: y\r\n\tContent-Length: 5", b"X\r\n: y", b"@: y", b"X: \x1f",
)  # fmt: skip


def smuggled(rng: random.Random) -> bytes:
    """Some requests, one behind the other, of which bodies look like requests and framing is nearly right."""
    writer = _Writer(rng, rng.choice((0.0, 0.01, 0.03, 0.1, 0.3)))
    return b"".join(writer.request() for _ in range(rng.choice((1, 2, 2, 3))))


class _Writer:
    """Writes requests, of whose parts a share of `odd` is not what it should be."""

    def __init__(self, rng: random.Random, odd: float) -> None:
        self._rng = rng
        self._odd = odd

    def _pick(self, options: Sequence[_Part]) -> _Part:
        return self._rng.choice(options) if self._rng.random() < self._odd else options[0]

    def request(self) -> bytes:
        rng, pick = self._rng, self._pick
        body = rng.choice(_BODIES)
        lines = [b"Host: a"]
        lines += [rng.choice(_FIELDS) for _ in range(rng.choice((0, 0, 1, 2)))]
        if rng.random() < self._odd:
            lines.append(rng.choice(_ODD_FIELDS))
        is_chunked = rng.random() < 0.5
        if is_chunked or rng.random() < self._odd:
            name, value = pick(_CODING_NAMES), pick(_CODINGS)
            lines += [name + rng.choice(_COLONS) + value] * (1 + (rng.random() < self._odd))
        if not is_chunked or rng.random() < self._odd:
            size = pick((len(body), max(0, len(body) - 5), len(body) + 5, 0))
            name, value = pick(_LENGTH_NAMES), pick(_LENGTH_FORMS).format(size).encode()
            lines += [name + rng.choice(_COLONS) + value] * (1 + (rng.random() < self._odd))
        rng.shuffle(lines)
        first = b" ".join((pick(_METHODS), pick(_TARGETS), pick(_VERSIONS)))
        head = b"".join(line + pick(_LINE_ENDS) for line in (first, *lines)) + pick(_LINE_ENDS)
        return head + (self._chunked(body) if is_chunked else body)

    def _chunked(self, body: bytes) -> bytes:
        pick, out = self._pick, b""
        while body:
            size = self._rng.choice((1, 5, 100))
            piece, body = body[:size], body[size:]
            out += pick(_SIZE_FORMS).format(len(piece)).encode() + pick(_LINE_ENDS) + piece + pick(_LINE_ENDS)
        return out + pick(_LAST_CHUNKS) + pick(_LINE_ENDS) + pick(_TRAILERS) + pick(_LINE_ENDS)


def check_framing(data: bytes) -> int:
    """What ours takes, one byte after the other, are requests of the grammar, from one to the next. Returns how many."""
    reader = Reader()
    taken: list[tuple[Request, int]] = []
    current: Request | None = None
    for number in range(len(data)):
        reader.push(data[number : number + 1])
        while True:
            more = reader.step()
            if current is None:
                current = reader.next()
            if current is not None and current.complete:
                taken.append((current, number + 1))
                current = None
            if not more:
                break
    at = 0
    for request, end in taken:
        try:
            expected = read_request(data, at)
        except NotInGrammarError as error:
            raise AssertionError(f"taken at {at}, though {error}") from None
        found = Read(request.method, expected.target, request.take_body(), end)
        assert found == expected, f"at {at}"
        at = end
    reader.close()
    return len(taken)


def check_bounds(pieces: Iterable[bytes]) -> None:
    """However it comes, what is kept of it that is no body has its bound."""
    reader = Reader()
    current: Request | None = None
    for piece in pieces:
        reader.push(piece)
        assert reader.ahead <= len(piece) + HEAD_BYTES_MAX + _LATE
        while reader.step():
            assert len(reader._url) + sum(map(len, reader._headers)) <= HEAD_BYTES_MAX + _LATE
            assert len(reader._headers) <= HEADERS_MAX
            current = reader.next() or current
            if current is not None and current.length is not None:
                assert current.size <= current.length
        if reader.problem is not None:
            assert not reader.waits or reader.next() is not None
    reader.close()
