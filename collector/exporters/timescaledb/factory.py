"""How the `timescaledb` exporter is made."""

from __future__ import annotations

import dataclasses

from collector.exporters.timescaledb.config import TimescaledbConfig
from collector.model.signal import Signal
from collector.pipeline.component import ExporterFactory, Settings
from collector.storage.exporter import StoreExporter
from collector.storage.postgresql.exporter import make_exporter, store_options
from collector.storage.postgresql.options import Layout


def create(settings: Settings, config: TimescaledbConfig) -> StoreExporter:
    """Return the exporter; the database is touched when it starts."""
    compress_after_s, on_arrival = None, True
    if config.compression is not None:
        compress_after_s = float(config.compression.after) if config.compression.enabled else 0.0
        on_arrival = config.compression.on_arrival == "auto"
    options = dataclasses.replace(
        store_options(config),
        layout=Layout.HYPERTABLES,
        compress_after_s=compress_after_s,
        compress_on_arrival=on_arrival,
        rollup_retention_s=config.retention.rollup_ages_s(),
    )
    return make_exporter(settings, config, options)


FACTORY = ExporterFactory(
    type_name="timescaledb", config=TimescaledbConfig, signals=frozenset(Signal), create=create
)
