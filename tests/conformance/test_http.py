"""Rows H: OTLP/HTTP."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
import zstandard
from google.rpc import error_details_pb2

from collector.model.signal import OPENTELEMETRY, Signal
from collector.receivers.otlp.config import HttpConfig
from collector.wire.json_encode import encode_json
from tests.conformance.target import JSON, PROTOBUF, Target, header_fields, new_case, sample, status_of
from tests.support.eventually import eventually
from tests.support.raw_http import RawHttp, Response
from tests.support.raw_http2 import RawHttp2

every_signal = pytest.mark.parametrize("signal", OPENTELEMETRY)
both_encodings = pytest.mark.parametrize("encoding", [PROTOBUF, JSON], ids=["protobuf", "json"])

RETRYABLE = {429, 502, 503, 504}


def logs(case: str, encoding: str = PROTOBUF, items: int = 1) -> bytes:
    """A valid request for logs."""
    message = sample(Signal.LOGS, case, items)
    return encode_json(Signal.LOGS, message) if encoding == JSON else message.SerializeToString()


@pytest.mark.row("H1")
def test_a_connection_serves_a_thousand_requests(target: Target) -> None:
    """One after the other."""
    with target.connect() as client:
        answers = {
            client.request("POST", "/v1/logs", header_fields(PROTOBUF), b"").status for _ in range(1000)
        }
    assert answers == {200}


@pytest.mark.row("H1")
def test_pipelined_requests_are_answered_in_order(target: Target, case: str) -> None:
    """Good and bad ones sent at once."""
    with target.connect() as client:
        for body in (logs(case), b"\xff", logs(new_case())):
            client.send_request("POST", "/v1/logs", header_fields(PROTOBUF), body)
        assert [client.read_response().status for _ in range(3)] == [200, 400, 200]


@pytest.mark.row("H1")
def test_chunked_bodies_are_taken(target: Target, case: str) -> None:
    """Without Content-Length, in chunks of three bytes."""
    body = logs(case)
    with target.connect() as client:
        client.send_request("POST", "/v1/logs", {**header_fields(PROTOBUF), "Transfer-Encoding": "chunked"})
        for start in range(0, len(body), 3):
            piece = body[start : start + 3]
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        assert client.read_response().status == 200
    stored = target.stored(Signal.LOGS, case)
    assert stored is None or len(stored.ListFields()) == 1


@pytest.mark.row("H1")
def test_expect_100_continue_is_answered(target: Target, case: str) -> None:
    """Curl asks so for bodies over 1 MiB."""
    body = logs(case)
    with target.connect() as client:
        client.send_request(
            "POST",
            "/v1/logs",
            {**header_fields(PROTOBUF), "Expect": "100-continue", "Content-Length": str(len(body))},
        )
        assert client.read_response().status == 100
        client.send(body)
        assert client.read_response().status == 200


@pytest.mark.row("H2")
def test_default_port(target: Target) -> None:
    """Ours is asked for its default; of another server, where it was found to listen must be it."""
    endpoint = HttpConfig().endpoint if target.own else target.http_endpoint
    assert endpoint.rpartition(":")[2] == "4318"


@pytest.mark.row("H2")
@pytest.mark.parametrize(
    ("signal", "path"),
    [(Signal.TRACES, "/v1/traces"), (Signal.METRICS, "/v1/metrics"), (Signal.LOGS, "/v1/logs")],
)
def test_paths(target: Target, case: str, signal: Signal, path: str) -> None:
    """Written out here, as the specification has them."""
    assert target.post(path, sample(signal, case).SerializeToString()).status == 200


@pytest.mark.row("H3")
@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-protobuf",
        "application/x-protobuf; charset=utf-8",
        "Application/X-Protobuf;charset=UTF-8",
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8; x=y",
        "APPLICATION/JSON",
    ],
)
def test_media_types(target: Target, case: str, content_type: str) -> None:
    """Parameters and case are of no importance (RFC 9110, section 8.3.1)."""
    body = logs(case, JSON if "json" in content_type.lower() else PROTOBUF)
    assert target.post("/v1/logs", body, content_type).status == 200


@pytest.mark.row("H4")
@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/xml", "application/octet-stream", "text/json", "*/*", "a" * 500],
)
def test_other_media_types_are_415_with_a_status(target: Target, content_type: str | None) -> None:
    """And a message that names the two."""
    response = target.post("/v1/logs", b"", content_type)
    assert response.status == 415
    message = status_of(response).message
    assert "application/x-protobuf" in message
    assert "application/json" in message


@pytest.mark.row("H4")
@pytest.mark.parametrize(
    ("content_type", "accept"),
    [("text/json", "*/*"), ("text/plain", "*/*"), ("image/png", "application/json")],
)
def test_415_is_json_for_who_seems_to_like_it(target: Target, content_type: str, accept: str) -> None:
    """A person with curl reads no protobuf."""
    assert json.loads(target.post("/v1/logs", b"", content_type, Accept=accept).body)["message"]


@pytest.mark.row("H5")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_other_methods_are_405_with_allow(target: Target, method: str) -> None:
    """A browser's GET, too."""
    with target.connect() as client:
        response = client.request(method, "/v1/traces")
    assert (response.status, response.headers["allow"]) == (405, "POST")
    if method == "HEAD":
        assert response.body == b""
    else:
        assert "POST" in status_of(response).message


@pytest.mark.row("H5")
@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/trace", "/v1/traces"),
        ("/v1/traces/", "/v1/traces"),
        ("//v1/traces", "/v1/traces"),
        ("/v1/metric", "/v1/metrics"),
        ("/logs", "/v1/logs"),
        ("/v1/v1/logs", "/v1/logs"),
        ("/", "/v1/traces"),
        ("/v1/traces%20", "/v1/traces"),
    ],
)
@both_encodings
def test_unknown_paths_are_404_with_a_hint(target: Target, path: str, hint: str, encoding: str) -> None:
    """The commonest slips of a beginner."""
    response = target.post(path, b"", encoding)
    assert (response.status, response.headers["content-type"]) == (404, encoding)
    assert hint in status_of(response).message


@pytest.mark.row("H5")
def test_profiles_are_404_with_a_reason(target: Target) -> None:
    """A signal of OTLP that is not taken."""
    response = target.post("/v1development/profiles", b"")
    assert response.status == 404
    assert "profiles" in status_of(response).message


def answers(target: Target, encoding: str) -> dict[str, Response]:
    """One of each kind that can be had from any server."""
    partial = sample(Signal.TRACES, new_case(), 1, bad=1)
    return {
        "success": target.post("/v1/logs", logs(new_case(), encoding), encoding),
        "partial": target.post(
            "/v1/traces",
            encode_json(Signal.TRACES, partial) if encoding == JSON else partial.SerializeToString(),
            encoding,
        ),
        "malformed": target.post("/v1/logs", b"\xff", encoding),
        "too large": target.post("/v1/logs", b" " * (target.size_max + 1), encoding),
        "not found": target.post("/v1/nothing/like/it", b"", encoding),
        "encoding": target.post("/v1/logs", b"x", encoding, Content_Encoding="br"),
        "broken gzip": target.post("/v1/logs", b"x", encoding, Content_Encoding="gzip"),
    }


@pytest.mark.row("H6")
@both_encodings
def test_response_has_the_content_type_of_the_request(target: Target, encoding: str) -> None:
    """Of all that are answered."""
    types = {kind: response.headers["content-type"] for kind, response in answers(target, encoding).items()}
    assert types == dict.fromkeys(types, encoding)


@pytest.mark.row("H7")
@both_encodings
@every_signal
def test_success_is_200_with_the_response_message(target: Target, signal: Signal, encoding: str) -> None:
    """Not 202, not 204."""
    message = sample(signal, new_case())
    body = encode_json(signal, message) if encoding == JSON else message.SerializeToString()
    response = target.post(signal.http_path, body, encoding)
    assert response.status == 200
    assert int(response.headers["content-length"]) == len(response.body)
    if encoding == JSON:
        assert isinstance(json.loads(response.body), dict)
    else:
        signal.response_type().FromString(response.body)


@pytest.mark.row("H8")
@both_encodings
def test_every_refusal_is_a_status(target: Target, encoding: str) -> None:
    """In the encoding of the request, with a message for people."""
    refusals = {kind: r for kind, r in answers(target, encoding).items() if r.status >= 400}
    assert {kind: r.status for kind, r in refusals.items()} == {
        "malformed": 400,
        "too large": 413,
        "not found": 404,
        "encoding": 415,
        "broken gzip": 400,
    }
    for response in refusals.values():
        status = status_of(response)
        assert status.code > 0
        assert len(status.message) > 10


@pytest.mark.row("H8")
@both_encodings
def test_overload_is_a_status(overloaded: Target, encoding: str) -> None:
    """With the delay as RetryInfo."""
    response = overloaded.post("/v1/logs", logs(new_case(), encoding, 4000), encoding)
    assert (response.status, response.headers["content-type"]) == (503, encoding)
    if encoding == JSON:
        status = json.loads(response.body)
        assert status["code"] == 14
        [detail] = status["details"]
        assert detail["@type"].endswith("google.rpc.RetryInfo")
    else:
        info = error_details_pb2.RetryInfo()
        assert status_of(response).details[0].Unpack(info)
        assert info.retry_delay.seconds >= 1


@pytest.mark.row("H9")
@every_signal
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (PROTOBUF, b"\xff\xff"),
        (PROTOBUF, b"\x0a\x05ab"),
        (PROTOBUF, b"\x0a"),
        (PROTOBUF, b'{"resourceLogs":[]}'),
        (JSON, b"\x0a\x02\x0a\x00"),
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b'{"resourceLogs":{}} trailing'),
        (JSON, b"[]"),
        (JSON, b"null"),
        (JSON, b'"text"'),
        (JSON, b"\xff\xfe{\x00}\x00"),
        (JSON, b'{"a": 01}'),
    ],
)
def test_malformed_bodies_are_400_with_bad_request(
    target: Target, signal: Signal, encoding: str, body: bytes
) -> None:
    """Truncated, the other encoding, trailing rubbish, no object."""
    response = target.post(signal.http_path, body, encoding)
    assert response.status == 400
    status: Any = status_of(response)
    assert status.code == 3
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in status.details)
    assert bad_request.field_violations[0].description


@pytest.mark.row("H9")
@every_signal
def test_truncated_requests_are_400(target: Target, case: str, signal: Signal) -> None:
    """Wherever they are cut, but where a shorter one ends."""
    body = sample(signal, case).SerializeToString()
    for size in range(1, len(body), 7):
        assert target.post(signal.http_path, body[:size]).status == 400


@pytest.mark.row("H9")
@pytest.mark.parametrize(
    ("sent", "path"), [(a, b) for a in OPENTELEMETRY for b in OPENTELEMETRY if a is not b]
)
def test_a_signal_at_the_path_of_another_is_400(target: Target, sent: Signal, path: Signal) -> None:
    """And not stored as rubbish; the message says which it is."""
    response = target.post(path.http_path, sample(sent, new_case(), 3).SerializeToString())
    assert response.status == 400
    assert sent.value in status_of(response).message


@pytest.mark.row("H10")
@both_encodings
def test_lasting_failures_are_not_retryable(target: Target, encoding: str) -> None:
    """And none of them is 500 or 408."""
    statuses = {response.status for response in answers(target, encoding).values()}
    assert statuses.isdisjoint(RETRYABLE | {408, 500})


@pytest.mark.row("H10")
def test_passing_failures_are_retryable(overloaded: Target) -> None:
    """A full queue."""
    assert overloaded.post("/v1/logs", logs(new_case(), items=4000)).status in RETRYABLE


@pytest.mark.row("H11")
def test_a_body_that_stops_is_not_answered_as_if_it_were_bad(target: Target) -> None:
    """Closed, or told to come back; anything else would make the client drop what it has."""
    with target.connect(timeout_s=target.header_timeout_s * 2) as client:
        client.send_request("POST", "/v1/logs", {**header_fields(PROTOBUF), "Content-Length": "1000"})
        client.send(b"\x0a")
        try:
            status = client.read_response().status
        except (EOFError, ConnectionError):
            status = 503
    assert status in RETRYABLE


@pytest.mark.row("H12")
def test_overload_has_a_retry_after(overloaded: Target) -> None:
    """Whole seconds, at least one, at most five."""
    response = overloaded.post("/v1/logs", logs(new_case(), items=4000))
    assert response.status == 503
    assert 1 <= int(response.headers["retry-after"]) <= 5


CODECS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.compress}


@pytest.mark.row("H13")
@pytest.mark.parametrize("name", CODECS)
def test_content_encodings(target: Target, name: str) -> None:
    """Valid, empty, truncated, rubbish behind the end, not compressed at all, too large when inflated."""
    compress: Any = CODECS[name]

    def post(body: bytes) -> int:
        return target.post("/v1/logs", body, Content_Encoding=name).status

    plain = logs(new_case())
    assert post(compress(plain)) == 200
    assert post(compress(b"")) == 200
    assert post(b"") == 200
    assert post(compress(plain)[:-5]) == 400
    assert post(compress(plain) + b"rubbish") == 400
    assert post(plain) == 400
    assert post(compress(b"x" * (target.size_max + 1))) == 413


@pytest.mark.row("H13")
def test_gzip_members_are_concatenated(target: Target) -> None:
    """RFC 1952, section 2.2."""
    first, second = logs(new_case()), logs(new_case())
    body = gzip.compress(first) + gzip.compress(second)
    assert target.post("/v1/logs", body, Content_Encoding="gzip").status == 200


@pytest.mark.row("H13")
def test_identity_is_no_encoding(target: Target) -> None:
    """Explicitly none."""
    assert target.post("/v1/logs", logs(new_case()), Content_Encoding="identity").status == 200


@pytest.mark.row("H13")
@pytest.mark.parametrize("name", ["br", "compress", "unknown", "gzip, gzip"])
def test_unknown_encodings_are_415_with_accept_encoding(target: Target, name: str) -> None:
    """RFC 9110, section 15.5.16."""
    response = target.post("/v1/logs", b"x", Content_Encoding=name)
    assert response.status == 415
    assert "gzip" in response.headers["accept-encoding"]


@pytest.mark.row("H18")
def test_slow_headers_are_cut_off(target: Target) -> None:
    """A byte now and then does not keep a connection."""
    with target.connect(timeout_s=0.1) as client:
        client.send(b"POST /v1/logs HTTP/1.1\r\nX-Slow: ")

        def cut_off() -> bool:
            try:
                client.send(b"x")
                return client.read_raw(4096) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        eventually(cut_off, within_s=target.header_timeout_s)


@pytest.mark.row("H18")
def test_slow_bodies_are_cut_off(target: Target) -> None:
    """The same for bodies."""
    with target.connect(timeout_s=0.1) as client:
        client.send_request("POST", "/v1/logs", {**header_fields(PROTOBUF), "Content-Length": "100000"})

        def cut_off() -> bool:
            try:
                client.send(b"x")
                return client.read_raw(4096) != b"-"
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        eventually(cut_off, within_s=target.header_timeout_s)


@pytest.mark.row("H18")
def test_idle_connections_keep_nobody_out(target: Target) -> None:
    """Five hundred that were used once and are silent since."""
    idle: list[RawHttp] = []
    try:
        for _ in range(500):
            client = target.connect()
            idle.append(client)
        assert target.post("/v1/logs", logs(new_case())).status == 200
        assert target.call(Signal.LOGS, b"").message == b""
    finally:
        for client in idle:
            client.close()


@pytest.mark.row("H20")
def test_grpc_content_type_names_the_other_port(target: Target) -> None:
    """A gRPC client that speaks HTTP/1.1, through a proxy."""
    response = target.post("/v1/logs", b"", "application/grpc")
    assert response.status == 415
    assert "4317" in status_of(response).message


@pytest.mark.row("H20")
def test_grpc_client_at_the_http_port_is_told(target: Target) -> None:
    """The debug text of the GOAWAY is what clients show."""
    with RawHttp2(target.http_endpoint) as client:
        for _ in client.frames():
            pass
    assert client.goaway is not None
    assert b"4317" in client.goaway
