"""A limit of the receiver: how it is broken, and what then reaches the client, in the words of the receiver's README."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

from collector.model.signal import Signal
from collector.receivers.otlp.config import GrpcConfig, HttpConfig, OtlpReceiverConfig, ProtocolsConfig
from collector.wire.http2.frames import ErrorCode
from collector.wire.status import GrpcCode
from tests.support.fake_clock import FakeClock
from tests.support.otlp import request
from tests.support.raw_http import RawHttp, Response
from tests.support.raw_http2 import Call, RawHttp2
from tests.support.receiver import Running

NOW: Final = FakeClock().unix_nano()
EXPORT: Final = f"/{Signal.LOGS.service}/Export"
MIB: Final = 1024 * 1024
# The defaults.
GRPC: Final = GrpcConfig()
HTTP: Final = HttpConfig()
RECEIVER: Final = OtlpReceiverConfig(protocols=ProtocolsConfig(grpc=GRPC))

Breach = Callable[[Running], str]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One row. `grpc` and `http` break the limit and return what the client got."""

    name: str
    default: str
    grpc: Breach | None = None
    http: Breach | None = None
    options: Mapping[str, Any] = field(default_factory=dict)  # of `running_receiver`
    patches: Mapping[tuple[ModuleType, str], object] = field(default_factory=dict)  # constants, for the test
    fills: bool = False  # all connections: an idle healthy client would have to leave


def log(text: str) -> bytes:
    """A request."""
    return request(Signal.LOGS, NOW, text=text).SerializeToString()


def size(count: int) -> str:
    """Bytes as the table writes them."""
    for unit, bytes_ in (("GiB", 1024 * MIB), ("MiB", MIB), ("KiB", 1024)):
        if count >= bytes_ and not count % bytes_:
            return f"{count // bytes_} {unit}"
    return f"{count} bytes"


def seconds(number: float) -> str:
    """A time as the table writes it."""
    for unit, long in (("d", 86400), ("h", 3600), ("min", 60)):
        if number >= long and not number % long and number != 60:
            return f"{number / long:g} {unit}"
    return f"{number * 1000:g} ms" if number < 1 else f"{number:g} s"


def of_grpc(client: RawHttp2, stream: int) -> str:
    """What a client of gRPC got for one call."""
    try:
        call = client.read(stream)
    except (EOFError, ConnectionError):
        if client.goaway is None:
            return "closed"
        return f"GOAWAY {ErrorCode(int.from_bytes(client.goaway[4:8], 'big')).name}"
    return of_call(call)


def of_call(call: Call) -> str:
    """The answer to a call."""
    if call.reset is not None:
        return ErrorCode(call.reset).name
    if not call.code:
        return "OK, `partial_success`" if len(call.data) > 5 else "OK"
    info = ", RetryInfo" if "google.rpc.retryinfo-bin" in call.trailers else ""
    return GrpcCode(call.code).name + info


def of_http(client: RawHttp) -> str:
    """What a client of HTTP got."""
    try:
        return of_response(client.read_response())
    except (EOFError, ConnectionError):
        return "closed"


def of_response(response: Response) -> str:
    """An answer."""
    if response.status == 200:
        return "200, `partial_success`" if response.body else "200"
    after = ", Retry-After" if "retry-after" in response.headers else ""
    return f"{response.status}{after}{', closed' if response.headers.get('connection') == 'close' else ''}"


def head(length: int | None = None, *lines: str, path: str = "/v1/logs") -> bytes:
    """The header of a request; without a length its body comes in chunks."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    content_type = "Content-Type: application/x-protobuf"
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: t", content_type, framing, *lines, "", ""]).encode()


def sent_http(*pieces: bytes) -> Breach:
    """Send it, and read an answer."""

    def breach(running: Running) -> str:
        with RawHttp.to(running.http) as client:
            try:
                for piece in pieces:
                    client.send(piece)
            except ConnectionError:
                pass
            return of_http(client)

    return breach


def sent_grpc(body: bytes, **headers: str) -> Breach:
    """The same by a call."""

    def breach(running: Running) -> str:
        with RawHttp2(running.grpc) as client:
            stream = client.open(EXPORT, **headers)
            client.send_message(stream, body, compressed="grpc_encoding" in headers)
            return of_grpc(client, stream)

    return breach


def is_retried(answer: str) -> bool:
    """Whether a client of OTLP sends again what was answered so (opentelemetry-proto, specification.md, "Failures").

    A connection that ends is UNAVAILABLE to clients of gRPC, and an error of the network to those of HTTP.
    """
    first = answer.split(",")[0].split(" in ")[0]
    if first in ("429", "502", "503", "504", "closed", "REFUSED_STREAM") or first.startswith("GOAWAY"):
        return True
    if first == "RESOURCE_EXHAUSTED":
        return "RetryInfo" in answer
    return first in (
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNAVAILABLE",
        "DATA_LOSS",
    )
