"""What a client may believe when it is answered: which queues are on disk, and at which point a pipeline answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from collector.model.identity import ComponentID

if TYPE_CHECKING:
    from collector.pipeline.disk_queue import QueueStorage
    from collector.pipeline.sender_config import Ack
    from collector.service.config import Config, PipelineConfig, PipelineID


def storage_of(config: Config, exporter_id: ComponentID) -> QueueStorage | None:
    """Where the queues of an exporter are kept; None: in memory."""
    name = config.exporters[exporter_id].config.sending_queue.storage
    if name is None:
        return None
    entry = config.extensions[ComponentID.parse(name)]
    storage: QueueStorage = entry.factory.queue_storage(entry.config)
    return storage


def ack_of(config: Config, pipeline: PipelineConfig, exporter_id: ComponentID) -> Ack:
    """At which point the queue of one exporter lets a pipeline answer."""
    if pipeline.ack is not None:
        return pipeline.ack
    return "memory" if config.exporters[exporter_id].config.sending_queue.storage is None else "disk"


def pipeline_acks(config: Config) -> dict[str, Ack]:
    """What is promised to the clients of each pipeline: the least of what its exporters' queues do."""
    weakest: tuple[Ack, ...] = ("memory", "disk", "stored")
    return {
        str(pipeline_id): min(
            (ack_of(config, pipeline, exporter_id) for exporter_id in pipeline.exporters), key=weakest.index
        )
        for pipeline_id, pipeline in config.pipelines.items()
        if pipeline.exporters
    }


def storage_problem(config: Config, exporter_id: ComponentID) -> tuple[str, str] | None:
    """What is wrong with an exporter's `sending_queue.storage`: what, and what to do."""
    name = config.exporters[exporter_id].config.sending_queue.storage
    if name is None:
        return None
    known = [
        str(extension_id)
        for extension_id, entry in config.extensions.items()
        if entry.factory.queue_storage is not None
    ]
    where = f"exporter '{exporter_id}': sending_queue.storage"
    if name not in known:
        remedy = f"it can be: {', '.join(known)}" if known else "define 'file_storage' under extensions"
        return f"{where}: {name!r} is no storage extension that is defined", remedy
    if ComponentID.parse(name) not in config.extensions_started:
        return f"{where}: extension {name!r} is not started", f"add it: service: {{extensions: [{name}]}}"
    return None


def ack_problems(config: Config) -> Iterator[tuple[PipelineID, str, str]]:
    """What is wrong with the pipelines' `ack`: in which, what, and what to do."""
    for pipeline_id, pipeline in config.pipelines.items():
        for exporter_id in pipeline.exporters:
            entry = config.exporters.get(exporter_id)
            if entry is None:
                continue  # its definition has an error
            queue = entry.config.sending_queue
            again = [
                str(name)
                for name in pipeline.receivers
                if name in config.receivers and config.receivers[name].factory.over_store is not None
            ]
            if again and ack_of(config, pipeline, exporter_id) == "memory":
                yield (
                    pipeline_id,
                    f"pipeline '{pipeline_id}': receiver '{again[0]}' must not pass costs on to a queue in memory",
                    f"a crash would lose them: add 'ack: stored', or exporters.{exporter_id}.sending_queue.storage",
                )
            if pipeline.ack == "disk" and queue.storage is None:
                yield (
                    pipeline_id,
                    f"pipeline '{pipeline_id}' has 'ack: disk', but the queue of exporter '{exporter_id}' is in memory",
                    f"set exporters.{exporter_id}.sending_queue.storage: file_storage",
                )
            if pipeline.ack == "stored" and queue.overflow == "drop_oldest":
                yield (
                    pipeline_id,
                    f"pipeline '{pipeline_id}' has 'ack: stored', but exporter '{exporter_id}' drops what it cannot keep",
                    "remove 'overflow: drop_oldest' from its sending_queue",
                )
