"""The connections of one HTTP listener, and who has to go when there are too many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.pipeline.http import HttpHandler, HttpLimits
from collector.pipeline.turns import Turns
from collector.wire.ahead import Ahead

if TYPE_CHECKING:
    from collector.service.http_connection import HttpConnection


@dataclass(slots=True)
class Peers:
    """The connections of one listener, and what they have in common."""

    handler: HttpHandler
    limits: HttpLimits
    open: set[HttpConnection] = field(default_factory=set)
    leaving: set[HttpConnection] = field(default_factory=set)  # have their last answer, and may still read it
    stopping: bool = False
    ahead: Ahead = field(default_factory=Ahead)
    turns: Turns = field(default_factory=Turns)

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
