"""The one table of what goes wrong and what the client is told: gRPC code, HTTP status, whether to come back.

A wrong entry here loses data: clients of OTLP/gRPC retry CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE,
UNAVAILABLE, DATA_LOSS, and RESOURCE_EXHAUSTED only together with RetryInfo; clients of OTLP/HTTP retry 429, 502,
503, 504. Everything else makes them drop what they sent (opentelemetry-proto, docs/specification.md, "Failures").
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.model.errors import PermanentError, RetryableError
from collector.wire.compression import UnsupportedEncodingError
from collector.wire.errors import FieldViolation, MalformedError, TooLargeError, TooMuchMemoryError

if TYPE_CHECKING:
    import random

# An SDK gives up after about 10 s in all, and at once when asked to wait longer than what it has left
# (opentelemetry specification, protocol/exporter.md): longer delays are cut.
RETRY_DELAY_MIN_S: Final = 1.0
RETRY_DELAY_MAX_S: Final = 5.0

# gRPC metadata is limited to 8 KiB by default. The message travels in it twice: percent-encoded, which may
# triple it, and in the details.
_MESSAGE_BYTES_MAX: Final = 1000
_VIOLATION_BYTES_MAX: Final = 200
_VIOLATIONS_MAX: Final = 5


class GrpcCode(enum.IntEnum):
    """Status codes of gRPC (google/rpc/code.proto), as far as we send them."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Condition(enum.Enum):
    """What can keep a request from being taken. `_TABLE` says what the client is told."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_FOUND = "not_found"  # an unknown path, or a signal that no pipeline takes
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    OVERLOADED = "overloaded"  # memory, queue or disk full; shutting down
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"  # by the pipeline, for good
    REPLY_TOO_LARGE = "reply_too_large"
    BUG = "bug"

    @property
    def grpc_code(self) -> GrpcCode:
        """The gRPC status code."""
        return _TABLE[self][0]

    @property
    def http_status(self) -> int:
        """The HTTP status code."""
        return _TABLE[self][1]

    @property
    def is_retryable(self) -> bool:
        """Whether the client is asked to come back, after a delay."""
        return _TABLE[self][2]


_TABLE: Final = {
    Condition.MALFORMED: (GrpcCode.INVALID_ARGUMENT, 400, False),
    Condition.TOO_LARGE: (GrpcCode.RESOURCE_EXHAUSTED, 413, False),
    Condition.UNSUPPORTED_ENCODING: (GrpcCode.UNIMPLEMENTED, 415, False),
    Condition.UNSUPPORTED_MEDIA_TYPE: (GrpcCode.INVALID_ARGUMENT, 415, False),
    Condition.METHOD_NOT_ALLOWED: (GrpcCode.UNIMPLEMENTED, 405, False),
    Condition.NOT_FOUND: (GrpcCode.UNIMPLEMENTED, 404, False),
    Condition.UNAUTHENTICATED: (GrpcCode.UNAUTHENTICATED, 401, False),
    Condition.FORBIDDEN: (GrpcCode.PERMISSION_DENIED, 403, False),
    Condition.OVERLOADED: (GrpcCode.UNAVAILABLE, 503, True),
    Condition.RATE_LIMITED: (GrpcCode.RESOURCE_EXHAUSTED, 429, True),
    Condition.REFUSED: (GrpcCode.INTERNAL, 500, False),
    Condition.REPLY_TOO_LARGE: (GrpcCode.RESOURCE_EXHAUSTED, 500, False),
    # A fault of ours may pass, and an answer that says "drop it" would lose good data. The receiver sees to it
    # that bytes which fail twice are REFUSED.
    Condition.BUG: (GrpcCode.UNAVAILABLE, 503, True),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer other than success. `retry_delay_s` is set exactly if the condition is retryable."""

    condition: Condition
    message: str
    retry_delay_s: float | None = None
    field_violations: Sequence[FieldViolation] = ()


def failure(
    condition: Condition, message: str, rng: random.Random, *, retry_delay_s: float | None = None
) -> Failure:
    """Return a `Failure`; a retryable one without a delay gets one, jittered so that clients do not come back as one."""
    if not condition.is_retryable:
        return Failure(condition, _bounded(message))
    if retry_delay_s is None:
        retry_delay_s = rng.uniform(RETRY_DELAY_MIN_S, RETRY_DELAY_MAX_S)
    delay = min(max(retry_delay_s, RETRY_DELAY_MIN_S), RETRY_DELAY_MAX_S)
    return Failure(condition, _bounded(message), delay)


def failure_of(error: Exception, rng: random.Random) -> Failure:
    """Return how to answer `error`, raised while a request was received or consumed.

    The text of an error that is not a `TelemetryError` stays here: it may hold anything.
    """
    match error:
        case MalformedError():
            violations = [
                FieldViolation(
                    _bounded(violation.field, _VIOLATION_BYTES_MAX),
                    _bounded(violation.description, _VIOLATION_BYTES_MAX),
                )
                for violation in error.field_violations[:_VIOLATIONS_MAX]
            ]
            if not violations:  # no field in particular: the body as a whole
                violations = [FieldViolation("", _bounded(str(error), _VIOLATION_BYTES_MAX))]
            return Failure(Condition.MALFORMED, _bounded(str(error)), field_violations=violations)
        case TooLargeError() | TooMuchMemoryError():
            return failure(Condition.TOO_LARGE, str(error), rng)
        case UnsupportedEncodingError():
            return failure(Condition.UNSUPPORTED_ENCODING, str(error), rng)
        case RetryableError():
            limited = error.reason == "rate_limited"
            condition = Condition.RATE_LIMITED if limited else Condition.OVERLOADED
            return failure(condition, str(error), rng, retry_delay_s=error.retry_after_s)
        case PermanentError():
            too_large = error.reason == "reply_too_large"
            return failure(Condition.REPLY_TOO_LARGE if too_large else Condition.REFUSED, str(error), rng)
        case _:
            return failure(Condition.BUG, "internal error; please send the request again", rng)


def _bounded(text: str, bytes_max: int = _MESSAGE_BYTES_MAX) -> str:
    encoded = text.encode(errors="replace")
    if len(encoded) <= bytes_max:
        return encoded.decode()
    return f"{encoded[: bytes_max - 3].decode(errors='ignore')}…"
