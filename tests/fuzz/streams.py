"""What is fuzzed without sanitizers, as nothing of it is compiled here: connections, fed with what comes of a seed.

An AssertionError, or anything else that is raised, is a finding.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from collector.wire.http1 import HEAD_BYTES_MAX
from tests.support import http1_stream, http2_stream
from tests.support.http1_smuggling import check_bounds, check_framing, smuggled
from tests.support.http2_stream import cut

_HEAD: Final = b"POST /v1/logs HTTP/1.1\r\nHost: a\r\n"
_CHUNKED: Final = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# A bound is noticed at the end of what is parsed at once: so much later for some than for others.
_ABOUT: Final = 8192
# Beginnings of what has no end.
_ENDLESS: Final = (
    (b"", b"\r\n"),
    (b"", b"X"),
    (b"GET /", b"x"),
    (_HEAD + b"X: ", b"x"),
    (_HEAD + b"X", b"x"),
    (_HEAD, b"X: y\r\n"),
    (_CHUNKED, b"0"),
    (_CHUNKED + b"1;", b"x"),
    (_CHUNKED + b"0\r\n", b"X: y\r\n"),
    (_CHUNKED + b"0\r\nX: ", b"x"),
    (_CHUNKED, b"1;" + b"x" * 5000 + b"\r\nx\r\n"),
)


def http1(seed: bytes) -> bool:
    """HTTP/1.1: arbitrary bytes in arbitrary pieces. Returns whether all of it was in order.

    Nothing raises; the same comes of it however it is cut; what is kept has its bound; and what is taken for a request
    is one, and not two, by the letter of RFC 9112.
    """
    rng = random.Random(seed)
    kind = rng.random()
    if kind < 0.8:
        data = smuggled(rng)
    elif kind < 0.93:
        data = http1_stream.mutated(rng, http1_stream.session(rng, requests=rng.randrange(1, 4)))
    elif kind < 0.99:
        data = rng.choice((b"", b"PRI * HTTP/2", b"GET ", _HEAD, _CHUNKED)) + rng.randbytes(
            rng.randrange(3000)
        )
    else:
        begin, again = rng.choice(_ENDLESS)
        size = rng.choice(
            (rng.randrange(HEAD_BYTES_MAX - _ABOUT), HEAD_BYTES_MAX + _ABOUT, 2 * HEAD_BYTES_MAX)
        )
        data = begin + again * (size // len(again))
        check_bounds(cut(rng, data, rng.choice((100, 5000, 300_000))))
        return http1_stream.check_play(rng, data)
    check_bounds(cut(rng, data))
    taken = check_framing(data) > 0
    if kind < 0.6:  # the rest takes five times as long
        return taken
    return http1_stream.check_play(rng, data) and taken


def http2(seed: bytes) -> bool:
    """HTTP/2: honest sessions, tampered with, whole and in pieces. Returns whether all of it was in order."""
    rng = random.Random(seed)
    calls = http2_stream.session(rng, calls=rng.randrange(1, 12))
    return http2_stream.check_play(rng, http2_stream.mutated(rng, calls))


STREAMS: Final[dict[str, Callable[[bytes], bool]]] = {"http1": http1, "http2": http2}
