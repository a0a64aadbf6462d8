"""Content codings, with a ceiling: what a body inflates to is counted while it inflates, not afterwards.

`deflate` is zlib's format (RFC 9110, 8.4.1.2) and has the synonym `zlib`; gzip members and zstd frames may be
concatenated. A body that is empty stays empty in any coding.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from collector.model.errors import PermanentError
from collector.wire.errors import MalformedError, TooLargeError
from collector.wire.gather import Gathered, Room, anything

# RFC 8878, 3.1.1.1.2: decoders should support at least 8 MiB; more is what a hostile frame asks for.
_ZSTD_WINDOW_LOG_MAX: Final = 23
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_HEADER_MAX: Final = 18  # with its magic number
_ZSTD_BLOCK: Final = 128 * 1024
# What comes out of one step at most. As much as zlib gives without joining blocks, and small enough for memory that was
# there before: Python's lock is held for either.
_OUTPUT_PIECE: Final = 32 * 1024
_BEGINNING_BYTES: Final = 1024  # gzip's header may hold a file's name, and deflate's a table of codes
# Every new member copies the input left: a body of a million empty ones must not.
_MEMBERS_MAX: Final = 1000


class UnsupportedEncodingError(PermanentError):
    """A Content-Encoding that is not among `accepted`."""

    def __init__(self, encoding: str, accepted: tuple[str, ...]) -> None:
        super().__init__(
            f"Content-Encoding {encoding!r} is not supported; use one of {', '.join(accepted)}",
            reason="unsupported_encoding",
        )
        self.accepted = accepted


class Inflater(Protocol):
    """Decompresses a body as it arrives. Raises `TooLargeError` or `MalformedError` as soon as it can tell."""

    def feed(self, data: bytes, /) -> None:
        """Take the next part of the body."""
        ...

    @property
    def size(self) -> int:
        """How many bytes have come out so far."""
        ...

    def finish(self) -> bytes:
        """Return the whole body, inflated.

        Raises:
            MalformedError: the body ended too early.
        """
        ...


def inflater(encoding: str, size_max: int, room: Room = anything) -> Inflater:
    """Return an inflater for a Content-Encoding ("" is identity); neither side of it may exceed `size_max` bytes.

    `room` is called with the bytes of memory that what has come out so far takes, after each step, of at most
    32 KiB; it raises when there are not so many.

    Raises:
        UnsupportedEncodingError: `encoding` is unknown.
    """
    name = encoding.strip().lower()
    if name not in _MEMBERS:
        raise UnsupportedEncodingError(name, ENCODINGS)
    return _Inflater(_MEMBERS[name], size_max, room)


def working_memory(encoding: str, body: bytes) -> int:
    """What inflating `body` takes beyond what comes out: the decoder's window, and the output of one step."""
    return _OUTPUT_PIECE + (_zstd_window(body) + _ZSTD_BLOCK if encoding == "zstd" else 0)


def _zstd_window(frame: bytes) -> int:
    """What its header says (RFC 8878, 3.1.1.1); what is no header is for the decoder to refuse."""
    if frame[:4] != _ZSTD_MAGIC:
        return 0
    frame = frame[:_ZSTD_HEADER_MAX].ljust(_ZSTD_HEADER_MAX, b"\0")
    descriptor = frame[4]
    if not descriptor & 0x20:
        log, mantissa = 10 + (frame[5] >> 3), frame[5] & 7
        window = (1 << log) + ((1 << log) >> 3) * mantissa
    else:  # a single segment: as large as its content
        start = 5 + (0, 1, 2, 4)[descriptor & 3]
        size = (1, 2, 4, 8)[descriptor >> 6]
        window = int.from_bytes(frame[start : start + size], "little") + (256 if size == 2 else 0)
    return min(window, 1 << _ZSTD_WINDOW_LOG_MAX)


def beginning(encoding: str, body: bytes, size: int) -> bytes:
    """The first bytes of what `body` inflates to, at most `size`; none where that cannot be told so quickly."""
    make = _MEMBERS.get(encoding.strip().lower())
    if make is None:
        return body[:size]
    try:
        return make().decompress(body[:_BEGINNING_BYTES], size)[0]
    except MalformedError:  # whoever inflates all of it will say so
        return b""


def inflate(encoding: str, body: bytes, size_max: int) -> bytes:
    """Decompress a whole body. For errors see `inflater`."""
    whole = inflater(encoding, size_max)
    whole.feed(body)
    return whole.finish()


class _Member(Protocol):
    """One gzip member, zlib stream or zstd frame."""

    def decompress(self, data: bytes, room: int, /) -> tuple[bytes, bytes, bool]:
        """Return output, at most `room` bytes; the input that is left; whether the member has ended.

        Raises:
            MalformedError: this is no such member.
        """
        ...


class _Inflater:
    """A sequence of members; without `make` the body as it is."""

    def __init__(self, make: Callable[[], _Member] | None, size_max: int, room: Room) -> None:
        self._make = make
        self._room = room
        self._size_max = size_max
        self._member: _Member | None = None  # None between members
        self._members = 0
        self._fed = 0
        self._size = 0
        self._output = Gathered()

    def feed(self, data: bytes) -> None:
        """See `Inflater`."""
        self._fed += len(data)
        if self._fed > self._size_max:
            raise TooLargeError(self._size_max)
        if self._make is None:
            self._take(data)
            return
        full = False  # the last step gave all that it may: there may be more behind it, of the same input
        while data or full:
            if self._member is None:
                self._member = self._make()
                self._members += 1
                if self._members > _MEMBERS_MAX:
                    raise MalformedError(f"the body has more than {_MEMBERS_MAX} compressed members")
            # One byte more than there is room for tells "too large" from "exactly full".
            most = min(_OUTPUT_PIECE, self._size_max - self._size + 1)
            piece, data, ended = self._member.decompress(data, most)
            self._take(piece)
            full = len(piece) == most and not ended
            if ended:
                self._member = None

    @property
    def size(self) -> int:
        """See `Inflater`."""
        return self._size

    def finish(self) -> bytes:
        """See `Inflater`."""
        if self._member is not None:
            raise MalformedError("the compressed body is truncated")
        return self._output.take()

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._size_max:
            raise TooLargeError(self._size_max)
        if piece:
            self._room(self._size)
            self._output.add(piece)


class _ZlibMember:
    def __init__(self, name: str, window_bits: int) -> None:
        self._name = name
        self._stream = zlib.decompressobj(window_bits)

    def decompress(self, data: bytes, room: int) -> tuple[bytes, bytes, bool]:
        """See `_Member`."""
        stream = self._stream
        try:
            piece = stream.decompress(data, room)
        except zlib.error as error:
            raise MalformedError(f"the body is not valid {self._name}: {error}") from None
        return piece, stream.unused_data if stream.eof else stream.unconsumed_tail, stream.eof


class _ZstdMember:
    def __init__(self) -> None:
        # Loaded by the first body that needs it; the standard library has it from Python 3.14 on.
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd

        self._error = zstd.ZstdError
        self._stream = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX}
        )

    def decompress(self, data: bytes, room: int) -> tuple[bytes, bytes, bool]:
        """See `_Member`. Input that is left within the frame is kept inside."""
        stream = self._stream
        try:
            piece = stream.decompress(data, room)
        except self._error as error:
            raise MalformedError(f"the body is not valid zstd: {error}") from None
        return piece, stream.unused_data if stream.eof else b"", stream.eof


_GZIP: Final = partial(_ZlibMember, "gzip", zlib.MAX_WBITS | 16)
_ZLIB: Final = partial(_ZlibMember, "deflate (zlib)", zlib.MAX_WBITS)
_MEMBERS: Final[dict[str, Callable[[], _Member] | None]] = {
    "": None,
    "identity": None,
    "gzip": _GZIP,
    "x-gzip": _GZIP,
    "deflate": _ZLIB,
    "zlib": _ZLIB,
    "zstd": _ZstdMember,
}
# What to advertise in Accept-Encoding.
ENCODINGS: Final = ("gzip", "zstd", "deflate", "identity")
