"""One HTTP connection, without sockets and without waiting: what it reads, when it stops reading, what it forgets."""

from __future__ import annotations

import pytest

from collector.pipeline.http import HttpLimits
from collector.wire import ahead
from collector.wire.http1 import CONTINUE
from tests.support.http1_stream import BODY_MAX, Play, answers

GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: t\r\n"


def test_what_is_sent_ahead_waits_unread_behind_an_answer() -> None:
    """A client that does not wait for answers fills no memory: one request is worked on, reading stops."""
    play = Play(slow=True)
    play.connection.data_received(GET * 1000)
    assert play.begun == 1
    assert play.transport.paused
    play.feed([])  # the answers come
    assert [status for status, _ in answers(play.output())] == [200] * 1000
    assert not play.transport.paused


def test_a_client_that_does_not_read_is_not_worked_for() -> None:
    """What it sends waits until it reads; it is given `write_timeout_s`."""
    play = Play(limits=HttpLimits(write_timeout_s=5))
    play.connection.pause_writing()
    assert play.transport.paused
    play.connection.resume_writing()
    play.feed([GET * 3])
    assert play.begun == 3
    play.connection.pause_writing()
    play.loop.advance(4.9)
    assert not play.transport.closed
    play.loop.advance(0.2)
    assert play.transport.closed


def test_much_that_arrives_at_once_takes_several_turns() -> None:
    """Others have theirs in between, and nothing more is read meanwhile; not even when its time is over."""
    play = Play(tick=0.0005)
    play.connection.data_received(GET * 1000)
    turns = 0
    while play.loop.soon:
        assert play.transport.paused
        before = play.begun
        play.loop.advance(0)
        play.loop.soon.popleft()()
        assert play.begun - before < 5
        turns += 1
    assert turns > 200
    assert [status for status, _ in answers(play.output())] == [200] * 1000
    assert not play.transport.paused
    assert not play.transport.closed


def test_a_deadline_does_not_ring_before_what_has_arrived_was_looked_at() -> None:
    """The time of a turn is not the client's."""
    play = Play(tick=0.003, limits=HttpLimits(idle_timeout_s=5))
    play.loop.tick, play.loop.now = 0.003, 4.0
    play.connection.data_received(GET * 2)
    assert play.loop.soon
    play.loop.advance(60)
    assert not play.transport.closed
    play.loop.tick = 0
    play.feed([])
    assert play.begun == 2
    play.loop.advance(5.1)
    assert play.facts()[-1]


def test_who_is_held_is_not_read_and_loses_no_time() -> None:
    """Room is waited for, and the kernel's buffers fill; a client that waits for a word waits for it."""
    play = Play(holds=True, limits=HttpLimits(read_timeout_s=3))
    play.connection.data_received(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert (play.transport.paused, bytes(play.transport.output)) == (True, b"")
    play.loop.advance(60)
    play.holds = False
    play.connection.go_on(play.held.popleft())
    assert (play.transport.paused, bytes(play.transport.output)) == (False, CONTINUE)
    play.loop.advance(2.5)
    assert not play.output()
    play.loop.advance(1.0)
    assert [status for status, _ in answers(play.output())] == [503]


def test_who_is_held_may_be_refused() -> None:
    """Then the rest is read and forgotten; of a client that was not told to send it nobody knows whether it comes."""
    for expects, last in ((b"", False), (b"Expect: 100-continue\r\n", True)):
        play = Play(holds=True)
        play.connection.data_received(POST + expects + b"Content-Length: 5\r\n\r\n")
        play.end(play.held.popleft(), 503, b"later")
        play.holds = False
        assert play.transport.half_closed == last
        assert not play.transport.paused
        play.feed([b"hello" + GET])
        assert [status for status, _ in answers(play.output())] == ([503] if last else [503, 200])


@pytest.mark.parametrize(
    ("sent", "seconds", "answer"),
    [
        (b"", 60, b""),
        (GET, 60, b"HTTP/1.1 200 OK"),
        (b"\r\n\r\n", 60, b""),
        (b"G", 10, b""),
        (b"PRI *", 10, b""),
        (POST, 10, b""),
        (GET + POST, 10, b"HTTP/1.1 200 OK"),
        (POST + b"Content-Length: 6000\r\n\r\n", 2, b"HTTP/1.1 413"),
    ],
)
def test_each_phase_has_its_deadline(sent: bytes, seconds: float, answer: bytes) -> None:
    """To the second, also when it begins with the end of another."""
    play = Play().feed([sent] if sent else [])
    closed = []
    for step in (seconds - 0.1, 0.2):
        play.loop.advance(step)
        closed.append(play.transport.closed)
    assert closed == [False, True]
    assert play.output().startswith(answer)


def test_a_body_that_does_not_come_is_answered_once() -> None:
    """`read_timeout_s`; and the rest of it, for a moment, may still come."""
    play = Play(limits=HttpLimits(read_timeout_s=3)).feed([POST + b"Content-Length: 5\r\n\r\nh"])
    play.loop.advance(2.9)
    assert not play.output()
    play.loop.advance(0.2)
    assert [status for status, _ in answers(play.output())] == [503]
    play.feed([b"ello" + GET])
    assert [status for status, _ in answers(play.output())] == [503, 200]
    play.lose()
    assert play.begun == play.ended == 2


def test_a_request_under_way_has_no_deadline() -> None:
    """However long the answer takes."""
    play = Play(slow=True)
    play.connection.data_received(GET)
    play.loop.advance(3600)
    play.feed([])
    assert answers(play.output())[0][0] == 200


def test_a_word_is_given_only_to_those_who_wait_for_it() -> None:
    """100 Continue: not when the body is there, nor to HTTP/1.0, nor when the header is refused."""
    expects = b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    for sent, word in (
        (POST + expects, True),
        (POST + expects + b"hello", False),
        (POST.replace(b"1.1", b"1.0") + expects, False),
    ):
        assert (CONTINUE in Play().feed([sent]).transport.output) == word
    refused = Play().feed([POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (BODY_MAX + 1)])
    assert CONTINUE not in refused.transport.output
    assert b"connection: close" in refused.transport.output  # whether the body comes now, nobody knows
    assert refused.transport.half_closed


def test_a_call_of_a_client_that_goes_is_told() -> None:
    """In the middle of a body, before an answer, behind what is no HTTP; and nothing is answered after that."""
    for sent, begun in (
        (POST + b"Content-Length: 5\r\n\r\nh", 1),
        (GET, 1),
        (GET * 3, 1),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 1),
    ):
        play = Play(slow=True)
        play.connection.data_received(sent)
        waiting = list(play.waiting)
        play.lose()
        for request, body in waiting:
            play.connection.answer(request, 200, b"", body)
        assert (play.begun, play.ended) == (begun, 1)
        assert b"200" not in play.output()


def test_what_all_send_ahead_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipelined requests and long headers: whoever adds to it when it is full is ended, and what is worked on answered."""
    monkeypatch.setattr(ahead, "AHEAD_MAX", 10_000)
    play = Play(slow=True)
    play.connection.data_received(GET * 1000)  # 27 KB
    assert [status for status, _ in answers(play.feed([]).output())] == [200]
    assert b"connection: close" in play.transport.output
    assert play.transport.half_closed
    assert play.peers.ahead.size == 0

    header = Play().feed([POST + b"X-Long: " + b"x" * 20_000])
    assert [status for status, _ in answers(header.output())] == [503]
    assert header.peers.ahead.size == 0

    little = Play()
    little.peers.ahead.size = 20_000  # of others
    little.feed([GET * 100 + POST + b"X-Long: " + b"x" * 3000, b"\r\n\r\n"])
    assert [status for status, _ in answers(little.output())] == [200] * 101
    little.lose()
    assert little.peers.ahead.size == 20_000


def test_of_what_is_worked_on_nothing_is_kept_twice() -> None:
    """A body that has arrived is not in the buffer that it came in."""
    play = Play(slow=True)
    play.connection.data_received(POST + b"Content-Length: 4000\r\n\r\n" + b"x" * 4000)
    assert play.begun == 1
    assert play.connection._reader._data == b""
    assert play.peers.ahead.size == 0


def test_empty_lines_without_end_are_no_request() -> None:
    """One or two are forgiven (RFC 9112, section 2.2)."""
    assert [status for status, _ in answers(Play().feed([b"\r\n" * 40_000]).output())] == [400]
    assert [status for status, _ in answers(Play().feed([b"\r\n" * 10 + GET]).output())] == [200]
