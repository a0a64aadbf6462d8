"""Inflating a request within the byte budget of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.wire.compression import inflater
from collector.wire.errors import TooLargeError

if TYPE_CHECKING:
    from collector.pipeline.admission import Reservation

# Fed in pieces, so that the budget is asked again before a small body has become a large one: at deflate's best,
# 1032 to 1, a piece inflates to 16 MiB.
_PIECE_BYTES: Final = 16 * 1024
# Codings that can be told to stop.
_STOPPABLE: Final = frozenset({"gzip", "deflate", "zlib"})


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
        # Pieces are there twice while they are put together.
        reservation.grow_to(len(body) + inflated.size * (2 if start else 1))
    return inflated.finish()


def inflated_at_once(encoding: str, body: bytes, size_max: int, reservation: Reservation) -> bytes | None:
    """Return `body` inflated if it is no more than `size_max` bytes then, and known to be; else None.

    Raises:
        MalformedError: it is not what `encoding` says.
        RetryableError: there is no room for it now.
    """
    if encoding not in _STOPPABLE or len(body) > _PIECE_BYTES:
        return None
    inflated = inflater(encoding, size_max)
    try:
        inflated.feed(body)
    except TooLargeError:
        return None
    reservation.grow_to(len(body) + inflated.size)
    return inflated.finish()
