"""Where everything HTTP is served: one event loop in one supervised thread, any number of listeners on it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from collector.pipeline.component import ASGI, HttpLimits, HttpListener, SocketListener, StartError, Thread
from collector.pipeline.endpoint import Endpoint, bind

if TYPE_CHECKING:
    import socket

    from uvicorn.server import ServerState

    from collector.service.http_protocol import LimitedProtocol

T = TypeVar("T")

# How long the caller waits for the loop beyond the time it gave it: the loop may be busy, but not for ever.
_PATIENCE_S: Final = 5.0
# How long a connection that idles when its listener stops may still bring a request. One that was on its way would
# be lost: the client would see a connection that was reset, and not know whether it was taken.
_LINGER_S: Final = 0.5


class HttpLoop:
    """An `HttpHost`. The thread and the loop begin with the first listener and end with `close()`."""

    def __init__(self, spawn: Callable[[str, Callable[[], None]], Thread]) -> None:
        self._spawn = spawn
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._closed = False

    def serve(
        self, app: ASGI, endpoint: str, limits: HttpLimits, *, sharing: HttpListener | None = None
    ) -> Listener:
        """See `HttpHost`."""
        return self._open(
            endpoint, sharing, lambda loop, where, sockets: _listen(loop, app, where, sockets, limits)
        )

    def listen(
        self,
        make: Callable[[asyncio.AbstractEventLoop], asyncio.Protocol],
        endpoint: str,
        *,
        sharing: SocketListener | None = None,
    ) -> Sockets:
        """See `HttpHost`."""
        return self._open(endpoint, sharing, lambda loop, where, sockets: _accept(loop, make, where, sockets))

    def _open(
        self,
        endpoint: str,
        sharing: object,
        begin: Callable[[asyncio.AbstractEventLoop, Endpoint, list[socket.socket]], Coroutine[Any, Any, T]],
    ) -> T:
        try:
            where = Endpoint.parse(endpoint)
        except ValueError as error:
            raise StartError(str(error)) from error
        shared = sharing.sockets(where) if isinstance(sharing, Sockets | Listener) else []
        sockets = shared or bind(where)
        try:
            loop = self._running_loop()
            return _call(loop, begin(loop, where, sockets), _PATIENCE_S)
        except BaseException:
            for listening in sockets:
                listening.close()
            raise

    def close(self) -> None:
        """End the loop and its thread; listeners that were not stopped lose their connections. Safe twice."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(loop.stop)
            thread.join(_PATIENCE_S)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise StartError("the HTTP host is shut down")
            if self._loop is None:
                loop = asyncio.new_event_loop()

                def body() -> None:
                    asyncio.set_event_loop(loop)
                    try:
                        loop.run_forever()
                    finally:
                        _cancel_all(loop)
                        loop.close()

                self._thread = self._spawn("http", body)
                self._loop = loop
            return self._loop


class Sockets:
    """A `SocketListener`: the sockets of one endpoint, and who takes their connections."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        asked: Endpoint,
        sockets: list[socket.socket],
        servers: list[asyncio.Server],
    ) -> None:
        self._loop = loop
        self._asked = asked
        self._bound = Endpoint(asked.host, sockets[0].getsockname()[1])
        self._sockets = sockets
        self._servers = servers
        self._closed = False

    @property
    def endpoint(self) -> str:
        """See `SocketListener`."""
        return str(self._bound)

    def sockets(self, endpoint: Endpoint) -> list[socket.socket]:
        """The sockets again, if this is what it was asked to listen at; they live on when it is closed."""
        if self._closed or endpoint != self._asked:
            return []
        return [listening.dup() for listening in self._sockets]

    def call(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T | None:
        """See `SocketListener`."""
        try:
            return _call(self._loop, work, timeout_s + _PATIENCE_S)
        except RuntimeError:
            work.close()
            return None

    def close(self) -> None:
        """See `SocketListener`."""
        self._closed = True

        async def close() -> None:
            self.close_now()

        self.call(close(), 0.0)

    def close_now(self) -> None:
        """The same, from within the loop."""
        self._closed = True
        for server in self._servers:
            server.close()


class Listener:
    """An `HttpListener`: one application at one endpoint."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sockets,
        state: ServerState,
        leaving: set[LimitedProtocol],
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._state = state
        self._leaving = leaving
        self._stopped = False

    @property
    def endpoint(self) -> str:
        """`host:port` as bound."""
        return self._sockets.endpoint

    def sockets(self, endpoint: Endpoint) -> list[socket.socket]:
        """See `Sockets`."""
        return self._sockets.sockets(endpoint)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._state.connections)

    def stop(self, grace_s: float) -> None:
        """See `HttpListener`."""
        if self._stopped or self._loop.is_closed():
            return
        self._stopped = True
        with contextlib.suppress(RuntimeError):  # the loop ended in between: nothing is left to stop
            _call(self._loop, self._stop(grace_s), grace_s + _PATIENCE_S)

    async def _stop(self, grace_s: float) -> None:
        from collector.service.http_protocol import LimitedProtocol  # loaded, since it listens

        self._sockets.close_now()
        for connection in list(self._state.connections):
            if isinstance(connection, LimitedProtocol):
                connection.end_soon()
        end = self._loop.time() + grace_s
        while self._state.connections and self._loop.time() < end - grace_s + min(_LINGER_S, grace_s):
            await asyncio.sleep(_LINGER_S / 25)
        for connection in list(self._state.connections):
            connection.shutdown()  # closes it if idle; else after the answer it is working on
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=max(0.0, end - self._loop.time()))
        # First the connections, then what works for them: a cancelled request that could still answer would
        # answer 500, and a client throws away what was answered by 500. No answer at all is sent again.
        for connection in [*self._state.connections, *self._leaving]:
            connection.transport.abort()
        await asyncio.sleep(0)  # one turn of the loop, in which they learn of it
        for task in list(self._state.tasks):
            task.cancel()


async def _listen(
    loop: asyncio.AbstractEventLoop,
    app: ASGI,
    endpoint: Endpoint,
    sockets: list[socket.socket],
    limits: HttpLimits,
) -> Listener:
    # Not before it is needed: see http_protocol.
    from uvicorn.server import ServerState

    from collector.service.http_protocol import LimitedProtocol, protocol_config

    config = protocol_config(app)
    state = ServerState()
    leaving: set[LimitedProtocol] = set()
    accepting = await _accept(
        loop, lambda loop: LimitedProtocol(config, state, limits, leaving, loop), endpoint, sockets
    )
    return Listener(loop, accepting, state, leaving)


async def _accept(
    loop: asyncio.AbstractEventLoop,
    make: Callable[[asyncio.AbstractEventLoop], asyncio.Protocol],
    endpoint: Endpoint,
    sockets: list[socket.socket],
) -> Sockets:
    servers = [
        await loop.create_server(lambda: make(loop), sock=listening, backlog=1024) for listening in sockets
    ]
    return Sockets(loop, endpoint, sockets, servers)


def _call(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    return asyncio.run_coroutine_threadsafe(work, loop).result(timeout_s)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
