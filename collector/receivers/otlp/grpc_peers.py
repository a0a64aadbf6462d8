"""The connections of one gRPC listener: who is let in, who has to go, and how a newcomer is told that there is no room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from collector.pipeline.turns import Turns
from collector.receivers.otlp.config import GrpcConfig
from collector.wire.ahead import Ahead

if TYPE_CHECKING:
    from collector.receivers.otlp.grpc_connection import GrpcConnection
    from collector.wire.http2.streams import Stream

# Calls that are open and not complete hold 1 to 2 KB each that the byte budget does not see. All connections share so
# many; each may have some.
_ARRIVING_MAX: Final = 4096
_ARRIVING_MIN: Final = 4
# A newcomer is given an answer at most so often: a flood of them must not cost more than it takes to turn them away.
_POLITE_EVERY_S: Final = 0.02


class Call(Protocol):
    """What is done with one call."""

    timeout_s: float  # how long it may take to arrive, by its own words

    def received(self) -> None:
        """More of it has arrived, or its end: see `Stream`."""
        ...

    def expired(self) -> None:
        """It has not arrived in time."""
        ...

    def gone(self) -> None:
        """The client has given it up, or the connection has ended."""
        ...


@dataclass(slots=True)
class Peers:
    """The connections of one listener, and what they have in common.

    `on_end` is told of each that a limit has ended or kept out, and by which: one word of a few; `on_refused` of how many
    calls were refused because too many were open.
    """

    config: GrpcConfig
    accept: Callable[[GrpcConnection, Stream], Call]
    on_end: Callable[[str], None]
    on_refused: Callable[[int], None]
    open: set[GrpcConnection] = field(default_factory=set)
    leaving: set[GrpcConnection] = field(default_factory=set)  # were told the last, and may still read it
    ahead: Ahead = field(default_factory=Ahead)
    turns: Turns = field(default_factory=Turns)
    stopping: bool = False
    _polite_at: float = float("-inf")

    def make_room(self) -> bool:
        """Ask the connection without calls that has been so for longest to leave, if there are as many as may be.

        Its client makes a new one. False: all have calls.
        """
        if len(self.open) < self.config.connections_max:
            return True
        idle = [connection for connection in self.open if not connection.busy]
        if not idle:
            return False
        victim = min(idle, key=lambda connection: connection.idle_since)
        victim.drain()
        self.open.discard(victim)
        self.on_end("evicted")
        return True

    def arriving_max(self) -> int:
        """How many calls of one may be on their way here: who has few beside it has all that it is told."""
        return max(_ARRIVING_MIN, _ARRIVING_MAX // max(1, len(self.open)))

    def farewell(self, now: float) -> bytes:
        """What a newcomer is told for whom there is no room; nothing if others were a moment ago. `now`: loop time.

        HTTP/1.1, for a reason: a client of gRPC takes it for a connection that failed, shows the status, and comes
        back after growing pauses. After a GOAWAY it would come back at once, without end.
        """
        if now - self._polite_at < _POLITE_EVERY_S:
            return b""
        self._polite_at = now
        text = b"%d connections are open; try again\n" % self.config.connections_max
        return text_answer(b"503 Service Unavailable\r\nretry-after: 1", text)

    def may_linger(self) -> bool:
        """Whether one more may be given time to read what it was told last."""
        return len(self.leaving) < self.config.connections_max


def text_answer(status: bytes, text: bytes) -> bytes:
    """The last answer of a connection, in HTTP/1.1."""
    head = b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\nconnection: close\r\n" % status
    return head + b"content-length: %d\r\n\r\n" % len(text) + text


HTTP_1_ANSWER: Final = text_answer(
    b"505 HTTP Version Not Supported",
    b"this port speaks gRPC (HTTP/2); send OTLP/HTTP to the HTTP endpoint (default port 4318)\n",
)
