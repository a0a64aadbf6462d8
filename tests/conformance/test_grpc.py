"""Rows G: OTLP/gRPC."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import zstandard
from google.rpc import error_details_pb2, status_pb2

from collector.model.signal import OPENTELEMETRY, Signal
from collector.receivers.otlp.config import GrpcConfig
from collector.wire.json_decode import decode_json
from tests.conformance.conftest import CONFIG
from tests.conformance.target import RESOURCES, Reply, Target, case_of, new_case, of_size, sample
from tests.support.daemon import running
from tests.support.eventually import eventually
from tests.support.raw_http2 import PING, SETTINGS, RawHttp2

every_signal = pytest.mark.parametrize("signal", OPENTELEMETRY)
Code = grpc.StatusCode

# "Failures" and the table of retryable codes in the specification.
RETRYABLE = {
    Code.CANCELLED,
    Code.DEADLINE_EXCEEDED,
    Code.ABORTED,
    Code.OUT_OF_RANGE,
    Code.UNAVAILABLE,
    Code.DATA_LOSS,
}
LOGS = f"/{Signal.LOGS.service}/Export"


@pytest.mark.row("G1")
def test_default_port(target: Target) -> None:
    """Ours is asked for its default; of another server, where it was found to listen must be it."""
    endpoint = GrpcConfig().endpoint if target.own else target.grpc_endpoint
    assert endpoint.rpartition(":")[2] == "4317"


@pytest.mark.row("G2")
@pytest.mark.parametrize(
    ("signal", "method"),
    [
        (Signal.TRACES, "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        (Signal.METRICS, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"),
        (Signal.LOGS, "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
    ],
)
def test_services_have_their_full_names(target: Target, case: str, signal: Signal, method: str) -> None:
    """Written out here, as the specification has them."""
    assert target.call_method(method, sample(signal, case).SerializeToString()).code is Code.OK


@pytest.mark.row("G3")
@pytest.mark.parametrize(
    "method",
    [
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
        "/no.such.Service/Export",
    ],
)
def test_unknown_methods_are_unimplemented(target: Target, method: str) -> None:
    """Not retryable; clients drop and say so."""
    assert target.call_method(method, b"").code is Code.UNIMPLEMENTED


@pytest.mark.row("G4")
def test_lasting_failures_are_not_retryable(target: Target) -> None:
    """Malformed and too large, in any form."""
    for body in (b"\xff", gzip.compress(b"x")[:-4], of_size(target.size_max + 1)):
        reply = target.call(Signal.LOGS, body)
        assert reply.code not in RETRYABLE
        assert reply.code is not Code.OK
        assert reply.retry_delays_s == []


@pytest.mark.row("G4")
def test_passing_failures_are_retryable(overloaded: Target) -> None:
    """A full queue."""
    assert full(overloaded).code in RETRYABLE


@pytest.mark.row("G5")
@every_signal
@pytest.mark.parametrize(
    "body", [b"\xff\xff", b"\x0a\x05ab", b"\x0a\x02\x08\x01\x0b", b"{}", b"\x0d\x01\x02\x03"]
)
def test_malformed_data_is_an_invalid_argument(target: Target, signal: Signal, body: bytes) -> None:
    """Truncated, a group that is not closed, JSON, a wire type cut short; each with BadRequest."""
    reply = target.call(signal, body)
    assert reply.code is Code.INVALID_ARGUMENT
    status = status_pb2.Status.FromString(reply.trailers["grpc-status-details-bin"])
    assert (status.code, status.message) == (3, reply.details)
    [violation] = [detail for detail in status.details if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR)]
    bad_request = error_details_pb2.BadRequest()
    assert violation.Unpack(bad_request)
    assert bad_request.field_violations[0].description


@pytest.mark.row("G5")
def test_logs_sent_as_traces_are_an_invalid_argument(target: Target, case: str) -> None:
    """The message says what they are."""
    for wrong, right in ((Signal.TRACES, Signal.LOGS), (Signal.LOGS, Signal.TRACES)):
        reply = target.call(wrong, sample(right, case, 3).SerializeToString())
        assert reply.code is Code.INVALID_ARGUMENT
        assert right.value in reply.details


@pytest.mark.row("G6")
def test_overload_is_unavailable_with_a_helpful_delay(overloaded: Target) -> None:
    """Long enough to help, short enough for a client that gives up after ten seconds; not the same for all."""
    replies = [full(overloaded) for _ in range(5)]
    assert {reply.code for reply in replies} == {Code.UNAVAILABLE}
    delays = [delay for reply in replies for delay in reply.retry_delays_s]
    assert all(1 <= delay <= 5 for delay in delays)
    assert len(set(delays)) > 1


@pytest.mark.row("G7")
def test_retry_info_is_in_both_trailers(overloaded: Target) -> None:
    """Most SDKs read one, the SDK for Python the other; both say the same."""
    reply = full(overloaded)
    assert {"grpc-status-details-bin", "google.rpc.retryinfo-bin"} <= reply.trailers.keys()
    first, second = reply.retry_delays_s
    assert first == second


@pytest.mark.row("G7")
def test_refusal_is_trailers_only(overloaded: Target) -> None:
    """One HEADERS frame that ends the stream: the SDK for Java looks in no other."""
    with RawHttp2(overloaded.grpc_endpoint) as client:
        call = client.call(LOGS, sample(Signal.LOGS, new_case(), 300).SerializeToString())
    assert call.code == 14
    assert call.trailers_only


@pytest.mark.row("G8")
@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_known_compressions_are_taken(target: Target, case: str, compression: grpc.Compression) -> None:
    """What gRPC has built in."""
    reply = target.call(Signal.LOGS, sample(Signal.LOGS, case).SerializeToString(), compression)
    assert reply.code is Code.OK


@pytest.mark.row("G8")
def test_zstd_is_taken(target: Target, case: str) -> None:
    """As by otelcol; gRPC core does not know it, so that it is sent frame by frame."""
    if not target.own:
        pytest.skip("optional")
    body = zstandard.ZstdCompressor().compress(sample(Signal.LOGS, case).SerializeToString())
    with RawHttp2(target.grpc_endpoint) as client:
        assert client.call(LOGS, body, compressed=True, grpc_encoding="zstd").code == 0


@pytest.mark.row("G8")
@pytest.mark.parametrize("encoding", ["lz4", "snappy", "br"])
def test_unknown_compressions_are_unimplemented(target: Target, encoding: str) -> None:
    """With the list of those that are known ("Compression" in gRPC's documentation)."""
    with RawHttp2(target.grpc_endpoint) as client:
        call = client.call(LOGS, b"abc", compressed=True, grpc_encoding=encoding)
    assert call.code == 12
    assert b"gzip" in call.headers[0]["grpc-accept-encoding"]


@pytest.mark.row("G9")
def test_too_many_pings_are_answered_with_goaway(target: Target) -> None:
    """ENHANCE_YOUR_CALM, "too_many_pings"."""
    with RawHttp2(target.grpc_endpoint) as client:
        with contextlib.suppress(ConnectionError):  # it may be closed before all are sent
            for number in range(10):
                client.send_frame(PING, 0, 0, number.to_bytes(8, "big"))
        with contextlib.suppress(ConnectionError):
            for _ in client.frames():
                if client.goaway is not None:
                    break
    assert client.goaway is not None
    assert client.goaway[4:8] == b"\x00\x00\x00\x0b"


@pytest.mark.row("G10")
def test_streams_per_connection_are_bounded(target: Target) -> None:
    """SETTINGS_MAX_CONCURRENT_STREAMS is sent."""
    with RawHttp2(target.grpc_endpoint) as client:
        settings = next(frame.payload for frame in client.frames() if frame.type == SETTINGS)
    announced = {
        int.from_bytes(settings[i : i + 2], "big"): int.from_bytes(settings[i + 2 : i + 6], "big")
        for i in range(0, len(settings), 6)
    }
    assert 1 <= announced[3] <= 10_000


@pytest.mark.row("G13")
def test_health_service_says_serving(target: Target) -> None:
    """An empty request asks for the whole server; the answer is field 1 with value 1."""
    reply = target.call_method("/grpc.health.v1.Health/Check", b"")
    assert (reply.code, reply.message) == (Code.OK, b"\x08\x01")


@pytest.mark.row("G13")
def test_reflection_lists_the_services(target: Target) -> None:
    """What grpcurl needs; request 7 is `list_services`."""

    def ask() -> Iterator[bytes]:
        yield b"\x3a\x00"

    method: Any = target.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", bytes, bytes
    )
    [answer] = method(ask(), timeout=20)
    assert all(signal.service.encode() in answer for signal in OPENTELEMETRY)


@pytest.mark.row("G14")
def test_shutdown_keeps_every_acknowledged_export(target: Target, tmp_path: Path) -> None:
    """SIGTERM in the middle of many exports: what was OK is kept, everything else is retryable."""
    if not target.own:
        pytest.skip("a foreign server is not ours to stop")
    acknowledged: list[str] = []
    refused: list[grpc.StatusCode] = []
    with running(tmp_path, CONFIG) as daemon:
        endpoint = Target(http_endpoint=daemon.http.removeprefix("http://"), grpc_endpoint=daemon.grpc)

        def export() -> None:
            while True:
                case = new_case()
                reply = endpoint.call(Signal.LOGS, sample(Signal.LOGS, case).SerializeToString())
                if reply.code is not Code.OK:
                    refused.append(reply.code)
                    return
                acknowledged.append(case)

        clients = [threading.Thread(target=export) for _ in range(20)]
        for client in clients:
            client.start()
        eventually(lambda: len(acknowledged) > 200)
        assert daemon.stop() == 0
        for client in clients:
            client.join()
    assert set(refused) <= RETRYABLE
    kept = set()
    for line in (tmp_path / "taken.jsonl").read_bytes().splitlines():
        decoded: Any = decode_json(Signal.LOGS, line)[0]
        kept |= {case_of(resource) for resource in getattr(decoded, RESOURCES[Signal.LOGS])}
    assert kept >= set(acknowledged)


def full(overloaded: Target) -> Reply:
    """Send more than there is room for."""
    return overloaded.call(Signal.LOGS, sample(Signal.LOGS, new_case(), 4000).SerializeToString())
