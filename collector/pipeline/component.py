"""What every part of a pipeline is. Read this file first; every other one fills in a piece of it.

**A consumer that returns has taken responsibility; a consumer that raises has not.
Code decides without waiting, or waits without deciding.**
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable
from uuid import UUID

from collector.model.clock import Clock
from collector.model.identity import ComponentID
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.memory_plan import UNBOUNDED, MemoryPlan

if TYPE_CHECKING:
    import asyncio
    import random

    from structlog.typing import FilteringBoundLogger

    from collector.pipeline.admission import ByteBudget
    from collector.pipeline.batching import BatchLimits
    from collector.pipeline.disk_queue import QueueStorage
    from collector.pipeline.http import HttpHandler, HttpLimits
    from collector.pipeline.observe import Meters


T = TypeVar("T")


class Component(Protocol):
    """Anything with a life. Building one stores its arguments and does nothing else."""

    def start(self) -> None:
        """Begin. Quick: long work goes to a thread from `Settings.spawn`.

        Raises:
            StartError: it can never work as configured (port in use, directory not writable). A destination
                that is merely away is not an error: start, report `DEGRADED`, keep trying.
        """
        ...

    def shutdown(self) -> None:
        """End. Safe when never started, safe twice; drains into the next part, which is still alive."""
        ...


@runtime_checkable
class Successor(Protocol):
    """A component that goes on with what another one has, which it replaces while that one still runs."""

    def succeed(self, predecessor: Component, /) -> None:
        """Take over what cannot be in two hands, a port for instance. Called before `start`, if at all.

        `predecessor` has the same id, and may be of another type. It is shut down when this one has started.
        """
        ...


class StartError(Exception):
    """A component cannot start; the message says what to change. The process exits with 1."""


class Consumer(Protocol):
    """Something that takes telemetry."""

    def consume(self, data: Telemetry, /) -> None:
        """Take `data`. Returning means: it is mine now. Raising means: it is still yours.

        Never waits for a destination; may be called from several threads at once.

        Raises:
            RetryableError: refused now (queue or memory full); offer it again later.
            PermanentError: it will never be taken.
        """
        ...


class Processor(Component, Consumer, Protocol):
    """A consumer that hands on to the next one, which it was built with."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one sending queue, exported together.

    The batch covers the positions `(start, end]` of queue `queue_id`: `start` is the last position before it.
    """

    signal: Signal
    records: tuple[Telemetry, ...]
    queue_id: UUID
    start: int
    end: int

    @property
    def items(self) -> int:
        """Number of items in all records."""
        return sum(record.items for record in self.records)

    @property
    def size(self) -> int:
        """Bytes of OTLP in all records."""
        return sum(record.size for record in self.records)

    def merged(self) -> Telemetry:
        """All records as one `Telemetry`: a join, see there."""
        return Telemetry(self.signal, b"".join(record.payload for record in self.records), self.items)


class Exporter(Component, Protocol):
    """A destination. No queue, no retry, no batching inside: `pipeline.sender` does those for all."""

    def export(self, batch: Batch, /) -> None:
        """Make one attempt to deliver `batch`.

        Returning means every item is delivered, as durably as the destination can. `batch` is not changed.
        Called by one thread per signal, never by two at once for the same signal.

        Raises:
            RetryableError: nothing is known to be delivered; try again.
            PermanentError: another try would fail in the same way.
        """
        ...

    def check(self) -> list[CheckStep]:
        """Try step by step whether the destination can be reached and used. For `validate --connect`."""
        ...


@runtime_checkable
class TransactionalExporter(Protocol):
    """An exporter whose destination remembers, in the transaction of the rows, how far a queue has come."""

    def position(self, queue_id: UUID, /) -> int | None:
        """The last position of `queue_id` that the destination holds; None if it has never seen the queue.

        `export` stores `batch.end` under `batch.queue_id` in the same transaction as the rows, provided that
        the stored position is not past `batch.start`; if the whole batch is there already it does nothing.

        Raises:
            RetryableError: the destination cannot be asked now.
        """
        ...


@runtime_checkable
class PreparingExporter(Protocol):
    """An exporter that can do a part of its work on a batch before the batch's turn comes."""

    def prepare(self, batch: Batch, /) -> None:
        """Take note that `batch` is likely to follow the one that is exported next. Returns at once.

        Called by the thread that calls `export`. Nothing is promised: another batch may come in its place, and what
        is wrong with this one is for `export` to say.
        """
        ...


@dataclass(frozen=True, slots=True)
class Refused:
    """Items that a destination will never take: `data`, of the record in place `record` of a batch.

    `first` is the place of the first of them in that record, from 0. `reason` is a metric label, `message` for people.
    """

    record: int
    first: int
    data: Telemetry
    reason: str
    message: str


@runtime_checkable
class SalvagingExporter(Protocol):
    """An exporter that can deliver what is good of a batch in one transaction, with the position."""

    def salvage(self, batch: Batch, set_aside: Callable[[Sequence[Refused]], None], /) -> None:
        """Deliver of `batch`, which `export` has refused for ever, everything but the items that are to blame.

        `set_aside` takes these over. It is called once, with all of them, before anything else is final: if it
        raises, or the process ends, nothing of the batch is delivered. When the batch is there already, nothing
        is done.

        Raises:
            RetryableError: nothing is known to be delivered, as for `export`.
        """
        ...


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One line of `test-connection`: what was tried, whether it worked, and what was seen or what to do."""

    name: str
    ok: bool
    detail: str


class State(enum.Enum):
    """A component's health as `/healthz` shows it."""

    STARTING = "starting"
    OK = "ok"
    DEGRADED = "degraded"  # works, but something it depends on does not: data waits
    FAILED = "failed"
    STOPPED = "stopped"


class Thread(Protocol):
    """A supervised thread."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        ...

    def is_alive(self) -> bool:
        """Whether it still runs."""
        ...


class HttpListener(Protocol):
    """A bound HTTP server on the process's one event loop."""

    @property
    def endpoint(self) -> str:
        """`host:port` as bound (the real port when 0 was asked for)."""
        ...

    def stop(self, grace_s: float) -> None:
        """Stop accepting, let running requests finish for at most `grace_s`, close. Safe twice."""
        ...


class SocketListener(Protocol):
    """A bound port on the process's one event loop, whose connections speak a protocol of the component's own."""

    @property
    def endpoint(self) -> str:
        """`host:port` as bound (the real port when 0 was asked for)."""
        ...

    def call(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T | None:
        """Run `work` on the event loop, and wait for it; None if the loop has ended.

        Raises:
            TimeoutError: it took longer.
        """
        ...

    def close(self) -> None:
        """Take no more connections; what becomes of the others is the component's affair. Safe twice."""
        ...


class HttpHost(Protocol):
    """Where connections are served: one event loop for the whole process."""

    def serve(
        self, handler: HttpHandler, endpoint: str, limits: HttpLimits, *, sharing: HttpListener | None = None
    ) -> HttpListener:
        """Bind `endpoint` (`host:port`) and serve HTTP: put the requests to `handler`.

        `sharing`: a listener whose sockets are used as well if it was asked for the same endpoint. Connections come
        to both until it is stopped; none is refused.

        Raises:
            StartError: the address cannot be bound; the message names it, and who to blame if known.
        """
        ...

    def listen(
        self,
        make: Callable[[asyncio.AbstractEventLoop], asyncio.Protocol],
        endpoint: str,
        *,
        sharing: SocketListener | None = None,
    ) -> SocketListener:
        """Bind `endpoint`, and give each connection a protocol made by `make`. `sharing`, and errors, as for `serve`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the house gives to a component. What the user writes is the component's `…Config`."""

    id: ComponentID
    kind: str  # "receiver", "processor", "exporter", "extension"
    clock: Clock
    rng: random.Random
    log: FilteringBoundLogger
    meters: Meters
    budget: ByteBudget  # bytes of requests being worked on, for the whole process
    http: HttpHost
    spawn: Callable[[str, Callable[[], None]], Thread]  # name, body; a body that raises stops the process
    report: Callable[[State, str], None]  # state, one sentence; shown by /healthz and logged on change
    memory: MemoryPlan = UNBOUNDED  # what the component's share of the process's memory is
    # The same of a part of the component that is well or not by itself, under a name; registered when asked for.
    part: Callable[[str], Callable[[State, str], None]] = lambda name: lambda state, message: None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverStore:
    """How a component is made that works in the database of an exporter, instead of by its factory's `create`.

    `exporter`: which, by its options. `create`: settings, options, a `storage.store.Store` of its own that is not
    open; then, for a receiver, its consumers by signal, and for an extension, which goes by the section `cost`, a
    `cost.config.CostConfig` and the options of that exporter.
    """

    exporter: Callable[[Any], str]
    create: Callable[..., Component]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverFactory:
    """How a receiver is made. One receiver serves all pipelines that name it: one consumer per signal."""

    type_name: str
    config: type[Any]
    signals: frozenset[Signal]
    create: Callable[[Settings, Any, Mapping[Signal, Consumer]], Component]
    # For one that reads what is stored, and can do so again: it goes on when the pipeline has it in more than memory.
    over_store: OverStore | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorFactory:
    """How a processor is made: one per pipeline that names it, built with the consumer behind it."""

    type_name: str
    config: type[Any]
    signals: frozenset[Signal]
    create: Callable[[Settings, Any, Consumer], Processor]
    # A processor that does nothing itself but says how the exporters' queues behind it shall batch.
    batch_limits: Callable[[Any], BatchLimits] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterFactory:
    """How an exporter is made: one for all pipelines that name it, behind one sending queue per signal."""

    type_name: str
    config: type[Any]  # has the fields of `pipeline.sender.SenderConfig`
    signals: frozenset[Signal]
    create: Callable[[Settings, Any], Exporter]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionFactory:
    """How an extension is made."""

    type_name: str
    config: type[Any]
    create: Callable[[Settings, Any], Component]
    # An extension in which sending queues can be kept says where.
    queue_storage: Callable[[Any], QueueStorage] | None = None
    over_store: OverStore | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Factories:
    """Everything that exists, by type."""

    receivers: Mapping[str, ReceiverFactory] = field(default_factory=dict)
    processors: Mapping[str, ProcessorFactory] = field(default_factory=dict)
    exporters: Mapping[str, ExporterFactory] = field(default_factory=dict)
    extensions: Mapping[str, ExtensionFactory] = field(default_factory=dict)
