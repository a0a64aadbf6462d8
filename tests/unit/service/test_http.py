"""The HTTP host, over real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from collector.pipeline.component import StartError
from collector.pipeline.http import HttpHandler, HttpLimits, HttpPeer
from collector.service.http import HttpLoop, Listener
from collector.wire.http1 import Request
from tests.support.eventually import eventually
from tests.support.http_handlers import answering
from tests.support.raw_http import RawHttp

GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"


def spawn(name: str, body: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=body, name=name, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def host() -> Iterator[HttpLoop]:
    loop = HttpLoop(spawn)
    yield loop
    loop.close()


def thread_name(request: Request) -> bytes:
    return threading.current_thread().name.encode()


def refuse(peer: HttpPeer, request: Request) -> None:
    """A handler that wants no body."""
    peer.answer(request, 413, b"", b"too large")


def waiting_for(release: threading.Event, started: threading.Event | None = None) -> HttpHandler:
    """A handler whose answer comes from a thread that waits."""

    def begin(peer: HttpPeer, request: Request) -> None:
        def work() -> None:
            if started is not None:
                started.set()
            release.wait(20)
            with contextlib.suppress(RuntimeError):  # the test is over
                peer.loop.call_soon_threadsafe(peer.answer, request, 200, b"", b"done")

        threading.Thread(target=work, daemon=True).start()

    return answering(whole=begin)


def serve(host: HttpLoop, handler: HttpHandler | None = None, **limits: float) -> Listener:
    handler = handler or answering(thread_name)
    return host.serve(handler, "127.0.0.1:0", HttpLimits(**limits))  # type: ignore[arg-type]


def test_http_loop_serves_several_listeners_in_one_thread(host: HttpLoop) -> None:
    """Receiver and admin share the loop: one thread for all of HTTP."""
    answers = []
    for listener in (serve(host), serve(host)):
        with RawHttp.to(listener.endpoint) as client:
            answers.append(client.request("GET", "/").body)
    assert answers == [b"http", b"http"]


def test_http_loop_tells_the_real_port_when_asked_for_any(host: HttpLoop) -> None:
    """The banner and the tests need the port that port 0 became."""
    assert int(serve(host).endpoint.rpartition(":")[2]) > 0


def test_http_loop_names_port_holder_and_remedy_when_the_port_is_in_use(host: HttpLoop) -> None:
    """A port in use is the most common failure of a start: the message must be enough to solve it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError) as caught:
            host.serve(answering(thread_name), f"127.0.0.1:{port}", HttpLimits())
    message = str(caught.value)
    assert f"port {port} is in use" in message
    assert "(process " in message
    assert "'endpoint'" in message


@pytest.mark.parametrize("endpoint", ["127.0.0.1", "nonsense", "127.0.0.1:99999", "http://127.0.0.1:1"])
def test_http_loop_refuses_what_is_no_endpoint(host: HttpLoop, endpoint: str) -> None:
    """`serve` may be given text that no configuration has checked."""
    with pytest.raises(StartError, match="is not an endpoint"):
        host.serve(answering(thread_name), endpoint, HttpLimits())


def test_http_loop_serves_again_on_a_port_it_has_left(host: HttpLoop) -> None:
    """A restart must not wait for connections in TIME_WAIT."""
    listener = serve(host)
    with RawHttp.to(listener.endpoint) as client:
        client.request("GET", "/")
        listener.stop(1.0)
    again = host.serve(answering(thread_name), listener.endpoint, HttpLimits())
    with RawHttp.to(again.endpoint) as client:
        assert client.request("GET", "/").status == 200


def test_http_loop_keeps_a_connection_for_a_thousand_requests(host: HttpLoop) -> None:
    """HTTP/1.1 keep-alive: what every SDK does."""
    with RawHttp.to(serve(host).endpoint) as client:
        assert {client.request("POST", "/", body=b"x" * 100).status for _ in range(1000)} == {200}


def test_http_loop_answers_pipelined_requests_in_order(host: HttpLoop) -> None:
    """Requests sent without waiting are answered one by one, in order (RFC 9112, section 9.3.2)."""
    handler = answering(lambda request: request.path.encode())
    with RawHttp.to(serve(host, handler).endpoint) as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: t\r\n\r\n" % n for n in range(20)))
        assert [client.read_response().body for _ in range(20)] == [b"/%d" % n for n in range(20)]


def test_http_loop_closes_a_connection_whose_header_is_slow(host: HttpLoop) -> None:
    """Slow loris: one byte after the other does not extend the deadline for the header."""
    with RawHttp.to(serve(host, read_header_timeout_s=0.4).endpoint) as client:
        client.socket.settimeout(0.05)

        def dribble() -> bool:
            try:
                client.send(b"X")
                return client.socket.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        client.send(b"GET / HTTP/1.1\r\nX-Slow: ")
        eventually(dribble, within_s=10.0, what="closing a slow connection")


def test_http_loop_closes_a_connection_that_idles(host: HttpLoop) -> None:
    """Also one that never sent anything."""
    listener = serve(host, idle_timeout_s=0.2)
    with RawHttp.to(listener.endpoint) as silent, RawHttp.to(listener.endpoint) as served:
        served.request("GET", "/")
        assert silent.closed_by_server()
        assert served.closed_by_server()


def test_http_loop_does_not_count_work_as_idling(host: HttpLoop) -> None:
    """A request that takes longer than the idle and header timeouts is answered all the same."""
    release = threading.Event()
    limits = {"idle_timeout_s": 0.1, "read_header_timeout_s": 0.1, "read_timeout_s": 0.1}
    listener = serve(host, waiting_for(release), **limits)
    with RawHttp.to(listener.endpoint) as client:
        client.send(GET)
        threading.Timer(0.5, release.set).start()
        assert client.read_response().body == b"done"


def test_http_loop_refuses_a_header_without_end(host: HttpLoop) -> None:
    """The header is bounded, so that it cannot fill the memory."""
    with RawHttp.to(serve(host).endpoint) as client:
        client.send(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 100_000)
        response = client.read_response()
        assert response.status == 431
        assert "header exceeds" in json.loads(response.body)["message"]
        assert client.closed_by_server()


def test_http_loop_answers_what_is_not_http_with_a_status(host: HttpLoop) -> None:
    """Garbage gets 400 and a `google.rpc.Status`, then the connection ends."""
    with RawHttp.to(serve(host).endpoint) as client:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        response = client.read_response()
        assert response.status == 400
        assert response.headers["content-type"] == "application/json"
        assert json.loads(response.body)["code"] == 3
        assert client.closed_by_server()


def test_http_loop_tells_an_http2_client_where_it_is(host: HttpLoop) -> None:
    """A gRPC client at the HTTP port gets a GOAWAY whose debug text names the other port."""
    with RawHttp.to(serve(host).endpoint) as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        received = b""
        while data := client.read_raw(4096):
            received += data
    assert received[3:4] == b"\x04"  # SETTINGS
    assert received[12:13] == b"\x07"  # GOAWAY
    assert b"4317" in received


def test_http_loop_makes_room_by_closing_the_connection_that_idles_longest(host: HttpLoop) -> None:
    """Idle connections never keep a new client out."""
    listener = serve(host, connections_max=3)
    idle = [RawHttp.to(listener.endpoint) for _ in range(3)]
    for client in idle:
        client.request("GET", "/")
    with RawHttp.to(listener.endpoint) as newcomer:
        assert newcomer.request("GET", "/").status == 200
    assert idle[0].closed_by_server()
    assert idle[1].request("GET", "/").status == 200
    for client in idle:
        client.close()


def test_http_loop_answers_503_when_every_connection_is_busy(host: HttpLoop) -> None:
    """Beyond the bound a client is told to come again, in the form OTLP clients understand."""
    release = threading.Event()
    listener = serve(host, waiting_for(release), connections_max=2)
    working = [RawHttp.to(listener.endpoint) for _ in range(2)]
    for client in working:
        client.send(GET)
    eventually(lambda: listener.connections == 2)
    with RawHttp.to(listener.endpoint) as newcomer:
        response = newcomer.read_response()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert json.loads(response.body)["code"] == 14
    release.set()
    for client in working:
        assert client.read_response().status == 200
        client.close()


def test_http_loop_lets_a_client_finish_a_body_that_was_refused(host: HttpLoop) -> None:
    """Closing while the client still sends would reset the connection, and the answer would be lost."""
    with RawHttp.to(serve(host, refuse).endpoint) as client:
        assert client.request("POST", "/", body=b"x" * 8_000_000).status == 413
        assert client.request("POST", "/", body=b"x").status == 413  # and the connection is still good


def test_http_loop_ends_a_client_that_never_finishes_a_refused_body(host: HttpLoop) -> None:
    """The patience has an end."""
    with RawHttp.to(serve(host, refuse).endpoint) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nx")
        assert client.read_response().status == 413
        assert client.closed_by_server()


def test_http_loop_ends_a_client_that_does_not_read_its_answer(host: HttpLoop) -> None:
    """An answer larger than the kernel's buffers waits for its reader only so long."""
    listener = serve(host, answering(lambda request: b"x" * 50_000_000), write_timeout_s=0.3)
    with RawHttp.to(listener.endpoint) as client:
        client.send(GET)
        eventually(lambda: listener.connections == 1)
        eventually(lambda: listener.connections == 0, what="giving up the connection")


def test_http_listener_stop_answers_what_is_running(host: HttpLoop) -> None:
    """Graceful: new connections are refused, running requests get their answer, then all is closed."""
    started, release = threading.Event(), threading.Event()
    listener = serve(host, waiting_for(release, started))
    with RawHttp.to(listener.endpoint) as running, RawHttp.to(listener.endpoint) as idle:
        running.send(GET)
        assert started.wait(20)
        stopping = threading.Thread(target=listener.stop, args=(20.0,))
        stopping.start()
        assert idle.closed_by_server()
        with pytest.raises(ConnectionError):
            RawHttp.to(listener.endpoint, timeout_s=1.0).request("GET", "/")
        release.set()
        response = running.read_response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        stopping.join(20)
    listener.stop(1.0)


def test_http_listener_stop_gives_no_answer_after_the_grace(host: HttpLoop) -> None:
    """A request cut off gets no answer: a client sends that again, while a 500 would make it drop its data."""
    listener = serve(host, waiting_for(threading.Event()))
    with RawHttp.to(listener.endpoint) as client:
        client.send(GET)
        eventually(lambda: listener.connections == 1)
        listener.stop(0.1)
        assert client.closed_by_server()
        assert listener.connections == 0


def test_http_loop_close_ends_its_thread() -> None:
    """Nothing is left running, also when it is closed twice or was never used."""
    threads: list[threading.Thread] = []

    def remember(name: str, body: Callable[[], None]) -> threading.Thread:
        threads.append(spawn(name, body))
        return threads[-1]

    loop = HttpLoop(remember)
    listener = serve(loop)
    loop.close()
    loop.close()
    listener.stop(1.0)
    assert [thread.is_alive() for thread in threads] == [False]
    with pytest.raises(StartError, match="shut down"):
        serve(loop)
    HttpLoop(remember).close()
