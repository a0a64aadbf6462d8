"""How the `memory_limiter` processor is made."""

from __future__ import annotations

from typing import Final

from collector.model.signal import Signal
from collector.pipeline.component import Consumer, ProcessorFactory, Settings
from collector.processors.memory_limiter.config import MemoryLimiterConfig
from collector.processors.memory_limiter.processor import MemoryLimiter


def _create(settings: Settings, config: MemoryLimiterConfig, consumer: Consumer) -> MemoryLimiter:
    return MemoryLimiter(settings, config, consumer)


FACTORY: Final = ProcessorFactory(
    type_name="memory_limiter", config=MemoryLimiterConfig, signals=frozenset(Signal), create=_create
)
