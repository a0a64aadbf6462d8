"""OTLP/gRPC: grpcio's synchronous server, generic handlers, raw bytes.

Three things are not as a gRPC tutorial would have them, each for a reason measured with grpcio 1.85:

* The unary `Export` is served by a stream-unary handler, which is the same on the wire. It runs before the message
  has been read: overload is answered without taking the body in, and a client that never sends it is cut off.
* grpcio does not inflate (`grpc.per_message_decompression=0`); we do, with the byte budget and the limits of HTTP,
  whatever the version of grpcio.
* Streams that are not read keep 256 KiB at most (`grpc.http2.bdp_probe=0`): the window would grow to 4 MiB each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import grpc

from collector.model.errors import TelemetryError
from collector.model.signal import Signal
from collector.pipeline.endpoint import Endpoint, bind, cannot_bind
from collector.receivers.otlp.bodies import inflate_within, sniff_encoding
from collector.receivers.otlp.deadlines import Deadlines
from collector.receivers.otlp.grpc_services import add_health, add_reflection
from collector.receivers.otlp.workers import WorkerPool
from collector.wire.errors import MalformedError, TooLargeError
from collector.wire.reply import Encoding, export_reply, grpc_trailers
from collector.wire.status import Condition, Failure, failure, failure_of

if TYPE_CHECKING:
    from collector.pipeline.admission import Reservation
    from collector.pipeline.component import Settings
    from collector.receivers.otlp.config import GrpcConfig
    from collector.receivers.otlp.intake import Intake

TRANSPORT: Final = "grpc"

# What a stream may send before its handler reads. Also what a call reserves before it is read.
_UNREAD_BYTES: Final = 256 * 1024

# Calls at once that wait to be as safe as their answer says; their threads are started as they are needed.
_WAITERS: Final = 24

_PROFILES: Final = "opentelemetry.proto.collector.profiles.v1development.ProfilesService"

Export = Callable[[Iterator[bytes], grpc.ServicerContext], bytes]


class GrpcServer:
    """One listener, and a `grpc.GenericRpcHandler` by shape. `start` may be called once."""

    def __init__(self, settings: Settings, config: GrpcConfig, intake: Intake) -> None:
        self._settings = settings
        self._config = config
        self._intake = intake
        self._server: grpc.Server | None = None
        self.asked = config.endpoint
        self.bound = ""  # the same with the real port, from `start` on
        self._workers = WorkerPool(settings.spawn, f"{settings.id}-grpc", config.workers + _WAITERS)
        self._working = threading.Semaphore(config.workers)
        self._deadlines = Deadlines(settings.clock, config.read_timeout)
        self._handlers = {
            f"/{signal.service}/Export": grpc.stream_unary_rpc_method_handler(self._export(signal))
            for signal in intake.signals
        }

    def start(self, before: GrpcServer | None = None) -> str:
        """Listen, beside the server `before` it if that has the same endpoint; return it as bound.

        Raises:
            StartError: it cannot.
        """
        wanted = Endpoint.parse(self.asked)
        if before is not None and before.bound and before.asked == self.asked:
            wanted = Endpoint.parse(before.bound)
        else:
            # grpcio says "Failed to bind" and no more, and gRPC core prints to stderr: try it ourselves first. This
            # also finds a port that somebody has, whom SO_REUSEPORT would let us share it with.
            for listening in bind(wanted):
                listening.close()
        server = grpc.server(cast(ThreadPoolExecutor, self._workers), options=_options(self._config))
        health = add_health(server, [signal.service for signal in self._intake.signals])
        if self._config.reflection:
            add_reflection(server, self._intake.signals, self._deadlines)
        server.add_generic_rpc_handlers((cast(Any, self),))  # last: it answers for everything
        try:
            port = server.add_insecure_port(str(Endpoint(wanted.host or "[::]", wanted.port)))
        except RuntimeError as error:
            raise cannot_bind(wanted) from error
        if not port:
            raise cannot_bind(wanted)
        self._deadlines.start(self._settings.spawn, f"{self._settings.id}-grpc-deadlines")
        server.start()
        health.serve()
        self._server = server
        self.bound = str(Endpoint(wanted.host, port))
        return self.bound

    def stop(self, grace_s: float) -> threading.Event | None:
        """Send GOAWAY, take no new calls, cut off what runs longer than `grace_s`.

        Returns:
            An event that is set at the end; None if the server never started.
        """
        return None if self._server is None else self._server.stop(grace_s)

    def close(self) -> None:
        """End the threads. After `stop`, or when never started."""
        self._deadlines.stop()
        self._workers.shutdown(wait=False)

    # grpc.GenericRpcHandler

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Find who answers a call. Nobody: say what there is."""
        handler = self._handlers.get(details.method)
        if handler is not None:
            return handler
        return grpc.stream_unary_rpc_method_handler(self._unimplemented(details.method))

    def _unimplemented(self, method: str) -> Export:
        service, _, name = method.lstrip("/").rpartition("/")
        signals = {signal.service: signal for signal in Signal}
        taken = ", ".join(sorted(signal.value for signal in self._intake.signals))
        if service in signals and name == "Export":
            message = (
                f"this collector has no pipeline for {signals[service].value}, only for {taken}; "
                f"add one with receiver {str(self._settings.id)!r} under 'service.pipelines'"
            )
        elif service == _PROFILES:
            message = f"profiles are not supported; this collector takes {taken}"
        else:
            message = f"unknown method {method[:200]!r}; this is OTLP/gRPC for {taken}"

        def refuse(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            answer = failure(Condition.NOT_FOUND, message, self._settings.rng)
            self._refuse(context, answer, "no_pipeline" if service in signals else "unknown_method")

        return refuse

    def _export(self, signal: Signal) -> Export:
        def export(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            try:
                with self._settings.budget.reservation() as reservation:
                    reservation.grow_to(_UNREAD_BYTES)
                    # The threads beyond `workers` are for calls that wait for their acknowledgement: they hold little.
                    with self._working:
                        body = self._receive(requests, context, reservation)
                        pending = self._intake.begin(signal, body, json=False, transport=TRANSPORT)
                        del body
                    taken = pending.finish()
                    return export_reply(
                        signal, Encoding.PROTOBUF, rejected=taken.rejected, message=taken.message
                    )
            except TelemetryError as error:
                self._refuse(context, self._answer(error), error.reason)

        return export

    def _receive(
        self, requests: Iterator[bytes], context: grpc.ServicerContext, reservation: Reservation
    ) -> bytes:
        """Read the one message of the call, and inflate it.

        A client that goes away, one that is too slow, and a message over the limit, which gRPC core answers
        itself, all end here with `grpc.RpcError`: the call is over, and grpcio wants it raised on.
        """
        with self._deadlines.within(context.cancel):
            try:
                message = next(requests, None)
            except grpc.RpcError:
                self._settings.meters.receiver_rejected_requests.labels(
                    str(self._settings.id), TRANSPORT, "not_received"
                ).inc()
                raise
        if message is None:
            raise MalformedError("the call holds no message", reason="empty_call")
        reservation.grow_to(len(message))
        encoding = sniff_encoding(message)
        try:
            return inflate_within(encoding, message, self._config.request_bytes_max, reservation)
        except MalformedError:
            if encoding == "deflate":
                return message  # it only began like one; see `sniff_encoding`
            raise

    def _answer(self, error: TelemetryError) -> Failure:
        if isinstance(error, TooLargeError):
            message = (
                f"the request exceeds {self._config.request_bytes_max} bytes; send smaller batches, or raise "
                f"'max_recv_msg_size_mib' of receiver {str(self._settings.id)!r}"
            )
            return failure(Condition.TOO_LARGE, message, self._settings.rng)
        return failure_of(error, self._settings.rng)

    def _refuse(self, context: grpc.ServicerContext, answer: Failure, reason: str) -> NoReturn:
        """End the call. Nothing was sent before, so all goes in one Trailers-Only frame, where Java looks."""
        self._intake.refused(TRANSPORT, answer, reason)
        context.set_trailing_metadata(grpc_trailers(answer))
        context.abort(_CODES[answer.condition.grpc_code], answer.message)
        raise AssertionError("unreachable: abort raises")


_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def _options(config: GrpcConfig) -> list[tuple[str, Any]]:
    """Channel arguments of gRPC core (grpc/impl/channel_arg_names.h); times in milliseconds."""
    server = config.keepalive.server_parameters
    clients = config.keepalive.enforcement_policy
    options: list[tuple[str, Any]] = [
        # So that a server can begin beside the one it replaces. That no other process has the port is looked at before.
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", config.request_bytes_max),
        ("grpc.per_message_decompression", 0),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _UNREAD_BYTES),
        ("grpc.max_allowed_incoming_connections", config.connections_max),
        ("grpc.keepalive_time_ms", _ms(server.time)),
        ("grpc.keepalive_timeout_ms", _ms(server.timeout)),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _ms(clients.min_time)),
        ("grpc.keepalive_permit_without_calls", int(clients.permit_without_stream)),
    ]
    if config.max_concurrent_streams:
        options.append(("grpc.max_concurrent_streams", config.max_concurrent_streams))
    for name, value in (
        ("grpc.max_connection_idle_ms", server.max_connection_idle),
        ("grpc.max_connection_age_ms", server.max_connection_age),
        ("grpc.max_connection_age_grace_ms", server.max_connection_age_grace),
    ):
        if value is not None:
            options.append((name, _ms(value)))
    return options


def _ms(seconds: float) -> int:
    # gRPC core reads INT_MAX as "never".
    return min(round(seconds * 1000), 2**31 - 1)
