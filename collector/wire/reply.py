"""The bodies and headers of answers, in both encodings, and which encoding that is."""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from collector.model.errors import PermanentError

if TYPE_CHECKING:
    from collector.model.signal import Signal
    from collector.wire.status import Failure

# opentelemetry-proto, docs/specification.md: the recommended limit of a response.
REPLY_SIZE_MAX: Final = 4 * 1024 * 1024

_TYPE_URL: Final = "type.googleapis.com/google.rpc."


class Encoding(enum.Enum):
    """An encoding of OTLP/HTTP. The value is its Content-Type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def encoding_of(content_type: str) -> Encoding | None:
    """Return the encoding a Content-Type means; None if none. Case and parameters do not matter (RFC 9110, 8.3.1)."""
    media_type = content_type.partition(";")[0].strip().lower()
    return _BY_MEDIA_TYPE.get(media_type)


_BY_MEDIA_TYPE: Final = {
    Encoding.PROTOBUF.value: Encoding.PROTOBUF,
    Encoding.JSON.value: Encoding.JSON,
}


def encoding_of_refusal(content_type: str, accept: str) -> Encoding:
    """Return the encoding to answer in: that of the request if it has one, else the one that is likelier read."""
    encoding = encoding_of(content_type)
    if encoding is not None:
        return encoding
    wanted = f"{content_type} {accept}".lower()
    # A person with curl or a browser sends no protobuf and reads JSON.
    likes_text = "json" in wanted or "text/" in wanted or "x-www-form-urlencoded" in wanted
    return Encoding.JSON if likes_text else Encoding.PROTOBUF


# --- success --------------------------------------------------------------------------------------------------


class ReplyTooLargeError(PermanentError):
    """Not even the shortest answer fits into the limit."""

    def __init__(self) -> None:
        super().__init__("the response would be larger than its limit", reason="reply_too_large")


def export_reply(
    signal: Signal,
    encoding: Encoding,
    *,
    rejected: int = 0,
    message: str = "",
    size_max: int = REPLY_SIZE_MAX,
) -> bytes:
    """Return an `Export…ServiceResponse`; `partial_success` is unset if there is nothing to say.

    A response over `size_max` bytes gets a shorter `error_message`; the count stays exact.

    Raises:
        ReplyTooLargeError: it is over the limit with no message at all.
    """
    if not rejected and not message:
        return b"" if encoding is Encoding.PROTOBUF else b"{}"
    while True:
        reply = _partial_success(signal, encoding, rejected, message)
        excess = len(reply) - size_max
        if excess <= 0:
            return reply
        if not message:
            raise ReplyTooLargeError
        # A character takes up to 4 bytes and a JSON escape 6: cut too little rather than too much, and look again.
        message = message[: -max(1, excess // 6 + 2)].rstrip("…")
        message = f"{message}…" if len(message) > 1 else ""


def _partial_success(signal: Signal, encoding: Encoding, rejected: int, message: str) -> bytes:
    response: Any = signal.response_type()()
    partial = response.partial_success
    partial.SetInParent()
    setattr(partial, signal.rejected_field, rejected)
    partial.error_message = message
    if encoding is Encoding.PROTOBUF:
        encoded: bytes = response.SerializeToString()
        return encoded
    from collector.wire.json_encode import encode_message

    return encode_message(response)


# --- failure --------------------------------------------------------------------------------------------------


def error_reply(failure: Failure, encoding: Encoding) -> bytes:
    """Return a `google.rpc.Status` with `BadRequest` and `RetryInfo` as they apply."""
    return _status_protobuf(failure) if encoding is Encoding.PROTOBUF else _status_json(failure)


def retry_after(failure: Failure) -> str | None:
    """Return the Retry-After header: whole seconds, at least 1; None if the client shall not come back."""
    if failure.retry_delay_s is None:
        return None
    return str(max(1, math.ceil(failure.retry_delay_s)))


def grpc_trailers(failure: Failure) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata of a failed call.

    `grpc-status-details-bin` is what most clients read; the Python SDK looks for the RetryInfo alone, in
    `google.rpc.retryinfo-bin`.
    """
    details = ("grpc-status-details-bin", _status_protobuf(failure))
    if failure.retry_delay_s is None:
        return (details,)
    return (details, ("google.rpc.retryinfo-bin", _retry_info(failure.retry_delay_s).SerializeToString()))


def _retry_info(delay_s: float) -> Any:
    from google.rpc import error_details_pb2

    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(round(delay_s * 1000))
    return info


def _status_protobuf(failure: Failure) -> bytes:
    from google.rpc import error_details_pb2, status_pb2

    status = status_pb2.Status(code=failure.condition.grpc_code, message=failure.message)
    if failure.field_violations:
        bad_request = error_details_pb2.BadRequest()
        for violation in failure.field_violations:
            bad_request.field_violations.add(field=violation.field, description=violation.description)
        status.details.add().Pack(bad_request)
    if failure.retry_delay_s is not None:
        status.details.add().Pack(_retry_info(failure.retry_delay_s))
    encoded: bytes = status.SerializeToString()
    return encoded


def _status_json(failure: Failure) -> bytes:
    status: dict[str, Any] = {"code": int(failure.condition.grpc_code), "message": failure.message}
    details: list[dict[str, Any]] = []
    if failure.field_violations:
        violations = [
            {"field": violation.field, "description": violation.description}
            for violation in failure.field_violations
        ]
        details.append({"@type": f"{_TYPE_URL}BadRequest", "fieldViolations": violations})
    if failure.retry_delay_s is not None:
        details.append({"@type": f"{_TYPE_URL}RetryInfo", "retryDelay": f"{failure.retry_delay_s:.3f}s"})
    if details:
        status["details"] = details
    return msgspec.json.encode(status)
