"""The byte budget: how much may be in work at once, decided before the work is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from collector.model.errors import RetryableError
from collector.wire.errors import TooMuchMemoryError

# How much more than what has arrived of it a request may hold.
_AHEAD: Final = 4
# Requests up to this size have a quarter of the budget beside it for themselves: one that inflates to all there is
# keeps no ordinary one out.
_SMALL_BYTES: Final = 64 * 1024
_SMALL_SHARE: Final = 4


class ByteBudget:
    """Memory of requests between arrival and answer, for the whole process, in bytes. Thread-safe, never waits.

    What sits in queues is not counted here: each queue has a bound of its own.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._small = 0
        self._large = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes reserved now."""
        return self._small + self._large

    def reserve(self, size: int, held: int = 0) -> None:
        """Reserve `size` bytes, for a request that holds `held` already.

        Raises:
            RetryableError: they are not to be had now.
            TooMuchMemoryError: they never are.
        """
        with self._lock:
            self.check(size, held)
            total = held + size
            if total <= _SMALL_BYTES:
                self._small += size
            elif held <= _SMALL_BYTES:
                self._small -= held
                self._large += total
            else:
                self._large += size

    def check(self, size: int, held: int = 0) -> None:
        """Raise as `reserve` would, and reserve nothing."""
        if held + size > self.limit:
            raise TooMuchMemoryError(held + size, self.limit)
        if not self.has_room(size, held):
            raise self.short(size, held)

    def short(self, size: int, held: int = 0) -> RetryableError:
        """What `reserve` raises when there is no room."""
        return RetryableError(
            f"{self.used} of {self.limit} bytes are in work; {size} more do not fit now",
            reason="in_flight_bytes",
            has_room=lambda: self.has_room(size, held),
        )

    def has_room(self, size: int, held: int = 0) -> bool:
        """Whether `reserve` would reserve."""
        total = held + size
        if total <= _SMALL_BYTES:
            fits = self._small + size <= max(self.limit // _SMALL_SHARE, _SMALL_BYTES)
        else:
            fits = self._large + (total if held <= _SMALL_BYTES else size) <= self.limit
        return fits or self.used <= held

    def shrink(self, size: int, held: int) -> None:
        """Of `held` bytes of one request, keep `size`."""
        with self._lock:
            if held <= _SMALL_BYTES:
                self._small -= held - size
            elif size > _SMALL_BYTES:
                self._large -= held - size
            else:
                self._large -= held
                self._small += size

    def release(self, size: int) -> None:
        """Give back what one request holds: all of it."""
        with self._lock:
            if size <= _SMALL_BYTES:
                self._small -= size
            else:
                self._large -= size

    def open_reservation(self) -> Reservation:
        """A reservation that grows with a request. Whoever opens it releases it."""
        return Reservation(self)

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """The same for the length of a `with` block."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            reservation.release()

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Reserve for the length of a `with` block."""
        self.reserve(size)
        try:
            yield
        finally:
            self.release(size)


class Reservation:
    """What one request holds of a budget. Made by `ByteBudget.reservation`; used by one thread at a time."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.size = 0

    def grow_to(self, size: int) -> None:
        """Reserve what is missing to `size` bytes. Raises as `ByteBudget.reserve` does."""
        if size > self.size:
            self._budget.reserve(size - self.size, held=self.size)
            self.size = size

    def shrink_to(self, size: int) -> None:
        """Give back what is held beyond `size` bytes."""
        if size < self.size:
            self._budget.shrink(size, self.size)
            self.size = size

    def expect(self, received: int, size: int) -> None:
        """Reserve for a request of `size` bytes, of which `received` are there.

        It is refused at once if the whole of it does not fit now; but what it holds follows what it has sent, or
        clients that announce much and send nothing would keep the others out.

        Raises:
            RetryableError: as `ByteBudget.reserve`.
        """
        if size > self.size:
            wanted = min(size, received * _AHEAD)
            if wanted < size:
                self._budget.check(size - self.size, held=self.size)
            self.grow_to(wanted)

    def short(self, size: int) -> RetryableError:
        """What `expect` raises for a request of `size` bytes when there is no room."""
        return self._budget.short(size - self.size, held=self.size)

    def release(self) -> None:
        """Give everything back. Safe twice."""
        size, self.size = self.size, 0
        if size:
            self._budget.release(size)
