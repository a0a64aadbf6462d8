"""OTLP/gRPC on the process's event loop, over our own HTTP/2 (`wire/http2`): a listener and its methods.

Why not grpcio: see DECISIONS.md, "Receiver". A call is admitted before its message is read, since its first five bytes
tell the length; the client's flow-control window opens as the byte budget allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from collector.model.signal import Signal
from collector.receivers.otlp import grpc_messages
from collector.receivers.otlp.grpc_calls import TRANSPORT, Desk, ExportCall, SettledCall
from collector.receivers.otlp.grpc_connection import GrpcConnection
from collector.receivers.otlp.grpc_peers import Call, Peers
from collector.receivers.otlp.grpc_services import Health, QuestionCall, Reflection
from collector.wire import grpc
from collector.wire.grpc import CallHead, read_head
from collector.wire.status import Condition, failure

if TYPE_CHECKING:
    from collector.pipeline.component import Settings, SocketListener
    from collector.receivers.otlp.config import GrpcConfig
    from collector.receivers.otlp.intake import Intake
    from collector.receivers.otlp.waiting import WaitingRoom
    from collector.wire.http2.headers import Fields
    from collector.wire.http2.streams import Stream

_PROFILES: Final = "opentelemetry.proto.collector.profiles.v1development.ProfilesService"
# Headers that were understood: clients repeat theirs.
_HEADS_MAX: Final = 256

Method = Callable[[CallHead, GrpcConnection, "Stream"], Call]


class GrpcServer:
    """One listener. `start` may be called once."""

    def __init__(self, settings: Settings, config: GrpcConfig, intake: Intake, waiting: WaitingRoom) -> None:
        self._settings = settings
        self._config = config
        self._intake = intake
        self._desk = Desk(settings, config, intake, waiting)
        meters, name = settings.meters, str(settings.id)
        ended = partial(meters.receiver_ended_connections.labels, name, TRANSPORT)
        refused = meters.receiver_requests.labels(name, TRANSPORT, "refused")
        self._peers = Peers(config, self._accept, lambda reason: ended(reason).inc(), refused.inc)
        self._heads: dict[Fields, CallHead] = {}
        self._methods = self._all_methods()
        self.listener: SocketListener | None = None

    def _all_methods(self) -> dict[str, Method]:
        methods: dict[str, Method] = {
            f"/{signal.service}/Export": partial(ExportCall, self._desk, signal)
            for signal in self._intake.signals
        }
        health = Health(signal.service for signal in self._intake.signals)
        methods[f"/{grpc_messages.HEALTH}/Check"] = lambda head, connection, stream: QuestionCall(
            connection, stream, health.check
        )
        methods[f"/{grpc_messages.HEALTH}/Watch"] = lambda head, connection, stream: QuestionCall(
            connection, stream, health.watch, stays=True
        )
        if self._config.reflection:
            for service in grpc_messages.REFLECTIONS:
                reflection = Reflection(self._intake.signals, service.split(".")[2])
                methods[f"/{service}/ServerReflectionInfo"] = partial(_reflect, reflection)
        return methods

    def start(self, before: GrpcServer | None = None) -> str:
        """Listen, with the sockets of the server `before` it if that has the same endpoint; return it as bound.

        Raises:
            StartError: it cannot.
        """
        self.listener = self._settings.http.listen(
            self._connection, self._config.endpoint, sharing=before.listener if before else None
        )
        return self.listener.endpoint

    def _connection(self, loop: asyncio.AbstractEventLoop) -> GrpcConnection:
        return GrpcConnection(self._peers, loop)

    def leave(self, grace_s: float) -> None:
        """Take no new connections and calls, send GOAWAY. Returns at once. Safe when never started."""
        if self.listener is not None:
            self.listener.close()
            self.listener.call(self._drain(grace_s), 0.0)

    def stop(self, grace_s: float) -> None:
        """Wait until the running calls have ended, for at most `grace_s`, and cut off the others. After `leave`."""
        if self.listener is not None:
            self.listener.call(self._end(grace_s), grace_s)
        self._desk.work.close()

    async def _drain(self, grace_s: float) -> None:
        self._peers.stopping = True
        for connection in list(self._peers.open):
            connection.drain(grace_s)

    async def _end(self, grace_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_s
        while self._peers.open and loop.time() < until:
            await asyncio.sleep(0.01)
        for connection in [*self._peers.open, *self._peers.leaving]:
            connection.abort()
        await asyncio.sleep(0)  # one turn of the loop, in which they learn of it

    # --- calls ------------------------------------------------------------------------------------------

    def _accept(self, connection: GrpcConnection, stream: Stream) -> Call:
        """Find who answers a call. Nobody: say what there is."""
        head = self._heads.get(stream.fields)
        if head is None:
            head = read_head(stream.fields)
            if len(self._heads) >= _HEADS_MAX:
                self._heads.clear()
            self._heads[stream.fields] = head
        method = self._methods.get(head.path)
        if method is None or head.problem is not None:
            return SettledCall(partial(self._turn_away, head, connection, stream))
        return method(head, connection, stream)

    def _turn_away(self, head: CallHead, connection: GrpcConnection, stream: Stream) -> None:
        if head.problem is not None:
            connection.http2.end(stream, grpc.not_grpc(*head.problem))
        else:
            message, reason = self._unimplemented(head.path)
            answer = failure(Condition.NOT_FOUND, message, self._settings.rng)
            self._desk.refuse(connection, stream, answer, reason)
        connection.finish(stream)

    def _unimplemented(self, path: str) -> tuple[str, str]:
        service, _, name = path.lstrip("/").rpartition("/")
        signals = {signal.service: signal for signal in Signal}
        taken = ", ".join(sorted(signal.value for signal in self._intake.signals))
        if service in signals and name == "Export":
            return (
                f"this collector has no pipeline for {signals[service].value}, only for {taken}; "
                f"add one with receiver {str(self._settings.id)!r} under 'service.pipelines'"
            ), "no_pipeline"
        if service == _PROFILES:
            return f"profiles are not supported; this collector takes {taken}", "unknown_method"
        return f"unknown method {path[:200]!r}; this is OTLP/gRPC for {taken}", "unknown_method"


def _reflect(
    reflection: Reflection, head: CallHead, connection: GrpcConnection, stream: Stream
) -> QuestionCall:
    return QuestionCall(connection, stream, reflection.answer)
