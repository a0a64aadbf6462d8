"""What is answered to what never becomes a request, or is sent to the wrong port. It is the last of a connection."""

from __future__ import annotations

from typing import Final

import msgspec

from collector.wire.http1 import Problem, response_head
from collector.wire.http2 import frames
from collector.wire.http2.frames import ErrorCode

# The connection preface of HTTP/2 (RFC 9113, section 3.4): a gRPC client at the wrong port.
HTTP2_PREFACE: Final = b"PRI * HTTP/2.0"
# In its own protocol: clients show the debug text of a GOAWAY.
HTTP2_ANSWER: Final = frames.settings({}) + frames.goaway(
    0,
    ErrorCode.HTTP_1_1_REQUIRED,
    b"this port speaks HTTP/1.1; send OTLP/gRPC to the gRPC endpoint (default port 4317)",
)

# google.rpc.Code
_INVALID_ARGUMENT: Final = 3
_UNAVAILABLE: Final = 14


def refusal(problem: Problem) -> bytes:
    """The answer: a `google.rpc.Status` in JSON, as no encoding was negotiated."""
    headers, code = b"content-type: application/json\r\n", _INVALID_ARGUMENT
    if problem.status == 503:
        headers, code = headers + b"retry-after: 1\r\n", _UNAVAILABLE
    body = msgspec.json.encode({"code": code, "message": problem.message})
    return response_head(problem.status, headers, len(body), last=True) + body
