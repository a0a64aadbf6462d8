"""The admin server: is it alive, is it ready, how is every part, what has it counted, what is the database.

    GET /livez          the event loop turns and the main thread ticks; for a liveness probe
    GET /readyz         listening, and every sending queue has room; not "the database is up"
    GET /healthz        every component's state, and what a 200 means; JSON
    GET /metrics        Prometheus text
    GET /database/info  the databases that exporters write to; JSON

Nothing here is secret, and nothing here changes anything.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from collector.pipeline.component import HttpLimits
from collector.service.exposition import CONTENT_TYPE

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from collector.pipeline.component import HttpHost, HttpListener

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
# A database that does not answer is reported as that; whoever asked does not wait for ever.
_BLOCKING_TIMEOUT_S: Final = 10.0
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

    async def do(self, question: Callable[[], Reply]) -> Reply:
        """Have `question` answered in the thread."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()

        def settle(reply: Reply | None, error: BaseException | None) -> None:
            if answer.done():  # nobody waits any more
                return
            if error is not None:
                answer.set_exception(error)
            elif reply is not None:
                answer.set_result(reply)

        def errand() -> None:
            try:
                reply, error = question(), None
            except Exception as raised:  # noqa: BLE001  carried over to the waiting coroutine, raised there
                reply, error = None, raised
            loop.call_soon_threadsafe(settle, reply, error)

        try:
            self._waiting.put_nowait(errand)
            return await asyncio.wait_for(answer, _BLOCKING_TIMEOUT_S)
        except queue.Full:
            return text_reply(503, "too many questions at once")
        except TimeoutError:
            return text_reply(504, f"no answer within {_BLOCKING_TIMEOUT_S:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One path: who answers, and whether that may take long."""

    about: str
    answer: Callable[[], Reply]
    blocking: bool = False


class AdminApp:
    """The ASGI application."""

    def __init__(self, endpoints: dict[str, Endpoint], errands: Errands, log: FilteringBoundLogger) -> None:
        self._endpoints = endpoints
        self._errands = errands
        self._log = log

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        """See the ASGI specification, "HTTP & WebSocket ASGI Message Format"."""
        if scope["type"] != "http":
            return
        reply = await self._reply(scope["method"], scope["path"])
        headers = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if reply.status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else reply.body
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, method: str, path: str) -> Reply:
        if path == "/":
            return text_reply(200, self._index())
        endpoint = self._endpoints.get(path.rstrip("/"))
        if endpoint is None:
            return text_reply(404, f"there is nothing at {path}; there is:\n\n{self._index()}")
        if method not in ("GET", "HEAD"):
            return text_reply(405, f"{path} can only be read")
        try:
            if endpoint.blocking:
                return await self._errands.do(endpoint.answer)
            return endpoint.answer()
        except Exception as error:  # noqa: BLE001  the edge of the process: a probe gets an answer, we a log line
            self._log.error("An admin endpoint failed.", path=path, exc_info=error)
            return text_reply(500, f"{path} failed: the log says why")

    def _index(self) -> str:
        width = max(map(len, self._endpoints))
        return "\n".join(f"{path:<{width}}  {endpoint.about}" for path, endpoint in self._endpoints.items())


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
