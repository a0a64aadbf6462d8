"""Inflating a request within the byte budget of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.wire.compression import inflater

if TYPE_CHECKING:
    from collector.pipeline.admission import Reservation

# Fed in pieces, so that the budget is asked again before a small body has become a large one: at deflate's best,
# 1032 to 1, a piece inflates to 16 MiB.
_PIECE_BYTES: Final = 16 * 1024


def inflate_within(encoding: str, body: bytes, size_max: int, reservation: Reservation) -> bytes:
    """Return `body` inflated. The reservation, which covers `body`, grows with what comes out.

    Raises:
        TooLargeError: the body is larger than `size_max`, before or after.
        MalformedError: it is not what `encoding` says.
        UnsupportedEncodingError: `encoding` is unknown.
        RetryableError: there is no room for it now.
    """
    inflated = inflater(encoding, size_max)
    if not encoding:
        inflated.feed(body)
        return inflated.finish()
    for start in range(0, len(body), _PIECE_BYTES):
        inflated.feed(body[start : start + _PIECE_BYTES])
        reservation.grow_to(len(body) + inflated.size)
    return inflated.finish()


def sniff_encoding(message: bytes) -> str:
    """Name the coding of a gRPC message, which grpcio does not tell.

    No protobuf message begins with gzip's magic number: 0x1f would be field 3 with wire type 7, which does not
    exist. One could begin like a zlib stream (0x78 is field 15), but no OTLP request has a field 15.
    """
    if message[:2] == b"\x1f\x8b":
        return "gzip"
    # CMF and FLG of RFC 1950: deflate, a window up to 32 KiB, and a check that makes both divisible by 31.
    if len(message) > 2 and message[0] & 0x8F == 0x08 and int.from_bytes(message[:2], "big") % 31 == 0:
        return "deflate"
    return ""
