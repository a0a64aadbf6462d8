"""HTTP/1.1 requests from bytes: what is refused, and what no two parsers may read in two ways (RFC 9112, section 11.2)."""

from __future__ import annotations

import sys

import pytest

from collector.wire.http1 import HEAD_BYTES_MAX, HEADERS_MAX, Reader, Request, header_lines, response_head

HEAD = b"POST /x HTTP/1.1\r\nHost: t\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def read(*pieces: bytes) -> tuple[list[Request], Reader]:
    """All that comes of these bytes."""
    reader, requests = Reader(), []
    for piece in pieces:
        reader.push(piece)
        while reader.step():
            pass
        while (request := reader.next()) is not None:
            requests.append(request)
    return requests, reader


def status(*pieces: bytes) -> int:
    """That of the refusal; 0 if there is none."""
    problem = read(*pieces)[1].problem
    return problem.status if problem is not None else 0


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 1 1",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Content-Length : 5",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked, ",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding:\r\n chunked",
        "X: a\r\n b",
        "X: a\rTransfer-Encoding: chunked",
        "X: a\nContent-Length: 5",
        "X: a\0",
        ": a",
        " X: a",
    ],
)
def test_what_two_parsers_would_read_in_two_ways_is_refused(headers: str) -> None:
    """A proxy before us may have taken it the other way: the next request would be somebody else's body."""
    requests, reader = read(HEAD + headers.encode() + b"\r\n\r\nhello")
    assert reader.problem is not None
    assert reader.problem.status in (400, 501)
    assert not [request for request in requests if request.complete]


@pytest.mark.parametrize(
    "coding", ["gzip, chunked", "gzip\r\nTransfer-Encoding: chunked", "chunked, chunked"]
)
def test_a_transfer_coding_that_is_not_known_is_refused(coding: str) -> None:
    """RFC 9112, 6.1: 501; the parser alone would take the coded body for the content."""
    data = HEAD + f"Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n".encode()
    assert status(data) in (400, 501)
    assert not [request for request in read(data)[0] if request.complete]


@pytest.mark.parametrize(
    "body",
    [
        b"3 \r\nabc\r\n0\r\n\r\n",
        b"3\nabc\n0\n\n",
        b"3\r\nabcX0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
    ],
)
def test_chunks_that_two_parsers_would_read_in_two_ways_are_refused(body: bytes) -> None:
    """Sizes with signs and spaces, line ends that are none."""
    assert status(CHUNKED + body) == 400


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked", 400),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.2", 400),
        (b"GET / http/1.1", 400),
        (b"get / HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /\xff HTTP/1.1", 400),
        (b"GET http:// HTTP/1.1", 400),
        (b"CONNECT a:1 HTTP/1.1", 400),
    ],
)
def test_a_request_line_that_is_none_is_refused(line: bytes, expected: int) -> None:
    """Method, target and version."""
    assert status(line + b"\r\n\r\n") == expected


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/v1/logs", "/v1/logs", b""),
        ("/a%20b?x=%20&y", "/a b", b"x=%20&y"),
        ("/%ff", "/\ufffd", b""),
        ("http://host:1/v1/logs?x=1", "/v1/logs", b"x=1"),
        ("http://host", "/", b""),
        ("*", "*", b""),
        ("/a?b?c#d", "/a", b"b?c"),
    ],
)
def test_a_target_is_a_path_and_a_query(target: str, path: str, query: bytes) -> None:
    """Also in the absolute form (RFC 9112, 3.2.2)."""
    [request], _ = read(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert (request.path, request.query) == (path, query)


@pytest.mark.parametrize("line", [b"POST   /a?b HTTP/1.1", b"POST /a?b   HTTP/1.1"])
def test_several_spaces_around_a_target_are_no_part_of_it(line: bytes) -> None:
    """Nor do they move the end of the request. Whether to take them is the recipient's choice (RFC 9112, section 3)."""
    one = line + b"\r\nContent-Length: 2\r\n\r\n  "
    requests, reader = read(one + one)
    assert [(each.path, each.query, each.take_body()) for each in requests] == [("/a", b"b", b"  ")] * 2
    assert reader.problem is None


@pytest.mark.parametrize(
    "line", [b"POST\t/a HTTP/1.1", b"POST /a\tHTTP/1.1", b"POST /a HTTP/1.1 ", b"POST /a \x0bHTTP/1.1"]
)
def test_other_white_space_in_a_request_line_is_refused(line: bytes) -> None:
    """A space is the only one that separates."""
    assert status(line + b"\r\nContent-Length: 0\r\n\r\n") == 400


def test_a_header_is_bounded_in_bytes_and_in_number() -> None:
    """However it is sent."""
    long = b"X: " + b"x" * (HEAD_BYTES_MAX + 5000)
    assert status(HEAD + long) == 431
    assert status(HEAD, *[b"X: 1\r\n"] * (HEAD_BYTES_MAX // 5)) == 431
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(HEADERS_MAX))
    assert status(b"GET / HTTP/1.1\r\n" + many + b"\r\n") == 0
    assert status(b"GET / HTTP/1.1\r\n" + many + b"Y: 1\r\n\r\n") == 431


@pytest.mark.parametrize("endless", [b"1;a=", b"0\r\nX: ", b"0\r\n"])
def test_what_surrounds_chunks_is_bounded(endless: bytes) -> None:
    """Extensions and trailers: the parser would keep them for ever."""
    more = b"X: 1\r\n" if endless == b"0\r\n" else b"x" * 6
    assert status(CHUNKED + endless, *[more] * (HEAD_BYTES_MAX // 5)) == 400


def test_trailers_are_no_headers_of_anything() -> None:
    """Neither of their own request nor of the next."""
    data = CHUNKED + b"3\r\nabc\r\n0\r\nContent-Encoding: gzip\r\n\r\nGET / HTTP/1.1\r\nHost: u\r\n\r\n"
    first, second = read(data)[0]
    assert first.take_body() == b"abc"
    assert b"content-encoding" not in first.headers
    assert second.headers == {b"host": b"u"}


def test_headers_of_one_name_are_a_list() -> None:
    """RFC 9110, 5.3: no one of them wins."""
    [request], _ = read(b"GET / HTTP/1.1\r\nAccept: a\r\nACCEPT: b\r\n\r\n")
    assert request.headers == {b"accept": b"a, b"}


def test_an_offer_to_upgrade_is_not_taken_and_the_body_not_lost() -> None:
    """Java's HttpClient and curl --http2 make it with every first request (RFC 9110, 7.8)."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
    data = HEAD + offer + b"Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n"
    first, second = read(data)[0]
    assert (first.path, first.take_body(), first.keeps_alive) == ("/x", b"hello", True)
    assert (second.method, second.complete) == ("GET", True)
    [last], _ = read(HEAD + b"Connection: upgrade, close\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\n!")
    assert (last.take_body(), last.keeps_alive) == (b"!", False)


def test_not_more_is_parsed_than_is_asked_for() -> None:
    """A step is a request at most, where its length is known."""
    reader = Reader()
    reader.push((HEAD + b"Content-Length: 5\r\n\r\nhello") * 1000)
    assert reader.step()
    first = reader.next()
    assert first is not None
    complete = [first.complete]
    assert reader.step()
    complete.append(first.complete)
    assert complete == [False, True]
    assert reader.next() is None
    assert reader.waits


def test_a_body_in_tiny_chunks_takes_little_more_than_its_size() -> None:
    """A list of small pieces would be fifty times that."""
    reader = Reader()
    reader.push(CHUNKED)
    while reader.step():
        pass
    request = reader.next()
    assert request is not None
    for _ in range(100):
        reader.push(b"2\r\nab\r\n" * 500)
        while reader.step():
            pass
    assert request._body is not None
    assert sys.getsizeof(request._body._whole) < 2 * request.size
    reader.push(b"0\r\n\r\n")
    while reader.step():
        pass
    assert request.take_body() == b"ab" * 50_000


def test_nothing_is_read_behind_the_last_request() -> None:
    """`Connection: close`, and HTTP/1.0."""
    for first in (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"):
        requests, reader = read(first + b"GET / HTTP/1.1\r\n\r\n")
        assert [request.keeps_alive for request in requests] == [False]
        assert reader.problem is None


def test_an_answer_has_a_line_and_a_length() -> None:
    """Also with a status that has no name."""
    assert (
        response_head(200, b"a: b\r\n", 3, last=False)
        == b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 3\r\n\r\n"
    )
    assert response_head(299, b"", 0, last=True).startswith(b"HTTP/1.1 299 \r\nconnection: close\r\n")
    with pytest.raises(ValueError, match="line break"):
        header_lines([("a", "b\r\nc: d")])
