"""Bodies that come in pieces, and the memory that they take."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Final

# What grows piece by piece is that much larger than what is in it (CPython, Modules/_io/bytesio.c, resize_buffer).
_SLACK: Final = 8

# Called with so many bytes of memory before, or as soon as, they are taken; raises when there are not so many.
Room = Callable[[int], None]


def anything(_size: int) -> None:
    """A `Room`: as much as there is."""


def gathered_memory(size: int) -> int:
    """What a body of `size` bytes takes that comes in pieces."""
    return size + size // _SLACK


class Gathered:
    """Bytes that came in pieces. One piece alone is kept as it is.

    More grow where they are, and are taken out without a copy: pieces that are joined would be there twice.
    """

    __slots__ = ("_first", "_whole")

    def __init__(self) -> None:
        self._first = b""
        self._whole: BytesIO | None = None

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        if self._whole is not None:
            self._whole.write(piece)
        elif not self._first:
            self._first = piece
        else:
            self._whole = BytesIO()
            self._whole.write(self._first)
            self._whole.write(piece)
            self._first = b""

    def take(self) -> bytes:
        """All of it, once: it is not kept."""
        whole, first = self._whole, self._first
        self._whole, self._first = None, b""
        return first if whole is None else whole.getvalue()
