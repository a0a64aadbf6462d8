"""One request to an OTLP/HTTP endpoint (OpenTelemetry protocol specification, "OTLP/HTTP")."""

from __future__ import annotations

import gzip
import http.client
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from collector.accounting.errors import AccountingError

_ANSWER_MAX: Final = 64 * 1024  # bytes that are read of an answer
_RETRYABLE: Final = (429, 502, 503, 504)
_SHOWN: Final = 200  # characters of what an endpoint says


class SendingError(OSError):
    """It did not arrive; a later try may."""


class RefusedError(AccountingError):
    """The endpoint will not take it."""


class Endpoint:
    """Where metrics go. A connection for each request: they are few, and minutes apart."""

    def __init__(
        self,
        base: str,
        *,
        headers: Mapping[str, str],
        compression: str = "gzip",
        timeout_s: float = 5.0,
        ca_file: Path | None = None,
    ) -> None:
        self.url = f"{base.rstrip('/')}/v1/metrics"
        self._parts = urlsplit(self.url)
        self._compression = compression
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        self._headers = {**headers, "Content-Type": "application/x-protobuf", "User-Agent": "collector"}
        if compression == "gzip":
            self._headers["Content-Encoding"] = "gzip"

    def send(self, request: ExportMetricsServiceRequest) -> str:
        """Make one attempt. What the endpoint says of points that it has not taken, and will not; mostly nothing.

        Raises:
            SendingError: it may work later.
            RefusedError: it will not.
        """
        body = request.SerializeToString()
        if self._compression == "gzip":
            body = gzip.compress(body, 6, mtime=0)
        try:
            status, answer = self._post(body)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise SendingError(f"{self.url}: {reason}") from error
        if status == 200:
            return self._left_out(answer)
        message = f"{self.url} answered {status}{_said(answer)}"
        raise SendingError(message) if status in _RETRYABLE else RefusedError(message)

    def _post(self, body: bytes) -> tuple[int, bytes]:
        host, port = self._parts.hostname or "", self._parts.port
        connection: http.client.HTTPConnection
        if self._parts.scheme == "https":
            context = ssl.create_default_context(cafile=self._ca_file)
            connection = http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        try:
            connection.request("POST", self._parts.path, body, self._headers)
            response = connection.getresponse()
            return response.status, response.read(_ANSWER_MAX)
        finally:
            connection.close()

    def _left_out(self, answer: bytes) -> str:
        try:
            partial = ExportMetricsServiceResponse.FromString(answer).partial_success
        except DecodeError:
            return ""  # it said 200
        if not partial.rejected_data_points:
            return ""
        return f"{self.url} refused {partial.rejected_data_points} points: {partial.error_message[:_SHOWN]}"


def _said(answer: bytes) -> str:
    try:
        message = Status.FromString(answer).message
    except DecodeError:
        message = ""
    return f": {message[:_SHOWN]}" if message else ""
