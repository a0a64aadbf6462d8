"""One connection of the gRPC port: what HTTP/2 says, put to the calls it is about; and how long all of it may take.

All of it runs on the event loop. A call that is complete when it arrives, as most are, is answered in the same turn.
"""

from __future__ import annotations

import asyncio
from typing import Final

from collector.receivers.otlp.grpc_keepalive import Keepalive
from collector.receivers.otlp.grpc_peers import HTTP_1_ANSWER, Call, Peers
from collector.wire.http2.connection import Connection
from collector.wire.http2.frames import ErrorCode
from collector.wire.http2.streams import Event, Limits, Stream

# A client that has said nothing of HTTP/2 by then does not speak it.
_GREETING_S: Final = 10.0
# How long a client may leave what we send unread.
_WRITE_S: Final = 30.0
# A closing connection lets its peer read for so long.
_LINGER_S: Final = 2.0
# How long a client may take to answer that it has read our GOAWAY.
_FAREWELL_S: Final = 1.0
_DISCARD_MAX: Final = 8 * 1024 * 1024
_FORGIVE_EVERY_S: Final = 60.0
_UNLIMITED_STREAMS: Final = 100_000
# A connection lets the others have a turn after this: of several that have much to do, one waits for all turns.
_TURN_S: Final = 0.0005
_HTTP_1: Final = (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC")


class GrpcConnection(asyncio.Protocol):
    """One connection."""

    def __init__(self, peers: Peers, loop: asyncio.AbstractEventLoop) -> None:
        self._peers = peers
        self._config = peers.config
        self.loop = loop
        streams_max = self._config.max_concurrent_streams or _UNLIMITED_STREAMS
        self.http2 = Connection(Limits(streams_max=streams_max))
        self._transport: asyncio.Transport | None = None
        self._calls: dict[Stream, Call] = {}
        self._arriving: dict[Stream, float] = {}  # calls not complete, and until when they have to be
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._opened_at = self._heard_at = self.idle_since = loop.time()
        self._keepalive = Keepalive(self._config.keepalive, self._opened_at)
        self._forgiven_at = self._opened_at
        self._unread_since: float | None = None
        self._leave_at: float | None = None  # after a GOAWAY
        self._farewell_at = 0.0  # no new calls after that, once it is leaving
        self._blocked_since: float | None = None  # an answer waits for a window
        self._busy = False  # within `_work`
        self._held = 0  # of `Peers.ahead`
        self._held_number = 0  # of what is held, and since when it is
        self._held_since = 0.0
        self._paused = False  # nothing is read
        self._later: list[tuple[Event, Stream | None]] = []  # what has arrived and waits for the next turn
        self._ending = False  # the last was said; what arrives is not looked at
        self._discarded = 0

    # --- asyncio.Protocol -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection if there is room, or make room by closing the one that idles longest."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"{transport!r} cannot be written to")
        self._transport = transport
        peers = self._peers
        if not peers.make_room():
            self._turn_away()
            return
        peers.open.add(self)
        # Our SETTINGS wait for the client's first bytes: one that speaks HTTP/1.1 shall understand its answer.
        self._arm(min(self._opened_at + _GREETING_S, self._next_look()))
        if peers.stopping:  # it was on its way: what it brings already is taken
            self.drain()

    def _turn_away(self) -> None:
        self._peers.on_end("connections_max")
        if answer := self._peers.farewell(self.loop.time()):
            self._say_last(answer)
        else:
            self.abort()

    def _say_last(self, answer: bytes) -> None:
        """Tell something to a client with which there is no HTTP/2, and close."""
        if self._transport is not None:
            self._transport.write(answer)
        self._close()

    def data_received(self, data: bytes) -> None:
        """Feed HTTP/2, and do at once what can be done at once."""
        if self._ending:
            self._discard(data)
            return
        self._heard_at = self.loop.time()
        http2 = self.http2
        if not http2.greeted and data[:4] in _HTTP_1:
            self._say_last(HTTP_1_ANSWER)
            return
        self._work(self._later + http2.receive(data))

    def _work(self, events: list[tuple[Event, Stream | None]]) -> None:
        """Do what `events` ask for, in so many turns as it takes; meanwhile nothing more is read."""
        self._later = []
        self._busy = True
        until = self.loop.time() + _TURN_S
        for number, (event, stream) in enumerate(events, 1):
            if stream is None:
                if event is Event.PING:
                    self._on_ping()
            elif event is Event.RESET:
                self._forget(stream, gone=True)
            else:
                self._on_call(event, stream)
            if number < len(events) and self.loop.time() > until:
                self._later = events[number:]
                break
        self._busy = False
        if self.http2.held or self._held:
            self._count_held()
        if self.http2.refused:
            self._peers.on_refused(self.http2.refused)
            self.http2.refused = 0
        self.flush()
        if self._unfinished:
            self._peers.turns.wait(self.loop, self._go_on)
        if self._unfinished is not self._paused:
            self._read_or_not()

    def _count_held(self) -> None:
        before, self._held = self._held, self.http2.held
        if self._peers.ahead.too_much(before, self._held):
            self.http2.close(ErrorCode.ENHANCE_YOUR_CALM, "clients have sent too much that is not complete")
            self._count_held()
        elif self._held and (not before or self._held_number != self.http2.held_number):
            self._held_number, self._held_since = self.http2.held_number, self._heard_at
            self._arm(self._held_until())

    @property
    def _unfinished(self) -> bool:
        return bool(self._later) or self.http2.unread

    def _go_on(self) -> None:
        if not self._ending:
            self._work(self._later or self.http2.receive(b""))

    def _read_or_not(self) -> None:
        """Read on, unless there is enough to do, or the client does not read either."""
        self._paused = self._unfinished or self._unread_since is not None
        if self._transport is None:
            return
        if self._paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
            self._held_since = self.loop.time()  # while nothing was read, no time has passed
            self._arm(self._held_until())

    def _on_call(self, event: Event, stream: Stream) -> None:
        if event is Event.OPENED:
            if stream.answered:  # given up in the same breath
                return
            if not stream.ended and len(self._arriving) >= self._peers.arriving_max():
                self.http2.reset(stream, ErrorCode.REFUSED_STREAM)
                self.http2.refused += 1
                return
            call = self._calls[stream] = self._peers.accept(self, stream)
        else:
            found = self._calls.get(stream)
            if found is None:
                return
            call = found
        call.received()
        if stream.ended:
            self._arriving.pop(stream, None)
        elif stream in self._calls and stream not in self._arriving:
            if not self._config.read_timeout:
                self._arriving[stream] = float("inf")
                return
            until = self._heard_at + min(self._config.read_timeout, call.timeout_s)
            self._arriving[stream] = until
            self._arm(until)

    def _on_ping(self) -> None:
        if self._keepalive.pinged_too_often(self._heard_at, with_calls=bool(self._calls)):
            self.http2.close(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        self._peers.open.discard(self)
        self._peers.leaving.discard(self)
        self._peers.ahead.too_much(self._held, 0)
        self._ending = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for stream in list(self._calls):
            self._forget(stream, gone=True)

    def pause_writing(self) -> None:
        """The client does not read: nothing more is read from it either."""
        self._unread_since = self.loop.time()
        self._read_or_not()
        self._arm(self._unread_since + _WRITE_S)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._unread_since = None
        self._read_or_not()

    # --- for calls --------------------------------------------------------------------------------------

    def finish(self, stream: Stream) -> None:
        """The call has its answer, in `http2`: send it, and forget the call."""
        self._forget(stream, gone=False)
        self._keepalive.strikes = 0
        if not self._busy:
            self.flush()

    def _forget(self, stream: Stream, *, gone: bool) -> None:
        call = self._calls.pop(stream, None)
        self._arriving.pop(stream, None)
        if not self._calls:
            self.idle_since = self._heard_at
            if self.http2.draining and not self._busy:
                self.flush()
        if gone and call is not None:
            call.gone()

    def flush(self) -> None:
        """Send what is to be sent; end what is over."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        output = self.http2.take_output()
        if output:
            transport.write(output)
        if self.http2.blocked and self._blocked_since is None:
            self._blocked_since = self.loop.time()
            self._arm(self._blocked_since + _WRITE_S)
        if self._unfinished:
            return
        if self.http2.closed or (self.http2.draining and not self._calls and not self.http2.blocked):
            self._close()

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return bool(self._calls)

    # --- the end ----------------------------------------------------------------------------------------

    def drain(self, grace_s: float | None = None) -> None:
        """Say GOAWAY, and close when the calls are through, or after `grace_s`."""
        if self.http2.leaving or self.http2.closed:
            return
        self.http2.drain()
        self._farewell_at = self.loop.time() + _FAREWELL_S
        self._arm(self._farewell_at)
        if grace_s is not None:
            self._leave_at = self.loop.time() + grace_s
            self._arm(self._leave_at)
        self.flush()

    def _close(self) -> None:
        """Close so that the client can read what it was sent last: first our side, then, a moment later, all."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._ending:
            return
        peers = self._peers
        peers.open.discard(self)
        self._ending = True
        if self.http2.closed_by is not None:
            peers.on_end(self.http2.closed_by.name.lower())
        for stream in list(self._calls):
            self._forget(stream, gone=True)
        if not peers.may_linger():
            transport.abort()
            return
        peers.leaving.add(self)
        try:
            transport.write_eof()
        except OSError:  # the client has closed already
            transport.close()
            return
        self._leave_at = self.loop.time() + _LINGER_S
        self._arm(self._leave_at)

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > _DISCARD_MAX:
            self.abort()

    def abort(self) -> None:
        """Close at once, without a word."""
        self._peers.open.discard(self)
        if self._transport is not None:
            self._transport.abort()

    # --- time -------------------------------------------------------------------------------------------

    def _arm(self, at: float) -> None:
        """Look around at loop time `at`, or before."""
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self.loop.time()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if (reason := self._overdue(now)) is not None:
            if reason:
                self._peers.on_end(reason)
            self.abort()
            return
        if self._ending:
            self._arm(self._leave_at or now)
            return
        if now >= self._held_until():
            self._peers.on_end("read_header_timeout")
            self.http2.close(ErrorCode.NO_ERROR, "a header or another frame has not arrived in time")
            self._count_held()
            self.flush()
            return
        for stream, until in list(self._arriving.items()):
            if until <= now and (call := self._calls.get(stream)) is not None:
                call.expired()
        if now - self._forgiven_at >= _FORGIVE_EVERY_S:
            self._forgiven_at = now
            self.http2.forgive()
        if self.http2.leaving and now >= self._farewell_at:
            self.http2.drain_now()
        self._age(now)
        if self._keepalive.is_to_ping(now, self._heard_at):
            self.http2.ping()
        self.flush()
        if not transport.is_closing():
            self._arm(max(now + 0.01, self._next_look()))

    def _overdue(self, now: float) -> str | None:
        """What should have happened and has not, as it is counted; "" if it has been told to leave. None: nothing."""
        if self._leave_at is not None and now >= self._leave_at:
            return ""
        if self._ending:
            return None
        if not self.http2.greeted:
            return "greeting_timeout" if now >= self._opened_at + _GREETING_S else None
        if self._unread_since is not None and now >= self._unread_since + _WRITE_S:
            return "write_timeout"
        if not self.http2.blocked:
            self._blocked_since = None
        elif self._blocked_since is not None and now >= self._blocked_since + _WRITE_S:
            return "write_timeout"
        return "keepalive_timeout" if self._keepalive.is_gone(now, self._heard_at) else None

    def _held_until(self) -> float:
        """When the header or frame that is held has to be complete. For what greets there is a time of its own."""
        if not self._held or self._paused or not self.http2.greeted:
            return float("inf")
        return self._held_since + self._config.read_header_timeout

    def _age(self, now: float) -> None:
        idle_since = None if self._calls else self.idle_since
        if self.http2.leaving or (reason := self._keepalive.outlived(now, idle_since)) is None:
            return
        self._peers.on_end(reason)
        grace = self._config.keepalive.server_parameters.max_connection_age_grace
        self.drain(grace if reason == "max_connection_age" else None)

    def _next_look(self) -> float:
        leaving, idle_since = self.http2.leaving, None if self._calls else self.idle_since
        times = [
            self._forgiven_at + _FORGIVE_EVERY_S,
            self._keepalive.next_look(self._heard_at, idle_since, leaving=leaving),
            self._held_until(),
            *self._arriving.values(),
        ]
        if self._blocked_since is not None:
            times.append(self._blocked_since + _WRITE_S)
        if self._unread_since is not None:
            times.append(self._unread_since + _WRITE_S)
        if self._leave_at is not None:
            times.append(self._leave_at)
        if leaving and not self.http2.draining:
            times.append(self._farewell_at)
        return min(times)
