"""TimescaleDB's own jobs on the full edition: compression, retention, refreshing the roll-ups.

What the configuration names is set, what it leaves out stays as it is: hundreds of collectors share a database,
and one without an opinion must not undo what another was told.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg import sql

from collector.model.signal import Signal
from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.edition import Edition
from collector.storage.postgresql.names import LOCK_MAINTAIN, lock_key
from collector.storage.postgresql.options import DAY_S, FACTS_OF, StoreOptions
from collector.storage.tables import FACTS

ROLLUPS: Final = {"otlp_number_points_hourly": Signal.METRICS, "otlp_spans_hourly": Signal.TRACES}
# Points older than the receiver's window do not come in, so that older hours do not change.
_REFRESH_MAX_S: Final = 31 * DAY_S
_HOUR_S: Final = 3600.0
# A chunk is compressed so long after its end: until then late items land where they are cheap.
COMPRESS_AFTER_S: Final = 6 * _HOUR_S

_JOBS: Final = """
SELECT coalesce(c.view_name, j.hypertable_name), j.proc_name,
    extract(epoch FROM (j.config ->> 'drop_after')::interval)::double precision,
    extract(epoch FROM (j.config ->> 'compress_after')::interval)::double precision,
    extract(epoch FROM (j.config ->> 'start_offset')::interval)::double precision
FROM timescaledb_information.jobs AS j
LEFT JOIN timescaledb_information.continuous_aggregates AS c
    ON (c.view_schema, c.view_name) = (j.hypertable_schema, j.hypertable_name)
    OR (c.materialization_hypertable_schema, c.materialization_hypertable_name)
        = (j.hypertable_schema, j.hypertable_name)
WHERE coalesce(c.view_schema, j.hypertable_schema) = %s
"""


def apply_policies(
    connection: Connection, edition: Edition, options: StoreOptions, *, initial: bool
) -> list[str]:
    """Make the database's policies those of `options`; return what was changed, in words.

    `initial`: also those that a new schema starts with.
    """
    changed: list[str] = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key(options.schema, LOCK_MAINTAIN),))
        policies = _Policies(connection, edition, options.schema)
        for signal, tables in FACTS_OF.items():
            if signal in options.retention_s:
                for table in tables:
                    changed += policies.retention(table.name, options.retention_s[signal])
        if options.rollup_retention_s is not None:
            for view in ROLLUPS:
                changed += policies.retention(view, options.rollup_retention_s)
        compress_after_s = options.compress_after_s
        if compress_after_s is None and initial:
            compress_after_s = COMPRESS_AFTER_S
        if compress_after_s is not None:
            for table in FACTS:
                changed += policies.compression(table.name, compress_after_s)
        for view, signal in ROLLUPS.items():
            changed += policies.refresh(view, options.retention_s.get(signal, 0.0), initial=initial)
    return changed


class _Policies:
    def __init__(self, connection: Connection, edition: Edition, schema: str) -> None:
        self._connection = connection
        self._extension = sql.Identifier(edition.extension_schema)
        self._schema = schema
        rows = connection.execute(_JOBS, (schema,)).fetchall()
        self._drop_after = {name: drop for name, kind, drop, _, _ in rows if kind == "policy_retention"}
        self._compress_after = {
            name: after for name, kind, _, after, _ in rows if kind == "policy_compression"
        }
        self._start_offset = {
            name: start for name, kind, _, _, start in rows if kind == "policy_refresh_continuous_aggregate"
        }

    def retention(self, name: str, drop_after_s: float) -> list[str]:
        """Drop what is older than that; 0: keep for ever."""
        current = self._drop_after.get(name)
        if (current or 0.0) == drop_after_s:
            return []
        if current is not None:
            self._call("remove_retention_policy", name)
        if not drop_after_s:
            return [f"{name}: kept for ever"]
        self._call("add_retention_policy", name, drop_after=_interval(drop_after_s))
        return [f"{name}: dropped after {drop_after_s / DAY_S:g} days"]

    def compression(self, name: str, compress_after_s: float) -> list[str]:
        """Compress chunks that ended so long ago; 0: never."""
        current = self._compress_after.get(name)
        if (current or 0.0) == compress_after_s:
            return []
        if current is not None:
            self._call("remove_compression_policy", name)
        if not compress_after_s:
            return [f"{name}: not compressed"]
        self._call(
            "add_compression_policy",
            name,
            compress_after=_interval(compress_after_s),
            schedule_interval=_interval(_HOUR_S),
        )
        return [f"{name}: compressed after {compress_after_s / _HOUR_S:g} hours"]

    def refresh(self, name: str, retention_s: float, *, initial: bool) -> list[str]:
        """Refresh hours that changed, but never those whose items are dropped: they would become empty."""
        current = self._start_offset.get(name)
        if current is None and not initial:
            return []  # somebody removed it
        start_s = _REFRESH_MAX_S if current is None else current
        if retention_s:
            start_s = min(_REFRESH_MAX_S, max(retention_s - DAY_S, 3 * _HOUR_S))
        if current == start_s:
            return []
        if current is not None:
            self._call("remove_continuous_aggregate_policy", name)
        self._call(
            "add_continuous_aggregate_policy",
            name,
            start_offset=_interval(start_s),
            end_offset=_interval(_HOUR_S),
            schedule_interval=_interval(_HOUR_S / 2),
        )
        return [f"{name}: refreshed for {start_s / DAY_S:g} days back"]

    def _call(self, function: str, name: str, **arguments: sql.Composable) -> Any:
        relation = sql.Literal(sql.Identifier(self._schema, name).as_string())
        named = [sql.SQL("{} => {}").format(sql.Identifier(key), value) for key, value in arguments.items()]
        self._connection.execute(
            sql.SQL("SELECT {}.{}({})").format(
                self._extension, sql.Identifier(function), sql.SQL(", ").join([relation, *named])
            )
        )


def _interval(seconds: float) -> sql.Composable:
    days, rest = divmod(round(seconds), round(DAY_S))
    return sql.SQL("{}::interval").format(sql.Literal(f"{days} days {rest} seconds"))
