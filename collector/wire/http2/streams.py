"""One call of an HTTP/2 connection as both sides of it know it, and what a connection tells of its calls."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from collector.wire.http2.frames import ErrorCode
from collector.wire.http2.headers import Fields


class Event(enum.Enum):
    """What `receive` tells."""

    OPENED = enum.auto()  # a call: its header is there
    DATA = enum.auto()  # more of it, or its end
    RESET = enum.auto()  # the client has given it up
    PING = enum.auto()  # the client has pinged; it has its answer
    CLOSED = enum.auto()  # the connection is over: send what is left, and close


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may take of one connection."""

    streams_max: int = 100
    stream_window: int = 256 * 1024  # what may be sent of one call before the server has looked at it


class Stream:
    """One call. `chunks` is what has arrived and was not taken yet."""

    __slots__ = (
        "answered",
        "chunks",
        "ended",
        "ending",
        "fields",
        "id",
        "send_window",
        "unsent",
        "window",
    )

    def __init__(self, stream_id: int, fields: Fields, window: int, send_window: int) -> None:
        self.id = stream_id
        self.fields = fields
        self.chunks: list[bytes] = []
        self.window = window
        self.send_window = send_window
        self.ended = False  # by the client
        self.answered = False  # by the server: nothing more may be sent
        self.unsent = b""  # data that waits for a window
        self.ending: bytes | None = None  # the trailers' block behind it


class Http2Error(Exception):
    """The client has broken the connection."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
