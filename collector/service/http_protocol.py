"""One HTTP/1.1 connection: uvicorn's protocol, and the limits on slow and hostile clients that it lacks.

uvicorn parses (with httptools), runs the ASGI application and does the flow control. Added here, because it has
none of it: a deadline for the header, a bound on its size, an idle timeout that holds before the first request
too, a deadline for reading an answer, a bound on connections that evicts the idlest first, and answers that
name the problem. Imported only when something is served: uvicorn is 5 MB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from collector.pipeline.component import ASGI, HttpLimits

# In a request's `state`: all of its body was there when the application was called, which runs outside of a task
# until it has to wait.
WHOLE: Final = "whole"
# Most clients send the header and then the body. An application is called when it has both, if the body is small (as
# much as uvicorn keeps unread anyway) and there within:
_SOON_S: Final = 0.02
_SOON_BYTES_MAX: Final = 64 * 1024
# llhttp has no bound of its own. 64 KiB is what most servers allow for a whole header.
HEADER_BYTES_MAX: Final = 64 * 1024
# A client that was answered before it had sent everything must be let finish sending, or the kernel resets the
# connection and the answer is lost (RFC 9112, section 9.6). So long, and so much:
_DISCARD_S: Final = 2.0
_DISCARD_BYTES_MAX: Final = 256 * 1024 * 1024
# The connection preface of HTTP/2 (RFC 9113, section 3.4): a gRPC client at the wrong port.
_HTTP2_PREFACE: Final = b"PRI * HTTP/2.0"
_WRONG_PROTOCOL: Final = b"this port speaks HTTP/1.1; send OTLP/gRPC to the gRPC endpoint (default port 4317)"

# google.rpc.Code, for the bodies of answers that no application gives.
_INVALID_ARGUMENT: Final = 3
_UNAVAILABLE: Final = 14


class LimitedProtocol(HttpToolsProtocol):
    """One connection. All methods run on the event loop."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        limits: HttpLimits,
        leaving: set[LimitedProtocol],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state={}, _loop=loop)
        self._limits = limits
        self._leaving = leaving  # connections of the same listener that were refused and are being closed
        self._deadline_at: float | None = None  # of the phase the connection is in, in loop time
        self._timer: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._in_header = False
        self._in_message = False
        self._header_bytes = 0
        self._discarded_bytes = 0
        self._ends_soon = False  # the next answer is the last
        self._feeding = False
        self._waiting: tuple[RequestResponseCycle, ASGI] | None = (
            None  # begins when its body is there, or soon
        )
        self._waiting_timer: asyncio.TimerHandle | None = None
        self.idle_since: float | None = None  # loop time; None while a request is under way

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection if there is room, or make room by closing the one that idles longest."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections_max and not self._evict_idlest():
            self._refuse(503, _UNAVAILABLE, f"{self._limits.connections_max} connections are open; try again")
            return
        self._idle()

    def _evict_idlest(self) -> bool:
        idle = [
            peer
            for peer in self.connections
            if isinstance(peer, LimitedProtocol) and peer.idle_since is not None and peer is not self
        ]
        if not idle:
            return False
        # HTTP/1.1 lets a server close an idle connection at any time (RFC 9112, section 9.5).
        min(idle, key=lambda peer: peer.idle_since or 0.0).abort()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._cancel_deadline()
        if self._timer is not None:
            self._timer.cancel()
        if self._waiting_timer is not None:
            self._waiting_timer.cancel()
        if self._write_deadline is not None:
            self._write_deadline.cancel()
        self._leaving.discard(self)
        super().connection_lost(exc)

    def end_soon(self) -> None:
        """Close after the answer that is being worked on, or after the next one: tell the client with it."""
        self._ends_soon = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close if idle, else after the answer: one that waits for its body to begin is no longer waited for."""
        if self._waiting is not None:
            (cycle, app), self._waiting = self._waiting, None
            self._start_asgi_task(cycle, app)
        super().shutdown()

    def abort(self) -> None:
        """Close at once, without waiting for a peer that does not read."""
        self.connections.discard(self)
        self.transport.abort()

    # What arrives

    def data_received(self, data: bytes) -> None:
        """Feed the parser, within the bounds of the phase."""
        if self in self._leaving:
            return
        if self.idle_since is not None and not self._leave_idle(data):
            return
        if self._in_header:
            self._header_bytes += len(data)
        elif self.cycle is not None and self.cycle.response_complete:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > _DISCARD_BYTES_MAX:
                self.abort()
                return
        self._feeding = True
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, _INVALID_ARGUMENT, "this server offers no protocol to upgrade to")
        except httptools.HttpParserError as error:
            self._refuse(400, _INVALID_ARGUMENT, f"this is not a valid HTTP/1.1 request: {error}")
        else:
            if self._in_header and self._header_bytes > HEADER_BYTES_MAX:
                self._refuse(431, _INVALID_ARGUMENT, f"the header exceeds {HEADER_BYTES_MAX} bytes")
        self._feeding = False
        if self._waiting is not None:
            self._begin_waiting()

    def _begin_waiting(self) -> None:
        """Begin with the request that waits, or let it wait a little more: a small body comes with the next packet."""
        if self._waiting is None:
            return
        cycle, app = self._waiting
        if cycle.more_body and self._waiting_timer is None and _is_soon_there(cycle):
            self._waiting_timer = self.loop.call_later(_SOON_S, self._begin_waiting)
            return
        if (
            cycle.more_body
            and self._waiting_timer is not None
            and self._waiting_timer.when() > self.loop.time()
        ):
            return
        self._waiting = None
        if self._waiting_timer is not None:
            self._waiting_timer.cancel()
            self._waiting_timer = None
        if self not in self._leaving:
            self._start_asgi_task(cycle, app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI) -> None:
        """Run the application; without a task where the whole request is there, if it does not have to wait.

        A task costs two turns of the loop, which is more than most applications need for all they do.
        """
        if self._feeding:
            self._waiting = cycle, app
            return
        if cycle.more_body or cycle.waiting_for_100_continue or self.transport.is_closing():
            super()._start_asgi_task(cycle, app)
            return
        cycle.scope["state"][WHOLE] = True
        running = cycle.run_asgi(app)
        try:
            waits_for = running.send(None)
        except StopIteration:
            return
        task = self.loop.create_task(_go_on(running, waits_for))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _leave_idle(self, data: bytes) -> bool:
        """Note the first bytes of a request. False if they are no HTTP/1.1 and have been answered."""
        if data.startswith(_HTTP2_PREFACE):
            self._refuse_http2()
            return False
        self.idle_since = None
        self._begin_header()
        return True

    def _begin_header(self) -> None:
        self._in_header = True
        self._header_bytes = 0
        self._arm(self._limits.read_header_timeout_s)

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        if not self._in_header:  # a pipelined one: its first bytes came with the last one's
            self._begin_header()
        self._in_message = True

    def on_headers_complete(self) -> None:
        """Hand over to the application, which has its own deadline for the body."""
        self._in_header = False
        self._cancel_deadline()
        super().on_headers_complete()
        if self._ends_soon and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Note that nothing of this request is outstanding."""
        self._in_message = False
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete and not self.pipeline:
            self._idle()

    # What is answered

    def on_response_complete(self) -> None:
        """Idle, go on with a pipelined request, or let the client finish a body that is no longer wanted."""
        # Instead of uvicorn's, which would make and unmake an idle timer of its own.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        if self._in_header:
            return
        if self._in_message:
            self._discarded_bytes = 0
            self._arm(_DISCARD_S)
        else:
            self._idle()

    def pause_writing(self) -> None:
        """The peer does not read: give it `write_timeout_s`."""
        super().pause_writing()
        self._write_deadline = self.loop.call_later(self._limits.write_timeout_s, self.abort)

    def resume_writing(self) -> None:
        """The peer reads again."""
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
        super().resume_writing()

    def _refuse(self, status: int, code: int, message: str) -> None:
        """Answer what never becomes a request. JSON, as no encoding was negotiated; then close."""
        body = _status_json(code, message)
        head = [STATUS_LINE[status], b"content-type: application/json\r\nconnection: close\r\n"]
        if status == 503:
            head.append(b"retry-after: 1\r\n")
        head.append(b"content-length: %d\r\n\r\n" % len(body))
        self.transport.write(b"".join([*head, body]))
        self._close()

    def _refuse_http2(self) -> None:
        """Answer an HTTP/2 client in its own protocol: clients show the debug text of a GOAWAY."""
        settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        payload = b"\x00\x00\x00\x00" + (0x0D).to_bytes(4, "big") + _WRONG_PROTOCOL  # HTTP_1_1_REQUIRED
        goaway = len(payload).to_bytes(3, "big") + b"\x07\x00\x00\x00\x00\x00" + payload
        self.transport.write(settings + goaway)
        self._close()

    def _close(self) -> None:
        """Close so that the peer can read the answer: first our side, then, when it has closed its own, all."""
        self.connections.discard(self)
        if len(self._leaving) >= self._limits.connections_max:
            self.transport.abort()
            return
        self._leaving.add(self)
        self.idle_since = None
        self.transport.write_eof()
        self._arm(_DISCARD_S)

    # Timers

    def _idle(self) -> None:
        if not self.transport.is_closing():
            self.idle_since = self.loop.time()
            self._arm(self._limits.idle_timeout_s)

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
        if self._deadline_at <= self.loop.time():
            self.abort()
        else:
            self._timer = self.loop.call_at(self._deadline_at, self._ring)

    def _cancel_deadline(self) -> None:
        self._deadline_at = None


def _is_soon_there(cycle: RequestResponseCycle) -> bool:
    if cycle.waiting_for_100_continue:
        return False
    declared = next((value for name, value in cycle.scope["headers"] if name == b"content-length"), None)
    return declared is not None and int(declared) <= _SOON_BYTES_MAX


class _Resumed:
    """A coroutine that has begun already, and waits for a future: awaitable, so that a task can go on with it."""

    __slots__ = ("_running", "_waits_for")

    def __init__(self, running: Coroutine[Any, None, None], waits_for: Any) -> None:
        self._running = running
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, None, None]:
        waits_for = self._waits_for
        while True:
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  cancelled: that is for the coroutine
                step = partial(self._running.throw, error)
            else:
                step = partial(self._running.send, None)
            try:
                waits_for = step()
            except StopIteration:
                return


async def _go_on(running: Coroutine[Any, None, None], waits_for: Any) -> None:
    await _Resumed(running, waits_for)


def _status_json(code: int, message: str) -> bytes:
    import msgspec

    return msgspec.json.encode({"code": code, "message": message})


def protocol_config(app: Any) -> Config:
    """Configure uvicorn for `app`: no logs, no lifespan, no websockets, no headers of its own."""
    from uvicorn.config import Config

    config = Config(
        app,
        interface="asgi3",
        http=HttpToolsProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    config.load()
    return config
