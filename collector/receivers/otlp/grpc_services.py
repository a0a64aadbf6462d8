"""What the gRPC port serves besides OTLP: health checking for probes, reflection for grpcurl."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pool

from collector.model.signal import Signal
from collector.receivers.otlp import grpc_messages
from collector.wire import grpc
from collector.wire.status import GrpcCode

if TYPE_CHECKING:
    from collector.receivers.otlp.grpc_connection import GrpcConnection
    from collector.wire.http2.streams import Stream

# A question is a name. What is longer is none.
_MESSAGE_MAX: Final = 4096
_NEVER: Final = float("inf")


class _StatusError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class QuestionCall:
    """A call of small messages, each of which has its answers. `answer` gets one and returns those, as bytes.

    `stays`: the stream remains open when the client has asked its last.
    """

    timeout_s = _NEVER

    def __init__(
        self,
        connection: GrpcConnection,
        stream: Stream,
        answer: Callable[[bytes], list[bytes]],
        *,
        stays: bool = False,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._answer = answer
        self._stays = stays
        self._rest = b""
        self._begun = False
        self._over = False

    def received(self) -> None:
        """See `Call`."""
        if self._over:
            return
        stream, http2 = self._stream, self._connection.http2
        self._rest += b"".join(stream.chunks)
        stream.chunks = []
        try:
            while (message := self._next_message()) is not None:
                for answer in self._answer(message):
                    if self._begun:
                        http2.send(stream, grpc.envelope(answer))
                    else:
                        http2.respond(stream, grpc.RESPONSE, grpc.envelope(answer))
                        self._begun = True
            if stream.ended and self._rest:
                raise _StatusError(GrpcCode.INVALID_ARGUMENT, "the call ends within a message")
            if stream.ended and not self._begun and not self._stays:
                raise _StatusError(GrpcCode.INVALID_ARGUMENT, "the call holds no message")
        except _StatusError as error:
            self._end(error.code, str(error))
            return
        if stream.ended and not self._stays:
            self._end(grpc.OK, "")
        elif not stream.ended:
            http2.allow(stream, 2 * _MESSAGE_MAX)

    def _next_message(self) -> bytes | None:
        rest = self._rest
        if len(rest) < grpc.PREFIX_SIZE:
            return None
        size = int.from_bytes(rest[1 : grpc.PREFIX_SIZE], "big")
        if rest[0]:
            raise _StatusError(GrpcCode.UNIMPLEMENTED, "this service takes no compressed messages")
        if size > _MESSAGE_MAX:
            raise _StatusError(
                GrpcCode.RESOURCE_EXHAUSTED, f"a message of {size} bytes; {_MESSAGE_MAX} at most"
            )
        end = grpc.PREFIX_SIZE + size
        if len(rest) < end:
            return None
        self._rest = rest[end:]
        return rest[grpc.PREFIX_SIZE : end]

    def _end(self, code: int, message: str) -> None:
        self._over = True
        block = grpc.trailers(code, message) if self._begun else grpc.trailers_only(code, message)
        self._connection.http2.end(self._stream, block)
        self._connection.finish(self._stream)

    def expired(self) -> None:
        """See `Call`: it would occupy a stream for as long as the client likes."""
        if not self._over and not (self._stays and self._begun):
            self._end(GrpcCode.CANCELLED, "the client has asked nothing for too long")

    def gone(self) -> None:
        """See `Call`."""
        self._over = True


class Health:
    """grpc.health.v1: what Kubernetes' `grpc:` probes call. While the port is open, everything it serves is well."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))

    def check(self, message: bytes) -> list[bytes]:
        """Check."""
        service = _parsed("grpc.health.v1.HealthCheckRequest", message).service
        if service not in self._services:
            raise _StatusError(grpc.NOT_FOUND, f"unknown service {service[:200]!r}")
        return [_status(grpc_messages.SERVING)]

    def watch(self, message: bytes) -> list[bytes]:
        """Watch: the state now. It changes only with the end of the connection, which says enough."""
        service = _parsed("grpc.health.v1.HealthCheckRequest", message).service
        known = service in self._services
        return [_status(grpc_messages.SERVING if known else grpc_messages.SERVICE_UNKNOWN)]


class Reflection:
    """grpc.reflection, version `v1` or `v1alpha`. What it needs is loaded when somebody asks."""

    def __init__(self, signals: Iterable[Signal], version: str) -> None:
        self._signals = frozenset(signals)
        self._package = f"grpc.reflection.{version}"

    def answer(self, message: bytes) -> list[bytes]:
        """Answer one question."""
        request = _parsed(f"{self._package}.ServerReflectionRequest", message)
        response = grpc_messages.message_type(f"{self._package}.ServerReflectionResponse")()
        response.valid_host = request.host
        response.original_request.CopyFrom(request)
        try:
            self._fill(response, request)
        except KeyError as error:
            response.error_response.error_code = grpc.NOT_FOUND
            response.error_response.error_message = f"not found: {str(error.args[0])[:200]}"
        encoded: bytes = response.SerializeToString()
        return [encoded]

    def _fill(self, response: Any, request: Any) -> None:
        match request.WhichOneof("message_request"):
            case "list_services":
                names = [signal.service for signal in self._signals]
                for name in sorted([*names, grpc_messages.HEALTH, *grpc_messages.REFLECTIONS]):
                    response.list_services_response.service.add(name=name)
            case "file_containing_symbol":
                self._files(
                    response, lambda pool: pool.FindFileContainingSymbol(request.file_containing_symbol)
                )
            case "file_by_filename":
                self._files(response, lambda pool: pool.FindFileByName(request.file_by_filename))
            case "all_extension_numbers_of_type":  # OTLP has no extensions
                response.all_extension_numbers_response.base_type_name = request.all_extension_numbers_of_type
            case _:
                raise KeyError("an extension, or nothing at all")

    def _files(self, response: Any, find: Callable[[Any], Any]) -> None:
        for signal in self._signals:
            signal.request_type()  # puts the descriptors of its service where they are found
        found = None
        for pool in (descriptor_pool.Default(), grpc_messages.pool()):
            try:
                found = find(pool)
                break
            except KeyError:
                continue
        if found is None:
            raise KeyError("no such symbol or file")
        waiting, seen = [found], set()
        while waiting:
            file = waiting.pop()
            if file.name not in seen:
                seen.add(file.name)
                response.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)
                waiting += file.dependencies


def _status(status: int) -> bytes:
    response = grpc_messages.message_type("grpc.health.v1.HealthCheckResponse")(status=status)
    encoded: bytes = response.SerializeToString()
    return encoded


def _parsed(name: str, message: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return grpc_messages.message_type(name).FromString(message)
    except DecodeError as error:
        raise _StatusError(GrpcCode.INVALID_ARGUMENT, f"not a {name}: {error}") from None
