"""From configuration to connected parts: built back to front, started back to front, stopped front to back.

    receiver ─▶ processors of the pipeline ─▶ fan-out ─▶ sender (queue + thread) ─▶ exporter

A receiver is one instance for all pipelines that name it; a processor is one instance per pipeline; an exporter
is one instance, with one sender per signal.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from collector.model.identity import ComponentID
from collector.model.signal import Signal
from collector.pipeline.component import Component, Consumer, Exporter, Settings, State, TransactionalExporter
from collector.pipeline.fanout import fan_out
from collector.pipeline.observe import CountedConsumer
from collector.pipeline.queue import MemoryQueue, SendingQueue
from collector.pipeline.sender import Sender
from collector.service.batch_limits import batch_limits
from collector.service.guarantee import ack_of, storage_of
from collector.service.status import ComponentKey

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from collector.model.clock import Clock
    from collector.pipeline.admission import ByteBudget
    from collector.pipeline.batching import BatchLimits
    from collector.pipeline.component import HttpHost, Thread
    from collector.pipeline.observe import Meters
    from collector.service.config import Config
    from collector.service.status import Statuses

# A queue is full when the next request does not fit; the rest of the room is what was too small for it.
_FULL_SHARE: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all components share: see `Settings`."""

    clock: Clock
    rng: random.Random
    log: FilteringBoundLogger
    meters: Meters
    statuses: Statuses
    budget: ByteBudget
    http: HttpHost
    spawn: Callable[[str, Callable[[], None]], Thread]

    def settings(self, component_id: ComponentID, kind: str, *, scope: str = "") -> Settings:
        """The settings of one component; `scope` tells instances of the same configuration apart."""
        key = ComponentKey(kind, str(component_id), scope)
        log = self.log.bind(component=str(component_id), kind=kind)
        return Settings(
            id=component_id,
            kind=kind,
            clock=self.clock,
            rng=random.Random(self.rng.getrandbits(64)),  # noqa: S311  jitter, not secrets
            log=log,
            meters=self.meters,
            budget=self.budget,
            http=self.http,
            spawn=self.spawn,
            report=self.statuses.reporter(key, log),
        )


@dataclass(frozen=True, slots=True)
class Node:
    """A component in its place."""

    key: ComponentKey
    component: Component
    report: Callable[[State, str], None]


@dataclass(frozen=True, slots=True)
class SenderNode:
    """A sender in its place, with the queue it reads."""

    key: ComponentKey
    component: Sender
    report: Callable[[State, str], None]
    signal: Signal
    queue: SendingQueue
    limits: BatchLimits


class Graph:
    """All components of one configuration. Built by `build`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.extensions: list[Node] = []
        self.exporters: dict[ComponentID, Node] = {}
        self.senders: dict[tuple[ComponentID, Signal], SenderNode] = {}
        self.processors: list[Node] = []  # in the order in which data meets them, pipeline after pipeline
        self.receivers: dict[ComponentID, Node] = {}

    def start(self) -> None:
        """Start what is behind before what is in front of it.

        Raises:
            StartError: of the component that cannot; those started before are stopped again.
        """
        order: list[Node | SenderNode] = [
            *self.extensions,
            *self.exporters.values(),
            *self.senders.values(),
            *reversed(self.processors),
            *self.receivers.values(),
        ]
        for node in order:
            try:
                node.component.start()
            except BaseException:
                self.stop(until=self._house.clock.monotonic())
                raise
            if self._house.statuses.state(node.key) is State.STARTING:
                node.report(State.OK, "")

    def stop(self, until: float) -> bool:
        """Stop in the order in which data flows; each part drains into the next, which is still alive.

        Args:
            until: Monotonic time at which what is still queued is given up.

        Returns:
            Whether every component stopped without an error.
        """
        clean = self._shutdown(self.receivers.values())
        clean &= self._shutdown(self.processors)
        for sender in self.senders.values():
            sender.component.drain(until)
        clean &= self._shutdown(self.senders.values())
        clean &= self._shutdown(self.exporters.values())
        clean &= self._shutdown(self.extensions)
        return clean

    def _shutdown(self, nodes: Iterable[Node | SenderNode]) -> bool:
        clean = True
        for node in nodes:
            try:
                node.component.shutdown()
            except Exception:  # one that fails to stop must not keep the others from it
                clean = False
                self._house.log.exception("A component failed to stop.", component=node.key.name)
            node.report(State.STOPPED, "")
        return clean

    def writable(self) -> bool:
        """Whether every sending queue has room, for more than the smallest of requests."""
        return all(
            sender.queue.size < sender.queue.capacity * _FULL_SHARE for sender in self.senders.values()
        )


def build(config: Config, house: House) -> Graph:
    """Create every component that a pipeline uses, and connect them. Nothing is started."""
    graph = Graph(house)
    limits = batch_limits(config).by_queue
    heads: dict[tuple[ComponentID, Signal], list[Consumer]] = {}
    for extension_id in config.extensions_started:
        settings = house.settings(extension_id, "extension")
        entry = config.extensions[extension_id]
        graph.extensions.append(_node(settings, entry.factory.create(settings, entry.config)))
    for pipeline_id, pipeline in config.pipelines.items():
        tails = [
            _sender(graph, house, config, exporter_id, pipeline.signal, limits).entry(
                ack_of(config, pipeline, exporter_id)
            )
            for exporter_id in pipeline.exporters
        ]
        head = fan_out(tails)
        chain: list[Node] = []
        for processor_id in reversed(pipeline.processors):
            entry = config.processors[processor_id]
            settings = house.settings(processor_id, "processor", scope=str(pipeline_id))
            behind = CountedConsumer(head, house.meters.processor_outgoing_items, processor_id)
            processor = entry.factory.create(settings, entry.config, behind)
            chain.insert(0, _node(settings, processor, scope=str(pipeline_id)))
            head = CountedConsumer(processor, house.meters.processor_incoming_items, processor_id)
        graph.processors += chain
        for receiver_id in pipeline.receivers:
            heads.setdefault((receiver_id, pipeline.signal), []).append(head)
    for receiver_id in dict.fromkeys(receiver_id for receiver_id, _ in heads):
        consumers = {
            signal: fan_out(heads[receiver_id, signal]) for signal in Signal if (receiver_id, signal) in heads
        }
        entry = config.receivers[receiver_id]
        settings = house.settings(receiver_id, "receiver")
        graph.receivers[receiver_id] = _node(
            settings, entry.factory.create(settings, entry.config, consumers)
        )
    return graph


def _node(settings: Settings, component: Component, *, scope: str = "") -> Node:
    return Node(ComponentKey(settings.kind, str(settings.id), scope), component, settings.report)


def _sender(
    graph: Graph,
    house: House,
    config: Config,
    exporter_id: ComponentID,
    signal: Signal,
    limits: Mapping[tuple[ComponentID, Signal], BatchLimits],
) -> Sender:
    """The sender of an exporter for `signal`: made when first asked for, and the exporter with it."""
    if (exporter_id, signal) in graph.senders:
        return graph.senders[exporter_id, signal].component
    entry = config.exporters[exporter_id]
    if exporter_id not in graph.exporters:
        settings = house.settings(exporter_id, "exporter")
        graph.exporters[exporter_id] = _node(settings, entry.factory.create(settings, entry.config))
    exporter: Any = graph.exporters[exporter_id].component
    effective = entry.config.batch_limits(limits.get((exporter_id, signal)))
    if any(
        pipeline.ack == "stored" and pipeline.signal is signal and exporter_id in pipeline.exporters
        for pipeline in config.pipelines.values()
    ):
        effective = replace(effective, interval_s=0.0)  # somebody waits: what is there is sent
    settings = house.settings(exporter_id, "exporter", scope=signal.value)
    queue = _queue(house, config, exporter_id, signal, exporter)
    sender = Sender(settings, exporter, signal, queue, entry.config, effective)
    key = ComponentKey("exporter", str(exporter_id), signal.value)
    graph.senders[exporter_id, signal] = SenderNode(key, sender, settings.report, signal, queue, effective)
    return sender


def _queue(
    house: House, config: Config, exporter_id: ComponentID, signal: Signal, exporter: Exporter
) -> SendingQueue:
    options = config.exporters[exporter_id].config.sending_queue
    storage = storage_of(config, exporter_id)
    if storage is None:
        return MemoryQueue(options.queue_size, house.clock, overflow=options.overflow)
    from collector.pipeline.disk_queue import DiskQueue  # not needed where all is in memory

    return DiskQueue(
        storage,
        f"{quote(str(exporter_id), safe='')}-{signal.value}",
        options.queue_size,
        house.clock,
        overflow=options.overflow,
        sync_release=not isinstance(exporter, TransactionalExporter),
    )
