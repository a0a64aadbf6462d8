"""A request's body within the memory budget of the process: put together, inflated, and parsed."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from collector.wire.compression import beginning, inflater, working_memory
from collector.wire.errors import TooLargeError
from collector.wire.gather import gathered_memory
from collector.wire.scan import is_hopeless

if TYPE_CHECKING:
    from collector.pipeline.admission import Reservation

# What is fed at a time: a part of the input that is left is copied with each step.
_PIECE_BYTES: Final = 16 * 1024
_BEGINNING_BYTES: Final = 64
# What inflates to more than this, which takes milliseconds, leaves one core to everybody else: at once there are as many
# as there are others.
_QUICK_BYTES: Final = 1024 * 1024
_CORES: Final = threading.BoundedSemaphore(max(1, len(os.sched_getaffinity(0)) - 1))


def inflate_within(
    encoding: str, body: bytes, size_max: int, reservation: Reservation, *, json: bool = False
) -> bytes:
    """Return `body` inflated. The reservation, which covers `body`, grows with what comes out.

    Of what cannot be a request, only the beginning: whoever reads that refuses it. Most bombs are such.

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
    if is_hopeless(first := beginning(encoding, body, _BEGINNING_BYTES), json=json):
        return first
    alone = False
    with ExitStack() as stack:

        def room(size: int) -> None:
            nonlocal alone
            reservation.grow_to(covered + gathered_memory(size))
            if size > _QUICK_BYTES and not alone:
                stack.enter_context(_CORES)
                alone = True

        inflated = inflater(encoding, size_max, room)
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
