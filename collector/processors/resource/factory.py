"""How the `resource` processor is made."""

from __future__ import annotations

from typing import Final

from collector.model.signal import OPENTELEMETRY
from collector.pipeline.component import Consumer, ProcessorFactory, Settings
from collector.processors.resource.config import ResourceConfig
from collector.processors.resource.processor import ResourceProcessor


def _create(settings: Settings, config: ResourceConfig, consumer: Consumer) -> ResourceProcessor:
    return ResourceProcessor(config, consumer)


# Cost records have no resource: what they are about was said when they were made.
FACTORY: Final = ProcessorFactory(
    type_name="resource", config=ResourceConfig, signals=frozenset(OPENTELEMETRY), create=_create
)
