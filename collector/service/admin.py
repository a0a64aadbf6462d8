"""The admin server: is it alive, is it ready, how is every part, what has it counted, what is the database.

    GET /livez          the event loop turns and the main thread ticks; for a liveness probe
    GET /readyz         listening, and every sending queue has room; not "the database is up"
    GET /healthz        every component's state, and what a 200 means; JSON
    GET /metrics        Prometheus text
    GET /database/info  the databases that exporters write to; JSON
    GET /allocation     costs, as OpenCost answers; /allocation/compute, /allocation/summary

and what costs may be, and are (`service.policies`): /policies, /policy/evaluate, /analyses. Nothing here is secret; only
policies can be changed, never by a web page, and where the endpoint is not on loopback only if that is said.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import msgspec

from collector.model.errors import RetryableError
from collector.pipeline.admission import ByteBudget
from collector.pipeline.http import HttpLimits
from collector.service.exposition import CONTENT_TYPE
from collector.wire.http1 import header_lines

if TYPE_CHECKING:
    import asyncio

    from structlog.typing import FilteringBoundLogger

    from collector.pipeline.component import HttpHost, HttpListener
    from collector.pipeline.http import HttpPeer
    from collector.wire.http1 import Request

_JSON: Final = "application/json"
_READING: Final = ("GET", "HEAD")
_TEXT: Final = "text/plain; charset=utf-8"
# A database that does not answer is reported as that; whoever asked does not wait for ever.
_BLOCKING_TIMEOUT_S: Final = 10.0
# Bodies that are being sent here, all together.
_BODIES_BYTES_MAX: Final = 32 * 1024 * 1024
# How long answers that are being given may take when the server stops.
_STOP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answers."""

    status: int
    content_type: str
    body: bytes


def text_reply(status: int, text: str) -> Reply:
    """A line of text."""
    return Reply(status, _TEXT, f"{text}\n".encode())


def json_reply(status: int, value: object) -> Reply:
    """A JSON document, indented: people read these."""
    return Reply(status, _JSON, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def metrics_reply(text: str) -> Reply:
    """Prometheus' text format."""
    return Reply(200, CONTENT_TYPE, text.encode())


class Errands:
    """A thread for what would block the event loop, one thing after the other.

    The bound is small: these are questions of people, and a database that hangs must not pile them up.
    """

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=8)

    def run(self) -> None:
        """The body of the thread."""
        while (errand := self._waiting.get()) is not None:
            errand()

    def stop(self) -> None:
        """Let `run` return, after what waits."""
        self._waiting.put(None)

    def do(
        self, loop: asyncio.AbstractEventLoop, question: Callable[[], Reply], done: Callable[[Reply], None]
    ) -> None:
        """Have `question` answered in the thread, and `done` called with that on `loop`, once. It must not raise."""
        given = False

        def settle(reply: Reply) -> None:
            nonlocal given
            if not given:  # else nobody waits any more
                given = True
                late.cancel()
                done(reply)

        def errand() -> None:
            reply = question()
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, reply)

        late = loop.call_later(
            _BLOCKING_TIMEOUT_S, settle, text_reply(504, f"no answer within {_BLOCKING_TIMEOUT_S:g} s")
        )
        try:
            self._waiting.put_nowait(errand)
        except queue.Full:
            settle(text_reply(503, "too many questions at once"))


@dataclass(frozen=True, slots=True)
class Question:
    """What an endpoint is asked. `query`: its parameters, in order, of those with one name all."""

    method: str = "GET"
    path: str = ""
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    body: bytes = b""

    def parameter(self, name: str, default: str = "") -> str:
        """The last value of a parameter."""
        values = self.query.get(name)
        return values[-1] if values else default


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One path: who answers, by which methods, with how large a body, and whether that may take long.

    `below`: the paths below it as well.
    """

    about: str
    answer: Callable[[Question], Reply]
    methods: tuple[str, ...] = ("GET", "HEAD")
    body_bytes_max: int = 0
    blocking: bool = False
    below: bool = False


class AdminApp:
    """The handler of the admin server's requests: an `HttpHandler`."""

    def __init__(self, endpoints: dict[str, Endpoint], errands: Errands, log: FilteringBoundLogger) -> None:
        self._endpoints = endpoints
        self._log = log
        self.errands = errands
        self.bodies = ByteBudget(_BODIES_BYTES_MAX)

    def __call__(self, peer: HttpPeer, request: Request) -> _Asking | None:
        """Find who answers. Nobody: say what there is."""
        path = request.path
        endpoint = self._endpoint(path.rstrip("/"))
        if path == "/":
            give(peer, request, text_reply(200, self._index()))
        elif endpoint is None:
            reply = text_reply(404, f"there is nothing at {path}; there is:\n\n{self._index()}")
            give(peer, request, reply)
        elif request.method not in endpoint.methods:
            methods = ", ".join(endpoint.methods)
            give(peer, request, text_reply(405, f"{path} takes {methods}"), ("allow", methods))
        elif request.method not in _READING and b"origin" in request.headers:
            # Browsers send it with what a page of somebody else makes them do.
            give(peer, request, text_reply(403, "a web page can only read here"))
        else:
            asking = _Asking(self, peer, request, endpoint)
            return asking if asking.fits() else None
        return None

    def reply(self, endpoint: Endpoint, question: Question) -> Reply:
        """What `endpoint` answers."""
        try:
            return endpoint.answer(question)
        except Exception as error:  # noqa: BLE001  the edge of the process: a probe gets an answer, we a log line
            self._log.error("An admin endpoint failed.", path=question.path, exc_info=error)
            return text_reply(500, f"{question.path} failed: the log says why")

    def _endpoint(self, path: str) -> Endpoint | None:
        found = self._endpoints.get(path)
        if found is not None:
            return found
        above = (one for at, one in self._endpoints.items() if one.below and path.startswith(f"{at}/"))
        return next(above, None)

    def _index(self) -> str:
        width = max(map(len, self._endpoints))
        return "\n".join(f"{path:<{width}}  {endpoint.about}" for path, endpoint in self._endpoints.items())


class _Asking:
    """One request to an endpoint: an `HttpCall`."""

    def __init__(self, app: AdminApp, peer: HttpPeer, request: Request, endpoint: Endpoint) -> None:
        self._app = app
        self._peer = peer
        self._request = request
        self._endpoint = endpoint
        self._reservation = app.bodies.open_reservation()
        self._asked = False
        if not endpoint.body_bytes_max:
            request.drop_body()

    def fits(self) -> bool:
        """Whether the body is not too large, for the endpoint and beside those of others. Else it is answered."""
        request, size_max = self._request, self._endpoint.body_bytes_max
        if not size_max:  # a body that nobody has asked for
            return True
        size = max(request.size, request.length or 0)
        if size > size_max:
            self._done(text_reply(413, f"a body of more than {size_max} bytes"))
            return False
        try:
            self._reservation.expect(request.size, size)
        except RetryableError as error:
            self._done(text_reply(503, str(error)))
            return False
        return True

    def received(self) -> None:
        """See `HttpCall`."""
        self.fits()

    def complete(self) -> None:
        """See `HttpCall`."""
        if not self.fits():
            return
        app, request, endpoint = self._app, self._request, self._endpoint
        query = parse_qs(request.query.decode("latin-1"), keep_blank_values=True)
        question = Question(request.method, request.path.rstrip("/"), query, request.take_body())
        self._asked = True
        if endpoint.blocking:
            app.errands.do(self._peer.loop, lambda: app.reply(endpoint, question), self._done)
        else:
            self._done(app.reply(endpoint, question))

    def _done(self, reply: Reply) -> None:
        self._reservation.release()
        give(self._peer, self._request, reply)

    def expired(self) -> None:
        """See `HttpCall`."""
        self._done(text_reply(408, "the body did not arrive in time"))

    def gone(self) -> None:
        """See `HttpCall`: what was asked is answered all the same, and gives back its bytes then."""
        if not self._asked:
            self._reservation.release()


def give(peer: HttpPeer, request: Request, reply: Reply, *more: tuple[str, str]) -> None:
    """Answer a request."""
    headers = [("content-type", reply.content_type), ("cache-control", "no-store"), *more]
    peer.answer(request, reply.status, header_lines(headers), reply.body)


class AdminServer:
    """The application where it can be reached: at one endpoint, and for a moment at two."""

    def __init__(self, app: AdminApp, http: HttpHost) -> None:
        self._app = app
        self._http = http
        self._asked = ""
        self._listener: HttpListener | None = None

    @property
    def endpoint(self) -> str:
        """`host:port` as bound; empty before."""
        return self._listener.endpoint if self._listener is not None else ""

    def listen(self, endpoint: str) -> Before | None:
        """Listen at `endpoint` as well. Returns where it did before; None if it is the same.

        Raises:
            StartError: it cannot. It listens where it did.
        """
        if endpoint == self._asked:
            return None
        listener = self._http.serve(self._app, endpoint, HttpLimits(connections_max=100))
        before = Before(self._asked, self._listener)
        self._asked, self._listener = endpoint, listener
        return before

    def leave(self, before: Before | None) -> None:
        """Listen where it did before no longer."""
        if before is not None and before.listener is not None:
            before.listener.stop(_STOP_S)

    def go_back(self, before: Before | None) -> None:
        """Listen only where it did before."""
        if before is not None:
            self.stop()
            self._asked, self._listener = before.asked, before.listener

    def stop(self) -> None:
        """Listen no more. Safe twice."""
        if self._listener is not None:
            self._listener.stop(_STOP_S)


@dataclass(frozen=True, slots=True)
class Before:
    """Where an `AdminServer` listened before."""

    asked: str
    listener: HttpListener | None
