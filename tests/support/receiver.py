"""An `otlp` receiver that listens on free ports of 127.0.0.1, and what came out of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from collector.config.types import ByteSize
from collector.model.clock import Clock
from collector.model.signal import Signal
from collector.pipeline.admission import ByteBudget
from collector.receivers.otlp.config import (
    GrpcConfig,
    HttpConfig,
    OtlpReceiverConfig,
    ProtocolsConfig,
)
from collector.receivers.otlp.factory import FACTORY
from collector.receivers.otlp.receiver import OtlpReceiver
from collector.service.http import HttpLoop
from tests.support.components import House, RecordingConsumer, make_house
from tests.support.fake_clock import FakeClock


@dataclass(frozen=True, slots=True)
class Running:
    """A receiver that listens."""

    house: House
    receiver: OtlpReceiver
    consumers: Mapping[Signal, RecordingConsumer]

    @property
    def grpc(self) -> str:
        """Where it listens for gRPC."""
        return self.receiver.endpoints["grpc"]

    @property
    def http(self) -> str:
        """Where it listens for HTTP, `host:port`."""
        return self.receiver.endpoints["http"]


@contextmanager
def running_receiver(
    *,
    signals: frozenset[Signal] = frozenset(Signal),
    grpc: Mapping[str, Any] | None = None,
    http: Mapping[str, Any] | None = None,
    budget: int = 1 << 30,
    clock: Clock | None = None,
    **config: Any,
) -> Iterator[Running]:
    """Run a receiver for the length of a `with` block. `grpc` and `http` are options of theirs."""
    house = make_house("otlp", "receiver", clock=clock or FakeClock())
    host = HttpLoop(house.settings.spawn)
    settings = dataclasses.replace(house.settings, http=host, budget=ByteBudget(budget))
    consumers = {signal: RecordingConsumer() for signal in signals}
    receiver = FACTORY.create(settings, receiver_config(grpc, http, **config), consumers)
    assert isinstance(receiver, OtlpReceiver)
    house.settings = settings
    receiver.start()
    try:
        yield Running(house, receiver, consumers)
    finally:
        receiver.shutdown()
        host.close()


def receiver_config(
    grpc: Mapping[str, Any] | None = None, http: Mapping[str, Any] | None = None, **config: Any
) -> OtlpReceiverConfig:
    """A configuration with both protocols on free ports."""
    any_port = {"endpoint": "127.0.0.1:0"}
    options = dict(http or {})
    if "max_request_body_size" in options:
        options["max_request_body_size"] = ByteSize(options["max_request_body_size"])
    return OtlpReceiverConfig(
        protocols=ProtocolsConfig(
            grpc=GrpcConfig(**{**any_port, **(grpc or {})}), http=HttpConfig(**{**any_port, **options})
        ),
        **config,
    )
