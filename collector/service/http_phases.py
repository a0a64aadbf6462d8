"""What an HTTP connection waits for, for how long, and what it is called when that is over."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collector.pipeline.http import HttpLimits

# A client that was answered before it had sent everything must be let finish sending, or the kernel resets the
# connection and the answer is lost (RFC 9112, section 9.6). So long, and so much:
DISCARD_S: Final = 2.0
DISCARD_BYTES_MAX: Final = 256 * 1024 * 1024


class Phase(enum.Enum):
    """What is waited for."""

    IDLE = enum.auto()  # a request
    HEADER = enum.auto()  # the rest of its header
    BODY = enum.auto()  # the rest of its body
    ANSWER = enum.auto()  # whoever works on it
    REST = enum.auto()  # the rest of the body, though it is answered
    END = enum.auto()  # that the client closes

    def seconds(self, limits: HttpLimits) -> float | None:
        """How long it may take; None: as long as it does."""
        match self:
            case Phase.IDLE:
                return limits.idle_timeout_s
            case Phase.HEADER:
                return limits.read_header_timeout_s
            case Phase.BODY:
                return limits.read_timeout_s
            case Phase.ANSWER:
                return None
            case _:
                return DISCARD_S


# By which word a connection is counted that is ended in this phase. After its last answer it is not.
ENDED: Final = {
    Phase.IDLE: "idle_timeout",
    Phase.HEADER: "read_header_timeout",
    Phase.BODY: "read_timeout",
    Phase.REST: "unwanted_body",
}
