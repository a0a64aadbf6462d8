"""A TCP proxy that stands between the daemon and its database, and does to the connection what networks do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# As the client library of PostgreSQL sends it: a simple query (protocol, "Message Formats", Query).
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_CHUNK = 16 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Link:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.mirror: socket.socket | None = None
        self.copying = False  # between a COPY and its COMMIT
        self.answer_is_lost = False
        self.held = threading.Event()

    def cut(self) -> None:
        """Reset both, as a machine does that has forgotten the connection."""
        self.held.clear()
        for one in filter(None, (self.client, self.server, self.mirror)):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class Proxy:
    """Passes bytes between its own `port` and a port of 127.0.0.1, as long as nothing else is asked for.

    `delay_s`: every piece waits so long. `rate`: bytes per second in each direction; 0: unlimited.
    `hold_answers`: as long as it is set, nothing gets back to the client.
    `mirror`: what a client sends goes to the server once more, over a connection of its own; nobody hears its answers.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._swallow = threading.Event()
        self._plan: str | None = None
        self._done = threading.Event()
        self._resume = threading.Event()
        self.delay_s = 0.0
        self.rate = 0
        self.hold_answers = threading.Event()
        self.mirror = False
        self.port = 0
        self._listener = self._listen()

    # --- what can be done -------------------------------------------------------------------------------

    def refuse(self) -> None:
        """Nobody listens any more, and every connection is reset."""
        self._stop_listening()
        self.cut()

    def restore(self) -> None:
        """Pass everything on again. Connections that were swallowed are reset."""
        self.delay_s, self.rate = 0.0, 0
        self._resume.set()
        if self._swallow.is_set():
            self.cut()
            self._swallow.clear()
        if self._listener.fileno() < 0:
            self._listener = self._listen()

    def cut(self) -> None:
        """Reset every connection; new ones may be made."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    def swallow(self) -> None:
        """Half-open: nothing passes in either direction and nothing is closed."""
        self._swallow.set()

    @contextmanager
    def once(self, plan: str) -> Iterator[Callable[[float], None]]:
        """Do it once, to the first connection for which it fits; gives a function that waits until it is done.

        `mid-copy`: reset in the middle of the rows of a COPY.
        `pause-copy`: in the middle of a COPY the client's rows do not get on, until `restore`.
        `stall-copy`: from the middle of a COPY nothing passes any more on this connection, and it stays open.
        `answer`: the server gets COMMIT and executes it, the connection is reset before the client hears of it.
        `pause-answer`: the same, but reset only by `restore`.
        `commit`: reset before COMMIT reaches the server.
        """
        self._done.clear()
        self._resume.clear()
        self._plan = plan
        try:
            yield self._wait_done
        finally:
            self._plan = None

    def close(self) -> None:
        """End everything."""
        self._stop_listening()
        self._swallow.clear()
        self.hold_answers.clear()
        self._resume.set()
        self.cut()

    def _wait_done(self, within_s: float) -> None:
        assert self._done.wait(within_s), f"{self._plan!r} found no connection that it fits"

    # --- passing on -------------------------------------------------------------------------------------

    def _listen(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(100)
        self.port = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept, which holds it open
        self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream), timeout=10)
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                client.close()
                continue
            server.settimeout(None)
            link = _Link(client, server)
            if self.mirror:
                link.mirror = socket.create_connection(("127.0.0.1", self._upstream), timeout=10)
                threading.Thread(target=_drain, args=(link.mirror,), daemon=True).start()
            with self._lock:
                self._links.add(link)
            for source, target, act in (
                (client, server, self._from_client),
                (server, client, self._from_server),
            ):
                threading.Thread(target=self._pass, args=(link, source, target, act), daemon=True).start()

    def _pass(
        self,
        link: _Link,
        source: socket.socket,
        target: socket.socket,
        act: Callable[[_Link, bytes], bool],
    ) -> None:
        try:
            while data := source.recv(_CHUNK):
                if self.delay_s:
                    time.sleep(self.delay_s)
                while self._swallow.is_set() or link.held.is_set():
                    time.sleep(0.05)
                if act(link, data):
                    self._trickle(target, data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            link.cut()
        finally:
            with self._lock:
                self._links.discard(link)

    def _trickle(self, target: socket.socket, data: bytes) -> None:
        """Send at the rate that is set, however that changes."""
        while data and (rate := self.rate):
            piece, data = data[: max(1, rate // 10)], data[max(1, rate // 10) :]
            target.sendall(piece)
            time.sleep(len(piece) / rate)
        target.sendall(data)

    def _from_client(self, link: _Link, data: bytes) -> bool:
        if link.mirror is not None:
            link.mirror.sendall(data)
        if b"FROM STDIN" in data:
            link.copying = True
        elif link.copying:
            plan = None if self._done.is_set() else self._plan
            commits = COMMIT in data
            if plan in ("mid-copy", "pause-copy", "stall-copy") and not commits:
                link.server.sendall(data[: len(data) // 2])
                self._done.set()
                if plan == "mid-copy":
                    link.cut()
                elif plan == "stall-copy":
                    link.held.set()
                else:
                    self._resume.wait()
                    link.server.sendall(data[len(data) // 2 :])
                return False
            if plan == "commit" and commits:
                self._done.set()
                link.cut()
                return False
            link.answer_is_lost = plan in ("answer", "pause-answer") and commits
            link.copying = not commits
        return True

    def _from_server(self, link: _Link, data: bytes) -> bool:
        while self.hold_answers.is_set():
            time.sleep(0.01)
        if link.answer_is_lost:
            paused = self._plan == "pause-answer"
            self._done.set()
            if paused:
                self._resume.wait()
            link.cut()
            return False
        return True


def _drain(mirror: socket.socket) -> None:
    """Read what nobody wants to know, or the server could not go on."""
    mirror.settimeout(None)
    with contextlib.suppress(OSError):
        while mirror.recv(_CHUNK):
            pass
