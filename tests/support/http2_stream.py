"""Bytes as HTTP/2 clients send them, honest ones and others; and what a connection makes of them, however they are cut."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import hpack

from collector.wire.http2 import frames
from collector.wire.http2.connection import Connection
from collector.wire.http2.streams import Event, Limits, Stream

GREETING = frames.PREFACE + frames.settings({})
REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a.b/C"),
    (":authority", "test"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
BUFFERED_MAX = 8 * 1024 * 1024 + 65536  # what a connection may hold of a client: its window, and a frame


def headers(
    encoder: hpack.Encoder, stream: int, fields: Sequence[tuple[str, str]] = REQUEST, *, end: bool = False
) -> bytes:
    """One HEADERS frame."""
    flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
    return frames.frame(frames.HEADERS, flags, stream, encoder.encode(fields))


def session(rng: random.Random, calls: int = 6) -> list[bytes]:
    """The frames of an honest client: calls that overlap, in pieces, with pings, padding and trailers."""
    encoder = hpack.Encoder()
    out: list[bytes] = [frames.settings({frames.INITIAL_WINDOW_SIZE: rng.randrange(1, 100_000)})]
    open_streams: list[int] = []
    for number in range(calls):
        stream = 2 * number + 1
        out.append(headers(encoder, stream, [*REQUEST, ("grpc-timeout", f"{rng.randrange(100)}S")]))
        open_streams.append(stream)
        for _ in range(rng.randrange(4)):
            one = rng.choice(open_streams)
            payload = rng.randbytes(rng.randrange(300))
            if rng.random() < 0.2:
                padding = rng.randrange(20)
                out.append(
                    frames.frame(frames.DATA, frames.PADDED, one, bytes([padding]) + payload + bytes(padding))
                )
            else:
                out.append(frames.frame(frames.DATA, 0, one, payload))
        match rng.randrange(6):
            case 0:
                out.append(frames.frame(frames.PING, 0, 0, rng.randbytes(8)))
            case 1:
                out.append(frames.window_update(0, rng.randrange(1, 1000)))
            case 2:
                out.append(
                    frames.rst_stream(
                        open_streams.pop(rng.randrange(len(open_streams))), frames.ErrorCode.CANCEL
                    )
                )
            case 3:
                out.append(frames.frame(rng.randrange(10, 256), 0, 0, rng.randbytes(20)))
            case 4:
                block = encoder.encode([("x-trailer", "1")])
                one = open_streams.pop()
                out.append(frames.frame(frames.HEADERS, frames.END_STREAM, one, block[:1]))
                out.append(frames.frame(frames.CONTINUATION, frames.END_HEADERS, one, block[1:]))
    out += [frames.frame(frames.DATA, frames.END_STREAM, one, b"end") for one in open_streams]
    return out


class Play:
    """A connection, fed; with everything that came of it in a form that does not depend on the cuts."""

    def __init__(self, limits: Limits | None = None, *, answers: bool = True) -> None:
        self.connection = Connection(limits or Limits())
        self.answers = answers
        self.calls: dict[int, dict[str, Any]] = {}
        self.others: list[str] = []
        self.output = b""

    def feed(self, pieces: Iterable[bytes]) -> Play:
        for piece in pieces:
            self._feed(piece)
            while self.connection.unread:
                self._feed(b"")
        return self

    def _feed(self, piece: bytes) -> None:
        for event, stream in self.connection.receive(piece):
            if stream is None:
                self.others.append(event.name)
            else:
                self._note(event, stream)
        self.output += self.connection.take_output()

    def _note(self, event: Event, stream: Stream) -> None:
        call = self.calls.setdefault(
            stream.id, {"fields": stream.fields, "data": b"", "ended": False, "reset": False}
        )
        call["data"] += b"".join(stream.chunks)
        stream.chunks.clear()
        call["ended"] = stream.ended
        call["reset"] = call["reset"] or event is Event.RESET
        if stream.ended and self.answers:
            self.connection.end(stream, b"\x88")

    def facts(self) -> Any:
        """What must be the same however the bytes were cut. An answer may overtake a reset that came with the call."""
        return self.calls, self.others, self.connection.closed

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        """What was sent: type, flags, stream, payload."""
        found, at = [], 0
        while at < len(self.output):
            high, low, kind, flags, stream = frames.HEAD.unpack_from(self.output, at)
            size = high << 8 | low
            found.append((kind, flags, stream, self.output[at + 9 : at + 9 + size]))
            at += 9 + size
        return found

    @property
    def error(self) -> int | None:
        """The code of the GOAWAY."""
        codes = [
            int.from_bytes(payload[4:8], "big")
            for kind, _, _, payload in self.frames()
            if kind == frames.GOAWAY
        ]
        return codes[-1] if codes else None


def cut(rng: random.Random, data: bytes, longest: int = 60) -> list[bytes]:
    """`data` in pieces."""
    pieces = []
    while data:
        size = rng.randrange(1, longest)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def mutated(rng: random.Random, frames_: list[bytes]) -> bytes:
    """A session that somebody has tampered with: bits, lengths, order, frames left out or doubled, garbage."""
    out = list(frames_)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(out))
        match rng.randrange(6):
            case 0:
                damaged = bytearray(out[at] or b"\0")
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
                out[at] = bytes(damaged)
            case 1:
                out.insert(at, out[rng.randrange(len(out))])
            case 2:
                if len(out) > 1:
                    del out[at]
            case 3:
                out.insert(at, rng.randbytes(rng.randrange(40)))
            case 4:
                kind, flags, stream = rng.randrange(11), rng.randrange(256), rng.randrange(16)
                out.insert(at, frames.frame(kind, flags, stream, rng.randbytes(rng.randrange(30))))
            case 5:
                rng.shuffle(out)
    return frames.PREFACE + b"".join(out)


def check_play(rng: random.Random, data: bytes) -> bool:
    """Feed `data` whole and in pieces. Nothing is raised, both tell the same, and little is kept. Whether it went well."""
    # Without answers: whether one overtakes a later frame of the same stream depends on the cuts, as it should.
    whole = Play(answers=False).feed([data])
    pieces = Play(answers=False).feed(cut(rng, data))
    assert whole.facts() == pieces.facts()
    assert whole.error == pieces.error
    answered = Play().feed(cut(rng, data))
    for play in (whole, pieces, answered):
        kept = play.connection
        assert len(kept._rest) <= frames.HEAD_SIZE + frames.FRAME_SIZE_MAX
        assert len(kept.streams) <= 100
        assert sum(len(call["data"]) for call in play.calls.values()) <= BUFFERED_MAX
        assert len(play.output) <= 1000 + 20 * len(data)
    return not whole.connection.closed
