"""Rows N: what holds for every transport."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from collector.model.signal import OPENTELEMETRY, Signal
from collector.wire.canonical import canonical
from collector.wire.json_encode import encode_json
from tests.conformance.target import (
    JSON,
    MIB,
    PROTOBUF,
    RESOURCES,
    Target,
    new_case,
    of_size,
    partial_success,
    sample,
    status_of,
    to_json,
    varint,
)

every_signal = pytest.mark.parametrize("signal", OPENTELEMETRY)
both_encodings = pytest.mark.parametrize("encoding", [PROTOBUF, JSON], ids=["protobuf", "json"])
OK = grpc.StatusCode.OK
TRANSPORTS = ["grpc", "protobuf", "json"]


def send(target: Target, transport: str, signal: Signal, message: Message, compressed: bool = False) -> str:
    """Send over one transport; "ok" or what went wrong."""
    if transport == "grpc":
        compression = grpc.Compression.Gzip if compressed else None
        reply = target.call(signal, message.SerializeToString(), compression)
        if reply.code is OK and partial_success(signal, PROTOBUF, reply.message)[0] == 0:
            return "ok"
        return f"{reply.code} {reply.details} {reply.message!r}"
    json_wanted = transport == "json"
    body = encode_json(signal, message) if json_wanted else message.SerializeToString()
    headers = {"Content_Encoding": "gzip"} if compressed else {}
    response = target.post(
        signal.http_path,
        gzip.compress(body) if compressed else body,
        JSON if json_wanted else PROTOBUF,
        **headers,
    )
    return "ok" if response.status == 200 else f"{response.status} {response.body!r}"


@pytest.mark.row("N1")
@every_signal
def test_every_transport_and_compression_gives_the_same(target: Target, signal: Signal) -> None:
    """Six ways in, one result."""
    for transport in TRANSPORTS:
        for compressed in (False, True):
            case = new_case()
            message = sample(signal, case, 3)
            assert send(target, transport, signal, message, compressed) == "ok"
            stored = target.stored(signal, case, 3)
            assert stored in (None, canonical(signal, [message]))


@pytest.mark.row("N2")
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_http_limit_counts_before_and_after_decompression(target: Target, compressed: bool) -> None:
    """The limit itself is taken, one byte more is not."""
    statuses = []
    for size in (target.size_max - 1, target.size_max, target.size_max + 1):
        body = of_size(size)
        if compressed:
            response = target.post("/v1/logs", gzip.compress(body, 1), Content_Encoding="gzip")
        else:
            response = target.post("/v1/logs", body)
        statuses.append(response.status)
    assert statuses == [200, 200, 413]


@pytest.mark.row("N2")
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_grpc_limit_counts_before_and_after_decompression(target: Target, compressed: bool) -> None:
    """The limit itself is taken, one byte more is not."""
    compression = grpc.Compression.Gzip if compressed else None
    codes = [
        target.call(Signal.LOGS, of_size(size), compression).code
        for size in (target.size_max - 1, target.size_max, target.size_max + 1)
    ]
    assert codes == [OK, OK, grpc.StatusCode.RESOURCE_EXHAUSTED]


@pytest.mark.row("N2")
@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_bomb_takes_no_more_memory_than_the_limit(target: Target, transport: str) -> None:
    """Half a gigabyte in half a megabyte."""
    plain = b"x" * (512 * MIB)
    target.reset_memory_peak()
    before = target.memory_peak()
    if transport == "http":
        assert target.post("/v1/logs", gzip.compress(plain), Content_Encoding="gzip").status == 413
    else:
        reply = target.call(Signal.LOGS, plain, grpc.Compression.Gzip)
        assert reply.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    after = target.memory_peak()
    if before is not None and after is not None:
        assert after - before <= target.size_max + 32 * MIB


@pytest.mark.row("N3")
def test_63_mib_are_taken(target: Target) -> None:
    """By a server that was not told otherwise, over both transports."""
    body = of_size(63 * MIB)
    assert target.post("/v1/logs", body).status == 200
    assert target.call(Signal.LOGS, body).code is OK


@pytest.mark.row("N4")
def test_grpc_over_the_limit_is_not_retryable(target: Target) -> None:
    """RESOURCE_EXHAUSTED with RetryInfo would make the client send it again."""
    for compression in (None, grpc.Compression.Gzip):
        reply = target.call(Signal.LOGS, of_size(target.size_max + 1), compression)
        assert (reply.code, reply.retry_delays_s) == (grpc.StatusCode.RESOURCE_EXHAUSTED, [])


@pytest.mark.row("N4")
@both_encodings
def test_http_over_the_limit_is_413_with_a_status(target: Target, encoding: str) -> None:
    """And not 400; the message says what the limit is."""
    response = target.post("/v1/logs", b" " * (target.size_max + 1), encoding)
    assert (response.status, response.headers["content-type"]) == (413, encoding)
    assert str(target.size_max) in status_of(response).message


@pytest.mark.row("N5")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_response_is_limited_and_its_count_exact(target: Target, case: str, transport: str) -> None:
    """A hundred thousand points refused one by one do not make megabytes of reasons."""
    message: Any = sample(Signal.METRICS, case, 1, bad=100_000)
    if transport == "grpc":
        body = target.call(Signal.METRICS, message.SerializeToString()).message
        encoding = PROTOBUF
    else:
        encoding = JSON if transport == "json" else PROTOBUF
        sent = encode_json(Signal.METRICS, message) if transport == "json" else message.SerializeToString()
        body = target.post("/v1/metrics", sent, encoding).body
    assert len(body) <= 4 * MIB
    assert partial_success(Signal.METRICS, encoding, body)[0] == 100_000


@pytest.mark.row("N6")
@every_signal
def test_success_leaves_partial_success_unset(target: Target, signal: Signal) -> None:
    """No bytes at all in protobuf, an empty object in JSON."""
    assert target.call(signal, sample(signal, new_case()).SerializeToString()).message == b""
    assert target.post(signal.http_path, sample(signal, new_case()).SerializeToString()).body == b""
    sent = encode_json(signal, sample(signal, new_case()))
    assert target.post(signal.http_path, sent, JSON).body == b"{}"


@pytest.mark.row("N7")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.METRICS])
def test_partial_success_keeps_the_good(target: Target, case: str, transport: str, signal: Signal) -> None:
    """Three good ones are stored, two bad ones counted, and the reason given."""
    message = sample(signal, case, 3, bad=2)
    if transport == "grpc":
        reply = target.call(signal, message.SerializeToString())
        assert reply.code is OK
        rejected, text = partial_success(signal, PROTOBUF, reply.message)
    else:
        encoding = JSON if transport == "json" else PROTOBUF
        sent = encode_json(signal, message) if transport == "json" else message.SerializeToString()
        response = target.post(signal.http_path, sent, encoding)
        assert response.status == 200
        rejected, text = partial_success(signal, encoding, response.body)
    assert rejected == 2
    assert text
    assert text.isascii()
    stored: Any = target.stored(signal, case, 3)
    if stored is not None:
        assert len(list(items_of(signal, stored))) == 3


@pytest.mark.row("N8")
def test_warning_on_accepted_data(target: Target, case: str) -> None:
    """Text that is not UTF-8 is mended, nothing is rejected, and the sender is told."""
    body = sample(Signal.LOGS, case).SerializeToString().replace(b"test", b"t\xffst")
    response = target.post("/v1/logs", body)
    rejected, text = partial_success(Signal.LOGS, PROTOBUF, response.body)
    assert (response.status, rejected) == (200, 0)
    assert text


def empty_requests(signal: Signal) -> Iterator[Message]:
    """Envelopes of every depth without an item."""
    request: Any = signal.request_type()()
    yield request
    for depth in range(1, 4):
        request = signal.request_type()()
        level = getattr(request, RESOURCES[signal]).add()
        if depth > 1:
            scope = getattr(level, RESOURCES[signal].replace("resource", "scope")).add()
            if depth > 2 and signal is Signal.METRICS:
                scope.metrics.add(name="empty")
                scope.metrics.add(name="gauge").gauge.SetInParent()
        yield request


@pytest.mark.row("N9")
@every_signal
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_empty_requests_succeed(target: Target, signal: Signal, transport: str) -> None:
    """Nothing, a resource without scopes, a scope without items, a metric without points."""
    for message in empty_requests(signal):
        assert send(target, transport, signal, message) == "ok"


@pytest.mark.row("N10")
@every_signal
@pytest.mark.parametrize("transport", ["grpc", "protobuf"])
def test_unknown_protobuf_fields_are_ignored(
    target: Target, case: str, signal: Signal, transport: str
) -> None:
    """A field 4321 of every wire type at every level."""
    message = sample(signal, case)
    body = with_unknown_fields(message)
    assert len(body) > len(message.SerializeToString()) + 50
    if transport == "grpc":
        assert target.call(signal, body).code is OK
    else:
        assert target.post(signal.http_path, body).status == 200
    stored = target.stored(signal, case)
    assert stored in (None, canonical(signal, [message]))


@pytest.mark.row("N10")
@every_signal
def test_unknown_json_keys_are_ignored(target: Target, case: str, signal: Signal) -> None:
    """In every object."""
    message = sample(signal, case)
    response = target.post(
        signal.http_path, json.dumps(with_unknown_keys(to_json(signal, message))).encode(), JSON
    )
    assert (response.status, response.body) == (200, b"{}")
    stored = target.stored(signal, case)
    assert stored in (None, canonical(signal, [message]))


@pytest.mark.row("N11")
@every_signal
def test_fields_of_older_versions_are_ignored(target: Target, case: str, signal: Signal) -> None:
    """Until version 0.15 the scope was called instrumentation library, at field 1000 of the resource level."""
    message = sample(signal, case)
    library = b"\x0a\x06\x0a\x04name" + b"\x12\x00"
    deprecated = varint(1000 << 3 | 2) + varint(len(library)) + library
    [resource] = getattr(message, RESOURCES[signal])
    inner = resource.SerializeToString() + deprecated
    body = b"\x0a" + varint(len(inner)) + inner
    assert target.call(signal, body).code is OK
    stored = target.stored(signal, case)
    assert stored in (None, canonical(signal, [message]))


@pytest.mark.row("N12")
def test_hundred_calls_at_once_on_one_connection(target: Target, case: str) -> None:
    """A client may keep several unary calls open; all are answered."""
    bodies = [sample(Signal.LOGS, case, 1).SerializeToString() for _ in range(100)]
    method: Any = target.channel.unary_unary(f"/{Signal.LOGS.service}/Export", bytes, bytes)
    calls = [method.future(body, timeout=60) for body in bodies]
    assert [call.result() for call in calls] == [b""] * 100
    stored = target.stored(Signal.LOGS, case, 100)
    assert stored is None or len(list(items_of(Signal.LOGS, stored))) == 100


@pytest.mark.row("N12")
def test_hundred_connections_at_once(target: Target, case: str) -> None:
    """Each with its own socket, all open at the same time."""
    clients = [target.connect() for _ in range(100)]
    for client in clients:
        body = sample(Signal.LOGS, case).SerializeToString()
        client.send_request("POST", "/v1/logs", {"Content-Type": PROTOBUF}, body)
    assert {client.read_response().status for client in clients} == {200}
    for client in clients:
        client.close()
    stored = target.stored(Signal.LOGS, case, 100)
    assert stored is None or len(list(items_of(Signal.LOGS, stored))) == 100


@pytest.mark.row("N14")
@every_signal
def test_same_bytes_again_are_stored_once(target: Target, signal: Signal) -> None:
    """An answer that got lost makes a client send again, over either transport."""
    if target.output is None:
        pytest.skip("what is stored cannot be seen from here")
    case, after = new_case(), new_case()
    message = sample(signal, case, 2)
    body = message.SerializeToString()
    assert [target.call(signal, body).code for _ in range(3)] == [OK] * 3
    assert target.post(signal.http_path, body).status == 200
    assert target.call(signal, sample(signal, after).SerializeToString()).code is OK
    assert target.stored(signal, after) is not None  # everything sent before has come through, too
    assert target.stored(signal, case, 2) == canonical(signal, [message])


@pytest.mark.row("N15")
@every_signal
def test_overload_is_answered_at_once_and_retryable(overloaded: Target, signal: Signal) -> None:
    """Within a second, over both transports, with a delay."""
    message = sample(signal, new_case(), 4000).SerializeToString()
    reply = overloaded.call(signal, message, timeout_s=5)
    assert reply.code is grpc.StatusCode.UNAVAILABLE
    assert reply.retry_delays_s
    response = overloaded.post(signal.http_path, message)
    assert response.status in (429, 503)
    assert int(response.headers["retry-after"]) >= 1


@pytest.mark.row("N12")
def test_connections_can_be_made_while_others_are_silent(target: Target) -> None:
    """A half-open client costs a socket and nothing more."""
    host, _, port = target.http_endpoint.rpartition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(50)]
    assert target.post("/v1/logs", b"").status == 200
    for connection in silent:
        connection.close()


# --- requests that no encoder makes ---------------------------------------------------------------------


def with_unknown_fields(message: Any) -> bytes:
    """The message, encoded, with fields 4321 to 4324 in itself and in every message in it."""
    out = bytearray()
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            alone = type(message)()
            if field.is_repeated:
                getattr(alone, field.name).extend(value)
            else:
                setattr(alone, field.name, value)
            out += alone.SerializeToString()
            continue
        for part in value if field.is_repeated else [value]:
            inner = with_unknown_fields(part)
            out += varint(field.number << 3 | 2) + varint(len(inner)) + inner
    out += varint(4321 << 3) + varint(7)
    out += varint(4322 << 3 | 1) + bytes(8)
    out += varint(4323 << 3 | 2) + varint(3) + b"abc"
    out += varint(4324 << 3 | 5) + bytes(4)
    return bytes(out)


def with_unknown_keys(value: Any) -> Any:
    """The document with a key nobody knows in every object."""
    if isinstance(value, list):
        return [with_unknown_keys(part) for part in value]
    if isinstance(value, dict):
        known = {key: with_unknown_keys(part) for key, part in value.items()}
        return {"futureField": {"a": [1, {"b": None}]}, **known}
    return value


def items_of(signal: Signal, message: Any) -> Iterator[Any]:
    """Every item in a request."""
    for resource in getattr(message, RESOURCES[signal]):
        for scope in getattr(resource, RESOURCES[signal].replace("resource", "scope")):
            match signal:
                case Signal.TRACES:
                    yield from scope.spans
                case Signal.LOGS:
                    yield from scope.log_records
                case Signal.METRICS:
                    for metric in scope.metrics:
                        yield from getattr(metric, metric.WhichOneof("data")).data_points
