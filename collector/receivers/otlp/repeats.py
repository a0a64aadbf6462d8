"""Requests that come again: because an answer got lost, or because we failed on them.

What an earlier process took is known to the queues on disk: `SendingQueue.find`.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Final, Generic, TypeVar

from collector.model.clock import Clock
from collector.model.signal import Signal

_REMEMBERED: Final = 4096  # of 16 bytes each

ValueT = TypeVar("ValueT")

# A lock, and when each fingerprint was noted, oldest first.
_Noted = tuple[threading.Lock, OrderedDict[bytes, float]]


def fingerprint(signal: Signal, body: bytes, *, json: bool) -> bytes:
    """16 bytes that stand for a request. Whoever sends other bytes with the same hash has broken BLAKE2."""
    # What is malformed as protobuf may be well as JSON.
    person = f"{signal.value}/json" if json else signal.value
    return hashlib.blake2b(body, digest_size=16, person=person.encode()).digest()


class Repeats:
    """The last 4096 fingerprints noted, each for `window_s` seconds. Thread-safe."""

    def __init__(self, clock: Clock, window_s: float, noted: _Noted | None = None) -> None:
        self._clock = clock
        self._window_s = window_s
        self._shared = noted or (threading.Lock(), OrderedDict())
        self._lock, self._noted = self._shared

    def within(self, window_s: float) -> Repeats:
        """The same fingerprints, known for another time."""
        return Repeats(self._clock, window_s, self._shared)

    def note(self, key: bytes) -> None:
        """Remember `key` from now on."""
        with self._lock:
            self._noted[key] = self._clock.monotonic()
            self._noted.move_to_end(key)
            if len(self._noted) > _REMEMBERED:
                self._noted.popitem(last=False)

    def known(self, key: bytes) -> bool:
        """Whether `key` was noted within the window."""
        with self._lock:
            when = self._noted.get(key)
            return when is not None and self._clock.monotonic() - when <= self._window_s


class Unfinished(Generic[ValueT]):
    """What is known of the last 4096 requests that are being taken, or not answered with success yet. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: OrderedDict[bytes, ValueT] = OrderedDict()

    def claim(self, key: bytes, value: ValueT) -> ValueT:
        """What was noted; if that is nothing, `value`, which is noted until it is forgotten.

        Of several threads that come at once, all get the value of the first.
        """
        with self._lock:
            found = self._noted.setdefault(key, value)
            if len(self._noted) > _REMEMBERED:
                self._noted.popitem(last=False)
        return found

    def forget(self, key: bytes) -> None:
        """It is finished. Safe twice."""
        with self._lock:
            self._noted.pop(key, None)
