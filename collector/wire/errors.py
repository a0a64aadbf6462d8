"""What can be wrong with a request as a whole. Single bad items are never an error: see `rules`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collector.model.errors import PermanentError


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One entry of `google.rpc.BadRequest`: `field` is a path such as `resource_spans[0].scope_spans`."""

    field: str
    description: str


class MalformedError(PermanentError):
    """The body is not a request of this signal and encoding; no part of it was taken."""

    def __init__(
        self, message: str, *, reason: str = "malformed", field_violations: Sequence[FieldViolation] = ()
    ) -> None:
        super().__init__(message, reason=reason)
        self.field_violations = tuple(field_violations)


class TooMuchMemoryError(PermanentError):
    """To take or to store the request would need more memory than this process ever has for one."""

    def __init__(self, needed: int, limit: int) -> None:
        super().__init__(
            f"the request would need {needed} bytes of memory, and this collector has {limit} for one: send smaller "
            "batches, or give it more memory (the limit of its control group, or 'service.in_flight_size_max')",
            reason="too_large",
        )


class TooLargeError(PermanentError):
    """The body, inflated, is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request is larger than {limit} bytes after decompression", reason="too_large")
        self.limit = limit
