"""Small components for tests of the configuration: every kind of option, nothing that runs."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from collector.config.option import Invalid, Unsupported, option
from collector.config.types import ByteSize, ConnectionString, Duration, Secret
from collector.model.signal import Signal
from collector.pipeline.component import (
    ExporterFactory,
    ExtensionFactory,
    Factories,
    ProcessorFactory,
    ReceiverFactory,
)
from collector.pipeline.sender_config import SenderConfig, SendingQueueConfig


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """A server."""

    endpoint: str = option("127.0.0.1:4317", doc="Where to listen.")
    size_max: ByteSize = option(ByteSize(4 * 1024 * 1024), doc="Largest message.", minimum=1024)
    UNSUPPORTED: ClassVar = (
        Unsupported("tls", "connections would be encrypted"),
        Unsupported("write_buffer_size", "buffers would have this size", harmless=True),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolsConfig:
    """The transports."""

    grpc: ServerConfig | None = option(None, doc="gRPC.")
    http: ServerConfig | None = option(None, doc="HTTP.")

    def validate(self) -> Iterator[Invalid]:
        if self.grpc is None and self.http is None:
            yield Invalid("", "needs grpc or http")
        if self.grpc and self.http and self.grpc.endpoint == self.http.endpoint:
            yield Invalid("http.endpoint", "is the endpoint of grpc already")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpConfig:
    """A receiver."""

    protocols: ProtocolsConfig = option(doc="The transports to serve.", example="{grpc: }")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionConfig:
    """One change."""

    key: str = option(doc="Which attribute.")
    action: Literal["insert", "delete"] = option("insert", doc="What to do.")
    value: str | int | float | bool | None = option(None, doc="The new value.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """A processor."""

    size: int = option(
        8192, doc="Items that make a batch.", minimum=1, maximum=100_000, aliases=("batch_size",)
    )
    size_max: int = option(0, doc="Most items in a batch.", minimum=0)
    timeout: Duration = option(
        Duration(0.2), doc="Longest wait.", minimum=0.001, aliases=("batch_interval_seconds",)
    )
    ratio: float = option(0.5, doc="A share.", minimum=0, maximum=1)

    def validate(self) -> Iterator[Invalid]:
        if self.size_max and self.size_max < self.size:
            yield Invalid("size_max", "must not be less than size")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterConfig:
    """A processor that wants to be first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditConfig:
    """A processor with a list of sections."""

    attributes: tuple[ActionConfig, ...] = option((), doc="Changes, in order.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintConfig(SenderConfig):
    """An exporter with no options of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """An exporter with every kind of option."""

    connection_string: ConnectionString = option(doc="Where the database is.", example="sqlite:///x.db")
    password: Secret | None = option(None, doc="A secret.")
    path: Path = option(Path("data.db"), doc="A file.")
    enabled: bool = option(True, doc="A switch.")
    color: Color = option(Color.RED, doc="An enum.")
    retention: Mapping[Literal["traces", "metrics"], Duration] = option(
        default_factory=dict, doc="By signal."
    )
    labels: Mapping[str, str] = option(default_factory=dict, doc="Texts by name.")
    names: tuple[str, ...] = option((), doc="Some texts.")
    limit: int | None = option(None, doc="A number or none.", minimum=1)
    extra: Any = option(None, doc="Anything.")
    word: str = option("x", doc="An upper-case word.", parse=lambda text: upper(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedStoreConfig(StoreConfig):
    """The same as an exporter, which has a queue."""

    sending_queue: SendingQueueConfig = option(default_factory=SendingQueueConfig, doc="Its queue.")


def upper(text: str) -> str:
    if not text.isalpha():
        raise ValueError("must be letters")
    return text.upper()


def never(*_: Any) -> Any:
    raise AssertionError("a configuration builds nothing")


ALL = frozenset(Signal)
FACTORIES = Factories(
    receivers={
        "otlp": ReceiverFactory(type_name="otlp", config=OtlpConfig, signals=ALL, create=never),
        "spans": ReceiverFactory(
            type_name="spans", config=LimiterConfig, signals=frozenset({Signal.TRACES}), create=never
        ),
    },
    processors={
        "batch": ProcessorFactory(type_name="batch", config=BatchConfig, signals=ALL, create=never),
        "memory_limiter": ProcessorFactory(
            type_name="memory_limiter", config=LimiterConfig, signals=ALL, create=never
        ),
        "edit": ProcessorFactory(type_name="edit", config=EditConfig, signals=ALL, create=never),
    },
    exporters={
        "store": ExporterFactory(type_name="store", config=QueuedStoreConfig, signals=ALL, create=never),
        "debug": ExporterFactory(type_name="debug", config=PrintConfig, signals=ALL, create=never),
    },
    extensions={"nothing": ExtensionFactory(type_name="nothing", config=LimiterConfig, create=never)},
)
