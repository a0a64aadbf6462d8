"""The options of the `otlp` receiver: otelcol's keys, and its defaults except where they are unsafe.

Different from otelcol on purpose: messages up to 64 MiB are taken, as the OTLP specification recommends (otelcol:
4 MiB over gRPC, 20 MiB over HTTP); every HTTP timeout is on (otelcol's receiver sets them to 0, for ever); and
streams per connection are bounded (otelcol: unlimited).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from collector.config.option import Invalid, Unsupported, option
from collector.config.types import ByteSize, Duration
from collector.model.signal import Signal
from collector.pipeline.endpoint import endpoint_text

_MIB: Final = 1024 * 1024
_DAY_S: Final = 86400.0
# "The default limit SHOULD be 64 MiB" (opentelemetry-proto, docs/specification.md, "OTLP/gRPC Request").
_REQUEST_MIB: Final = 64
# opentelemetry specification, protocol/exporter.md: SDKs wait 10 s for the answer to an export.
_WAIT_MAX_S: Final = 5.0

COMPRESSIONS: Final = ("", "gzip", "zstd", "zlib", "deflate")
_OTELCOL_COMPRESSIONS: Final = ("snappy", "lz4", "x-snappy-framed")

_FOR_EVER: Final = "0 would wait for ever, as otelcol does: name a time, or leave the key out"
_ONLY_LOOPBACK: Final = "not built yet: listen on loopback or put a proxy in front"
_SHARED_UNSUPPORTED: Final = (
    Unsupported("tls", f"connections would be encrypted; {_ONLY_LOOPBACK}"),
    Unsupported("auth", f"requests without credentials would be refused; {_ONLY_LOOPBACK}"),
    Unsupported("middlewares", "requests would pass through extensions first; there are none"),
    Unsupported(
        "include_metadata",
        "processors could see the client's headers; no processor here looks at them",
        harmless=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepaliveServerConfig:
    """How the gRPC server keeps connections alive, and when it asks clients to make new ones."""

    max_connection_idle: Duration | None = option(
        None, doc="A connection without calls is closed after this. Unset: never.", example="5m"
    )
    max_connection_age: Duration | None = option(
        None,
        doc="A connection gets a GOAWAY after this, so that clients spread anew over replicas. Unset: never.",
        example="30m",
    )
    max_connection_age_grace: Duration | None = option(
        None, doc="Time for running calls after `max_connection_age`. Unset: unlimited.", example="10s"
    )
    time: Duration = option(Duration(7200.0), doc="A silent connection is pinged after this.")
    timeout: Duration = option(Duration(20.0), doc="Closed if the ping is not answered within this.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepaliveEnforcementConfig:
    """Which pings from clients are too many: they are answered with GOAWAY, ENHANCE_YOUR_CALM."""

    min_time: Duration = option(Duration(300.0), doc="Least time between a client's pings.")
    permit_without_stream: bool = option(False, doc="Whether clients may ping when no call is running.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepaliveConfig:
    """HTTP/2 pings in both directions."""

    server_parameters: KeepaliveServerConfig = option(
        default_factory=KeepaliveServerConfig, doc="What the server does."
    )
    enforcement_policy: KeepaliveEnforcementConfig = option(
        default_factory=KeepaliveEnforcementConfig, doc="What clients may do."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcConfig:
    """OTLP/gRPC."""

    endpoint: str = option(
        "127.0.0.1:4317",
        doc="Where to listen. 0.0.0.0:4317 to be reachable from other machines.",
        parse=endpoint_text,
    )
    transport: Literal["tcp"] = option("tcp", doc="Network; only tcp.")
    max_recv_msg_size_mib: int = option(
        _REQUEST_MIB,
        doc="Largest request in MiB, counted as sent and inflated. Larger: RESOURCE_EXHAUSTED.",
        minimum=1,
        maximum=2047,
    )
    max_concurrent_streams: int = option(
        100, doc="Calls at once per connection; a client keeps further ones waiting. 0: unlimited.", minimum=0
    )
    connections_max: int = option(
        1000, doc="Connections at once; the longest idle one makes room, or a new one gets 503.", minimum=1
    )
    read_header_timeout: Duration = option(
        Duration(10.0), doc="A header, or another frame, must have arrived within this. Not for data."
    )
    read_timeout: Duration = option(
        Duration(15.0), doc="A request must have arrived within this, or it is cancelled. 0: no limit."
    )
    workers: int = option(4, doc="Threads that work on large or compressed messages.", minimum=1, maximum=256)
    keepalive: KeepaliveConfig = option(
        default_factory=KeepaliveConfig, doc="Pings and the age of connections."
    )
    reflection: bool = option(
        True,
        doc="Serve gRPC reflection, so that grpcurl can list and call the services without .proto files.",
    )

    UNSUPPORTED: ClassVar = (
        *_SHARED_UNSUPPORTED,
        Unsupported("read_buffer_size", "a buffer per connection would be this large", harmless=True),
        Unsupported("write_buffer_size", "a buffer per connection would be this large", harmless=True),
    )

    @property
    def request_bytes_max(self) -> int:
        """`max_recv_msg_size_mib` in bytes."""
        return self.max_recv_msg_size_mib * _MIB

    def validate(self) -> Iterator[Invalid]:
        """Check the timeout."""
        if not self.read_header_timeout:
            yield Invalid("read_header_timeout", _FOR_EVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """OTLP/HTTP, protobuf and JSON."""

    endpoint: str = option(
        "127.0.0.1:4318",
        doc="Where to listen. 0.0.0.0:4318 to be reachable from other machines.",
        parse=endpoint_text,
    )
    transport: Literal["tcp"] = option("tcp", doc="Network; only tcp.")
    max_request_body_size: ByteSize = option(
        ByteSize(_REQUEST_MIB * _MIB),
        doc="Largest request, counted as sent and inflated. Larger: 413.",
        minimum=1024,
    )
    compression_algorithms: tuple[str, ...] = option(
        COMPRESSIONS,
        doc='Content-Encodings taken; "" is none. An empty list turns decompression off.',
    )
    read_header_timeout: Duration = option(
        Duration(10.0), doc="A request's header must have arrived within this."
    )
    read_timeout: Duration = option(
        Duration(15.0),
        doc="A request's body must have arrived within this after its header.",
    )
    write_timeout: Duration = option(Duration(30.0), doc="A client must have read its answer within this.")
    idle_timeout: Duration = option(Duration(60.0), doc="A connection without requests is closed after this.")
    keep_alives_enabled: bool = option(True, doc="Whether connections serve more than one request.")
    connections_max: int = option(
        1000, doc="Connections at once; the longest idle one makes room, or a new one gets 503.", minimum=1
    )
    workers: int = option(4, doc="Threads that work on large or compressed bodies.", minimum=1, maximum=256)
    response_headers: Mapping[str, str] = option(
        default_factory=dict, doc="Headers added to every answer.", example="{X-Served-By: collector}"
    )
    traces_url_path: str = option("/v1/traces", doc="Path for traces.")
    metrics_url_path: str = option("/v1/metrics", doc="Path for metrics.")
    logs_url_path: str = option("/v1/logs", doc="Path for logs.")
    costs_url_path: str = option("/v1/costs", doc="Path for cost records.")

    UNSUPPORTED: ClassVar = (
        *_SHARED_UNSUPPORTED,
        Unsupported("cors", f"browsers on other origins could send; {_ONLY_LOOPBACK}"),
    )

    def validate(self) -> Iterator[Invalid]:
        """Check the timeouts, the algorithms, the paths and the headers."""
        for key in ("read_header_timeout", "read_timeout", "write_timeout", "idle_timeout"):
            if not getattr(self, key):
                yield Invalid(key, _FOR_EVER)
        for name in self.compression_algorithms:
            if name in _OTELCOL_COMPRESSIONS:
                yield Invalid(
                    "compression_algorithms",
                    f"{name!r} is otelcol's and not built here; take it out (SDKs compress with gzip or not at all)",
                )
            elif name not in COMPRESSIONS:
                known = ", ".join(repr(known) for known in COMPRESSIONS)
                yield Invalid("compression_algorithms", f"{name!r} is unknown; known are {known}")
        paths: dict[str, Signal] = {}
        for signal, path in self.paths().items():
            key = f"{signal.value}_url_path"
            if not path.startswith("/") or not path.isascii() or any(c in path for c in "?# %"):
                yield Invalid(
                    key, f"{path!r} is not a path: it starts with '/' and has no '?', '#', '%' or space"
                )
            elif path in paths:
                yield Invalid(key, f"{path!r} is the path of {paths[path].value} already")
            paths.setdefault(path, signal)
        for name, value in self.response_headers.items():
            token = name.replace("-", "").replace("_", "")
            if not (token.isascii() and token.isalnum()) or not value.isprintable() or not value.isascii():
                yield Invalid("response_headers", f"{name!r}: {value!r} is not a valid header")

    def paths(self) -> dict[Signal, str]:
        """The path of each signal."""
        return {
            Signal.TRACES: self.traces_url_path,
            Signal.METRICS: self.metrics_url_path,
            Signal.LOGS: self.logs_url_path,
            Signal.COSTS: self.costs_url_path,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolsConfig:
    """Which transports are served. A key with nothing behind it enables one with its defaults."""

    grpc: GrpcConfig | None = option(None, doc="OTLP/gRPC.")
    http: HttpConfig | None = option(None, doc="OTLP/HTTP.")

    def validate(self) -> Iterator[Invalid]:
        """Check that there is one."""
        if self.grpc is None and self.http is None:
            yield Invalid(
                "", "at least one of 'grpc' and 'http' must be there; 'grpc:' alone means its defaults"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindowConfig:
    """Items whose time lies outside are refused, item by item, through partial success.

    A client with a wrong clock would otherwise make the store keep a partition for every day it dreams of.
    """

    past: Duration = option(Duration(30 * _DAY_S), doc="How old an item may be.")
    future: Duration = option(Duration(3600.0), doc="How far ahead of this machine's clock an item may be.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionConfig:
    """A request for which there is no room now, in memory or in a sending queue, waits a moment before it is refused.

    The name, and `waiting_limit_mib`, are those of otelcol's `otelarrow` receiver.
    """

    timeout: Duration = option(
        Duration(0.5),
        doc="How long a request waits, and never past its client's own deadline. 0: it is refused at once.",
    )
    waiting_limit_mib: int | None = option(
        None,
        doc="MiB that those who wait may hold together; the next is refused at once. "
        "Left out, and at most: an eighth of `service.in_flight_size_max`.",
        minimum=1,
        example="4",
    )

    def validate(self) -> Iterator[Invalid]:
        """Check that a client is still there when it is answered."""
        if self.timeout > _WAIT_MAX_S:
            yield Invalid(
                "timeout", f"must be at most {_WAIT_MAX_S:g} s: clients give up after 10 s, retries included"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpReceiverConfig:
    """Traces, metrics and logs from OpenTelemetry SDKs and collectors, and cost records, over gRPC and HTTP."""

    protocols: ProtocolsConfig = option(doc="The transports to serve.")
    admission: AdmissionConfig = option(
        default_factory=AdmissionConfig, doc="What becomes of requests for which there is no room."
    )
    time_window: TimeWindowConfig = option(default_factory=TimeWindowConfig, doc="Which times are believed.")
    duplicate_window: Duration = option(
        Duration(60.0),
        doc="A request with the very bytes of one accepted within this is acknowledged but not taken again: "
        "the client missed our answer. 0: every request is taken.",
    )
