"""Headers and frames of gRPC that do not come to their end: how long they may take, and how much of them is held."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from collector.config.types import Duration
from collector.model.signal import Signal
from collector.receivers.otlp import grpc_connection
from collector.receivers.otlp.grpc_connection import GrpcConnection
from collector.receivers.otlp.grpc_peers import Peers
from collector.wire import ahead
from collector.wire.http2 import frames
from collector.wire.http2.frames import ErrorCode
from tests.faults.stamp import request
from tests.faults.transport import PROTOBUF, open_transport
from tests.support.eventually import eventually
from tests.support.raw_http2 import END_STREAM, HEADERS, PREFACE, RawHttp2
from tests.support.receiver import Running, running_receiver

EXPORT = f"/{Signal.LOGS.service}/Export"
NOW = 1_700_000_000_000_000_000
BODY = request(Signal.LOGS, "client", 0, 1, NOW, 20_000)
SMALL = request(Signal.LOGS, "client", 1, 1, NOW, 10)
ENDLESS = frames.frame(frames.HEADERS, 0, 1, bytes(frames.FRAME_SIZE_MAX))[:-1]


def peers_of(running: Running) -> Peers:
    server = running.receiver._grpc
    assert server is not None
    return server._peers


def ended(running: Running, reason: str) -> float:
    return running.house.sample(
        "collector_receiver_ended_connections_total", receiver="otlp", transport="grpc", reason=reason
    )


def goaway(client: RawHttp2) -> ErrorCode:
    """With which the server ends the connection; what is on its way to it does not matter."""
    with contextlib.suppress(EOFError):
        client.read(1)
    assert client.goaway is not None
    return ErrorCode(int.from_bytes(client.goaway[4:8], "big"))


def test_a_frame_that_does_not_come_to_its_end_ends_the_connection() -> None:
    """Byte by byte it is the same frame, and not a busy client's, each of whose frames comes in two parts."""
    timeout = Duration(0.4)
    with (
        running_receiver(grpc={"read_header_timeout": timeout}) as running,
        RawHttp2(running.grpc) as slow,
        RawHttp2(running.grpc) as busy,
    ):
        ping = frames.frame(frames.PING, frames.ACK, 0, bytes(8))
        began = time.monotonic()
        slow.socket.sendall(ping[:1])
        busy.socket.sendall(ping[:1])
        ended_at = 0.0
        for at in range(1, 12):
            time.sleep(0.1)
            with contextlib.suppress(ConnectionError):
                slow.socket.sendall(ping[at : at + 1])
            busy.socket.sendall(ping[1:] + ping[:1])
            if not ended_at and ended(running, "read_header_timeout"):
                ended_at = time.monotonic()
                assert peers_of(running).ahead.size <= 1  # though it may still read what it was told
        assert 0.4 <= ended_at - began < 1.0
        assert goaway(slow) is ErrorCode.NO_ERROR
        busy.socket.sendall(ping[1:])
        assert busy.call(EXPORT, b"").code == 0
        assert ended(running, "read_header_timeout") == 1
        assert ended(running, "no_error") == 0


def test_a_header_block_has_one_time_for_all_its_pieces() -> None:
    """However many frames it comes in, each in time."""
    with (
        running_receiver(grpc={"read_header_timeout": Duration(0.4)}) as running,
        RawHttp2(running.grpc) as slow,
    ):
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            slow.send_frame(HEADERS, 0, 1, b"")
            while not ended(running, "read_header_timeout"):
                assert time.monotonic() < began + 1.2  # of 16 pieces
                time.sleep(0.1)
                slow.send_frame(frames.CONTINUATION, 0, 1, b"")
        assert goaway(slow) is ErrorCode.NO_ERROR


def test_a_body_may_take_longer_than_a_header() -> None:
    """Byte by byte, in one frame: that is the call's time, not the frame's."""
    with (
        running_receiver(grpc={"read_header_timeout": Duration(0.2)}) as running,
        RawHttp2(running.grpc) as client,
    ):
        message = b"\0" + len(SMALL).to_bytes(4, "big") + SMALL
        frame = frames.frame(frames.DATA, END_STREAM, client.open(EXPORT), message)
        client.socket.sendall(frame[:9])
        for at in range(9, 17):
            time.sleep(0.1)
            client.socket.sendall(frame[at : at + 1])
        client.socket.sendall(frame[17:])
        assert client.read(1).code == 0


def test_who_greets_slowly_has_the_time_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """No header is late before the greeting is there; and nobody looks for one again and again."""
    looks = 0
    look = GrpcConnection._look

    def counted(self: GrpcConnection) -> None:
        nonlocal looks
        looks += 1
        look(self)

    monkeypatch.setattr(grpc_connection, "_GREETING_S", 0.6)
    monkeypatch.setattr(GrpcConnection, "_look", counted)
    with running_receiver(grpc={"read_header_timeout": Duration(0.1)}) as running:
        host, _, port = running.grpc.rpartition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(PREFACE[:10])
            eventually(lambda: ended(running, "greeting_timeout") == 1, what="ending it")
        assert ended(running, "read_header_timeout") == 0
        assert looks < 5


def test_frames_that_never_end_have_a_bound_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who adds to it when it is full is ended; who has sent little goes on, and what ends gives back what it held."""
    monkeypatch.setattr(ahead, "AHEAD_MAX", 100_000)
    with running_receiver() as running, contextlib.ExitStack() as stack:
        peers = peers_of(running)
        held = peers.ahead
        clients = [stack.enter_context(RawHttp2(running.grpc)) for _ in range(20)]
        for client in clients:
            client.socket.sendall(ENDLESS)
        eventually(lambda: len(peers.open) == 100_000 // len(ENDLESS), what="ending the others")
        assert held.size == len(peers.open) * len(ENDLESS)
        little = [stack.enter_context(RawHttp2(running.grpc)) for _ in range(10)]
        for client in little:
            client.socket.sendall(ENDLESS[:4000])
        eventually(
            lambda: held.size >= 100_000 + 10 * 4000 - len(ENDLESS), what="taking a little more of each"
        )
        healthy = open_transport("grpc", running.grpc, Signal.LOGS, PROTOBUF)
        assert healthy.send(BODY, 10.0).acked
        healthy.close()
        stack.close()
        eventually(lambda: held.size == 0, what="giving back")


class InPieces(RawHttp2):
    """A client whose frames arrive in several pieces each, as over a slow line."""

    def send_frame(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        frame = frames.frame(kind, flags, stream, payload)
        for at in range(0, len(frame), 1500):
            self.socket.sendall(frame[at : at + 1500])
            time.sleep(0.002)


@contextlib.contextmanager
def attacked(running: Running) -> Iterator[None]:
    """By so many as fill what may be held, who go on with their headers byte by byte until they are ended."""
    over = threading.Event()

    def drip(clients: list[RawHttp2]) -> None:
        while not over.wait(0.05):
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    client.socket.sendall(b"\0")

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawHttp2(running.grpc)) for _ in range(20)]
        for client in clients:
            client.socket.sendall(ENDLESS[:-100])
        eventually(lambda: ended(running, "enhance_your_calm") == 20 - 6, what="filling it")
        dripping = threading.Thread(target=drip, args=(clients,), daemon=True)
        dripping.start()
        yield
        over.set()
        dripping.join(20)


def test_who_fills_what_is_held_keeps_others_out_for_no_longer_than_a_header_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests in pieces are answered all the while; one whose header alone is large, when the others are ended."""
    monkeypatch.setattr(ahead, "AHEAD_MAX", 100_000)
    metadata = {f"x_{number}": "v" * 100 for number in range(80)}
    with (
        running_receiver(grpc={"read_header_timeout": Duration(1.0)}) as running,
        InPieces(running.grpc) as healthy,
        attacked(running),
    ):
        assert healthy.call(EXPORT, BODY).code == 0
        with InPieces(running.grpc) as large, pytest.raises((EOFError, ConnectionError)):
            large.call(EXPORT, BODY, compressed=False, **metadata)
        assert ended(running, "enhance_your_calm") == 20 - 6 + 1
        assert not ended(running, "read_header_timeout")
        until = time.monotonic() + 3.0
        while ended(running, "read_header_timeout") < 6:
            assert healthy.call(EXPORT, BODY).code == 0
            assert time.monotonic() < until
        with InPieces(running.grpc) as large:
            assert large.call(EXPORT, BODY, compressed=False, **metadata).code == 0
        assert healthy.call(EXPORT, BODY).code == 0
