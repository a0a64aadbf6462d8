"""What is served over HTTP: a handler is told of each request when its header is there, and answers when it likes.

Everything here happens on the event loop, which nobody may hold up: what takes long is for a thread, whose answer comes
back by `loop.call_soon_threadsafe`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from collector.wire.http1 import Request


def _nobody(_reason: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What a slow or hostile client may take. Seconds, except where the name says otherwise.

    `on_end` is told of each connection that one of them has ended or kept out, and by which: one word of a few.
    """

    read_header_timeout_s: float = 10.0
    read_timeout_s: float = 15.0  # for a body to arrive
    write_timeout_s: float = 30.0  # how long a client may leave an answer unread
    idle_timeout_s: float = 60.0
    connections_max: int = 1000
    keep_alive: bool = True  # more than one request per connection
    on_end: Callable[[str], None] = _nobody


class HttpPeer(Protocol):
    """Who is to be answered."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""
        ...

    def answer(self, request: Request, status: int, headers: bytes, body: bytes) -> None:
        """Answer a request, once; also before it is complete: then the rest of it is read and forgotten.

        Args:
            request: Of this peer. If it has gone, or the request has its answer, nothing happens.
            status: Not an interim one.
            headers: Lines that end in CRLF (`wire.http1.header_lines`); without Content-Length and Connection.
            body: Left out by itself in the answer to HEAD.
        """
        ...

    def hold(self, request: Request) -> None:
        """Read nothing more of a request that is not complete, until `go_on` or its answer.

        What the client sends meanwhile fills the kernel's buffers, and then it has to wait. The time that its body may
        take does not run.
        """
        ...

    def go_on(self, request: Request) -> None:
        """Read on. If it was not held, nothing happens."""
        ...


class HttpCall(Protocol):
    """What is done with one request. Nothing is called any more when it has its answer."""

    def received(self) -> None:
        """More of the body has arrived, and not yet all: see `Request.size`."""
        ...

    def complete(self) -> None:
        """All of it is there: see `Request.take_body`."""
        ...

    def expired(self) -> None:
        """It has not arrived in time. Who does not answer now loses the connection."""
        ...

    def gone(self) -> None:
        """The client has gone, or what it sends is not HTTP, before it was answered."""
        ...


# Called with the header, which may be enough to answer: then there is no call.
HttpHandler = Callable[["HttpPeer", "Request"], "HttpCall | None"]
