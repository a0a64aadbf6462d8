"""From configuration to connected parts, back to front. What a running graph has already can be used again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from collector.model.identity import ComponentID
from collector.model.signal import Signal
from collector.pipeline.component import Consumer, Exporter, Successor, TransactionalExporter
from collector.pipeline.fanout import fan_out
from collector.pipeline.inlet import Inlet
from collector.pipeline.observe import CountedConsumer
from collector.pipeline.queue import MemoryQueue, SendingQueue, queue_name
from collector.pipeline.refusals import Refusals
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import RetryConfig, SendingQueueConfig
from collector.service.batch_limits import batch_limits
from collector.service.graph import Graph, House, Node, ReceiverNode, SenderNode
from collector.service.guarantee import ack_of, storage_of
from collector.service.over_store import basis, create_extension, create_receiver

if TYPE_CHECKING:
    from collector.pipeline.batching import BatchLimits
    from collector.pipeline.disk_queue import QueueStorage
    from collector.service.config import ComponentConfig, Config, PipelineConfig, PipelineID


def build(config: Config, house: House, running: Graph | None = None) -> Graph:
    """Create every component that a pipeline uses, and connect them. Nothing is started.

    Of `running`, the components whose configuration is the same are in the new graph too, and are not touched.
    """
    builder = _Builder(config, house, running or Graph(house, config))
    for extension_id in config.extensions_started:
        builder.extension(extension_id)
    heads: dict[tuple[ComponentID, Signal], list[Consumer]] = {}
    for pipeline_id, pipeline in config.pipelines.items():
        head = builder.pipeline(pipeline_id, pipeline)
        for receiver_id in pipeline.receivers:
            heads.setdefault((receiver_id, pipeline.signal), []).append(head)
    for receiver_id in dict.fromkeys(receiver_id for receiver_id, _ in heads):
        builder.receiver(
            receiver_id,
            {
                signal: fan_out(heads[receiver_id, signal])
                for signal in Signal
                if (receiver_id, signal) in heads
            },
        )
    return builder.graph


class _Builder:
    """Fills `graph`, from `running` where it can."""

    def __init__(self, config: Config, house: House, running: Graph) -> None:
        self.graph = Graph(house, config)
        self._config = config
        self._house = house
        self._running = running
        self._limits: Mapping[tuple[ComponentID, Signal], BatchLimits] = batch_limits(config).by_queue
        queues = {
            (exporter_id, pipeline.signal): storage_of(config, exporter_id)
            for pipeline in config.pipelines.values()
            for exporter_id in pipeline.exporters
        }
        self._senders = len(queues)
        in_memory = sum(storage is None for storage in queues.values())
        self._queue_max = house.memory.queues // max(1, in_memory)

    def extension(self, extension_id: ComponentID) -> None:
        entry = self._config.extensions[extension_id]
        node = self._running.extensions.get(extension_id)
        if node is None or not self._same_basis(node.entry, entry):
            status = self._house.status(extension_id, "extension")
            settings = self._house.settings(extension_id, status)
            node = Node(status, create_extension(self._config, entry, settings), entry)
        self.graph.extensions[extension_id] = node

    def pipeline(self, pipeline_id: PipelineID, pipeline: PipelineConfig) -> Consumer:
        """Connect a pipeline's processors to its exporters; return what its receivers are to be connected to."""
        tails = [
            self.sender(exporter_id, pipeline.signal).component.entry(
                ack_of(self._config, pipeline, exporter_id)
            )
            for exporter_id in pipeline.exporters
        ]
        head = fan_out(tails)
        chain: list[Node] = []
        meters = self._house.meters
        for processor_id in reversed(pipeline.processors):
            entry = self._config.processors[processor_id]
            status = self._house.status(processor_id, "processor", scope=str(pipeline_id))
            behind = CountedConsumer(head, meters.processor_outgoing_items, processor_id)
            settings = self._house.settings(processor_id, status)
            processor = entry.factory.create(settings, entry.config, behind)
            chain.insert(0, Node(status, processor, entry))
            head = CountedConsumer(processor, meters.processor_incoming_items, processor_id)
        self.graph.processors += chain
        return head

    def sender(self, exporter_id: ComponentID, signal: Signal) -> SenderNode:
        """The sender of an exporter for `signal`: made when first asked for, and the exporter with it."""
        senders = self.graph.senders
        if (exporter_id, signal) not in senders:
            senders[exporter_id, signal] = self._sender(exporter_id, signal)
        return senders[exporter_id, signal]

    def _sender(self, exporter_id: ComponentID, signal: Signal) -> SenderNode:
        exporter: Any = self._exporter(exporter_id).component
        options = self._config.exporters[exporter_id].config
        limits = self._batch_limits(exporter_id, signal)
        storage = storage_of(self._config, exporter_id)
        directory = storage.directory if storage is not None else None
        node = self._running.senders.get((exporter_id, signal))
        if node is not None and node.directory == directory:
            return replace(node, limits=limits)  # with its queue, and all that waits in it
        status = self._house.status(exporter_id, "exporter", scope=signal.value)
        settings = self._house.settings(exporter_id, status)
        queue = _queue(
            storage,
            options.sending_queue,
            exporter_id,
            signal,
            exporter,
            self._house,
            memory_max=self._queue_max,
            tail_size=self._house.memory.tail(self._senders),
        )
        refusals = _refusals(storage, options.sending_queue, exporter_id, signal, self._house)
        sender = Sender(
            settings,
            exporter,
            signal,
            queue,
            options,
            limits.spread(settings.rng),
            refusals,
            self._house.large,
        )
        return SenderNode(status, sender, signal, queue, limits, directory)

    def _exporter(self, exporter_id: ComponentID) -> Node:
        exporters = self.graph.exporters
        if exporter_id not in exporters:
            entry = self._config.exporters[exporter_id]
            node = self._running.exporters.get(exporter_id)
            if node is not None and _without_sender(node.entry) == _without_sender(entry):
                exporters[exporter_id] = replace(node, entry=entry)
            else:
                exporters[exporter_id] = self._node(exporter_id, "exporter", entry)
        return exporters[exporter_id]

    def _batch_limits(self, exporter_id: ComponentID, signal: Signal) -> BatchLimits:
        options = self._config.exporters[exporter_id].config
        limits: BatchLimits = options.batch_limits(self._limits.get((exporter_id, signal)))
        memory = self._house.memory
        limits = replace(limits, memory_max=memory.batch(self._senders), ahead=memory.ahead(self._senders))
        if any(
            pipeline.ack == "stored" and pipeline.signal is signal and exporter_id in pipeline.exporters
            for pipeline in self._config.pipelines.values()
        ):
            return replace(limits, interval_s=0.0)  # somebody waits: what is there is sent
        return limits

    def receiver(self, receiver_id: ComponentID, heads: Mapping[Signal, Consumer]) -> None:
        entry = self._config.receivers[receiver_id]
        node = self._running.receivers.get(receiver_id)
        if node is not None and self._same_basis(node.entry, entry) and node.heads.keys() == heads.keys():
            self.graph.receivers[receiver_id] = replace(node, heads=heads)  # still connected to those before
            return
        inlets = {signal: Inlet(head) for signal, head in heads.items()}
        status = self._house.status(receiver_id, "receiver")
        settings = self._house.settings(receiver_id, status)
        receiver = create_receiver(self._config, entry, settings, inlets)
        if node is not None and isinstance(receiver, Successor):
            receiver.succeed(node.component)
        self.graph.receivers[receiver_id] = ReceiverNode(status, receiver, entry, inlets, heads)

    def _same_basis(self, before: ComponentConfig, after: ComponentConfig) -> bool:
        return basis(self._running.config, before) == basis(self._config, after)

    def _node(self, component_id: ComponentID, kind: str, entry: ComponentConfig) -> Node:
        status = self._house.status(component_id, kind)
        settings = self._house.settings(component_id, status)
        return Node(status, entry.factory.create(settings, entry.config), entry)


def _without_sender(entry: ComponentConfig) -> ComponentConfig:
    """What an exporter itself is made of: its queue and its retries are the sender's."""
    config = replace(entry.config, sending_queue=SendingQueueConfig(), retry_on_failure=RetryConfig())
    return replace(entry, config=config)


def _refusals(
    storage: QueueStorage | None,
    options: SendingQueueConfig,
    exporter_id: ComponentID,
    signal: Signal,
    house: House,
) -> Refusals:
    if storage is None:
        return Refusals()
    from collector.pipeline.dead_letters import DeadLetters  # as below

    letters = DeadLetters(storage, queue_name(exporter_id, signal), options.dead_letters.size, house.clock)
    return Refusals(letters, options.dead_letters.overflow)


def _queue(
    storage: QueueStorage | None,
    options: SendingQueueConfig,
    exporter_id: ComponentID,
    signal: Signal,
    exporter: Exporter,
    house: House,
    *,
    memory_max: int,
    tail_size: int,
) -> SendingQueue:
    if storage is None:
        return MemoryQueue(
            options.queue_size, house.clock, overflow=options.overflow, capacity_max=memory_max
        )
    from collector.pipeline.disk_queue import DiskQueue  # not needed where all is in memory

    return DiskQueue(
        storage,
        queue_name(exporter_id, signal),
        options.queue_size,
        house.clock,
        overflow=options.overflow,
        sync_release=not isinstance(exporter, TransactionalExporter),
        tail_size=tail_size,
    )
