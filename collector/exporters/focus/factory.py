"""How the `focus` exporter is made."""

from __future__ import annotations

from typing import Final

from collector.accounting.files_exporter import CostFilesExporter
from collector.cost.focus.record_check import RecordCheck
from collector.cost.focus.rows import FocusOptions, OriginRow
from collector.exporters.focus.config import FocusConfig
from collector.exporters.focus.days import FocusDays
from collector.model.signal import Signal
from collector.pipeline.component import ExporterFactory, Settings


def _create(settings: Settings, config: FocusConfig) -> CostFilesExporter:
    options = FocusOptions(
        version=config.version, origin_row=OriginRow(config.origin_row), defaults=dict(config.columns)
    )
    writer = FocusDays(options, parquet=config.format == "parquet")
    return CostFilesExporter(settings, config, writer, RecordCheck(options).problem)


FACTORY: Final = ExporterFactory(
    type_name="focus", config=FocusConfig, signals=frozenset({Signal.COSTS}), create=_create
)
