"""How the `batch` processor is made."""

from __future__ import annotations

from typing import Final

from collector.model.signal import Signal
from collector.pipeline.component import Consumer, ProcessorFactory, Settings
from collector.processors.batch.config import BatchConfig
from collector.processors.batch.processor import BatchProcessor


def _create(settings: Settings, config: BatchConfig, consumer: Consumer) -> BatchProcessor:
    return BatchProcessor(consumer)


FACTORY: Final = ProcessorFactory(
    type_name="batch",
    config=BatchConfig,
    signals=frozenset(Signal),
    create=_create,
    batch_limits=BatchConfig.limits,
)
