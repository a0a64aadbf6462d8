"""How the `postgresql` exporter is made."""

from __future__ import annotations

import dataclasses

from collector.exporters.postgresql.config import PostgresqlConfig
from collector.model.signal import Signal
from collector.pipeline.component import ExporterFactory, Settings
from collector.storage.exporter import StoreExporter
from collector.storage.postgresql.exporter import make_exporter, store_options
from collector.storage.postgresql.options import Layout


def create(settings: Settings, config: PostgresqlConfig) -> StoreExporter:
    """Return the exporter; the database is touched when it starts."""
    options = dataclasses.replace(store_options(config), layout=Layout.PARTITIONS)
    return make_exporter(settings, config, options)


FACTORY = ExporterFactory(
    type_name="postgresql", config=PostgresqlConfig, signals=frozenset(Signal), create=create
)
