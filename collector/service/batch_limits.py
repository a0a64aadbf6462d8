"""How each exporter's queues batch: what the `batch` processors of the pipelines in front of them say.

A `batch` processor does nothing to the data that passes it. The queue behind it is where items wait anyway, so
that is where they are gathered, and there is no second place in which they could be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.model.identity import ComponentID
    from collector.model.signal import Signal
    from collector.pipeline.batching import BatchLimits
    from collector.service.config import Config, PipelineConfig, PipelineID


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two pipelines that share one exporter's queue and ask it to batch in different ways."""

    exporter: ComponentID
    first: PipelineID
    second: PipelineID

    def __str__(self) -> str:
        return (
            f"pipelines '{self.first}' and '{self.second}' share the queue of exporter '{self.exporter}', "
            "but their batch processors differ"
        )

    @property
    def remedy(self) -> str:
        """What to do."""
        return (
            "use the same batch processor in both, or give each pipeline an exporter of its own: "
            f"'{self.exporter.type}/name'"
        )


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The limits that were asked for, by exporter and signal; and where pipelines disagree."""

    by_queue: Mapping[tuple[ComponentID, Signal], BatchLimits]
    conflicts: tuple[Conflict, ...]


def batch_limits(config: Config) -> QueueLimits:
    """Collect what the pipelines ask of the queues. The last `batch` of a pipeline decides for it."""
    asked: dict[tuple[ComponentID, Signal], tuple[PipelineID, BatchLimits]] = {}
    conflicts = []
    for pipeline_id, pipeline in config.pipelines.items():
        limits = _pipeline_limits(config, pipeline)
        if limits is None:
            continue  # a pipeline without one has no say
        for exporter_id in pipeline.exporters:
            first_id, first = asked.setdefault((exporter_id, pipeline.signal), (pipeline_id, limits))
            if first != limits:
                conflicts.append(Conflict(exporter_id, first_id, pipeline_id))
    return QueueLimits({key: limits for key, (_, limits) in asked.items()}, tuple(conflicts))


def _pipeline_limits(config: Config, pipeline: PipelineConfig) -> BatchLimits | None:
    for processor_id in reversed(pipeline.processors):
        entry = config.processors.get(processor_id)  # missing where its definition has an error
        if entry is not None and entry.factory.batch_limits is not None:
            limits: BatchLimits = entry.factory.batch_limits(entry.config)
            return limits
    return None
