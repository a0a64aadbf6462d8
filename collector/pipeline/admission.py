"""The byte budget: how much may be in work at once, decided before the work is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from collector.model.errors import RetryableError


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

    def reserve(self, size: int) -> None:
        """Reserve `size` bytes.

        Raises:
            RetryableError: they are not to be had now. A request larger than the whole budget is admitted when
                nothing else is, or it could never be.
        """
        with self._lock:
            if self._used and self._used + size > self.limit:
                raise RetryableError(
                    f"{self._used} of {self.limit} bytes are in work; {size} more do not fit now",
                    reason="in_flight_bytes",
                    retry_after_s=1.0,
                )
            self._used += size

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        with self._lock:
            self._used -= size

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Reserve for the length of a `with` block."""
        self.reserve(size)
        try:
            yield
        finally:
            self.release(size)
