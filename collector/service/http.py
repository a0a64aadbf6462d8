"""Where everything HTTP is served: one event loop in one supervised thread, any number of listeners on it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from collector.pipeline.component import HttpListener, SocketListener, StartError, Thread
from collector.pipeline.endpoint import Endpoint, bind
from collector.service.event_loop import listening, new_event_loop

if TYPE_CHECKING:
    import socket

    from collector.pipeline.http import HttpHandler, HttpLimits
    from collector.service.http_peers import Peers

T = TypeVar("T")

# How long the caller waits for the loop beyond the time it gave it: the loop may be busy, but not for ever.
_PATIENCE_S: Final = 5.0
# How long a connection that idles when its listener stops may still bring a request. One that was on its way would
# be lost: the client would see a connection that was reset, and not know whether it was taken.
_LINGER_S: Final = 0.5
_LOOK_S: Final = 0.02


class HttpLoop:
    """An `HttpHost`. The thread and the loop begin with the first listener and end with `close()`."""

    def __init__(self, spawn: Callable[[str, Callable[[], None]], Thread]) -> None:
        self._spawn = spawn
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._closed = False

    def serve(
        self, handler: HttpHandler, endpoint: str, limits: HttpLimits, *, sharing: HttpListener | None = None
    ) -> Listener:
        """See `HttpHost`."""
        # Not before it is needed: a daemon without HTTP does without the parser.
        from collector.service.http_connection import HttpConnection
        from collector.service.http_peers import Peers

        peers = Peers(handler, limits)
        shared = sharing.listening if isinstance(sharing, Listener) else None
        return Listener(
            self.listen(lambda loop: HttpConnection(peers, loop), endpoint, sharing=shared), peers
        )

    def listen(
        self,
        make: Callable[[asyncio.AbstractEventLoop], asyncio.Protocol],
        endpoint: str,
        *,
        sharing: SocketListener | None = None,
    ) -> Sockets:
        """See `HttpHost`."""
        try:
            where = Endpoint.parse(endpoint)
        except ValueError as error:
            raise StartError(str(error)) from error
        shared = sharing.sockets(where) if isinstance(sharing, Sockets) else []
        sockets = shared or [listening(plain) for plain in bind(where)]
        try:
            loop = self._running_loop()
            return _call(loop, _accept(loop, make, where, sockets), _PATIENCE_S)
        except BaseException:
            for one in sockets:
                one.close()
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
                loop = new_event_loop()

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
        return [one.dup() for one in self._sockets]

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
    """An `HttpListener`: one handler at one endpoint."""

    def __init__(self, listening: Sockets, peers: Peers) -> None:
        self.listening = listening
        self._peers = peers
        self._stopped = False

    @property
    def endpoint(self) -> str:
        """`host:port` as bound."""
        return self.listening.endpoint

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._peers.open)

    def stop(self, grace_s: float) -> None:
        """See `HttpListener`."""
        if not self._stopped:
            self._stopped = True
            self.listening.call(self._stop(grace_s), grace_s)

    async def _stop(self, grace_s: float) -> None:
        self.listening.close_now()
        peers, now = self._peers, asyncio.get_running_loop().time
        peers.stopping = True
        for connection in list(peers.open):
            connection.end_soon()
        end = now() + grace_s
        linger_end = now() + min(_LINGER_S, grace_s)
        while peers.open and now() < linger_end:
            await asyncio.sleep(_LOOK_S)
        for connection in list(peers.open):
            connection.end()
        while (peers.open or peers.leaving) and now() < end:
            await asyncio.sleep(_LOOK_S)
        # A request that is cut off gets no answer: its client sends it again, as it would not after a 500.
        for connection in [*peers.open, *peers.leaving]:
            connection.abort()
        await asyncio.sleep(0)  # one turn of the loop, in which they learn of it


async def _accept(
    loop: asyncio.AbstractEventLoop,
    make: Callable[[asyncio.AbstractEventLoop], asyncio.Protocol],
    endpoint: Endpoint,
    sockets: list[socket.socket],
) -> Sockets:
    servers = [await loop.create_server(lambda: make(loop), sock=one, backlog=1024) for one in sockets]
    return Sockets(loop, endpoint, sockets, servers)


def _call(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    return asyncio.run_coroutine_threadsafe(work, loop).result(timeout_s)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
