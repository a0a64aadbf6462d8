"""One connection of an HTTP port: its requests, one after the other, put to the handler; and everything with a clock.

All of it runs on the event loop. A request that is complete when it arrives, as most are, is answered in the same turn.
"""

from __future__ import annotations

import asyncio
from typing import Final

from collector.pipeline.http import HttpCall
from collector.service.deadline import Deadline
from collector.service.http_peers import Peers
from collector.service.http_phases import DISCARD_BYTES_MAX, DISCARD_S, ENDED, Phase
from collector.service.http_refusals import HTTP2_ANSWER, HTTP2_PREFACE, refusal
from collector.wire.http1 import CONTINUE, Problem, Reader, Request, response_head

# A connection lets the others have a turn after this: of several that have much to do, one waits for all turns.
_TURN_S: Final = 0.0005


class HttpConnection(asyncio.Protocol):
    """One connection: an `HttpPeer`."""

    def __init__(self, peers: Peers, loop: asyncio.AbstractEventLoop) -> None:
        self._peers = peers
        self._limits = peers.limits
        self._note = peers.limits.on_end
        self.loop = loop
        self._transport: asyncio.Transport | None = None
        self._reader = Reader()
        self._first = b""  # of the connection, while it may be the beginning of HTTP/2
        self._greeted = False
        self._request: Request | None = None  # the one whose turn it is
        self._call: HttpCall | None = None  # who takes it, until it is complete and answered
        self._begun = False  # work on it has: it was complete
        self._answered = False
        self._last = False  # the next answer is the last
        self._going = False  # within `_go_on`
        self._paused = False  # nothing is read
        self._held = False  # by who takes the request: it is not read on
        self._unfinished = False  # there is more to do at once, in the next turn
        self._ended = False  # the client sends nothing more
        self._discarded = 0
        self._ahead = 0  # of `Peers.ahead`
        self._phase: Phase | None = None
        self._deadline = Deadline(loop, self._expire)  # of the phase
        self._unread: asyncio.TimerHandle | None = None  # set while the client does not read
        self.idle_since: float | None = None  # loop time; None while a request is under way

    # --- asyncio.Protocol -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection if there is room, or make room by closing the one that idles longest."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"{transport!r} cannot be written to")
        self._transport = transport
        peers, most = self._peers, self._limits.connections_max
        self._last = peers.stopping
        if not peers.make_room():
            self._note("connections_max")
            self._refuse(Problem(503, f"{most} connections are open; try again"))
            return
        peers.open.add(self)
        self._wait_for(Phase.IDLE)

    def data_received(self, data: bytes) -> None:
        """Do at once what can be done at once."""
        if self._phase is Phase.END:
            self._discarded += len(data)
            if self._discarded > DISCARD_BYTES_MAX:
                self.abort()
            return
        if not self._greeted:
            data = self._first + data
            if self._is_http2(data):
                return
        self._reader.push(data)
        if self._phase is Phase.ANSWER or self._held or self._unfinished:
            self._pause()
            if self._count_ahead():
                self._stop_ahead()
        else:
            self._go_on()

    def _is_http2(self, data: bytes) -> bool:
        """Whether it is, or may become: then it is kept."""
        if data.startswith(HTTP2_PREFACE):
            self._say_last(HTTP2_ANSWER)
            return True
        if HTTP2_PREFACE.startswith(data):
            self._first = data
            if self._phase is not Phase.HEADER:
                self._wait_for(Phase.HEADER)
            return True
        self._greeted, self._first = True, b""
        return False

    def eof_received(self) -> bool:
        """The client sends nothing more. It may still wait for an answer."""
        self._ended = True
        return self._phase is Phase.ANSWER

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        self._peers.open.discard(self)
        self._peers.leaving.discard(self)
        self._deadline.cancel()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        self._reader.close()
        self._count_ahead()
        self._forget()

    def pause_writing(self) -> None:
        """The client does not read: nothing more is read from it either, and it is given `write_timeout_s`."""
        self._pause()
        self._unread = self.loop.call_later(self._limits.write_timeout_s, self._unread_too_long)

    def _unread_too_long(self) -> None:
        self._note("write_timeout")
        self.abort()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        if self._phase is Phase.END:
            self._resume()
        else:
            self._go_on()

    # --- one request after the other --------------------------------------------------------------------

    def _go_on(self) -> None:
        """Parse, and put it to the handler, until something is missing: bytes, an answer, room, a client that reads.

        What takes longer than a turn goes on in the next one; meanwhile nothing more is read.
        """
        if self._going or self._unfinished:
            return
        self._going = True
        reader, now = self._reader, self.loop.time
        until = 0.0
        while self._unread is None and not self._held and self._phase is not Phase.END:
            if reader.waits:  # else this ends by itself
                if not until:  # something is done in every turn
                    until = now() + _TURN_S
                elif now() > until:
                    self._unfinished = True
                    break
            request = self._request
            if request is None:
                request = reader.next()
                if request is not None:
                    self._begin(request)
                elif reader.problem is not None:
                    self._refuse_for(reader.problem)
                elif not reader.step():
                    break
            elif not request.complete:
                if reader.problem is not None:
                    self._refuse_for(reader.problem)
                elif not reader.step():
                    break
                elif self._call is not None and not request.complete:
                    self._call.received()
            elif self._answered:
                self._request = None
            elif not self._begun and self._call is not None:
                self._begun = True
                self._call.complete()
            else:
                break
        self._going = False
        if self._unfinished:
            self._pause()
            self._deadline.pause()
            self._peers.turns.wait(self.loop, self._take_turn)
        else:
            self._rest()
        if (self._ahead or reader.ahead) and self._count_ahead() and self._phase is not Phase.END:
            self._stop_ahead()

    def _count_ahead(self) -> bool:
        """Count what the client has sent ahead; True: it is too much."""
        before = self._ahead
        self._ahead = 0 if self._held else self._reader.ahead  # who is held is counted by who holds it
        return self._peers.ahead.too_much(before, self._ahead)

    def _stop_ahead(self) -> None:
        """Answer what is worked on, and nothing that came behind it."""
        self._note("sent_ahead")
        self._last = True
        if self._request is not None and self._begun and not self._answered:
            self._reader.forget()
            self._count_ahead()
        else:
            self._refuse(Problem(503, "clients have sent too much ahead; try again"))

    def _take_turn(self) -> None:
        self._unfinished = False
        self._deadline.resume()
        if self._phase is Phase.END:
            self._resume()
        else:
            self._go_on()

    def _begin(self, request: Request) -> None:
        self._request = request
        self._answered = self._begun = False
        self._phase = None
        self.idle_since = None
        call = self._peers.handler(self, request)
        if self._answered:
            return
        self._call = call
        if not self._held:
            self._ask_for_body(request)

    def _ask_for_body(self, request: Request) -> None:
        if request.expects_continue:
            request.expects_continue = False
            if not self._reader.waits and not request.size and self._transport is not None:
                self._transport.write(CONTINUE)

    def _rest(self) -> None:
        """Nothing can be done now: see to it that what is waited for comes, and comes in time."""
        transport, request = self._transport, self._request
        if transport is None or transport.is_closing() or self._phase is Phase.END:
            return
        if request is None:
            if self._ended:
                self._close()
                return
            phase = Phase.HEADER if self._reader.begun else Phase.IDLE
        elif request.complete:
            phase = Phase.ANSWER
        elif self._answered:
            phase = Phase.REST
            if request.size > DISCARD_BYTES_MAX:
                self._note("unwanted_body")
                self.abort()
                return
        else:
            phase = Phase.BODY
        if phase is not self._phase:
            self._wait_for(phase)
        ahead = phase is Phase.ANSWER and self._reader.waits
        if self._held:
            self._deadline.pause()
        if ahead or self._held:
            self._pause()
        elif self._paused and self._unread is None and not self._reader.waits:
            self._resume()

    def hold(self, request: Request) -> None:
        """See `HttpPeer`."""
        if request is self._request and not self._answered:
            self._held = True

    def go_on(self, request: Request) -> None:
        """See `HttpPeer`."""
        if not self._held or request is not self._request:
            return
        self._held = False
        self._deadline.resume()
        self._ask_for_body(request)
        if not self._going:
            self._go_on()

    # --- answers ----------------------------------------------------------------------------------------

    def answer(self, request: Request, status: int, headers: bytes, body: bytes) -> None:
        """See `HttpPeer`."""
        transport = self._transport
        if request is not self._request or self._answered or transport is None or transport.is_closing():
            return
        self._answered = True
        self._call, self._held = None, False
        request.drop_body()
        # A client that waits for a word may or may not send the body now that there is an answer: what it sends
        # next cannot be told apart.
        last = (
            self._last or not request.keeps_alive or not self._limits.keep_alive or request.expects_continue
        )
        head = response_head(status, headers, len(body), last=last)
        transport.write(head if request.method == "HEAD" else head + body)
        if last:
            self._close()
        elif not self._going:
            self._go_on()

    def _refuse_for(self, problem: Problem) -> None:
        self._note("header_size" if problem.status == 431 else "not_http")
        self._refuse(problem)

    def _refuse(self, problem: Problem) -> None:
        """Answer what never becomes a request; then close."""
        answered = self._answered and self._request is not None
        self._forget()
        self._say_last(b"" if answered else refusal(problem))

    def _say_last(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)
            self._linger()

    def _forget(self) -> None:
        """Nobody is there to be answered."""
        call, self._call = self._call, None
        request, self._request = self._request, None
        self._held = False
        if request is not None and not self._answered and call is not None:
            call.gone()

    # --- the end ----------------------------------------------------------------------------------------

    def end_soon(self) -> None:
        """Close after the answer that is being worked on, or after the next one: tell the client with it."""
        self._last = True

    def end(self) -> None:
        """Close if no request is under way, else after its answer."""
        self._last = True
        if self._request is None:
            self._close()

    def abort(self) -> None:
        """Close at once, without waiting for a peer that does not read."""
        self._phase = Phase.END
        self._peers.open.discard(self)
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        """Close after the last answer, so that the client can read it."""
        transport, request = self._transport, self._request
        self._phase, self.idle_since = Phase.END, None
        if transport is None or transport.is_closing():
            return
        unfinished = self._reader.waits or self._paused or (request is not None and not request.complete)
        if unfinished and not self._ended:
            self._linger()
            return
        self._deadline.set(self._limits.write_timeout_s)
        transport.close()

    def _linger(self) -> None:
        """Close our side; all of it when the client has closed its own, or does not for too long."""
        transport, peers = self._transport, self._peers
        self._phase, self.idle_since = Phase.END, None
        self._reader.forget()
        self._count_ahead()
        if transport is None or transport.is_closing():
            return
        peers.open.discard(self)
        if len(peers.leaving) >= self._limits.connections_max:
            transport.abort()
            return
        peers.leaving.add(self)
        self._deadline.set(DISCARD_S)
        if self._unread is None:
            self._resume()
        try:
            transport.write_eof()
        except OSError:  # the client has closed already
            transport.close()

    # --- reading and time -------------------------------------------------------------------------------

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _wait_for(self, phase: Phase) -> None:
        self._phase = phase
        seconds = phase.seconds(self._limits)
        if seconds is None:
            self._deadline.clear()
        else:
            since = self._deadline.set(seconds)
            self.idle_since = since if phase is Phase.IDLE else None

    def _expire(self) -> None:
        call = self._call
        if self._phase is Phase.BODY and call is not None:
            call.expired()
            if self._answered:
                return
        if self._phase in ENDED:
            self._note(ENDED[self._phase])
        self.abort()
