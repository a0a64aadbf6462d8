"""How the `file` exporter is made."""

from __future__ import annotations

from typing import Final

from collector.exporters.file.config import FileConfig
from collector.exporters.file.exporter import FileExporter
from collector.model.signal import Signal
from collector.pipeline.component import ExporterFactory, Settings


def _create(settings: Settings, config: FileConfig) -> FileExporter:
    return FileExporter(settings, config)


FACTORY: Final = ExporterFactory(
    type_name="file", config=FileConfig, signals=frozenset(Signal), create=_create
)
