"""One connection of an HTTP port: its requests, one after the other, put to the handler; and everything with a clock.

All of it runs on the event loop. A request that is complete when it arrives, as most are, is answered in the same turn.
"""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass, field
from typing import Final

import msgspec

from collector.pipeline.http import HttpCall, HttpHandler, HttpLimits
from collector.wire.http1 import CONTINUE, Problem, Reader, Request, response_head

# A client that was answered before it had sent everything must be let finish sending, or the kernel resets the
# connection and the answer is lost (RFC 9112, section 9.6). So long, and so much:
_DISCARD_S: Final = 2.0
_DISCARD_BYTES_MAX: Final = 256 * 1024 * 1024
# The connection preface of HTTP/2 (RFC 9113, section 3.4): a gRPC client at the wrong port.
_HTTP2_PREFACE: Final = b"PRI * HTTP/2.0"
_WRONG_PROTOCOL: Final = b"this port speaks HTTP/1.1; send OTLP/gRPC to the gRPC endpoint (default port 4317)"

# google.rpc.Code, for the bodies of answers that no handler gives.
_INVALID_ARGUMENT: Final = 3
_UNAVAILABLE: Final = 14


class _Phase(enum.Enum):
    """What is waited for."""

    IDLE = enum.auto()  # a request
    HEADER = enum.auto()  # the rest of its header
    BODY = enum.auto()  # the rest of its body
    ANSWER = enum.auto()  # whoever works on it
    REST = enum.auto()  # the rest of the body, though it is answered
    END = enum.auto()  # that the client closes


@dataclass(slots=True)
class Peers:
    """The connections of one listener, and what they have in common."""

    handler: HttpHandler
    limits: HttpLimits
    open: set[HttpConnection] = field(default_factory=set)
    leaving: set[HttpConnection] = field(default_factory=set)  # have their last answer, and may still read it
    stopping: bool = False


class HttpConnection(asyncio.Protocol):
    """One connection: an `HttpPeer`."""

    def __init__(self, peers: Peers, loop: asyncio.AbstractEventLoop) -> None:
        self._peers = peers
        self._limits = peers.limits
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
        self._ended = False  # the client sends nothing more
        self._discarded = 0
        self._phase: _Phase | None = None
        self._deadline_at: float | None = None  # of the phase, in loop time
        self._timer: asyncio.TimerHandle | None = None
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
        if len(peers.open) >= most and not _evict_idlest(peers):
            self._refuse(Problem(503, f"{most} connections are open; try again"), _UNAVAILABLE)
            return
        peers.open.add(self)
        self._wait_for(_Phase.IDLE)

    def data_received(self, data: bytes) -> None:
        """Do at once what can be done at once."""
        if self._phase is _Phase.END:
            self._discarded += len(data)
            if self._discarded > _DISCARD_BYTES_MAX:
                self.abort()
            return
        if not self._greeted:
            data = self._first + data
            if self._is_http2(data):
                return
        self._reader.push(data)
        if self._phase is _Phase.ANSWER:
            self._pause()
        else:
            self._go_on()

    def _is_http2(self, data: bytes) -> bool:
        """Whether it is, or may become: then it is kept."""
        if data.startswith(_HTTP2_PREFACE):
            self._refuse_http2()
            return True
        if _HTTP2_PREFACE.startswith(data):
            self._first = data
            if self._phase is not _Phase.HEADER:
                self._wait_for(_Phase.HEADER)
            return True
        self._greeted, self._first = True, b""
        return False

    def eof_received(self) -> bool:
        """The client sends nothing more. It may still wait for an answer."""
        self._ended = True
        return self._phase is _Phase.ANSWER

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        self._peers.open.discard(self)
        self._peers.leaving.discard(self)
        for timer in (self._timer, self._unread):
            if timer is not None:
                timer.cancel()
        self._timer = self._unread = None
        self._reader.close()
        self._forget()

    def pause_writing(self) -> None:
        """The client does not read: nothing more is read from it either, and it is given `write_timeout_s`."""
        self._pause()
        self._unread = self.loop.call_later(self._limits.write_timeout_s, self.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        if self._phase is _Phase.END:
            self._resume()
        else:
            self._go_on()

    # --- one request after the other --------------------------------------------------------------------

    def _go_on(self) -> None:
        """Parse, and put it to the handler, until something is missing: bytes, an answer, a client that reads."""
        if self._going:
            return
        self._going = True
        reader = self._reader
        while self._unread is None and self._phase is not _Phase.END:
            request = self._request
            if request is None:
                request = reader.next()
                if request is not None:
                    self._begin(request)
                elif reader.problem is not None:
                    self._refuse(reader.problem, _INVALID_ARGUMENT)
                elif not reader.step():
                    break
            elif not request.complete:
                if reader.problem is not None:
                    self._refuse(reader.problem, _INVALID_ARGUMENT)
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
        self._rest()

    def _begin(self, request: Request) -> None:
        self._request = request
        self._answered = self._begun = False
        self._phase = None
        self.idle_since = None
        call = self._peers.handler(self, request)
        if self._answered:
            return
        self._call = call
        if request.expects_continue:
            request.expects_continue = False
            if not self._reader.waits and self._transport is not None:
                self._transport.write(CONTINUE)

    def _rest(self) -> None:
        """Nothing can be done now: see to it that what is waited for comes, and comes in time."""
        transport, request = self._transport, self._request
        if transport is None or transport.is_closing() or self._phase is _Phase.END:
            return
        if request is None:
            if self._ended:
                self._close()
                return
            phase = _Phase.HEADER if self._reader.begun else _Phase.IDLE
        elif request.complete:
            phase = _Phase.ANSWER
        elif self._answered:
            phase = _Phase.REST
            if request.size > _DISCARD_BYTES_MAX:
                self.abort()
                return
        else:
            phase = _Phase.BODY
        if phase is not self._phase:
            self._wait_for(phase)
        if self._paused and self._unread is None and not self._reader.waits:
            self._resume()

    # --- answers ----------------------------------------------------------------------------------------

    def answer(self, request: Request, status: int, headers: bytes, body: bytes) -> None:
        """See `HttpPeer`."""
        transport = self._transport
        if request is not self._request or self._answered or transport is None or transport.is_closing():
            return
        self._answered = True
        self._call = None
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

    def _refuse(self, problem: Problem, code: int) -> None:
        """Answer what never becomes a request. JSON, as no encoding was negotiated; then close."""
        transport = self._transport
        answered = self._answered and self._request is not None
        self._forget()
        if transport is None:
            return
        if not answered:
            headers = b"content-type: application/json\r\n"
            if problem.status == 503:
                headers += b"retry-after: 1\r\n"
            body = msgspec.json.encode({"code": code, "message": problem.message})
            transport.write(response_head(problem.status, headers, len(body), last=True) + body)
        self._linger()

    def _refuse_http2(self) -> None:
        """Answer an HTTP/2 client in its own protocol: clients show the debug text of a GOAWAY."""
        settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        payload = b"\x00\x00\x00\x00" + (0x0D).to_bytes(4, "big") + _WRONG_PROTOCOL  # HTTP_1_1_REQUIRED
        goaway = len(payload).to_bytes(3, "big") + b"\x07\x00\x00\x00\x00\x00" + payload
        if self._transport is not None:
            self._transport.write(settings + goaway)
        self._linger()

    def _forget(self) -> None:
        """Nobody is there to be answered."""
        call, self._call = self._call, None
        request, self._request = self._request, None
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
        self._phase = _Phase.END
        self._peers.open.discard(self)
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        """Close after the last answer, so that the client can read it."""
        transport, request = self._transport, self._request
        self._phase, self.idle_since = _Phase.END, None
        if transport is None or transport.is_closing():
            return
        unfinished = self._reader.waits or self._paused or (request is not None and not request.complete)
        if unfinished and not self._ended:
            self._linger()
            return
        self._arm(self._limits.write_timeout_s)
        transport.close()

    def _linger(self) -> None:
        """Close our side; all of it when the client has closed its own, or does not for too long."""
        transport, peers = self._transport, self._peers
        self._phase, self.idle_since = _Phase.END, None
        if transport is None or transport.is_closing():
            return
        peers.open.discard(self)
        if len(peers.leaving) >= self._limits.connections_max:
            transport.abort()
            return
        peers.leaving.add(self)
        self._arm(_DISCARD_S)
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

    def _wait_for(self, phase: _Phase) -> None:
        self._phase = phase
        limits = self._limits
        if phase is _Phase.ANSWER:
            self._deadline_at = None
        elif phase is _Phase.IDLE:
            self._arm(limits.idle_timeout_s)
            self.idle_since = self.loop.time()
        elif phase is _Phase.HEADER:
            self.idle_since = None
            self._arm(limits.read_header_timeout_s)
        elif phase is _Phase.BODY:
            self._arm(limits.read_timeout_s)
        else:
            self._arm(_DISCARD_S)

    def _arm(self, seconds: float) -> None:
        """Have the phase end within `seconds`.

        A timer that is there and rings too early is left to ring in vain: every request has several phases, and a
        timer for each would cost more than reading its header.
        """
        self._deadline_at = self.loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(self._deadline_at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._deadline_at is None:
            return
        if self._deadline_at > self.loop.time():
            self._timer = self.loop.call_at(self._deadline_at, self._ring)
            return
        call = self._call
        if self._phase is _Phase.BODY and call is not None:
            call.expired()
            if self._answered:
                return
        self.abort()


def _evict_idlest(peers: Peers) -> bool:
    idle = [peer for peer in peers.open if peer.idle_since is not None]
    if not idle:
        return False
    # HTTP/1.1 lets a server close an idle connection at any time (RFC 9112, section 9.5).
    min(idle, key=lambda peer: peer.idle_since or 0.0).abort()
    return True
