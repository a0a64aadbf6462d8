"""OTLP/HTTP with clients that others wrote: requests, urllib3, http.client, curl."""

from __future__ import annotations

import gzip
import http.client
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import urllib3

from collector.model.signal import Signal
from tests.support.fake_clock import FakeClock
from tests.support.otlp import request
from tests.support.receiver import Running, running_receiver

NOW = FakeClock().unix_nano()
PROTOBUF = {"Content-Type": "application/x-protobuf"}

with_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with running_receiver() as receiver:
        yield receiver


def body(text: str) -> bytes:
    return request(Signal.LOGS, NOW, text=text).SerializeToString()


def last(running: Running) -> bytes:
    return running.consumers[Signal.LOGS].taken[-1].payload


def test_requests_sends_plain_compressed_and_in_chunks_over_one_connection(running: Running) -> None:
    """What most people's scripts are made of."""
    url = f"http://{running.http}/v1/logs"
    with requests.Session() as session:
        for text, sent, headers in (
            ("plain", body("plain"), {}),
            ("gzip", gzip.compress(body("gzip")), {"Content-Encoding": "gzip"}),
            ("chunks", iter([body("chunks")[:7], body("chunks")[7:]]), {}),
            ("large", body("large" * 200_000), {}),
        ):
            reply = session.post(url, data=sent, headers={**PROTOBUF, **headers}, timeout=20)
            assert (reply.status_code, reply.content) == (200, b"")
            assert last(running)[:40] == body("large" * 200_000 if text == "large" else text)[:40]
        refused = session.post(url, data=b"{", headers={"Content-Type": "application/json"}, timeout=20)
        assert (refused.status_code, refused.json()["code"]) == (400, 3)
        assert session.get(url, timeout=20).headers["Allow"] == "POST"
        assert "connection" not in session.head(url, timeout=20).headers


def test_urllib3_keeps_its_connections_through_refusals(running: Running) -> None:
    """As many connections as threads, however the answers turn out."""
    pool = urllib3.HTTPConnectionPool(
        running.http.partition(":")[0], int(running.http.rpartition(":")[2]), maxsize=4
    )
    with ThreadPoolExecutor(4) as threads:

        def send(number: int) -> int:
            path = "/v1/logs" if number % 5 else "/nowhere"
            return pool.urlopen("POST", path, body(f"urllib3 {number}"), PROTOBUF).status

        statuses = list(threads.map(send, range(400)))
    assert [statuses.count(status) for status in (200, 404)] == [320, 80]
    assert pool.num_connections <= 4
    pool.close()


def test_a_client_that_closes_its_side_is_answered(running: Running) -> None:
    """`printf … | nc`: the end of what it sends is not the end of its interest. Also when a worker takes the body."""
    for text in ("small", "x" * 2_000_000):
        connection = http.client.HTTPConnection(running.http, timeout=20)
        connection.request("POST", "/v1/logs", body(text), PROTOBUF)
        connection.sock.shutdown(1)
        assert connection.getresponse().status == 200
        connection.close()


def curl(running: Running, *arguments: str) -> str:
    """Run curl; return the answer's version, status and number of connections."""
    said = "%{http_version} %{http_code} %{num_connects}\\n"
    header, url = "Content-Type: application/x-protobuf", f"http://{running.http}/v1/logs"
    done = subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "-w", said, *arguments, "-H", header, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@with_curl
@pytest.mark.parametrize(
    "options",
    [
        ["--http1.1"],
        ["--http1.0"],
        ["--http2"],  # offers to upgrade
        ["-H", "Expect: 100-continue", "--expect100-timeout", "50"],
        ["-H", "Transfer-Encoding: chunked"],
        ["-H", "Connection: close"],
    ],
    ids=lambda options: options[-1],
)
def test_curl_is_answered(running: Running, tmp_path: Path, options: list[str]) -> None:
    """In every way that it has of sending a body."""
    content = body(f"curl {options} " + "x" * 100_000)
    (tmp_path / "body").write_bytes(content)
    said = curl(running, *options, "--data-binary", f"@{tmp_path / 'body'}")
    assert said in ("1.1 200 1\n", "1 200 1\n")
    assert last(running) == content


@with_curl
def test_curl_is_told_before_it_sends_too_much(tmp_path: Path) -> None:
    """It waits for 100 Continue with a large body, and gets the refusal instead."""
    (tmp_path / "body").write_bytes(b"x" * 3_000_000)
    with running_receiver(http={"max_request_body_size": 1000}) as running:
        said = curl(running, "-H", "Expect: 100-continue", "--data-binary", f"@{tmp_path / 'body'}")
    assert said == "1.1 413 1\n"


@with_curl
def test_curl_gets_the_answers_to_several_requests_on_one_connection(
    running: Running, tmp_path: Path
) -> None:
    """Keep-alive, as curl sees it."""
    (tmp_path / "body").write_bytes(body("several"))
    url = f"http://{running.http}/v1/logs"
    said = curl(running, "-o", "/dev/null", "--data-binary", f"@{tmp_path / 'body'}", url)
    assert said == "1.1 200 1\n1.1 200 0\n"
