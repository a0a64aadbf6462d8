"""`keepalive` of one gRPC connection: whom the server pings, who pings the server too often, and how old one may become."""

from __future__ import annotations

from typing import Final

from collector.receivers.otlp.config import KeepaliveConfig

# gRPC's own servers forgive two pings too many (grpc/grpc, doc/keepalive.md), and allow clients without calls one in
# two hours.
_PING_STRIKES: Final = 2
_IDLE_PING_S: Final = 7200.0


class Keepalive:
    """Of one connection. Every time is the loop's, in seconds; `idle_since` is None while there are calls."""

    __slots__ = ("_opened_at", "_pinged_at", "_pinged_us_at", "_policy", "_server", "strikes")

    def __init__(self, config: KeepaliveConfig, opened_at: float) -> None:
        self._server = config.server_parameters
        self._policy = config.enforcement_policy
        self._opened_at = opened_at
        self._pinged_at: float | None = None
        self._pinged_us_at = float("-inf")
        self.strikes = 0  # pings of the client that came too early, since a call was answered

    def pinged_too_often(self, now: float, *, with_calls: bool) -> bool:
        """Count a ping of the client; True: the connection is to be ended for it."""
        calm = float(self._policy.min_time)
        if not with_calls and not self._policy.permit_without_stream:
            calm = _IDLE_PING_S
        if now - self._pinged_us_at < calm:
            self.strikes += 1
        self._pinged_us_at = now
        return self.strikes > _PING_STRIKES

    def is_to_ping(self, now: float, heard_at: float) -> bool:
        """Whether the client, silent since `heard_at`, is to be pinged now; it counts as done."""
        if self._unanswered_since(heard_at) is not None or now < heard_at + self._server.time:
            return False
        self._pinged_at = now
        return True

    def is_gone(self, now: float, heard_at: float) -> bool:
        """Whether nothing has come for too long since the client was pinged."""
        pinged_at = self._unanswered_since(heard_at)
        return pinged_at is not None and now >= pinged_at + self._server.timeout

    def _unanswered_since(self, heard_at: float) -> float | None:
        return self._pinged_at if self._pinged_at is not None and self._pinged_at >= heard_at else None

    def outlived(self, now: float, idle_since: float | None) -> str | None:
        """Which limit of its life the connection has reached, by the option's name."""
        age, idle = self._server.max_connection_age, self._server.max_connection_idle
        if age is not None and now >= self._opened_at + age:
            return "max_connection_age"
        if idle is not None and idle_since is not None and now >= idle_since + idle:
            return "max_connection_idle"
        return None

    def next_look(self, heard_at: float, idle_since: float | None, *, leaving: bool) -> float:
        """When there may be something to do again."""
        server = self._server
        pinged_at = self._unanswered_since(heard_at)
        times = [heard_at + server.time if pinged_at is None else pinged_at + server.timeout]
        if server.max_connection_age is not None and not leaving:
            times.append(self._opened_at + server.max_connection_age)
        if server.max_connection_idle is not None and idle_since is not None and not leaving:
            times.append(idle_since + server.max_connection_idle)
        return min(times)
