"""HTTP/2 frame by frame (RFC 9113), to see what a gRPC server puts on the wire and to send it what no client would."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import hpack

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    type: int
    flags: int
    stream: int
    payload: bytes


@dataclass(slots=True)
class Call:
    """What came back on one stream."""

    headers: list[dict[str, bytes]] = field(default_factory=list)  # one entry per HEADERS frame
    data: bytes = b""
    reset: int | None = None

    @property
    def trailers_only(self) -> bool:
        """Whether the whole answer was one HEADERS frame ("Trailers-Only", gRPC over HTTP/2)."""
        return len(self.headers) == 1 and not self.data and self.reset is None

    @property
    def trailers(self) -> dict[str, bytes]:
        """The last HEADERS frame."""
        return self.headers[-1]

    @property
    def code(self) -> int:
        """`grpc-status`."""
        return int(self.trailers["grpc-status"])


class RawHttp2:
    """One connection. Reads raise `TimeoutError` after `timeout_s`, `EOFError` when the server closed."""

    def __init__(self, endpoint: str, *, timeout_s: float = 20.0) -> None:
        host, _, port = endpoint.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s)
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._received = b""
        self._next_stream = 1
        self.goaway: bytes | None = None
        self.socket.sendall(PREFACE)
        # Windows so large that nothing the server sends has to wait for them.
        self.send_frame(SETTINGS, 0, 0, b"\x00\x04\x7f\xff\xff\xff")
        self.send_frame(WINDOW_UPDATE, 0, 0, (2**31 - 1 - 65535).to_bytes(4, "big"))

    def __enter__(self) -> RawHttp2:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send_frame(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        """Send one frame."""
        head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
        self.socket.sendall(head + payload)

    def open(self, path: str, **headers: str) -> int:
        """Begin a gRPC call; return its stream. Underscores in header names become hyphens."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "test"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *((name.replace("_", "-"), value) for name, value in headers.items()),
        ]
        self.send_frame(HEADERS, END_HEADERS, stream, self._encoder.encode(fields))
        return stream

    def send_message(
        self, stream: int, message: bytes, *, compressed: bool = False, end: bool = True
    ) -> None:
        """Send one length-prefixed message. Must fit the initial window of 64 KiB."""
        framed = bytes([compressed]) + len(message).to_bytes(4, "big") + message
        pieces = [framed[i : i + 16384] for i in range(0, len(framed), 16384)]
        for number, piece in enumerate(pieces):
            last = end and number == len(pieces) - 1
            self.send_frame(DATA, END_STREAM if last else 0, stream, piece)

    def call(self, path: str, message: bytes, *, compressed: bool = False, **headers: str) -> Call:
        """Make a unary call."""
        stream = self.open(path, **headers)
        self.send_message(stream, message, compressed=compressed)
        return self.read(stream)

    def read(self, stream: int) -> Call:
        """Read until the server has ended `stream`."""
        call = Call()
        for frame in self.frames():
            if frame.stream != stream:
                continue
            if frame.type == HEADERS:
                decoded = self._decoder.decode(frame.payload, raw=True)
                call.headers.append({name.decode(): value for name, value in decoded})
            elif frame.type == DATA:
                call.data += frame.payload
            elif frame.type == RST_STREAM:
                call.reset = int.from_bytes(frame.payload, "big")
                return call
            if frame.flags & END_STREAM:
                return call
        raise EOFError("the server closed the connection")

    def frames(self) -> Iterator[Frame]:
        """Frames as they arrive; SETTINGS and PING are acknowledged in passing. Ends when the server closes."""
        while True:
            while len(self._received) < 9 or len(self._received) < 9 + self._length():
                data = self.socket.recv(65536)
                if not data:
                    return
                self._received += data
            length = self._length()
            kind, flags = self._received[3], self._received[4]
            stream = int.from_bytes(self._received[5:9], "big")
            frame = Frame(kind, flags, stream, self._received[9 : 9 + length])
            self._received = self._received[9 + length :]
            if kind in (SETTINGS, PING) and not flags & ACK:
                self.send_frame(kind, ACK, 0, frame.payload if kind == PING else b"")
            elif kind == GOAWAY:
                self.goaway = frame.payload
            yield frame

    def _length(self) -> int:
        return int.from_bytes(self._received[:3], "big")
