"""The admin server, over a real socket."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from collector.pipeline.http import HttpLimits
from collector.service.admin import AdminApp, Endpoint, Errands, Question, Reply, json_reply, text_reply
from collector.service.http import HttpLoop
from collector.service.supervisor import Supervisor
from tests.support.eventually import eventually
from tests.support.raw_http import RawHttp
from tests.support.recording_log import RecordingLog


@dataclass(slots=True)
class Server:
    """A running admin server."""

    endpoint: str
    supervisor: Supervisor
    hold: threading.Event

    def ask(
        self, path: str, method: str = "GET", body: bytes | Iterator[bytes] | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection(self.endpoint, timeout=10)
        try:
            connection.request(method, path, body, headers, encode_chunked=True)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()


def _fail(question: Question) -> Reply:
    raise KeyError("no such thing")


@pytest.fixture
def server(recorded: RecordingLog) -> Iterator[Server]:
    supervisor = Supervisor(recorded.log)
    loop, errands, hold = HttpLoop(supervisor.spawn), Errands(), threading.Event()

    def slow(question: Question) -> Reply:
        hold.wait(10)
        return text_reply(200, f"answered in {threading.current_thread().name}")

    endpoints = {
        "/livez": Endpoint(about="whether it lives", answer=lambda _: text_reply(200, "ok")),
        "/healthz": Endpoint(about="how it is", answer=lambda _: json_reply(503, {"status": "failed"})),
        "/broken": Endpoint(about="a mistake", answer=_fail),
        "/slow": Endpoint(about="takes long", answer=slow, blocking=True),
        "/slow/broken": Endpoint(about="a mistake elsewhere", answer=_fail, blocking=True),
        "/asked": Endpoint(
            about="what it was asked",
            answer=lambda question: json_reply(
                200, {"query": question.query, "last": question.parameter("x"), "body": len(question.body)}
            ),
            methods=("GET", "POST"),
            body_bytes_max=2_000_000,
            blocking=True,
        ),
        "/below": Endpoint(
            about="what is below", answer=lambda question: text_reply(200, question.path), below=True
        ),
    }
    listener = loop.serve(AdminApp(endpoints, errands, recorded.log), "127.0.0.1:0", HttpLimits())
    supervisor.spawn("admin", errands.run)
    yield Server(listener.endpoint, supervisor, hold)
    hold.set()
    listener.stop(1)
    errands.stop()
    loop.close()


def test_an_endpoint_answers(server: Server) -> None:
    """Status, type and body are the endpoint's; nothing is to be cached."""
    status, headers, body = server.ask("/healthz")
    assert (status, json.loads(body)) == (503, {"status": "failed"})
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"


def test_a_trailing_slash_and_a_query_make_no_difference(server: Server) -> None:
    """Probes are written by hand."""
    assert server.ask("/livez/")[0] == 200
    assert server.ask("/livez?verbose=1")[0] == 200


def test_head_answers_without_a_body(server: Server) -> None:
    """RFC 9110, 9.3.2: the same headers."""
    status, headers, body = server.ask("/livez", "HEAD")
    assert (status, headers["content-length"], body) == (200, "3", "")


def test_an_unknown_path_lists_what_there_is(server: Server) -> None:
    """Somebody who mistypes learns the right name."""
    status, _, body = server.ask("/health")
    assert status == 404
    assert "/healthz      how it is" in body
    assert server.ask("/")[0] == 200


def test_nothing_can_be_written(server: Server) -> None:
    """The admin server only tells."""
    status, headers, _ = server.ask("/livez", "POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_an_endpoint_is_given_the_query_and_the_body(server: Server) -> None:
    """Decoded, in order, and all of several; an endpoint that wants neither need not look."""
    status, _, body = server.ask("/asked/?x=1&y=a%20b&x=2&z=", "POST", b"p" * 1_500_000)
    assert status == 200
    assert json.loads(body) == {
        "query": {"x": ["1", "2"], "y": ["a b"], "z": [""]},
        "last": "2",
        "body": 1_500_000,
    }
    assert json.loads(server.ask("/asked")[2]) == {"query": {}, "last": "", "body": 0}
    assert server.ask("/livez", "GET", b"nobody wants this")[0] == 200


def test_an_endpoint_can_have_the_paths_below_it(server: Server) -> None:
    """Decoded; others have their own only."""
    assert server.ask("/below/a%20b/c/")[2] == "/below/a b/c\n"
    assert server.ask("/below")[0] == 200
    assert server.ask("/belowground")[0] == 404
    assert server.ask("/livez/below")[0] == 404


def test_a_web_page_can_only_read(server: Server) -> None:
    """Browsers say where a request comes from that somebody else's page makes them send."""
    assert server.ask("/asked", "POST", b"x", Origin="https://example.com")[0] == 403
    assert server.ask("/asked", Origin="https://example.com")[0] == 200


def test_a_body_is_bounded_by_its_endpoint(server: Server) -> None:
    """Told by its length, or counted as it comes."""
    assert server.ask("/asked", "POST", b"x" * 2_000_001)[0] == 413
    assert server.ask("/asked", "POST", iter([b"x" * 500_000] * 5))[0] == 413
    assert server.ask("/asked", "POST", iter([b"x" * 500_000] * 4))[0] == 200


def test_bodies_are_bounded_together(server: Server) -> None:
    """Who sends much and does not finish keeps the others out for a moment, and fills no memory."""
    waiting = []
    for _ in range(30):
        client = RawHttp.to(server.endpoint)
        client.send(b"POST /asked HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1_900_000)
        waiting.append(client)
    eventually(lambda: server.ask("/asked", "POST", b"x" * 2_000_000)[0] == 503)
    for client in waiting:
        client.close()
    eventually(lambda: server.ask("/asked", "POST", b"x" * 2_000_000)[0] == 200)


@pytest.mark.parametrize("path", ["/broken", "/slow/broken"])
def test_a_failing_endpoint_is_a_500_and_a_log_line(
    server: Server, recorded: RecordingLog, path: str
) -> None:
    """The message does not go out: it could quote anything."""
    status, _, body = server.ask(path)
    assert status == 500
    assert "no such thing" not in body
    assert recorded.messages("error") == ["An admin endpoint failed."]
    assert server.ask("/livez")[0] == 200


def test_a_slow_question_does_not_hold_up_the_others(server: Server) -> None:
    """A liveness probe must be answered while a database is asked that does not answer."""
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(server.ask("/slow")[2]), daemon=True)
    asking.start()
    eventually(lambda: server.ask("/livez")[0] == 200)
    assert not answers
    server.hold.set()
    asking.join(10)
    assert answers == ["answered in admin\n"]


def test_slow_questions_do_not_pile_up(server: Server) -> None:
    """A bound, and an answer at once for those beyond it."""
    statuses: list[int] = []
    asking = [
        threading.Thread(target=lambda: statuses.append(server.ask("/slow")[0]), daemon=True)
        for _ in range(20)
    ]
    for thread in asking:
        thread.start()
    eventually(lambda: len(statuses) >= 10)
    assert set(statuses) == {503}
    server.hold.set()
    for thread in asking:
        thread.join(10)
    assert sorted(set(statuses)) == [200, 503]
