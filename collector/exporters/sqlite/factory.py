"""How the `sqlite` exporter is made."""

from __future__ import annotations

from pathlib import Path

from collector.exporters.sqlite.config import SqliteConfig
from collector.model.signal import Signal
from collector.pipeline.component import ExporterFactory, Settings
from collector.storage.exporter import StoreExporter
from collector.storage.sqlite.store import SqliteStore, path_of


def create(settings: Settings, config: SqliteConfig) -> StoreExporter:
    """Return the exporter; the file is touched when it starts."""
    path = path_of(config.path) if config.path.startswith("sqlite:") else Path(config.path).expanduser()
    return StoreExporter(
        settings,
        # How long another process' transaction is waited for; then the sender's retry takes over.
        SqliteStore(
            path,
            clock=settings.clock,
            busy_timeout_s=float(config.timeout),
            identities=settings.memory.identities,
        ),
        migrate=config.migrate,
        retention_s=config.retention.ages_s(),
        retention_interval_s=float(config.retention_interval),
        local=True,
    )


FACTORY = ExporterFactory(type_name="sqlite", config=SqliteConfig, signals=frozenset(Signal), create=create)
