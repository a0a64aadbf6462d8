"""How the `cost_entry` exporter is made."""

from __future__ import annotations

from typing import Final

from collector.accounting.files_exporter import CostFilesExporter
from collector.cost.cost_category import SERVICE_CATEGORIES
from collector.exporters.cost_entry.config import CostEntryConfig
from collector.exporters.cost_entry.days import CostEntryDays
from collector.model.signal import Signal
from collector.pipeline.component import ExporterFactory, Settings


def _create(settings: Settings, config: CostEntryConfig) -> CostFilesExporter:
    return CostFilesExporter(settings, config, CostEntryDays({**SERVICE_CATEGORIES, **config.categories}))


FACTORY: Final = ExporterFactory(
    type_name="cost_entry", config=CostEntryConfig, signals=frozenset({Signal.COSTS}), create=_create
)
