"""How the `debug` exporter is made."""

from __future__ import annotations

from typing import Final

from collector.exporters.debug.config import DebugConfig
from collector.exporters.debug.exporter import DebugExporter
from collector.model.signal import Signal
from collector.pipeline.component import ExporterFactory, Settings


def _create(settings: Settings, config: DebugConfig) -> DebugExporter:
    return DebugExporter(settings, config)


FACTORY: Final = ExporterFactory(
    type_name="debug", config=DebugConfig, signals=frozenset(Signal), create=_create
)
