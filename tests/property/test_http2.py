"""HTTP/2 bytes, honest and damaged, in any pieces: the same comes of them, and nothing but a connection error."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.wire.http2 import frames
from tests.support.http2_stream import Play, check_play, cut, mutated, session


@given(st.integers(0, 2**64))
@settings(max_examples=150, deadline=None)
def test_honest_sessions_come_out_whole_however_they_are_cut(seed: int) -> None:
    """Every byte of every call that was not given up, and no error."""
    rng = random.Random(seed)
    data = frames.PREFACE + b"".join(session(rng))
    play = Play().feed(cut(rng, data))
    assert not play.connection.closed
    assert all(call["ended"] or call["reset"] for call in play.calls.values())
    assert check_play(rng, data)


@given(st.integers(0, 2**64))
@settings(max_examples=400, deadline=None)
def test_damaged_sessions_never_raise_and_keep_little(seed: int) -> None:
    """Bits, lengths, order, frames left out, doubled or made up."""
    rng = random.Random(seed)
    check_play(rng, mutated(rng, session(rng)))


@given(st.binary(max_size=3000), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_garbage_never_raises(data: bytes, seed: int) -> None:
    """Behind the preface, where it is taken for frames."""
    check_play(random.Random(seed), frames.PREFACE + frames.settings({}) + data)
