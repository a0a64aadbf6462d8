"""HTTP/1.1 byte by byte, for what no polite client library would send."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawHttp:
    """One connection. Reads raise `TimeoutError` after `timeout_s`, `EOFError` when the server closed."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 20.0) -> None:
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self._received = b""

    @classmethod
    def to(cls, endpoint: str, *, timeout_s: float = 20.0) -> RawHttp:
        """Connect to `host:port`."""
        host, _, port = endpoint.rpartition(":")
        return cls(host.strip("[]"), int(port), timeout_s=timeout_s)

    def __enter__(self) -> RawHttp:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send `data` as it is."""
        self.socket.sendall(data)

    def send_request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> None:
        """Send a request; Content-Length is added if there is a body."""
        lines = [f"{method} {path} HTTP/1.1", "Host: test"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Send a request and read its answer."""
        self.send_request(method, path, headers, body)
        return self.read_response(head_only=method == "HEAD")

    def read_response(self, *, head_only: bool = False) -> Response:
        """Read one answer, final or interim."""
        head = self._read_until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        status = int(first.split(" ")[1])
        if head_only or status < 200 or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._read_chunked()
        elif "content-length" in headers:
            body = self._read_exactly(int(headers["content-length"]))
        else:
            body = self._read_to_end()
        return Response(status, headers, body)

    def closed_by_server(self) -> bool:
        """Wait until the server closes the connection; False if it does not within the timeout."""
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def read_raw(self, size: int) -> bytes:
        """At most `size` bytes of what arrived; b"" at the end."""
        if self._received:
            data, self._received = self._received[:size], self._received[size:]
            return data
        return self.socket.recv(size)

    def _fill(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the server closed the connection")
        self._received += data

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._fill()
        head, _, self._received = self._received.partition(mark)
        return head

    def _read_exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._fill()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _read_chunked(self) -> bytes:
        body = b""
        while True:
            size = int(self._read_until(b"\r\n").partition(b";")[0], 16)
            body += self._read_exactly(size)
            self._read_until(b"\r\n")
            if size == 0:
                return body

    def _read_to_end(self) -> bytes:
        try:
            while True:
                self._fill()
        except EOFError:
            data, self._received = self._received, b""
            return data
