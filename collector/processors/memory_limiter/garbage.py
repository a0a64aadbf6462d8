"""Giving memory back: what nobody refers to, to the allocator, and from there to the system."""

from __future__ import annotations

import ctypes
import gc
import threading
from typing import Final


class Garbage:
    """Collects garbage, but not too often. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._collected_at = float("-inf")

    def collect(self, now: float, interval_s: float) -> bool:
        """Collect, unless that was done less than `interval_s` before the monotonic time `now`."""
        if not self._lock.acquire(blocking=False):
            return False  # another thread is at it
        try:
            if now - self._collected_at < interval_s:
                return False
            self._collected_at = now
            gc.collect()
            _trim()
            return True
        finally:
            self._lock.release()


# One for all pipelines: a collection is of the whole process, however many limiters ask for it.
OF_PROCESS: Final = Garbage()


def _trim() -> None:
    """Give what the C allocator keeps back to the system (glibc, malloc_trim(3)): else RSS stays at its peak."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
