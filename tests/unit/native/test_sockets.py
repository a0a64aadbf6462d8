"""The compiled sockets and epoll do what Python's own do, of which the event loop has them in place."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from collector.service.event_loop import listening, new_event_loop

sockets = pytest.importorskip(
    "collector._native.sockets", reason="needs the compiled sockets, which need Linux"
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection that was accepted, and its client."""
    with ExitStack() as stack:
        listener = stack.enter_context(listening(socket.create_server(("127.0.0.1", 0))))
        client = stack.enter_context(socket.create_connection(listener.getsockname()))
        assert select.select([listener], [], [], 5)[0]
        accepted, _ = listener.accept()
        yield stack.enter_context(accepted), client


def test_nothing_to_do_is_said_and_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    """As of any socket that does not block."""
    server, client = pair
    assert isinstance(server, sockets.Connected)
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(10)
    with pytest.raises(BlockingIOError):
        for _ in iter(lambda: server.send(bytes(1 << 20)), None):
            pass
    with listening(socket.create_server(("127.0.0.1", 0))) as lonely, pytest.raises(BlockingIOError):
        lonely.accept()
    with pytest.raises(ValueError, match="does not block"):
        server.setblocking(True)
    client.close()


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_bytes_pass_both_ways(
    pair: tuple[socket.socket, socket.socket], make: type[bytes] | type[bytearray] | type[memoryview]
) -> None:
    """Whatever holds them; no more at once than is asked for; and the end is the end."""
    server, client = pair
    assert server.send(make(b"")) == 0
    assert server.send(make(b"hello")) == 5
    assert client.recv(100) == b"hello"
    client.sendall(b"abcdef")
    assert select.select([server], [], [], 5)[0]
    assert server.recv(4) == b"abcd"
    assert server.recv(1 << 30) == b"ef"
    server.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    client.close()
    assert select.select([server], [], [], 5)[0]
    assert server.recv(100) == b""


def test_errors_are_those_of_python(pair: tuple[socket.socket, socket.socket]) -> None:
    """By their classes: asyncio tells by them what has happened."""
    server, client = pair
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert select.select([server], [], [], 5)[0]
    with pytest.raises(ConnectionResetError):
        server.recv(10)
    with pytest.raises(BrokenPipeError):
        server.send(b"x")
    number = server.fileno()
    server.close()
    server.close()
    assert server.fileno() == -1
    for use in (lambda: server.recv(1), lambda: server.send(b"x"), lambda: server.shutdown(socket.SHUT_WR)):
        with pytest.raises(OSError, match="Bad file descriptor"):
            use()
    with pytest.raises(OSError, match="Bad file descriptor"):
        sockets.Epoll().register(number, select.EPOLLIN)


def test_epoll_tells_what_is_ready(pair: tuple[socket.socket, socket.socket]) -> None:
    """Registered, modified, unregistered; at once, or after the time that it may wait."""
    server, client = pair
    epoll = sockets.Epoll()
    epoll.register(server.fileno(), select.EPOLLIN)
    assert epoll.poll(0) == []
    assert epoll.poll(0.01) == []
    client.send(b"x")
    assert epoll.poll(5) == [(server.fileno(), select.EPOLLIN)]
    epoll.modify(server.fileno(), select.EPOLLOUT)
    assert epoll.poll(-1, 10) == [(server.fileno(), select.EPOLLOUT)]
    epoll.unregister(server.fileno())
    assert epoll.poll(0) == []
    with pytest.raises(FileNotFoundError):
        epoll.unregister(server.fileno())
    epoll.close()
    epoll.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        epoll.poll(0)


def test_the_loop_is_woken_by_another_thread() -> None:
    """As often as it is called."""
    loop = new_event_loop()
    seen: list[int] = []
    asked = 1000

    def note(number: int) -> None:
        seen.append(number)
        if number == asked - 1:
            loop.stop()

    def call() -> None:
        for number in range(asked):
            loop.call_soon_threadsafe(note, number)

    thread = threading.Thread(target=call)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join(10)
    loop.close()
    assert seen == list(range(asked))


def test_a_server_on_the_loop_answers_its_clients() -> None:
    """Large answers too, of which not all can be sent at once."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    async def talk() -> bytes:
        listener = listening(socket.create_server(("127.0.0.1", 0)))
        server = await asyncio.get_running_loop().create_server(Echo, sock=listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(bytes(range(256)) * 16384)
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        server.close()
        return heard

    loop = new_event_loop()
    try:
        assert loop.run_until_complete(asyncio.wait_for(talk(), 20)) == bytes(range(256)) * 16384
    finally:
        loop.close()
