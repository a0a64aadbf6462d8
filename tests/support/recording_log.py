"""A logger that keeps what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


@dataclass(frozen=True, slots=True)
class RecordingLog:
    """`log` goes where a logger is wanted; `entries` are the event dictionaries it got."""

    log: FilteringBoundLogger
    entries: list[Any] = field(default_factory=list)

    @classmethod
    def make(cls) -> RecordingLog:
        """Return a new one, which takes every level."""
        capture = structlog.testing.LogCapture()
        log = structlog.wrap_logger(
            structlog.testing.ReturnLogger(),
            processors=[capture],
            wrapper_class=structlog.make_filtering_bound_logger(10),
        ).bind()
        return cls(log, capture.entries)

    def messages(self, level: str | None = None) -> list[str]:
        """The messages, of one level or all."""
        return [entry["event"] for entry in self.entries if level in (None, entry["log_level"])]
