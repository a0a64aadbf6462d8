"""Telling a request that fails here once from one that fails here every time."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Final

from collector.model.signal import Signal

_REMEMBERED: Final = 1024  # of 16 bytes each


class Repeats:
    """Remembers the requests on which our own code failed: the last 1024 of them, by hash.

    A fault of ours may be passing, so the client is asked to send the same bytes again. But a request that
    trips over a bug would come back for ever: at the second failure it is refused for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: OrderedDict[bytes, None] = OrderedDict()

    def failed_before(self, signal: Signal, body: bytes) -> bool:
        """Note a failure on `body`; return whether there was one already."""
        key = hashlib.blake2b(body, digest_size=16, person=signal.value.encode()).digest()
        with self._lock:
            known = key in self._failed
            self._failed[key] = None
            self._failed.move_to_end(key)
            if len(self._failed) > _REMEMBERED:
                self._failed.popitem(last=False)
        return known
