"""What is peculiar to OTLP/HTTP: headers, encodings, slow and vanishing clients."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import pytest
import zstandard
from google.rpc import status_pb2

from collector.model.clock import SystemClock
from collector.model.errors import RetryableError
from collector.model.signal import OPENTELEMETRY, Signal
from collector.wire.json_encode import encode_json
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.otlp import request
from tests.support.raw_http import RawHttp, Response
from tests.support.receiver import Running, running_receiver

NOW: Final = FakeClock().unix_nano()
PROTOBUF: Final = {"Content-Type": "application/x-protobuf"}
JSON: Final = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with running_receiver() as receiver:
        yield receiver


def post(running: Running, path: str, headers: dict[str, str], body: bytes = b"") -> Response:
    with RawHttp.to(running.http) as client:
        return client.request("POST", path, headers, body)


@pytest.mark.parametrize("signal", OPENTELEMETRY)
def test_http_json_becomes_the_same_telemetry(running: Running, signal: Signal) -> None:
    """JSON and protobuf of one request are one thing behind the receiver."""
    message = request(signal, NOW, 2, text="json")
    reply = post(running, signal.http_path, JSON, encode_json(signal, message))
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"{}", "application/json")
    taken = running.consumers[signal].taken[-1]
    assert taken.parse() == message
    assert taken.items == 2


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zlib", zlib.compress),
        ("zstd", zstandard.compress),
        ("identity", bytes),
    ],
)
def test_http_takes_compressed_bodies(
    running: Running, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    """Every coding that is advertised, and otelcol's names for them."""
    body = request(Signal.LOGS, NOW, text=f"compressed {encoding}").SerializeToString()
    reply = post(running, "/v1/logs", {**PROTOBUF, "Content-Encoding": encoding}, compress(body))
    assert reply.status == 200
    assert running.consumers[Signal.LOGS].taken[-1].payload == body


def test_http_names_the_encodings_it_takes() -> None:
    """415 and Accept-Encoding (RFC 9110, section 15.5.16), as far as `compression_algorithms` allows."""
    with running_receiver(http={"compression_algorithms": ("", "gzip")}) as running:
        for encoding in ("br", "zstd"):
            reply = post(running, "/v1/logs", {**PROTOBUF, "Content-Encoding": encoding}, b"x")
            assert (reply.status, reply.headers["accept-encoding"]) == (415, "gzip, identity")
            assert encoding in status_pb2.Status.FromString(reply.body).message


def test_http_without_decompression_takes_plain_bodies_only() -> None:
    """An empty `compression_algorithms` turns it off."""
    with running_receiver(http={"compression_algorithms": ()}) as running:
        body = gzip.compress(b"")
        assert post(running, "/v1/logs", {**PROTOBUF, "Content-Encoding": "gzip"}, body).status == 415
        assert post(running, "/v1/logs", PROTOBUF, b"").status == 200


def test_http_refuses_a_large_body_before_it_is_sent() -> None:
    """Content-Length is enough to know; the client that waits for 100-continue need not send it."""
    with (
        running_receiver(http={"max_request_body_size": 2000}) as running,
        RawHttp.to(running.http) as client,
    ):
        client.send_request(
            "POST", "/v1/logs", {**PROTOBUF, "Content-Length": "2001", "Expect": "100-continue"}
        )
        assert client.read_response().status == 413


def test_http_refuses_a_large_chunked_body_as_it_comes() -> None:
    """Without Content-Length it is counted."""
    with (
        running_receiver(http={"max_request_body_size": 2000}) as running,
        RawHttp.to(running.http) as client,
    ):
        client.send_request("POST", "/v1/logs", {**PROTOBUF, "Transfer-Encoding": "chunked"})
        for _ in range(3):
            client.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        assert client.read_response().status == 413


def test_http_refuses_before_the_body_when_nothing_fits() -> None:
    """Admission by Content-Length: 503 although no byte of the body was sent."""
    with running_receiver(budget=1000) as running, RawHttp.to(running.http) as client:
        running.house.settings.budget.reserve(900)
        client.send_request("POST", "/v1/logs", {**JSON, "Content-Length": "500"})
        reply = client.read_response()
        assert reply.status == 503
        assert 1 <= int(reply.headers["retry-after"]) <= 5
        assert json.loads(reply.body)["code"] == 14


def test_http_gives_up_on_a_body_that_does_not_come() -> None:
    """503, which clients retry, and not 408, which they do not; then the connection ends."""
    with (
        running_receiver(clock=SystemClock(), http={"read_timeout": 0.2}) as running,
        RawHttp.to(running.http) as client,
    ):
        client.send_request("POST", "/v1/logs", {**PROTOBUF, "Content-Length": "100"})
        client.send(b"x")
        assert client.read_response().status == 503
        assert client.closed_by_server()
        assert running.house.settings.budget.used == 0


def test_http_forgets_a_client_that_vanishes() -> None:
    """Half a body, then nothing: the reservation is given back, and the request counted."""
    with running_receiver() as running:
        budget = running.house.settings.budget
        with RawHttp.to(running.http) as client:
            client.send_request("POST", "/v1/logs", {**PROTOBUF, "Content-Length": "100000"})
            client.send(b"x" * 10_000)
            eventually(lambda: budget.used >= 10_000)
        eventually(lambda: budget.used == 0)
        counted = running.house.sample(
            "collector_receiver_rejected_requests_total",
            receiver="otlp",
            transport="http",
            reason="not_received",
        )
        assert counted == 1


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_http_takes_small_and_large_bodies(running: Running, size: int) -> None:
    """On the event loop and in a worker."""
    body = request(Signal.LOGS, NOW, text="y" * size).SerializeToString()
    assert post(running, "/v1/logs", PROTOBUF, body).status == 200
    assert running.consumers[Signal.LOGS].taken[-1].payload == body


def test_http_answers_quickly_while_it_works_on_a_large_body(running: Running) -> None:
    """The event loop does not parse megabytes: another client is served meanwhile."""
    records = encode_json(Signal.LOGS, request(Signal.LOGS, NOW, 60_000, text="large"))
    with RawHttp.to(running.http) as large, RawHttp.to(running.http) as small:
        large.send_request("POST", "/v1/logs", JSON, records)
        large.socket.setblocking(False)
        served = 0
        while served < 1000:
            assert small.request("POST", "/v1/logs", PROTOBUF, b"").status == 200
            served += 1
            try:
                assert large.socket.recv(1)
                break
            except BlockingIOError:
                continue
    assert served > 3


def test_http_adds_the_headers_it_was_told_to() -> None:
    """`response_headers`, on success and on refusal; and connections end after an answer if that is wanted."""
    options = {"response_headers": {"X-Served-By": "collector"}, "keep_alives_enabled": False}
    with running_receiver(http=options) as running:
        for path in ("/v1/logs", "/nowhere"):
            reply = post(running, path, PROTOBUF)
            assert (reply.headers["x-served-by"], reply.headers["connection"]) == ("collector", "close")


def test_http_serves_the_paths_it_was_told_to() -> None:
    """`traces_url_path`; the usual path is then unknown, and the answer names the new one."""
    with running_receiver(http={"traces_url_path": "/collect/traces"}) as running:
        assert post(running, "/collect/traces", PROTOBUF).status == 200
        assert b"/collect/traces" in post(running, "/v1/traces", PROTOBUF).body


def test_http_refusal_names_the_right_delay_in_both_places() -> None:
    """Retry-After is whole seconds; RetryInfo in the body is exact."""
    with running_receiver() as running:
        running.consumers[Signal.LOGS].error = RetryableError("full", reason="q", retry_after_s=2.5)
        reply = post(running, "/v1/logs", JSON, encode_json(Signal.LOGS, request(Signal.LOGS, NOW)))
    assert reply.headers["retry-after"] == "3"
    [detail] = json.loads(reply.body)["details"]
    assert detail["retryDelay"] == "2.500s"
