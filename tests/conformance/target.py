"""The server under test, as the checklist sees it."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from collector.model.clock import SystemClock
from collector.model.signal import Signal
from collector.wire.canonical import canonical
from collector.wire.json_decode import decode_json
from collector.wire.json_encode import encode_json
from tests.support.eventually import eventually
from tests.support.otlp import request
from tests.support.raw_http import RawHttp, Response

MIB: Final = 1024 * 1024
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

RESOURCES: Final = {
    Signal.TRACES: "resource_spans",
    Signal.METRICS: "resource_metrics",
    Signal.LOGS: "resource_logs",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call was answered with, over gRPC."""

    code: grpc.StatusCode
    details: str
    message: bytes
    trailers: Mapping[str, bytes]

    @property
    def retry_delays_s(self) -> list[float]:
        """The delays of every RetryInfo in the trailers."""
        found = []
        if "grpc-status-details-bin" in self.trailers:
            status = status_pb2.Status.FromString(self.trailers["grpc-status-details-bin"])
            for detail in status.details:
                info = error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    found.append(info)
        if "google.rpc.retryinfo-bin" in self.trailers:
            found.append(error_details_pb2.RetryInfo.FromString(self.trailers["google.rpc.retryinfo-bin"]))
        return [info.retry_delay.ToTimedelta().total_seconds() for info in found]


@dataclass(frozen=True, slots=True)
class Target:
    """A server. What is None cannot be seen from here, and what needs it is not checked."""

    http_endpoint: str  # host:port
    grpc_endpoint: str
    own: bool = False  # it is this project's, with its defaults
    pid: int | None = None
    output: Path | None = None  # what it has taken, as OTLP/JSON lines
    size_max: int = 64 * MIB
    header_timeout_s: float = 90.0  # within which a slow header or body must have an end
    channel: grpc.Channel = field(init=False)

    def __post_init__(self) -> None:
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        object.__setattr__(self, "channel", grpc.insecure_channel(self.grpc_endpoint, options))

    # --- sending ----------------------------------------------------------------------------------------

    def call(
        self, signal: Signal, body: bytes, compression: grpc.Compression | None = None, timeout_s: float = 60
    ) -> Reply:
        """Export over gRPC."""
        return self.call_method(f"/{signal.service}/Export", body, compression, timeout_s)

    def call_method(
        self, method: str, body: bytes, compression: grpc.Compression | None = None, timeout_s: float = 60
    ) -> Reply:
        """Make a unary call of raw bytes."""
        unary: Any = self.channel.unary_unary(method, bytes, bytes)
        try:
            message, call = unary.with_call(body, compression=compression, timeout=timeout_s)
        except grpc.RpcError as error:
            failed: Any = error
            return Reply(failed.code(), failed.details() or "", b"", dict(failed.trailing_metadata() or ()))
        return Reply(grpc.StatusCode.OK, "", message, dict(call.trailing_metadata() or ()))

    def post(self, path: str, body: bytes, content_type: str | None = PROTOBUF, **headers: str) -> Response:
        """POST over a connection of its own. Underscores in header names become hyphens."""
        with self.connect() as client:
            return client.request("POST", path, header_fields(content_type, **headers), body)

    def connect(self, timeout_s: float = 60.0) -> RawHttp:
        """A connection to the HTTP port."""
        return RawHttp.to(self.http_endpoint, timeout_s=timeout_s)

    # --- what became of it ------------------------------------------------------------------------------

    def stored(self, signal: Signal, case: str, items: int = 1) -> Message | None:
        """What was taken with this case, once there are `items` of it, in canonical form. None: cannot be seen."""
        if self.output is None:
            return None
        path = self.output

        def found() -> Message | None:
            message: Any = signal.request_type()()
            # Its last line may be being written.
            for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else []:
                if case.encode() in line and f'"{camel(RESOURCES[signal])}"'.encode() in line:
                    decoded: Any = decode_json(signal, line)[0]
                    for resource in getattr(decoded, RESOURCES[signal]):
                        if case_of(resource) == case:
                            getattr(message, RESOURCES[signal]).append(resource)
            return canonical(signal, [message]) if count(signal, message) >= items else None

        return eventually(found, what=f"{items} items of {signal.value} arriving")

    def memory_peak(self) -> int | None:
        """Most memory it has had since `reset_memory_peak`, in bytes."""
        if self.pid is None:
            return None
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) * 1024

    def reset_memory_peak(self) -> None:
        """Forget the peak (proc_pid_clear_refs in the kernel's documentation). Without effect where forbidden."""
        if self.pid is not None:
            with contextlib.suppress(OSError):
                Path(f"/proc/{self.pid}/clear_refs").write_text("5")


def header_fields(content_type: str | None, **headers: str) -> dict[str, str]:
    """Request headers."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return fields if content_type is None else {"Content-Type": content_type, **fields}


# --- requests -------------------------------------------------------------------------------------------


def new_case() -> str:
    """A name for what one test sends."""
    return uuid.uuid4().hex


def sample(signal: Signal, case: str, items: int = 1, bad: int = 0) -> Message:
    """A valid request of now, marked with `case`; `bad` items more are not valid."""
    message: Any = request(signal, SystemClock().unix_nano(), items, bad=bad, text=case)
    mark(getattr(message, RESOURCES[signal])[0], case)
    built: Message = message
    return built


def mark(resource: Any, case: str) -> None:
    """Mark a `Resource…` message."""
    resource.resource.attributes.add(key="conformance.case").value.string_value = case


def case_of(resource: Any) -> str:
    """The mark of a `Resource…` message."""
    return next(
        (a.value.string_value for a in resource.resource.attributes if a.key == "conformance.case"), ""
    )


def of_size(size: int) -> bytes:
    """A request for logs of exactly `size` bytes, without items: an envelope with a field nobody knows."""
    tag = b"\xfa\x3e"  # field 1007, length-delimited
    for length_bytes in range(1, 6):
        length = size - len(tag) - length_bytes
        if length >= 0 and len(varint(length)) == length_bytes:
            return tag + varint(length) + bytes(length)
    raise ValueError(f"no request has {size} bytes")


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def to_json(signal: Signal, message: Message) -> Any:
    """The request as OTLP/JSON, to be changed by a test."""
    return json.loads(encode_json(signal, message))


# --- answers --------------------------------------------------------------------------------------------


def partial_success(signal: Signal, content_type: str, body: bytes) -> tuple[int, str]:
    """Rejected count and message of a response in either encoding."""
    if content_type == JSON:
        partial = json.loads(body).get("partialSuccess", {})
        return int(partial.get(camel(signal.rejected_field), 0)), partial.get("errorMessage", "")
    response: Any = signal.response_type().FromString(body)
    return (
        getattr(response.partial_success, signal.rejected_field),
        response.partial_success.error_message,
    )


def status_of(reply: Response) -> Any:
    """The `google.rpc.Status` of a refusal, in the encoding its Content-Type says."""
    if reply.headers["content-type"] == JSON:
        from google.protobuf import json_format

        return json_format.Parse(reply.body, status_pb2.Status())
    assert reply.headers["content-type"] == PROTOBUF
    return status_pb2.Status.FromString(reply.body)


def camel(name: str) -> str:
    """A field's name as JSON writes it."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def count(signal: Signal, message: Any) -> int:
    """Items in a request."""
    total = 0
    for resource in getattr(message, RESOURCES[signal]):
        match signal:
            case Signal.TRACES:
                total += sum(len(scope.spans) for scope in resource.scope_spans)
            case Signal.LOGS:
                total += sum(len(scope.log_records) for scope in resource.scope_logs)
            case Signal.METRICS:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        kind = metric.WhichOneof("data")
                        total += len(getattr(metric, kind).data_points) if kind else 0
    return total
