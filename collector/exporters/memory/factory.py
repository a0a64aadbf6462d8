"""How the `memory` exporter is made: a SQLite database in memory, with a bound."""

from __future__ import annotations

from collector.exporters.memory.config import MemoryConfig
from collector.model.signal import Signal
from collector.pipeline.component import ExporterFactory, Settings
from collector.storage.exporter import StoreExporter
from collector.storage.sqlite.store import SqliteStore


def create(settings: Settings, config: MemoryConfig) -> StoreExporter:
    """Return the exporter; `exporter.store` answers queries while it runs."""
    store = SqliteStore(None, clock=settings.clock, items_max=config.items_max)
    return StoreExporter(
        settings,
        store,
        migrate=True,
        retention_s={},
        retention_interval_s=0.0,
        local=True,
        take_deleted=store.take_evicted,
    )


FACTORY = ExporterFactory(type_name="memory", config=MemoryConfig, signals=frozenset(Signal), create=create)
