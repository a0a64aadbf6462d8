"""The two ways in which telemetry can fail to be taken, and why nobody needs a third."""

from __future__ import annotations

from collections.abc import Callable


class TelemetryError(Exception):
    """Base of the errors a consumer or an exporter raises. `reason` is a metric label: a bounded set of words.

    The message is for people and may hold anything; it never becomes a label.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class RetryableError(TelemetryError):
    """The same data may be taken later. `retry_after_s` is the delay asked for, in seconds, if one is known.

    `has_room`: for want of room; it tells whether there is some now, at any time and in any thread.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        retry_after_s: float | None = None,
        has_room: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_after_s = retry_after_s
        self.has_room = has_room


class PermanentError(TelemetryError):
    """The same data would fail in the same way for ever: it must not be sent again (OTLP, "Failures")."""
