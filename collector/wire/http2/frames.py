"""HTTP/2's numbers, and frames as bytes (RFC 9113, sections 4, 6 and 7)."""

from __future__ import annotations

import enum
import struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = struct.Struct(">HBBBL")  # length (16 and 8 bits), type, flags, stream
HEAD_SIZE: Final = 9
# The least that every peer takes: all that is sent to one, and taken of what is no data.
FRAME_SIZE_MAX: Final = 16384
# Taken of data, which is not kept until the frame is complete: as much as gRPC's core sends at once.
DATA_SIZE_MAX: Final = 128 * 1024
WINDOW_MAX: Final = 2**31 - 1
WINDOW_DEFAULT: Final = 65535

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6


class ErrorCode(enum.IntEnum):
    """Why a stream or a connection ends (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame. `payload` fits FRAME_SIZE_MAX."""
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(pairs: dict[int, int]) -> bytes:
    """A SETTINGS frame (section 6.5)."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HL", key, value) for key, value in pairs.items()))


def window_update(stream: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame (section 6.9)."""
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def rst_stream(stream: int, code: ErrorCode) -> bytes:
    """A RST_STREAM frame (section 6.4)."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(last_stream: int, code: ErrorCode, debug: bytes = b"") -> bytes:
    """A GOAWAY frame (section 6.8)."""
    return frame(GOAWAY, 0, 0, struct.pack(">LL", last_stream, code) + debug)
