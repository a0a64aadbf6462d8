"""`Ahead`: what all connections of one port hold of requests that cannot be worked on yet."""

from __future__ import annotations

from typing import Final

# Headers and frames that are not complete, and what clients send without waiting for answers. A connection that has sent
# little may always go on.
AHEAD_MAX: Final = 8 * 1024 * 1024
AHEAD_FREE: Final = 4096


class Ahead:
    """Bytes that the connections of a port have sent ahead, all together. Used by one thread."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0

    def too_much(self, before: int, now: int) -> bool:
        """Count `now` bytes that a connection has sent ahead and that had been `before`; True: it is to be ended."""
        self.size += now - before
        return now > AHEAD_FREE and self.size > AHEAD_MAX
