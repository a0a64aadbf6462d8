"""A request's body within the memory budget of the process: put together, inflated, and parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.wire.compression import inflater, working_memory
from collector.wire.errors import TooLargeError
from collector.wire.gather import gathered_memory

if TYPE_CHECKING:
    from collector.pipeline.admission import Reservation

# What is fed at a time: a part of the input that is left is copied with each step.
_PIECE_BYTES: Final = 16 * 1024


def inflate_within(encoding: str, body: bytes, size_max: int, reservation: Reservation) -> bytes:
    """Return `body` inflated. The reservation, which covers `body`, grows with what comes out.

    Raises:
        TooLargeError: the body is larger than `size_max`, before or after.
        MalformedError: it is not what `encoding` says.
        UnsupportedEncodingError: `encoding` is unknown.
        RetryableError: there is no room for it now.
        TooMuchMemoryError: there never is.
    """
    if not encoding:
        if len(body) > size_max:
            raise TooLargeError(size_max)
        return body
    covered = len(body) + working_memory(encoding, body)
    reservation.grow_to(covered)
    inflated = inflater(encoding, size_max, lambda size: reservation.grow_to(covered + gathered_memory(size)))
    for start in range(0, len(body), _PIECE_BYTES):
        inflated.feed(body[start : start + _PIECE_BYTES])
    whole = inflated.finish()
    reservation.shrink_to(len(body) + len(whole))
    return whole


def inflated_at_once(encoding: str, body: bytes, size_max: int, reservation: Reservation) -> bytes | None:
    """Return `body` inflated if it is no more than `size_max` bytes then, and known to be; else None.

    Raises:
        MalformedError: it is not what `encoding` says.
        RetryableError: there is no room for it now.
    """
    if len(body) > _PIECE_BYTES:
        return None
    inflated = inflater(encoding, size_max)
    try:
        inflated.feed(body)
    except TooLargeError:
        return None
    reservation.grow_to(len(body) + inflated.size)
    return inflated.finish()
