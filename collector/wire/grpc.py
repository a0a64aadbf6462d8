"""gRPC over HTTP/2 (gRPC's doc/PROTOCOL-HTTP2.md): requests' headers, messages in their envelope, the forms of answers."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from collector.wire.http2.headers import Fields, write_fields, write_response

# Compressed flag and length.
PREFIX_SIZE: Final = 5
# `grpc-encoding` by name, and as `wire.compression` knows it.
ENCODINGS: Final = {b"identity": "", b"gzip": "gzip", b"deflate": "deflate", b"zstd": "zstd"}
ACCEPTED: Final = b", ".join(ENCODINGS)

_CONTENT_TYPE: Final = (b"content-type", b"application/grpc")
_TIMEOUT: Final = re.compile(rb"(\d{1,8})([HMSmun])")
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_UNPRINTABLE: Final = re.compile(rb"[^\x20-\x24\x26-\x7e]")

OK: Final = 0
CANCELLED: Final = 1
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5


@dataclass(frozen=True, slots=True)
class CallHead:
    """What the header of a call says. `problem` is an HTTP status, and why it is no gRPC call at all."""

    path: str
    encoding: bytes = b"identity"
    timeout_s: float | None = None
    problem: tuple[int, str] | None = None


def read_head(fields: Fields) -> CallHead:
    """Understand a request's header. Raises nothing."""
    found = dict(fields)
    path = found.get(b":path", b"").decode("latin-1")
    if found.get(b":method") != b"POST":
        return CallHead(path, problem=(405, "gRPC calls are made by POST"))
    content_type = found.get(b"content-type", b"").lower()
    if not content_type.startswith(b"application/grpc") or content_type[16:17] not in (b"", b"+", b";"):
        return CallHead(
            path,
            problem=(
                415,
                "this is the OTLP/gRPC port; send OTLP/HTTP to the HTTP endpoint (default port 4318)",
            ),
        )
    timeout_s = None
    timeout = found.get(b"grpc-timeout")
    if timeout is not None and (parsed := _TIMEOUT.fullmatch(timeout)) is not None:
        timeout_s = int(parsed[1]) * _UNITS[parsed[2]]
    return CallHead(path, found.get(b"grpc-encoding", b"identity").strip().lower(), timeout_s)


# The beginning of every answer with a message.
RESPONSE: Final = write_response(200, [_CONTENT_TYPE, (b"grpc-accept-encoding", ACCEPTED)])
# The end of a successful one.
SUCCESS: Final = write_fields([(b"grpc-status", b"0")])


def envelope(message: bytes) -> bytes:
    """A message as it is sent: not compressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def status_fields(
    code: int, message: str, metadata: Iterable[tuple[str, bytes]] = ()
) -> list[tuple[bytes, bytes]]:
    """The fields of a status. Binary metadata is written as base64 without padding."""
    fields = [(b"grpc-status", b"%d" % code)]
    if message:
        fields.append((b"grpc-message", percent_encoded(message)))
    for name, value in metadata:
        if name.endswith("-bin"):
            value = base64.b64encode(value).rstrip(b"=")
        fields.append((name.encode(), value))
    return fields


def trailers(code: int, message: str) -> bytes:
    """The end of an answer that has begun."""
    return write_fields(status_fields(code, message))


def trailers_only(code: int, message: str, metadata: Iterable[tuple[str, bytes]] = ()) -> bytes:
    """The whole of an answer without a message, in one block: where clients look for everything."""
    accepted = [(b"grpc-accept-encoding", ACCEPTED)]
    return write_response(200, [_CONTENT_TYPE, *accepted, *status_fields(code, message, metadata)])


def not_grpc(http_status: int, message: str) -> bytes:
    """The answer to what is no gRPC call: readable by HTTP clients, and by gRPC clients behind a strange proxy."""
    fields = [(b"content-type", b"text/plain"), *status_fields(2, message)]
    return write_response(http_status, fields)


def percent_encoded(message: str) -> bytes:
    """`grpc-message`: UTF-8, with "%" and what is not printable ASCII percent-encoded."""
    return _UNPRINTABLE.sub(lambda found: b"%%%02X" % found[0][0], message.encode(errors="replace"))
