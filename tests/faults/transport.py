"""OTLP over gRPC and HTTP as a client sees it: one attempt in, one answer out."""

from __future__ import annotations

import gzip
import http.client
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from google.protobuf import json_format
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.model.signal import Signal
from collector.proto.cost.v1.cost_service_pb2 import ExportCostsServiceResponse

_RESPONSES: dict[Signal, Any] = {
    Signal.LOGS: ExportLogsServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.COSTS: ExportCostsServiceResponse,
}
PROTOBUF, GZIP, JSON = "protobuf", "gzip", "json"
_RETRYABLE_HTTP = (429, 502, 503, 504)
_RETRYABLE_GRPC = ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client knows after an attempt. `silent`: nothing; the server may have taken it or not."""

    acked: bool = False
    retry: bool = False
    silent: bool = False
    delay_s: float = 0.0
    code: str = ""  # of an answer that is not OK; "" when there was none
    rejected: int = 0


_SILENCE = Answer(retry=True, silent=True)
_NOBODY = Answer(retry=True, code="no connection")


class Transport(Protocol):
    """A client's connection, made when needed."""

    def send(self, body: bytes, timeout_s: float) -> Answer:
        """Make one attempt."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class _Grpc:
    def __init__(self, endpoint: str, signal: Signal, coding: str) -> None:
        self._compression = grpc.Compression.Gzip if coding == GZIP else grpc.Compression.NoCompression
        self._response = _RESPONSES[signal]
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_retries", 0),
        ]
        self._channel = grpc.insecure_channel(endpoint, options)
        self._export = self._channel.unary_unary(
            f"/{signal.service}/Export", request_serializer=None, response_deserializer=None
        )

    def send(self, body: bytes, timeout_s: float) -> Answer:
        try:
            raw = self._export(body, timeout=timeout_s, compression=self._compression)
        except grpc.RpcError as error:
            return _grpc_answer(error)
        return Answer(acked=True, rejected=_rejected(self._response.FromString(raw)))

    def close(self) -> None:
        self._channel.close()


def _grpc_answer(error: Any) -> Answer:
    code: str = error.code().name
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None and code in _RETRYABLE_GRPC:
        # Without the server's own details it is the library that speaks: of a broken connection, mostly.
        return _NOBODY if "onnection refused" in (error.details() or "") else _SILENCE
    delay_s, asked = 0.0, False
    for detail in Status.FromString(details).details if details else ():
        if detail.Is(RetryInfo.DESCRIPTOR):
            info = RetryInfo()
            detail.Unpack(info)
            delay_s, asked = info.retry_delay.seconds + info.retry_delay.nanos / 1e9, True
    return Answer(retry=code in _RETRYABLE_GRPC or asked, delay_s=delay_s, code=code)


class _Http:
    def __init__(self, endpoint: str, signal: Signal, coding: str) -> None:
        self._endpoint = endpoint
        self._json = coding == JSON
        self._headers = {"Content-Type": "application/json" if self._json else "application/x-protobuf"}
        self._gzip = coding == GZIP
        if self._gzip:
            self._headers["Content-Encoding"] = "gzip"
        self._path = signal.http_path
        self._response = _RESPONSES[signal]
        self._connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes, timeout_s: float) -> Answer:
        if self._connection is None:
            connection = http.client.HTTPConnection(self._endpoint, timeout=timeout_s)
            try:
                connection.connect()
            except OSError:
                return _NOBODY
            self._connection = connection
        try:
            self._connection.request("POST", self._path, self._encoded(body), self._headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return _SILENCE
        if response.will_close:
            self.close()
        if response.status == 200:
            return Answer(acked=True, rejected=_rejected(self._read(content)))
        return Answer(
            retry=response.status in _RETRYABLE_HTTP,
            delay_s=float(response.headers.get("Retry-After", 0)),
            code=str(response.status),
        )

    def _encoded(self, body: bytes) -> bytes:
        return gzip.compress(body, 1) if self._gzip else body

    def _read(self, content: bytes) -> Any:
        if self._json:
            return json_format.Parse(content, self._response())
        return self._response.FromString(content)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _rejected(response: Any) -> int:
    partial = response.partial_success
    return sum(value for field, value in partial.ListFields() if field.name.startswith("rejected_"))


def open_transport(kind: str, endpoint: str, signal: Signal, coding: str = PROTOBUF) -> Transport:
    """A client's transport: `grpc` or `http`. `coding` is what bodies are sent in; JSON they have to be already."""
    return _Grpc(endpoint, signal, coding) if kind == "grpc" else _Http(endpoint, signal, coding)
