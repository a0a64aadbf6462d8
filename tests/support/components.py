"""What a component under test is given and connected to."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from prometheus_client import CollectorRegistry

from collector.model.clock import Clock
from collector.model.identity import ComponentID
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.admission import ByteBudget
from collector.pipeline.component import (
    Batch,
    CheckStep,
    HttpListener,
    Settings,
    SocketListener,
    StartError,
    State,
    Thread,
)
from collector.pipeline.http import HttpHandler, HttpLimits
from collector.pipeline.observe import Meters
from tests.support.fake_clock import FakeClock
from tests.support.recording_log import RecordingLog


@dataclass(slots=True)
class House:
    """A component's `settings`, and what came out of it through them."""

    settings: Settings
    log: RecordingLog
    meters: Meters
    reports: list[tuple[State, str]]
    threads: list[threading.Thread]
    parts: list[tuple[str, State, str]] = field(default_factory=list)

    def state(self) -> State | None:
        """What was reported last."""
        return self.reports[-1][0] if self.reports else None

    def sample(self, name: str, **labels: str) -> float:
        """The value of a metric as it is exposed; 0 if it was never touched."""
        value: float | None = self.meters.registry.get_sample_value(name, labels)
        return value or 0.0


class NoHttp:
    """An `HttpHost` for components that serve none."""

    def serve(
        self, handler: HttpHandler, endpoint: str, limits: HttpLimits, *, sharing: HttpListener | None = None
    ) -> HttpListener:
        """See `HttpHost`."""
        raise StartError("no HTTP here")

    def listen(
        self, make: Callable[..., asyncio.Protocol], endpoint: str, *, sharing: SocketListener | None = None
    ) -> SocketListener:
        """See `HttpHost`."""
        raise StartError("no HTTP here")


def make_house(
    name: str,
    kind: str,
    *,
    clock: Clock | None = None,
    seed: int = 0,
    budget: int = 1 << 30,
    spawn: Callable[[str, Callable[[], None]], Thread] | None = None,
) -> House:
    """Return settings for a component `name`, with real threads unless `spawn` says otherwise."""
    log = RecordingLog.make()
    reports: list[tuple[State, str]] = []
    threads: list[threading.Thread] = []
    parts: list[tuple[str, State, str]] = []

    def spawn_thread(thread_name: str, body: Callable[[], None]) -> Thread:
        thread = threading.Thread(target=body, name=thread_name, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    meters = Meters(CollectorRegistry())
    settings = Settings(
        id=ComponentID.parse(name),
        kind=kind,
        clock=clock or FakeClock(),
        rng=random.Random(seed),
        log=log.log,
        meters=meters,
        budget=ByteBudget(budget),
        http=NoHttp(),
        spawn=spawn or spawn_thread,
        report=lambda state, message: reports.append((state, message)),
        part=lambda name: lambda state, message: parts.append((name, state, message)),
    )
    return House(settings, log, meters, reports, threads, parts)


def logs(*bodies: str) -> Telemetry:
    """Log records with these bodies, of one resource and scope."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for body in bodies:
        records.add().body.string_value = body
    return Telemetry(Signal.LOGS, request.SerializeToString(), len(bodies))


def bodies(data: Telemetry) -> list[str]:
    """The bodies of log records, in order: the inverse of `logs`."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    return [
        record.body.string_value
        for resource in ExportLogsServiceRequest.FromString(data.payload).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


@dataclass(slots=True)
class RecordingConsumer:
    """A consumer that keeps what it takes; raises `error` instead while that is set."""

    taken: list[Telemetry] = field(default_factory=list)
    error: Exception | None = None

    def consume(self, data: Telemetry, /) -> None:
        """See `Consumer`."""
        if self.error is not None:
            raise self.error
        self.taken.append(data)


class RecordingExporter:
    """An exporter without memory of positions. `behaviour` is called first, and may raise."""

    def __init__(self, behaviour: Callable[[Batch], None] = lambda batch: None) -> None:
        self.behaviour = behaviour
        self.attempts: list[Batch] = []
        self.batches: list[Batch] = []

    def start(self) -> None:
        """See `Component`."""

    def shutdown(self) -> None:
        """See `Component`."""

    def check(self) -> list[CheckStep]:
        """See `Exporter`."""
        return [CheckStep("reach", True, "it is here")]

    def export(self, batch: Batch, /) -> None:
        """See `Exporter`."""
        self.attempts.append(batch)
        self.behaviour(batch)
        self.batches.append(batch)

    def delivered(self) -> list[str]:
        """The bodies of all log records delivered, in order."""
        return [body for batch in self.batches for record in batch.records for body in bodies(record)]


class PreparingExporter(RecordingExporter):
    """An exporter that notes what it was asked to prepare, as (start, end], and where it exported in between."""

    def __init__(self, behaviour: Callable[[Batch], None] = lambda batch: None) -> None:
        super().__init__(behaviour)
        self.calls: list[tuple[str, int, int]] = []

    def prepare(self, batch: Batch, /) -> None:
        """See `pipeline.component.PreparingExporter`."""
        self.calls.append(("prepare", batch.start, batch.end))

    def export(self, batch: Batch, /) -> None:
        """See `Exporter`."""
        self.calls.append(("export", batch.start, batch.end))
        super().export(batch)


class PositionedExporter(RecordingExporter):
    """An exporter whose destination stores the position with the batch, as a database does.

    `after_commit` is called when the batch is stored, and may raise: the commit whose answer got lost.
    """

    def __init__(
        self,
        behaviour: Callable[[Batch], None] = lambda batch: None,
        after_commit: Callable[[Batch], None] = lambda batch: None,
    ) -> None:
        super().__init__(behaviour)
        self.after_commit = after_commit
        self.positions: dict[UUID, int] = {}
        self.position_error: Exception | None = None

    def position(self, queue_id: UUID, /) -> int | None:
        """See `TransactionalExporter`."""
        if self.position_error is not None:
            raise self.position_error
        return self.positions.get(queue_id)

    def export(self, batch: Batch, /) -> None:
        """See `TransactionalExporter`."""
        self.attempts.append(batch)
        self.behaviour(batch)
        stored = self.positions.get(batch.queue_id, 0)
        if stored >= batch.end:
            return
        assert stored <= batch.start, f"position {stored} is inside ({batch.start}, {batch.end}]"
        self.batches.append(batch)
        self.positions[batch.queue_id] = batch.end
        self.after_commit(batch)
