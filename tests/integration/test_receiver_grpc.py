"""What is peculiar to OTLP/gRPC, down to the frames."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
import pytest
import zstandard

from collector.config.types import Duration
from collector.model.clock import SystemClock
from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.pipeline.component import StartError, State
from collector.receivers.otlp import grpc_connection, grpc_peers
from collector.receivers.otlp.config import KeepaliveConfig, KeepaliveServerConfig
from collector.receivers.otlp.factory import FACTORY
from collector.service.http import HttpLoop
from collector.wire.http2 import frames
from collector.wire.http2.connection import Connection
from tests.support.components import make_house
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.otlp import request
from tests.support.raw_http import RawHttp
from tests.support.raw_http2 import END_STREAM, GOAWAY, RawHttp2
from tests.support.receiver import Running, receiver_config, running_receiver

NOW: Final = FakeClock().unix_nano()
EXPORT: Final = f"/{Signal.LOGS.service}/Export"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with running_receiver() as receiver:
        yield receiver


def test_grpc_refusal_is_one_trailers_only_frame() -> None:
    """Clients that look for RetryInfo in the first headers find it only there."""
    with running_receiver() as running, RawHttp2(running.grpc) as client:
        running.consumers[Signal.LOGS].error = RetryableError("full", reason="queue_full")
        call = client.call(EXPORT, request(Signal.LOGS, NOW).SerializeToString())
        assert call.trailers_only
        assert call.code == 14
        assert {"grpc-status-details-bin", "google.rpc.retryinfo-bin"} <= call.trailers.keys()


def test_grpc_refuses_before_it_reads_the_message_when_nothing_fits() -> None:
    """The first five bytes tell the length: the call is answered although its message was never sent."""
    with running_receiver(budget=300_000) as running, RawHttp2(running.grpc) as client:
        running.house.settings.budget.reserve(200_000)
        stream = client.open(EXPORT)
        client.send_frame(0, 0, stream, b"\0" + (150_000).to_bytes(4, "big"))
        call = client.read(stream)
        assert (call.code, call.trailers_only) == (14, True)


def test_grpc_refuses_before_it_reads_a_message_that_is_too_large() -> None:
    """In our own words, which name the option."""
    with running_receiver(grpc={"max_recv_msg_size_mib": 1}) as running, RawHttp2(running.grpc) as client:
        stream = client.open(EXPORT)
        client.send_frame(0, 0, stream, b"\0" + (2_000_000).to_bytes(4, "big"))
        call = client.read(stream)
        assert (call.code, call.trailers_only) == (8, True)
        assert b"max_recv_msg_size_mib" in call.trailers["grpc-message"]


def test_grpc_cuts_off_a_call_whose_message_does_not_come() -> None:
    """Such a call holds a worker; its end is CANCELLED, which clients retry."""
    with (
        running_receiver(clock=SystemClock(), grpc={"read_timeout": 0.2, "workers": 1}) as running,
        RawHttp2(running.grpc) as slow,
    ):
        stream = slow.open(EXPORT)
        with grpc.insecure_channel(running.grpc) as channel:
            assert channel.unary_unary(EXPORT, bytes, bytes)(b"", timeout=20) == b""
        assert slow.read(stream).code == 1


def test_grpc_call_without_a_message_is_invalid(running: Running) -> None:
    """The stream ends where the message should be."""
    with RawHttp2(running.grpc) as client:
        stream = client.open(EXPORT)
        client.send_frame(0, 1, stream)
        assert client.read(stream).code == 3


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("identity", bytes),
    ],
)
def test_grpc_takes_compressed_messages(running: Running, encoding: str, compress: Any) -> None:
    """The bytes handed on are the inflated ones."""
    body = request(Signal.LOGS, NOW, text=encoding).SerializeToString()
    with RawHttp2(running.grpc) as client:
        call = client.call(EXPORT, compress(body), compressed=encoding != "identity", grpc_encoding=encoding)
    assert call.code == 0
    assert running.consumers[Signal.LOGS].taken[-1].payload == body


@pytest.mark.parametrize(
    "message",
    [gzip.compress(b"x" * 100)[:-9], b"\x1f\x8bnot gzip at all", gzip.compress(b"not protobuf")],
    ids=["truncated", "not gzip", "not protobuf"],
)
def test_grpc_answers_a_broken_message_with_invalid_argument(running: Running, message: bytes) -> None:
    """Never INTERNAL: the fault is the client's."""
    with RawHttp2(running.grpc) as client:
        call = client.call(EXPORT, message, compressed=True, grpc_encoding="gzip")
    assert call.code == 3
    assert call.trailers_only


def test_grpcio_sends_a_request_of_usual_size_in_few_frames(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes its frames as large as it may; 16 KiB are what it may unasked. Its first call can be quicker than our settings."""
    sizes: list[int] = []
    begin = Connection._begin_data

    def noted(self: Connection, stream_id: int, size: int, flags: int, padding: int) -> None:
        sizes.append(size)
        begin(self, stream_id, size, flags, padding)

    monkeypatch.setattr(Connection, "_begin_data", noted)
    now = SystemClock().unix_nano()
    body = request(Signal.LOGS, now, text="x" * 150_000).SerializeToString()
    with grpc.insecure_channel(running.grpc) as channel:
        export = channel.unary_unary(EXPORT, request_serializer=None, response_deserializer=None)
        export(b"", timeout=10)
        sizes.clear()
        export(body, timeout=10)
    assert len(sizes) <= 3  # of 16 KiB it would be ten; the end of the call may come by itself
    assert frames.FRAME_SIZE_MAX < max(sizes) <= frames.DATA_SIZE_MAX


def test_grpc_bomb_is_refused_while_it_inflates() -> None:
    """1000 to 1: RESOURCE_EXHAUSTED without RetryInfo, and the budget never held more than the limit."""
    with running_receiver(grpc={"max_recv_msg_size_mib": 1}) as running, RawHttp2(running.grpc) as client:
        bomb = gzip.compress(b"x" * 50_000_000)
        call = client.call(EXPORT, bomb, compressed=True, grpc_encoding="gzip")
        assert call.code == 8
        assert "google.rpc.retryinfo-bin" not in call.trailers


def test_grpc_health_says_serving_for_the_server_and_its_services(running: Running) -> None:
    """What Kubernetes' grpc probe and grpc_health_probe call."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(running.grpc) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", *(signal.service for signal in Signal)):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="unknown"), timeout=20)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_grpc_reflection_lists_and_describes_the_services(running: Running, version: str) -> None:
    """What `grpcurl list` and `grpcurl describe` do; new versions ask v1, older ones v1alpha."""
    from google.protobuf import descriptor_pb2
    from grpc_reflection.v1alpha import reflection_pb2

    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=Signal.TRACES.service),
    ]
    with grpc.insecure_channel(running.grpc) as channel:
        method: Any = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        listed, described = method(iter(asked), timeout=20)
    names = {service.name for service in listed.list_services_response.service}
    assert {signal.service for signal in Signal} <= names
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(data).name
        for data in described.file_descriptor_response.file_descriptor_proto
    ]
    assert "opentelemetry/proto/trace/v1/trace.proto" in files


def test_grpc_reflection_can_be_turned_off() -> None:
    """For those who do not want to be asked."""
    with running_receiver(grpc={"reflection": False}) as running, RawHttp2(running.grpc) as client:
        call = client.call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"")
        assert call.code == 12


def test_grpc_port_in_use_is_a_clear_error() -> None:
    """With the port, who has it, and the option to change. Nothing else is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
        house = make_house("otlp", "receiver")
        host = HttpLoop(house.settings.spawn)
        settings = dataclasses.replace(house.settings, http=host)
        receiver = FACTORY.create(settings, receiver_config({"endpoint": endpoint}), {})
        with pytest.raises(StartError, match=rf"port {taken.getsockname()[1]} is in use by .*process"):
            receiver.start()
        receiver.shutdown()
        host.close()
    eventually(lambda: not any(thread.is_alive() for thread in house.threads))


def test_grpc_two_receivers_cannot_share_a_port(running: Running) -> None:
    """SO_REUSEPORT would let them, and each would get half of the calls."""
    house = make_house("otlp/second", "receiver")
    host = HttpLoop(house.settings.spawn)
    settings = dataclasses.replace(house.settings, http=host)
    receiver = FACTORY.create(settings, receiver_config({"endpoint": running.grpc}), {})
    with pytest.raises(StartError, match="is in use"):
        receiver.start()


def test_grpc_makes_room_by_asking_the_connection_that_idles_longest_to_leave() -> None:
    """Idle connections never keep a new client out; a GOAWAY costs their client nothing."""
    with (
        running_receiver(grpc={"connections_max": 2}) as running,
        RawHttp2(running.grpc) as first,
        RawHttp2(running.grpc) as second,
    ):
        assert [client.call(EXPORT, b"").code for client in (first, second)] == [0, 0]
        with RawHttp2(running.grpc) as third:
            assert third.call(EXPORT, b"").code == 0
            assert [frame.type for frame in first.frames()][-1] == GOAWAY
            assert second.call(EXPORT, b"").code == 0


def test_grpc_bounds_calls_that_do_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many connections have fewer open calls each; what is refused may be sent again, and complete calls are taken."""
    monkeypatch.setattr(grpc_peers, "_ARRIVING_MAX", 8)
    with (
        running_receiver() as running,
        RawHttp2(running.grpc) as greedy,
        RawHttp2(running.grpc) as other,
    ):
        assert other.call(EXPORT, b"").code == 0  # two connections: four each
        streams = [greedy.open(EXPORT) for _ in range(5)]
        refused_stream = 7
        assert greedy.read(streams[4]).reset == refused_stream
        assert other.call(EXPORT, b"").code == 0
        greedy.send_frame(0, 1, streams[0], bytes(5))
        assert greedy.read(streams[0]).code == 0


def test_grpc_answers_all_calls_that_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although a connection lets the others have a turn, here after each of its calls; and also when it ends."""
    monkeypatch.setattr(grpc_connection, "_TURN_S", -1.0)
    with running_receiver() as running, RawHttp2(running.grpc) as client:
        streams = {client.open(EXPORT) for _ in range(60)}
        for stream in streams:
            client.send_message(stream, b"")
        for frame in client.frames():
            if frame.stream and frame.flags & END_STREAM:
                streams.remove(frame.stream)
            if not streams:
                break
        assert not streams


@contextlib.contextmanager
def full() -> Iterator[Running]:
    """A receiver whose one connection has a call, and is still in order at the end."""
    with (
        running_receiver(grpc={"connections_max": 1}) as running,
        RawHttp2(running.grpc) as first,
    ):
        stream = first.open(EXPORT)
        first.send_frame(0, 0, stream, b"\0\0")
        eventually(lambda: any(peer.busy for peer in running.receiver._grpc._peers.open))  # type: ignore[union-attr]
        yield running
        first.send_frame(0, 1, stream, b"\0\0\0")
        assert first.read(stream).code == 0


def turned_away(running: Running) -> float:
    labels = {"receiver": "otlp", "transport": "grpc", "reason": "connections_max"}
    return running.house.sample("collector_receiver_ended_connections_total", **labels)


def test_grpc_tells_a_client_for_whom_there_is_no_room() -> None:
    """It comes back, after growing pauses: after a GOAWAY it would at once, again and again, until its deadline."""
    with full() as running:
        with grpc.insecure_channel(running.grpc) as channel:
            export = channel.unary_unary(EXPORT, bytes, bytes)
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                with pytest.raises(grpc.RpcError) as caught:
                    export(b"", timeout=5)
                call: Any = caught.value
                assert call.code() is grpc.StatusCode.UNAVAILABLE
                assert "HTTP status 503" in call.details()
                time.sleep(0.02)
        assert 1 <= turned_away(running) <= 4
        eventually(lambda: not running.receiver._grpc._peers.leaving)  # type: ignore[union-attr]


def test_grpc_answers_few_of_a_flood_of_connections() -> None:
    """The others are closed: to be polite must not cost more than to be flooded."""
    with full() as running:
        answers = []
        for _ in range(200):
            with contextlib.suppress(ConnectionError), RawHttp.to(running.grpc) as client:
                answers.append(client.read_raw(4096))
        assert turned_away(running) == 200
        polite = [answer for answer in answers if answer]
        assert 1 <= len(polite) < 100
        assert all(b"503" in answer and b"try again" in answer for answer in polite)


def test_grpc_lets_only_so_many_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was told the last and does not close has a file of ours: not more of them than there may be connections."""
    monkeypatch.setattr(grpc_peers, "_POLITE_EVERY_S", 0.0)
    with full() as running, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawHttp.to(running.grpc)) for _ in range(5)]
        eventually(lambda: turned_away(running) == 5)
        assert len(running.receiver._grpc._peers.leaving) == 1  # type: ignore[union-attr]
        assert all(client.closed_by_server() for client in clients)


def test_grpc_ages_connections_without_losing_a_call() -> None:
    """A GOAWAY moves clients to a new connection; no export fails by it."""
    server = KeepaliveServerConfig(max_connection_age=Duration(0.3), max_connection_age_grace=Duration(5.0))
    keepalive = KeepaliveConfig(server_parameters=server)
    with running_receiver(grpc={"keepalive": keepalive}) as running:
        with grpc.insecure_channel(running.grpc) as channel:
            export = channel.unary_unary(EXPORT, bytes, bytes)
            with RawHttp2(running.grpc) as watched:
                closed = threading.Event()

                def watch() -> None:
                    for _ in watched.frames():
                        pass
                    closed.set()

                with ThreadPoolExecutor(1) as pool:
                    pool.submit(watch)
                    number = 0
                    while not closed.is_set():
                        body = request(Signal.LOGS, NOW, text=str(number)).SerializeToString()
                        assert export(body, timeout=20) == b""
                        number += 1
                assert watched.goaway is not None
        assert len(running.consumers[Signal.LOGS].taken) == number


def test_grpc_tells_an_http1_client_where_it_is(running: Running) -> None:
    """OTLP/HTTP at the gRPC port gets an answer that names the other one."""
    with RawHttp.to(running.grpc) as client:
        reply = client.request("POST", "/v1/logs", {"Content-Type": "application/json"}, b"{}")
    assert reply.status == 505
    assert b"4318" in reply.body


def test_grpc_limits_streams_per_connection() -> None:
    """The server's SETTINGS tell the client how many calls it may make at once."""
    with running_receiver(grpc={"max_concurrent_streams": 7}) as running, RawHttp2(running.grpc) as client:
        settings = next(frame for frame in client.frames() if frame.type == 4)
    pairs = [settings.payload[i : i + 6] for i in range(0, len(settings.payload), 6)]
    assert {int.from_bytes(p[2:], "big") for p in pairs if p[:2] == b"\x00\x03"} == {7}


def test_receiver_starts_again_after_a_shutdown_and_shuts_down_twice() -> None:
    """Component contract: shutdown unstarted, twice, and a second instance on the same ports."""
    house = make_house("otlp", "receiver")
    unstarted = FACTORY.create(house.settings, receiver_config(), {})
    unstarted.shutdown()
    with running_receiver() as first:
        endpoint = first.grpc
        assert first.house.reports[-1][0] is State.OK
        first.receiver.shutdown()
        first.receiver.shutdown()
        with running_receiver(grpc={"endpoint": endpoint}) as second, RawHttp2(second.grpc) as client:
            assert client.call(EXPORT, b"").code == 0
