"""The checklist: what an OTLP server must, should and could do, row by row.

N: any transport. G: OTLP/gRPC. H: OTLP/HTTP. J: OTLP/JSON. The levels MUST, SHOULD and MAY are those of the
specification (opentelemetry-proto, docs/specification.md); PARITY is what users of otelcol rely on; BEAT is what
otelcol does not do although the specification or its users want it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Level(enum.Enum):
    """How much a row matters."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    PARITY = "PARITY"
    BEAT = "BEAT"


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement. `untested`: why no test of this suite is about it; such rows are not counted."""

    id: str
    level: Level
    text: str
    untested: str = ""


_LATER: Final = "TLS, authentication and CORS are not built yet"

ROWS: Final[dict[str, Row]] = {
    row.id: row
    for row in (
        Row("N1", Level.MUST, "no compression and gzip on every transport, with the same result"),
        Row("N2", Level.MUST, "a limit on the size of requests, counted also after decompression"),
        Row("N3", Level.SHOULD, "a limit of 64 MiB unless configured"),
        Row("N4", Level.MUST, "over the limit: RESOURCE_EXHAUSTED without RetryInfo; 413 with a Status"),
        Row("N5", Level.MUST, "a limit on the size of responses; the count of rejected items stays exact"),
        Row("N6", Level.MUST, "full success leaves partial_success unset"),
        Row("N7", Level.MUST, "partial success: 200 or OK, rejected count and an English message"),
        Row("N8", Level.MAY, "a warning on fully accepted data: rejected 0 with a message"),
        Row("N9", Level.SHOULD, "empty requests and empty envelopes succeed"),
        Row("N10", Level.MUST, "unknown protobuf fields and JSON keys are ignored"),
        Row("N11", Level.MUST, "requests of older and newer versions of OTLP are taken"),
        Row("N12", Level.SHOULD, "concurrent requests are served, on one connection and on many"),
        Row(
            "N13",
            Level.SHOULD,
            "what was acknowledged survives the end of the process",
            untested="the sending queue is in memory; the specification expects responsibility, not durability",
        ),
        Row("N14", Level.BEAT, "the same bytes sent again are stored once"),
        Row("N15", Level.SHOULD, "overload is answered as retryable, with a delay, without blocking"),
        Row("G1", Level.MUST, "the default port is 4317"),
        Row("G2", Level.MUST, "unary Export of the three services, by its full name"),
        Row("G3", Level.SHOULD, "UNIMPLEMENTED for a signal that is not taken"),
        Row("G4", Level.MUST, "retryable codes for passing conditions only, and others for the rest"),
        Row("G5", Level.SHOULD, "INVALID_ARGUMENT with BadRequest for malformed data"),
        Row("G6", Level.SHOULD, "overload: UNAVAILABLE with a RetryInfo of 1 to 5 seconds"),
        Row("G7", Level.BEAT, "RetryInfo in both trailers, in a Trailers-Only response"),
        Row("G8", Level.PARITY, "gzip; an unknown compression is UNIMPLEMENTED with the list of known ones"),
        Row("G9", Level.PARITY, "a client that pings too often gets GOAWAY, ENHANCE_YOUR_CALM"),
        Row("G10", Level.PARITY, "a bound on streams per connection is announced"),
        Row("G11", Level.PARITY, "TLS and mutual TLS", untested=_LATER),
        Row("G12", Level.BEAT, "authentication before the body is decoded", untested=_LATER),
        Row("G13", Level.BEAT, "the health service and reflection"),
        Row("G14", Level.PARITY, "shutdown: every acknowledged export is kept, the others are retryable"),
        Row("H1", Level.MUST, "POST over HTTP/1.1: keep-alive, pipelined, chunked, 100-continue"),
        Row("H2", Level.MUST, "the default port is 4318, with a path for each signal"),
        Row("H3", Level.MUST, "both media types, with parameters, in any case"),
        Row("H4", Level.BEAT, "another media type, or none: 415 with a Status"),
        Row("H5", Level.BEAT, "405 with Allow; 404 with a hint"),
        Row("H6", Level.MUST, "the response has the Content-Type of the request"),
        Row("H7", Level.MUST, "success is 200 with the response message"),
        Row("H8", Level.MUST, "every 4xx and 5xx has a Status in the encoding of the request"),
        Row("H9", Level.MUST, "malformed data: 400 with BadRequest"),
        Row("H10", Level.MUST, "429, 502, 503, 504 for passing conditions only, and others for the rest"),
        Row(
            "H11",
            Level.SHOULD,
            "a request that never arrives in full gets no answer that makes clients drop it",
        ),
        Row("H12", Level.SHOULD, "overload: 503 with a Retry-After of at least 1"),
        Row(
            "H13", Level.MUST, "Content-Encoding gzip; others by name, unknown ones 415 with Accept-Encoding"
        ),
        Row(
            "H14",
            Level.MAY,
            "compressed responses",
            untested="responses are a few bytes: compressing them would make them longer",
        ),
        Row("H15", Level.PARITY, "CORS", untested=_LATER),
        Row("H16", Level.BEAT, "authentication before the body is read", untested=_LATER),
        Row(
            "H17",
            Level.PARITY,
            "the client's headers are visible to processors",
            untested="no processor looks at them",
        ),
        Row("H18", Level.BEAT, "slow headers and bodies are cut off; idle connections keep nobody out"),
        Row(
            "H19",
            Level.PARITY,
            "otelcol's order of checks",
            untested="without CORS and authentication it cannot be told from the answers",
        ),
        Row("H20", Level.MAY, "gRPC at the HTTP port gets an answer that names the other port"),
        Row("J1", Level.MUST, "ids are hex in any case, not base64"),
        Row("J2", Level.MUST, "enums are integers, also unknown ones"),
        Row("J3", Level.MUST, "64-bit integers as strings or numbers, without rounding"),
        Row("J4", Level.MUST, "bytesValue is base64"),
        Row("J5", Level.MUST, "keys are lowerCamelCase; snake_case is taken with a warning, camelCase wins"),
        Row("J6", Level.MUST, "unknown keys are ignored, whatever their value"),
        Row("J7", Level.MUST, "NaN and the infinities as strings; numbers as strings; bare NaN is refused"),
        Row("J8", Level.MUST, "null is the default value"),
        Row("J9", Level.BEAT, "JSON that is not OTLP is not swallowed silently"),
        Row("J10", Level.BEAT, "the last of duplicate keys wins"),
        Row("J11", Level.BEAT, "bombs of depth are 400"),
        Row("J12", Level.MUST, "an empty AnyValue and an empty list are kept, and kept apart"),
        Row("J13", Level.PARITY, "the file form: one request per line"),
    )
}
