"""The byte budget: how much may be in work at once, decided before the work is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from collector.model.errors import RetryableError

# What a request holds beyond what has arrived of it.
_AHEAD: Final = 4
_AHEAD_BYTES: Final = 64 * 1024


class ByteBudget:
    """Bytes of requests between arrival and answer, for the whole process. Thread-safe, never waits.

    What sits in queues is not counted here: each queue has a bound of its own.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes reserved now."""
        return self._used

    def reserve(self, size: int, held: int = 0) -> None:
        """Reserve `size` bytes, for a request that holds `held` already.

        Raises:
            RetryableError: they are not to be had now. A request larger than the whole budget is admitted when
                nothing else is, or it could never be.
        """
        with self._lock:
            if self._used > held and self._used + size > self.limit:
                raise self._refusal(size)
            self._used += size

    def check(self, size: int, held: int = 0) -> None:
        """Raise as `reserve` would, and reserve nothing."""
        if self._used > held and self._used - held + size > self.limit:
            raise self._refusal(size)

    def _refusal(self, size: int) -> RetryableError:
        return RetryableError(
            f"{self._used} of {self.limit} bytes are in work; {size} more do not fit now",
            reason="in_flight_bytes",
        )

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        with self._lock:
            self._used -= size

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

    def expect(self, received: int, size: int) -> None:
        """Reserve for a request of `size` bytes, of which `received` are there.

        It is refused at once if the whole of it does not fit now; but what it holds follows what it has sent, or
        clients that announce much and send nothing would keep the others out.

        Raises:
            RetryableError: as `ByteBudget.reserve`.
        """
        if size > self.size:
            self._budget.check(size, held=self.size)
            self.grow_to(min(size, received * _AHEAD + _AHEAD_BYTES))

    def release(self) -> None:
        """Give everything back. Safe twice."""
        size, self.size = self.size, 0
        if size:
            self._budget.release(size)
