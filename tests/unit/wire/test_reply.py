"""Answers, byte for byte, and decoded by the official classes."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.wire.compression import UnsupportedEncodingError
from collector.wire.errors import FieldViolation, MalformedError, TooLargeError
from collector.wire.reply import (
    Encoding,
    ReplyTooLargeError,
    encoding_of,
    encoding_of_refusal,
    error_reply,
    export_reply,
    grpc_trailers,
    retry_after,
)
from collector.wire.status import Condition, Failure, GrpcCode, failure, failure_of

RNG = random.Random(1)

each_signal = pytest.mark.parametrize("signal", Signal)
each_encoding = pytest.mark.parametrize("encoding", Encoding)


def _response(signal: Signal, encoding: Encoding, body: bytes) -> Any:
    response = signal.response_type()()
    if encoding is Encoding.PROTOBUF:
        response.ParseFromString(body)
    else:
        json_format.Parse(body, response)
    return response


def _status(encoding: Encoding, body: bytes) -> Any:
    status = status_pb2.Status()
    if encoding is Encoding.PROTOBUF:
        status.ParseFromString(body)
    else:
        json_format.Parse(body, status)
    return status


# --- success ------------------------------------------------------------------------------------------------


@each_signal
def test_success_is_the_empty_message(signal: Signal) -> None:
    """partial_success is unset, not present and empty."""
    assert export_reply(signal, Encoding.PROTOBUF) == b""
    assert export_reply(signal, Encoding.JSON) == b"{}"


@each_signal
@each_encoding
def test_partial_success_says_how_many_and_why(signal: Signal, encoding: Encoding) -> None:
    """In the field of its signal."""
    response = _response(signal, encoding, export_reply(signal, encoding, rejected=3, message="no"))
    assert getattr(response.partial_success, signal.rejected_field) == 3
    assert response.partial_success.error_message == "no"


@each_encoding
def test_partial_success_may_be_a_mere_warning(encoding: Encoding) -> None:
    """Nothing rejected, but something to say."""
    response = _response(Signal.LOGS, encoding, export_reply(Signal.LOGS, encoding, message="careful"))
    assert response.HasField("partial_success")
    assert response.partial_success.rejected_log_records == 0
    assert response.partial_success.error_message == "careful"


@each_encoding
@pytest.mark.parametrize("text", ["x", "é", "\0", "\U0001f600", '"'])
def test_partial_success_shortens_the_message_to_the_limit(encoding: Encoding, text: str) -> None:
    """The count stays exact; most of the room is used."""
    body = export_reply(Signal.TRACES, encoding, rejected=12345, message=text * 5000, size_max=1000)
    response = _response(Signal.TRACES, encoding, body)
    assert response.partial_success.rejected_spans == 12345
    assert response.partial_success.error_message.endswith("…")
    assert 900 <= len(body) <= 1000


@each_encoding
def test_partial_success_drops_the_message_if_it_must(encoding: Encoding) -> None:
    """A limit that only the count fits into."""
    shortest = export_reply(Signal.TRACES, encoding, rejected=5)
    body = export_reply(Signal.TRACES, encoding, rejected=5, message="why", size_max=len(shortest))
    assert body == shortest


@each_encoding
def test_partial_success_over_any_limit_is_an_error(encoding: Encoding) -> None:
    """RESOURCE_EXHAUSTED and 500, as the specification asks."""
    with pytest.raises(ReplyTooLargeError) as caught:
        export_reply(Signal.TRACES, encoding, rejected=5, size_max=1)
    told = failure_of(caught.value, RNG).condition
    assert (told.grpc_code, told.http_status) == (GrpcCode.RESOURCE_EXHAUSTED, 500)


# --- failure ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "grpc_code", "http_status", "comes_back"),
    [
        (MalformedError("m"), GrpcCode.INVALID_ARGUMENT, 400, False),
        (TooLargeError(1), GrpcCode.RESOURCE_EXHAUSTED, 413, False),
        (UnsupportedEncodingError("br", ("gzip",)), GrpcCode.UNIMPLEMENTED, 415, False),
        (RetryableError("full", reason="queue_full"), GrpcCode.UNAVAILABLE, 503, True),
        (RetryableError("slow down", reason="rate_limited"), GrpcCode.RESOURCE_EXHAUSTED, 429, True),
        (PermanentError("never", reason="refused"), GrpcCode.INTERNAL, 500, False),
        (ValueError("our bug"), GrpcCode.UNAVAILABLE, 503, True),
    ],
)
def test_status_table(error: Exception, grpc_code: GrpcCode, http_status: int, comes_back: bool) -> None:
    """Every error a request can meet, and what the client is told."""
    told = failure_of(error, RNG)
    assert (told.condition.grpc_code, told.condition.http_status) == (grpc_code, http_status)
    assert (told.retry_delay_s is not None) == comes_back


@pytest.mark.parametrize("condition", Condition)
def test_status_table_is_read_alike_by_both_kinds_of_clients(condition: Condition) -> None:
    """What is retryable over HTTP is retryable over gRPC: codes, and RetryInfo where the code alone says no."""
    told = failure(condition, "m", RNG)
    by_http = condition.http_status in {429, 502, 503, 504}
    with_delay = told.retry_delay_s is not None
    by_grpc = condition.grpc_code is GrpcCode.UNAVAILABLE or (
        condition.grpc_code is GrpcCode.RESOURCE_EXHAUSTED and with_delay
    )
    assert by_http == by_grpc == with_delay == condition.is_retryable


def test_failure_does_not_tell_what_a_bug_said() -> None:
    """The text of a foreign exception may hold anything."""
    assert "secret" not in failure_of(ValueError("secret"), RNG).message


@pytest.mark.parametrize(("asked", "told"), [(0.0, 1.0), (2.5, 2.5), (60.0, 5.0)])
def test_failure_keeps_delays_within_a_clients_patience(asked: float, told: float) -> None:
    """Between 1 and 5 seconds."""
    error = RetryableError("full", reason="queue_full", retry_after_s=asked)
    assert failure_of(error, RNG).retry_delay_s == told


def test_failure_spreads_delays() -> None:
    """Refused at once does not mean back at once."""
    delays = {failure(Condition.OVERLOADED, "full", RNG).retry_delay_s for _ in range(20)}
    assert len(delays) == 20
    assert all(delay is not None and 1 <= delay <= 5 for delay in delays)


@pytest.mark.parametrize("text", ["x", "é", "\U0001f600", "\ud800"])
def test_failure_fits_into_grpc_metadata(text: str) -> None:
    """8 KiB by default, for the percent-encoded message and both trailers in base64."""
    violations = [FieldViolation(text * 5000, text * 5000)] * 100
    told = failure_of(MalformedError(text * 5000, field_violations=violations), RNG)
    trailers = sum(len(name) + len(value) * 4 / 3 for name, value in grpc_trailers(told))
    assert len(told.message.encode()) * 3 + trailers < 8000


@each_encoding
def test_error_reply_is_a_status_with_details(encoding: Encoding) -> None:
    """Code, message, BadRequest; decoded by the official classes."""
    error = MalformedError("not a request", field_violations=[FieldViolation("resource_spans[0]", "é")])
    status = _status(encoding, error_reply(failure_of(error, RNG), encoding))
    details = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(details)
    assert (status.code, status.message) == (3, "not a request")
    assert [(v.field, v.description) for v in details.field_violations] == [("resource_spans[0]", "é")]


@each_encoding
def test_error_reply_tells_when_to_come_back(encoding: Encoding) -> None:
    """RetryInfo, to the millisecond."""
    status = _status(encoding, error_reply(Failure(Condition.OVERLOADED, "full", 1.25), encoding))
    details = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(details)
    assert details.retry_delay.ToMilliseconds() == 1250


def test_error_reply_in_json_uses_the_words_of_the_mapping() -> None:
    """`@type` and lowerCamelCase, as proto3 JSON has them."""
    assert json.loads(error_reply(Failure(Condition.OVERLOADED, "full", 2.0), Encoding.JSON)) == {
        "code": 14,
        "message": "full",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.000s"}],
    }


@pytest.mark.parametrize(("delay", "header"), [(None, None), (0.2, "1"), (1.0, "1"), (1.01, "2"), (5.0, "5")])
def test_retry_after_is_whole_seconds_and_never_0(delay: float | None, header: str | None) -> None:
    """Rounded up."""
    assert retry_after(Failure(Condition.OVERLOADED, "full", delay)) == header


def test_grpc_trailers_have_both_spellings() -> None:
    """Go, .NET and Rust read the one, the Python SDK the other."""
    trailers = dict(grpc_trailers(Failure(Condition.OVERLOADED, "full", 1.5)))
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert info == error_details_pb2.RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
    assert info.retry_delay.ToMilliseconds() == 1500


def test_grpc_trailers_of_a_permanent_failure_have_no_retry_info() -> None:
    """With it, RESOURCE_EXHAUSTED would be retried."""
    told = failure_of(TooLargeError(1), RNG)
    assert [name for name, _ in grpc_trailers(told)] == ["grpc-status-details-bin"]


# --- encodings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/x-protobuf", Encoding.PROTOBUF),
        ("application/json", Encoding.JSON),
        ("Application/JSON; charset=utf-8", Encoding.JSON),
        (" application/x-protobuf ;messageType=x", Encoding.PROTOBUF),
        ("application/jsonl", None),
        ("text/plain", None),
        ("", None),
    ],
)
def test_encoding_of_a_content_type(content_type: str, encoding: Encoding | None) -> None:
    """Parameters and case do not matter; anything else does."""
    assert encoding_of(content_type) is encoding


@pytest.mark.parametrize(
    ("content_type", "accept", "encoding"),
    [
        ("application/json", "", Encoding.JSON),
        ("application/x-protobuf", "application/json", Encoding.PROTOBUF),
        ("application/x-www-form-urlencoded", "*/*", Encoding.JSON),
        ("text/json", "", Encoding.JSON),
        ("", "application/json", Encoding.JSON),
        ("application/octet-stream", "*/*", Encoding.PROTOBUF),
        ("", "", Encoding.PROTOBUF),
    ],
)
def test_encoding_of_a_refusal(content_type: str, accept: str, encoding: Encoding) -> None:
    """The request's own; else what whoever sent it can probably read."""
    assert encoding_of_refusal(content_type, accept) is encoding
