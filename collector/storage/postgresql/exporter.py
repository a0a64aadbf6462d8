"""How the exporters to PostgreSQL are made: the store by their config, its upkeep and its metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from collector.pipeline.component import Settings
from collector.storage.exporter import StoreExporter
from collector.storage.postgresql.config import DatabaseConfig
from collector.storage.postgresql.options import StoreOptions
from collector.storage.postgresql.store import PostgresqlStore


def store_options(config: DatabaseConfig) -> StoreOptions:
    """What `config` says, as the store takes it."""
    return StoreOptions(
        schema=config.schema,
        chunk_interval_s=float(config.chunk_interval),
        retention_s=config.retention.given_s(),
        connections_max=config.pool.max_size,
        connection_idle_s=float(config.pool.idle_timeout),
        connect_timeout_s=float(config.connect_timeout),
        write_timeout_s=float(config.timeout),
        synchronous_commit=config.synchronous_commit,
    )


def make_exporter(settings: Settings, config: DatabaseConfig, options: StoreOptions) -> StoreExporter:
    """Return the exporter; the database is touched when it starts."""
    pool = settings.meters.database_pool
    idle_gauge, busy_gauge = (pool.labels(str(settings.id), state) for state in ("idle", "busy"))

    def count_connections(idle: int, busy: int) -> None:
        idle_gauge.set(idle)
        busy_gauge.set(busy)

    def keep_up(now_unix_nano: int) -> Mapping[str, int]:
        done = store.maintain(now_unix_nano=now_unix_nano)
        for change in done.changes:
            settings.log.info("Database brought in line with the configuration.", change=change)
        return done.deleted

    name = str(settings.id)
    store = PostgresqlStore(
        config.connection_string.reveal(),
        # Seen in pg_stat_activity: which collector component a session belongs to.
        dataclasses.replace(
            options, application_name=f"collector {name}", identities=settings.memory.identities
        ),
        clock=settings.clock,
        on_pool=count_connections,
    )
    return StoreExporter(
        settings,
        store,
        migrate=config.auto_migrate,
        retention_s=config.retention.ages_s(),
        retention_interval_s=float(config.retention_interval),
        upkeep=keep_up,
        rest=store.close_idle,
    )
