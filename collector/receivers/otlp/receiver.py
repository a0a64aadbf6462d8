"""The `otlp` receiver: one intake, and a server for each protocol that is configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.model.signal import Signal
from collector.pipeline.component import State
from collector.receivers.otlp.intake import Intake, Memory
from collector.receivers.otlp.waiting import WaitingRoom

if TYPE_CHECKING:
    from collector.pipeline.component import Component, Consumer, Settings
    from collector.receivers.otlp.config import OtlpReceiverConfig
    from collector.receivers.otlp.grpc_server import GrpcServer
    from collector.receivers.otlp.http_server import HttpServer

# How long requests that run may take to end at shutdown. They need milliseconds; the rest of the time that the
# process has is the exporters'.
DRAIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Legacy:
    """What a receiver leaves to the one that replaces it: its ports, and what it remembers of requests."""

    grpc: GrpcServer | None
    http: HttpServer | None
    memory: Memory | None


class OtlpReceiver:
    """Listens from `start` to `shutdown`. `endpoints` tells where, by protocol."""

    def __init__(
        self, settings: Settings, config: OtlpReceiverConfig, consumers: Mapping[Signal, Consumer]
    ) -> None:
        self._settings = settings
        self._config = config
        self._consumers = consumers
        self._legacy = Legacy(None, None, None)
        self._memory: Memory | None = None
        self._waiting: WaitingRoom | None = None
        self._grpc: GrpcServer | None = None
        self._http: HttpServer | None = None
        self.endpoints: dict[str, str] = {}  # "grpc", "http" -> host:port as bound

    def succeed(self, predecessor: Component, /) -> None:
        """See `Successor`: its ports are shared until it stops, and requests that it has seen are known."""
        if isinstance(predecessor, OtlpReceiver):
            self._legacy = predecessor.legacy()

    def legacy(self) -> Legacy:
        """What another one can go on with."""
        return Legacy(self._grpc, self._http, self._memory)

    def start(self) -> None:
        """Bind the configured endpoints and begin to serve."""
        before, self._legacy = self._legacy, Legacy(None, None, None)
        intake = Intake(self._settings, self._config, self._consumers, before.memory)
        self._memory = intake.memory
        self._waiting = waiting = WaitingRoom(self._settings, self._config.admission)
        protocols = self._config.protocols
        try:
            if protocols.grpc is not None:
                from collector.receivers.otlp.grpc_server import GrpcServer

                self._grpc = GrpcServer(self._settings, protocols.grpc, intake, waiting)
                self.endpoints["grpc"] = self._grpc.start(before.grpc)
            if protocols.http is not None:
                from collector.receivers.otlp.http_server import HttpServer

                self._http = HttpServer(self._settings, protocols.http, intake, waiting)
                self.endpoints["http"] = self._http.start(before.http)
        except BaseException:
            self.shutdown()
            raise
        self._settings.report(State.OK, "listening")

    def shutdown(self) -> None:
        """Stop listening, and let what runs end. Both protocols at once."""
        if self._waiting is not None:
            self._waiting.close()
        grpc, self._grpc = self._grpc, None
        http, self._http = self._http, None
        until = self._settings.clock.monotonic() + DRAIN_S
        if grpc is not None:
            grpc.leave(DRAIN_S)
        if http is not None:
            http.stop(DRAIN_S)
        if grpc is not None:
            grpc.stop(max(0.0, until - self._settings.clock.monotonic()))
        self.endpoints.clear()
