"""What a receiver holds of requests: what the budget says, and nothing of those that it has answered."""

from __future__ import annotations

import gc
import gzip
import json
from collections.abc import Iterator

import pytest

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from tests.faults.stamp import request
from tests.faults.transport import GZIP, JSON, PROTOBUF, open_transport
from tests.support.eventually import eventually
from tests.support.raw_http2 import RawHttp2
from tests.support.receiver import Running, running_receiver

NOW = 1_700_000_000_000_000_000
MIB = 1024 * 1024
WAYS = [("grpc", PROTOBUF), ("grpc", GZIP), ("http", PROTOBUF), ("http", GZIP), ("http", JSON)]


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage is collected meanwhile: what is in no cycle goes by itself."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def body_of(coding: str, size: int) -> bytes:
    if coding == JSON:
        record = {"timeUnixNano": str(NOW), "body": {"stringValue": "x" * size}}
        return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    return request(Signal.LOGS, "client", 0, 1, NOW, size)


def endpoint(running: Running, transport: str) -> str:
    return running.grpc if transport == "grpc" else running.http


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(("transport", "coding"), WAYS)
@pytest.mark.parametrize("size", [50_000, 2 * MIB])
@pytest.mark.parametrize("by", ["nobody", "pipeline", "budget"])
def test_nothing_of_an_answered_request_is_left_for_the_garbage_collector(
    transport: str, coding: str, size: int, by: str
) -> None:
    """A refusal that held its request, and was held by it, cost megabytes each until the collector came."""
    with running_receiver(budget=32 * MIB) as running:
        client = open_transport(transport, endpoint(running, transport), Signal.LOGS, coding)
        budget = running.house.settings.budget
        assert client.send(body_of(coding, 10), 10.0).acked  # what is loaded late is loaded
        gc.collect()
        if by == "pipeline":
            running.consumers[Signal.LOGS].error = RetryableError("not now", reason="test")
        if by == "budget":
            budget.reserve(budget.limit - 80_000)
        answer = client.send(body_of(coding, size), 10.0)
        if size > MIB:
            assert answer.acked == (by == "nobody")
        client.close()
        running.consumers[Signal.LOGS].taken.clear()
        large = sum(
            len(held)
            for garbage in _garbage()
            for held in gc.get_referents(garbage)
            if isinstance(held, bytes) and len(held) > 10_000
        )
        assert large == 0


def _garbage() -> list[object]:
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return [*gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.parametrize(("transport", "coding"), WAYS)
def test_what_never_fits_is_refused_for_ever_with_the_remedy(transport: str, coding: str) -> None:
    """Or the client would come back without end. What it had reserved is given back."""
    with running_receiver(budget=MIB) as running:
        client = open_transport(transport, endpoint(running, transport), Signal.LOGS, coding)
        answer = client.send(body_of(coding, 3 * MIB), 10.0)
        assert (answer.code, answer.retry) == ("RESOURCE_EXHAUSTED" if transport == "grpc" else "413", False)
        assert client.send(body_of(coding, 10_000), 10.0).acked
        client.close()
        eventually(lambda: running.house.settings.budget.used == 0, what="giving the budget back")


def test_the_refusal_names_the_remedy() -> None:
    """At the first bytes: the length is announced."""
    with running_receiver(budget=MIB) as running, RawHttp2(running.grpc) as client:
        stream = client.open(f"/{Signal.LOGS.service}/Export")
        client.send_frame(0, 0, stream, b"\0" + (5 * MIB).to_bytes(4, "big"))
        call = client.read(stream)
        assert (call.code, call.trailers_only) == (8, True)
        assert b"in_flight_size_max" in call.trailers["grpc-message"]
        assert "google.rpc.retryinfo-bin" not in call.trailers


def test_json_with_many_values_is_weighed_by_them() -> None:
    """300 KB of nothing but empty objects would be 40 MB of Python's."""
    with running_receiver(budget=4 * MIB) as running:
        client = open_transport("http", running.http, Signal.LOGS, JSON)
        scopes = b",".join([b'{"scope":{}}'] * 25_000)
        answer = client.send(b'{"resourceLogs":[{"scopeLogs":[' + scopes + b"]}]}", 10.0)
        assert answer.code == "413"
        zipped = open_transport("http", running.http, Signal.LOGS, GZIP)
        assert zipped.send(gzip.compress(b"no"), 10.0).code == "400"
        client.close()
        zipped.close()
