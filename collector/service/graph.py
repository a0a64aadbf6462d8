"""Connected parts, and their life: started back to front, stopped front to back.

    receiver ─▶ inlet ─▶ processors of the pipeline ─▶ fan-out ─▶ sender (queue + thread) ─▶ exporter

A receiver is one instance for all pipelines that name it; a processor is one instance per pipeline; an exporter
is one instance, with one sender per signal. `build` makes a graph, `replacement` puts one in the place of another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector.model.identity import ComponentID
from collector.model.signal import Signal
from collector.pipeline.component import Component, Consumer, Settings, State
from collector.pipeline.inlet import Inlet
from collector.pipeline.memory_plan import UNBOUNDED, LargeRecords, MemoryPlan
from collector.pipeline.queue import SendingQueue
from collector.pipeline.sender import Sender
from collector.service.status import ComponentKey, ComponentStatus

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from collector.model.clock import Clock
    from collector.pipeline.admission import ByteBudget
    from collector.pipeline.batching import BatchLimits
    from collector.pipeline.component import HttpHost, Thread
    from collector.pipeline.observe import Meters
    from collector.service.config import ComponentConfig, Config

# A queue is full when the next request does not fit; the rest of the room is what was too small for it.
_FULL_SHARE: Final = 0.95
# A receiver may have taken something before a later one could not start: so long its delivery is tried.
_FAILED_START_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all components share: see `Settings`."""

    clock: Clock
    rng: random.Random
    log: FilteringBoundLogger
    meters: Meters
    budget: ByteBudget
    http: HttpHost
    spawn: Callable[[str, Callable[[], None]], Thread]
    memory: MemoryPlan = UNBOUNDED
    large: LargeRecords = field(default_factory=LargeRecords)

    def status(self, component_id: ComponentID, kind: str, *, scope: str = "") -> ComponentStatus:
        """A status for one component; `scope` tells instances of the same configuration apart."""
        log = self.log.bind(component=str(component_id), kind=kind)
        return ComponentStatus(ComponentKey(kind, str(component_id), scope), self.clock, log)

    def settings(self, component_id: ComponentID, status: ComponentStatus) -> Settings:
        """The settings of one component."""
        kind = status.key.kind
        return Settings(
            id=component_id,
            kind=kind,
            clock=self.clock,
            rng=random.Random(self.rng.getrandbits(64)),  # noqa: S311  jitter, not secrets
            log=self.log.bind(component=str(component_id), kind=kind),
            meters=self.meters,
            budget=self.budget,
            http=self.http,
            spawn=self.spawn,
            memory=self.memory,
            report=status.report,
            part=status.part,
        )


@dataclass(frozen=True, slots=True)
class Node:
    """A component in its place, and the configuration that it has."""

    status: ComponentStatus
    component: Component
    entry: ComponentConfig


@dataclass(frozen=True, slots=True)
class SenderNode:
    """A sender in its place, with the queue it reads.

    `directory`: where queues of its kind are kept; None: in memory.
    """

    status: ComponentStatus
    component: Sender
    signal: Signal
    queue: SendingQueue
    limits: BatchLimits
    directory: Path | None


@dataclass(frozen=True, slots=True)
class ReceiverNode:
    """A receiver in its place, and where its telemetry goes. `heads`: of this graph, behind the inlets."""

    status: ComponentStatus
    component: Component
    entry: ComponentConfig
    inlets: Mapping[Signal, Inlet]
    heads: Mapping[Signal, Consumer]


AnyNode = Node | SenderNode | ReceiverNode


@dataclass(slots=True, kw_only=True)
class Parts:
    """Some of the parts of a graph, that start or stop together."""

    extensions: list[Node] = field(default_factory=list)
    exporters: list[Node] = field(default_factory=list)
    senders: list[SenderNode] = field(default_factory=list)
    processors: list[Node] = field(default_factory=list)  # as data meets them, pipeline after pipeline
    receivers: list[ReceiverNode] = field(default_factory=list)

    def __iter__(self) -> Iterator[AnyNode]:
        """All of them, those behind before those in front of them."""
        yield from self.extensions
        yield from self.exporters
        yield from self.senders
        yield from reversed(self.processors)
        yield from self.receivers

    def start(self, house: House) -> None:
        """Start what is behind before what is in front of it.

        Raises:
            StartError: of the component that cannot; those started before are stopped again.
        """
        for node in self:
            try:
                node.component.start()
            except BaseException:
                self.stop(house, until=house.clock.monotonic() + _FAILED_START_S)
                raise
            if node.status.state is State.STARTING:
                node.status.report(State.OK, "")

    def stop(self, house: House, until: float) -> bool:
        """Stop in the order in which data flows; each part drains into the next, which is still alive.

        Args:
            house: Of the graph.
            until: Monotonic time at which what is still queued is given up.

        Returns:
            Whether every component stopped without an error.
        """
        clean = shut_down(house, self.receivers)
        clean &= shut_down(house, self.processors)
        for sender in self.senders:
            sender.component.drain(until)
        clean &= shut_down(house, self.senders)
        clean &= shut_down(house, self.exporters)
        clean &= shut_down(house, self.extensions)
        return clean


class Graph:
    """All components of one configuration. Made by `build`."""

    def __init__(self, house: House, config: Config) -> None:
        self.house = house
        self.config = config
        self.extensions: dict[ComponentID, Node] = {}
        self.exporters: dict[ComponentID, Node] = {}
        self.senders: dict[tuple[ComponentID, Signal], SenderNode] = {}
        self.processors: list[Node] = []
        self.receivers: dict[ComponentID, ReceiverNode] = {}

    def parts(self) -> Parts:
        """All of them."""
        return Parts(
            extensions=[*self.extensions.values()],
            exporters=[*self.exporters.values()],
            senders=[*self.senders.values()],
            processors=[*self.processors],
            receivers=[*self.receivers.values()],
        )

    def start(self) -> None:
        """See `Parts`."""
        self.parts().start(self.house)

    def stop(self, until: float) -> bool:
        """See `Parts`."""
        return self.parts().stop(self.house, until)

    def statuses(self) -> list[ComponentStatus]:
        """What each component says about itself."""
        return [status for node in self.parts() for status in node.status.all()]

    def writable(self) -> bool:
        """Whether every sending queue has room, for more than the smallest of requests."""
        return all(
            sender.queue.size < sender.queue.capacity * _FULL_SHARE for sender in self.senders.values()
        )


def shut_down(house: House, nodes: Iterable[AnyNode]) -> bool:
    """Shut components down, one after the other; whether each did so without an error."""
    clean = True
    for node in nodes:
        try:
            node.component.shutdown()
        except Exception:  # one that fails to stop must not keep the others from it
            clean = False
            house.log.exception("A component failed to stop.", component=node.status.key.name)
        node.status.report(State.STOPPED, "")
    return clean
