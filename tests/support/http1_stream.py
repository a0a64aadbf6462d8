"""Bytes as HTTP/1.1 clients send them, honest ones and others; and what a connection answers, however they are cut."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from collector.pipeline.http import HttpCall, HttpLimits, HttpPeer
from collector.service.http_connection import HttpConnection
from collector.service.http_peers import Peers
from collector.wire.http1 import CONTINUE, Request
from tests.support.http2_stream import cut

BODY_MAX = 5000  # of what `Echo` takes


@dataclass(frozen=True, slots=True)
class Sent:
    """One request of an honest client."""

    method: str
    target: str
    body: bytes
    wire: bytes
    last: bool = False

    def answer(self) -> bytes:
        """What `Echo` says to it."""
        path, _, query = self.target.partition("?")
        return describe(self.method, path, query.encode(), self.body)


def describe(method: str, path: str, query: bytes, body: bytes) -> bytes:
    """A request in a line."""
    return f"{method} {path} {query.decode()} {len(body)} {hashlib.sha256(body).hexdigest()}".encode()


def session(rng: random.Random, requests: int = 6) -> list[Sent]:
    """Requests of one connection: with and without a body, in chunks, with trailers, all in a row."""
    return [one(rng, last=number == requests - 1 and rng.random() < 0.3) for number in range(requests)]


def _body(rng: random.Random, size: int) -> bytes:
    return rng.randbytes(size) if rng.random() < 0.5 else b"\r\n" * (size // 2)


def one(rng: random.Random, *, last: bool = False) -> Sent:
    """A request."""
    method = rng.choice(["POST", "POST", "POST", "GET", "PUT"])
    target = rng.choice(["/v1/logs", "/", "/v1/traces?a=1&b=2", "/x?"])
    headers = [("Host", "test"), ("X-Number", str(rng.randrange(1000)))]
    headers += [(f"X-{n}", "v" * rng.randrange(200)) for n in range(rng.randrange(4))]
    hops = [rng.choice(["close", "Close", "foo, close"])] if last else []
    if rng.random() < 0.1:
        hops.append("Upgrade, HTTP2-Settings")
        headers += [("Upgrade", "h2c"), ("HTTP2-Settings", "AAMA")]
    if hops:
        headers.append(("Connection", ", ".join(hops)))
    body = b""
    if method != "GET" or rng.random() < 0.2:
        body = _body(rng, rng.choice([0, 10, 300, 4000]))
        if rng.random() < 0.1:
            headers.append(("Expect", "100-continue"))
    if not body and rng.random() < 0.5:
        framed = b""
    elif rng.random() < 0.6:
        headers.append(("Content-Length", str(len(body))))
        framed = body
    else:
        headers.append(("Transfer-Encoding", rng.choice(["chunked", "Chunked"])))
        framed = chunked(rng, body)
    rng.shuffle(headers)
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    blank = b"\r\n" * rng.choice([0, 0, 0, 1])
    return Sent(method, target, body, blank + "\r\n".join(lines).encode() + framed, last)


def chunked(rng: random.Random, body: bytes) -> bytes:
    """`body` in chunks, some with extensions, some with trailers behind."""
    out = b""
    for piece in cut(rng, body, rng.choice([3, 500, 5000])):
        out += b"%x%b\r\n%b\r\n" % (len(piece), rng.choice([b"", b"", b";a=b"]), piece)
    return out + b"0\r\n" + rng.choice([b"", b"X-Trailer: 1\r\n"]) + b"\r\n"


_TOKENS = (
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade\r\n",
    b"\r\n\r\n",
    b"\r\n",
    b"\n",
    b"\0",
    b"HTTP/1.0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    b"ffffffff\r\n",
    b"0\r\n\r\n",
)


def mutated(rng: random.Random, requests: list[Sent]) -> bytes:
    """Bits flipped, pieces left out, doubled, or put in."""
    data = bytearray(b"".join(sent.wire for sent in requests))
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at : at + rng.randrange(1, 40)]
            case 2:
                data[at:at] = data[max(0, at - rng.randrange(1, 60)) : at]
            case _:
                data[at:at] = rng.choice(_TOKENS)
    return bytes(data)


class FakeTransport(asyncio.Transport):
    """Keeps what is written, and tells what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.output = bytearray()
        self.paused = self.half_closed = self.closed = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        assert not self.half_closed, "written behind the end"
        if not self.closed:
            self.output += data

    def write_eof(self) -> None:
        self.half_closed = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


@dataclass(slots=True)
class FakeTimer:
    """A timer of `FakeLoop`: it never rings by itself."""

    at: float
    call: Callable[..., object]
    cancelled: bool = False

    def when(self) -> float:
        return self.at

    def cancel(self) -> None:
        self.cancelled = True


@dataclass(slots=True)
class FakeLoop:
    """What a connection needs of an event loop."""

    now: float = 0.0
    tick: float = 0.0  # how much later it is each time somebody looks
    timers: list[FakeTimer] = field(default_factory=list)
    soon: deque[Callable[[], object]] = field(default_factory=deque)

    def time(self) -> float:
        self.now += self.tick
        return self.now

    def call_soon(self, call: Callable[..., object], *arguments: object) -> None:
        self.soon.append(partial(call, *arguments))

    def call_at(self, when: float, call: Callable[..., object], *arguments: object) -> FakeTimer:
        self.timers.append(FakeTimer(when, call))
        return self.timers[-1]

    def call_later(self, delay: float, call: Callable[..., object], *arguments: object) -> FakeTimer:
        return self.call_at(self.now + delay, call, *arguments)

    def advance(self, seconds: float) -> None:
        """Let time pass, and timers ring."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if not timer.cancelled and timer.at <= end]:
            timer = min(due, key=lambda timer: timer.at)
            self.timers.remove(timer)
            self.now = max(self.now, timer.at)
            timer.call()
        self.now = end


class Play:
    """A connection that is played with. Its handler tells each request what it was.

    It answers at once, or (`slow`) only when nothing more can be read; and refuses bodies over `BODY_MAX`, from the header or
    as they come. `tick`: seconds that pass with each look at the clock, so that much takes several turns. `holds`: it
    does not want to read on, at every opportunity.
    """

    def __init__(
        self, *, slow: bool = False, limits: HttpLimits | None = None, tick: float = 0.0, holds: bool = False
    ) -> None:
        self.slow = slow
        self.holds = holds
        self.loop = FakeLoop(tick=tick)
        self.transport = FakeTransport()
        self.peers = Peers(self._begin, limits or HttpLimits())
        self.connection = HttpConnection(self.peers, self.loop)  # type: ignore[arg-type]
        self.connection.connection_made(self.transport)
        self.waiting: deque[tuple[Request, bytes]] = deque()
        self.held: deque[Request] = deque()  # not read on
        self.begun = self.ended = 0  # requests, and those that were answered or given up

    def _begin(self, peer: HttpPeer, request: Request) -> HttpCall | None:
        self.begun += 1
        if request.length is not None and request.length > BODY_MAX:
            self.end(request, 413, b"too large")
            return None
        self.hold(request)
        return Echo(self, request)

    def hold(self, request: Request) -> None:
        """Have it wait, if this is a handler that does so."""
        if self.holds:
            self.connection.hold(request)
            self.held.append(request)

    def end(self, request: Request, status: int, body: bytes) -> None:
        """Answer."""
        self.ended += 1
        self.connection.answer(request, status, b"", body)

    def feed(self, pieces: Iterable[bytes]) -> Play:
        """Send, as far as it is read; then the rest, when answers have made way."""
        waiting = deque(pieces)
        while True:
            if waiting and not self.transport.paused and not self.transport.closed:
                self.connection.data_received(waiting.popleft())
            elif self.loop.soon:
                self.loop.soon.popleft()()
            elif self.held:
                self.connection.go_on(self.held.popleft())
            elif self.waiting:
                request, body = self.waiting.popleft()
                self.end(request, 200, body)
            else:
                return self

    def output(self) -> bytes:
        """What was answered. Whether a client was told to go on depends on whether it had already."""
        return bytes(self.transport.output).replace(CONTINUE, b"")

    def facts(self) -> Any:
        """What must be the same however the bytes were cut."""
        over = self.transport.closed or self.transport.half_closed
        return self.output(), self.begun, self.ended, over

    def lose(self) -> None:
        """The connection has ended."""
        self.transport.closed = True
        self.connection.connection_lost(None)


@dataclass(slots=True)
class Echo:
    """See `Play`."""

    play: Play
    request: Request

    def received(self) -> None:
        if self.request.size > BODY_MAX:
            self.play.end(self.request, 413, b"too large")
        else:
            self.play.hold(self.request)

    def complete(self) -> None:
        request = self.request
        if request.size > BODY_MAX:
            self.play.end(request, 413, b"too large")
            return
        answer = describe(request.method, request.path, request.query, request.take_body())
        if self.play.slow:
            self.play.waiting.append((request, answer))
        else:
            self.play.end(request, 200, answer)

    def expired(self) -> None:
        self.play.end(self.request, 503, b"slow")

    def gone(self) -> None:
        self.play.ended += 1


def check_play(rng: random.Random, data: bytes) -> bool:
    """Feed `data` whole and in pieces, to a handler that answers at once and to a slow one: the same comes of it.

    Returns whether it was all in order.
    """
    plays = [
        Play(slow=slow, tick=tick, holds=holds).feed(pieces)
        for slow, tick, holds in ((False, 0.0, False), (True, 0.0, False), (False, 0.0007, True))
        for pieces in ([data], cut(rng, data), cut(rng, data, 5000))
    ]
    first, *others = [play.facts() for play in plays]
    for other in others:
        assert other == first, data
    for play in plays:
        play.lose()
        assert play.begun == play.ended, "a call was forgotten"
        assert not play.peers.open
        assert not play.peers.leaving
        assert not play.peers.ahead.size
        assert all(timer.cancelled for timer in play.loop.timers)
    return b" 400 " not in plays[0].output()


def answers(output: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer."""
    found = []
    while output:
        head, _, rest = output.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        size = int(next(line for line in lines if line.startswith("content-length")).partition(":")[2])
        found.append((int(lines[0].split()[1]), rest[:size]))
        output = rest[size:]
    return found
