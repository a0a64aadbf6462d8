"""HTTP/1.1 bytes, honest and damaged, in any pieces: the same answers come of them, in order, and nothing raises."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.streams import http1
from tests.support.http1_grammar import NotInGrammarError, read_request
from tests.support.http1_stream import Play, answers, check_play, mutated, session
from tests.support.http2_stream import cut


@given(st.integers(0, 2**64))
@settings(max_examples=150, deadline=None)
def test_honest_sessions_are_answered_in_order_however_they_are_cut(seed: int) -> None:
    """Each request by what it was, also when all were sent before the first answer."""
    rng = random.Random(seed)
    sent = session(rng)
    data = b"".join(request.wire for request in sent)
    for slow in (False, True):
        for pieces in ([data], cut(rng, data)):
            play = Play(slow=slow).feed(pieces)
            assert answers(play.output()) == [(200, request.answer()) for request in sent]
            assert play.transport.closed == sent[-1].last
    assert check_play(rng, data)


@given(st.integers(0, 2**64))
@settings(max_examples=400, deadline=None)
def test_damaged_sessions_never_raise_and_come_to_the_same(seed: int) -> None:
    """Bits, lengths, lines left out, doubled or made up."""
    rng = random.Random(seed)
    check_play(rng, mutated(rng, session(rng)))


@given(
    st.binary(max_size=3000), st.integers(0, 2**32), st.sampled_from([b"", b"P", b"PRI * HTTP/2", b"GET "])
)
@settings(max_examples=200, deadline=None)
def test_garbage_never_raises(data: bytes, seed: int, before: bytes) -> None:
    """Where a request is expected."""
    check_play(random.Random(seed), before + data)


@given(st.binary(max_size=3000), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_garbage_for_chunks_never_raises(data: bytes, seed: int) -> None:
    """Where a body is expected."""
    head = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    check_play(random.Random(seed), head + data)


@given(st.binary(min_size=8, max_size=8))
@settings(max_examples=400, deadline=None)
def test_what_is_taken_for_one_request_is_one(seed: bytes) -> None:
    """By the letter of RFC 9112: framing that is nearly right, lengths without end, and whatever else is fuzzed."""
    http1(seed)


def test_the_grammar_tells_requests_from_what_is_none() -> None:
    """What the others are held against."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    assert read_request(head + b"Content-Length: 5\r\n\r\nhelloGET", 0).body == b"hello"
    assert (
        read_request(head + b"Transfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\n\r\n", 0).body
        == b"hello"
    )
    for tail in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: +5\r\n\r\nhello",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"Content-Length : 5\r\n\r\nhello",
        b"Content-Length: 5\n\r\nhello",
        b"X: y\r\n z\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        b"Content-Length: 6\r\n\r\nhello",
    ):
        with pytest.raises(NotInGrammarError):
            read_request(head + tail, 0)
