"""The connections of one HTTP listener, and who has to go when there are too many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from collector.pipeline.http import HttpHandler, HttpLimits

if TYPE_CHECKING:
    from collector.service.http_connection import HttpConnection


# What all connections of a listener may have sent beyond the requests that are worked on: headers that are not complete,
# and what clients send without waiting for answers. One that has sent little may always go on.
_AHEAD_MAX: Final = 8 * 1024 * 1024
_AHEAD_FREE: Final = 4096


@dataclass(slots=True)
class Peers:
    """The connections of one listener, and what they have in common."""

    handler: HttpHandler
    limits: HttpLimits
    open: set[HttpConnection] = field(default_factory=set)
    leaving: set[HttpConnection] = field(default_factory=set)  # have their last answer, and may still read it
    stopping: bool = False
    ahead: int = 0  # bytes that all of them have sent beyond the requests that are worked on

    def make_room(self) -> bool:
        """Close the connection that idles longest if there are as many as may be; False: all are at work."""
        if len(self.open) < self.limits.connections_max:
            return True
        idle = [peer for peer in self.open if peer.idle_since is not None]
        if not idle:
            return False
        # HTTP/1.1 lets a server close an idle connection at any time (RFC 9112, section 9.5).
        min(idle, key=lambda peer: peer.idle_since or 0.0).abort()
        self.limits.on_end("evicted")
        return True

    def too_much_ahead(self, before: int, now: int) -> bool:
        """Count `now` bytes that one has sent ahead and that had been `before`; True: its part of them is too much."""
        self.ahead += now - before
        return now > _AHEAD_FREE and self.ahead > _AHEAD_MAX
