"""TimescaleDB's own jobs on the full edition: compression, retention, refreshing the roll-ups.

What the configuration names is set, what it leaves out stays as it is: hundreds of collectors share a database,
and one without an opinion must not undo what another was told.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from psycopg import sql

from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.edition import Edition
from collector.storage.postgresql.names import LOCK_MAINTAIN, lock_key
from collector.storage.postgresql.options import DAY_S, StoreOptions
from collector.storage.postgresql.schema import Database
from collector.storage.tables import COST_FACTS, NUMBER_POINTS, SPANS, Table, tables_of

# By roll-up: the table that it is made of.
ROLLUPS: Final = {
    "otlp_number_points_hourly": NUMBER_POINTS,
    "otlp_spans_hourly": SPANS,
    **{f"{table.name}_{step}": table for step in ("hourly", "daily") for table in COST_FACTS},
}
# Points older than the receiver's window do not come in, so that older hours do not change.
_REFRESH_MAX_S: Final = 31 * DAY_S
# Costs do: a bill is corrected months later. What has not changed is not refreshed.
_REFRESH_COSTS_MAX_S: Final = 10 * 366 * DAY_S
_HOUR_S: Final = 3600.0
# A chunk is compressed so long after its end: until then late items land where they are cheap.
COMPRESS_AFTER_S: Final = 6 * _HOUR_S
# Costs are computed again while their window is open, and a window of long ago seldom.
COMPRESS_COSTS_AFTER_S: Final = 7 * DAY_S

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
    connection: Connection, database: Database, options: StoreOptions, *, initial: Collection[Table] = ()
) -> list[str]:
    """Make the database's policies those of `options`; return what was changed, in words.

    `initial`: tables that are new, which also get those that one starts with.
    """
    facts = database.facts
    retention_s = {table: age_s for what, age_s in options.retention_s.items() for table in tables_of(what)}
    changed: list[str] = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key(options.schema, LOCK_MAINTAIN),))
        policies = _Policies(connection, database.edition, options.schema)
        for table in facts:
            if table in retention_s:
                changed += policies.retention(table.name, retention_s[table])
        for view, table in ROLLUPS.items():
            if table in facts and (step := _step(view, table)) in options.rollup_retention_s:
                changed += policies.retention(view, options.rollup_retention_s[step])
        for table in facts:
            after_s = options.compress_after_s
            if after_s is None and table in initial:
                after_s = COMPRESS_AFTER_S
            if after_s and table in COST_FACTS:
                after_s = max(after_s, COMPRESS_COSTS_AFTER_S)
            if after_s is not None:
                changed += policies.compression(table.name, after_s)
        for view, table in ROLLUPS.items():
            if table in facts:
                most_s = _REFRESH_COSTS_MAX_S if table in COST_FACTS else _REFRESH_MAX_S
                # A daily roll-up is made of the hourly one.
                age_s = policies.shortest(table.name, _hourly(view), view)
                changed += policies.refresh(view, age_s, most_s, initial=table in initial)
    return changed


def read_retention(connection: Connection, schema: str) -> dict[str, float]:
    """Return the age at which the database drops rows, in seconds by table and roll-up, of those that have one."""
    rows = connection.execute(_JOBS, (schema,)).fetchall()
    return {name: drop for name, kind, drop, _, _ in rows if kind == "policy_retention"}


def _step(view: str, table: Table) -> str:
    step = view.removeprefix(f"{table.name}_")
    return f"cost_{step}" if table in COST_FACTS else step


def _hourly(view: str) -> str:
    return f"{view.removesuffix('_daily')}_hourly" if view.endswith("_daily") else view


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
        self._drop_after[name] = drop_after_s
        if not drop_after_s:
            return [f"{name}: kept for ever"]
        self._call("add_retention_policy", name, drop_after=_interval(drop_after_s))
        return [f"{name}: dropped after {drop_after_s / DAY_S:g} days"]

    def shortest(self, *names: str) -> float:
        """Return the shortest retention of some tables and roll-ups, in seconds; 0: all are kept for ever."""
        return min((age for name in names if (age := self._drop_after.get(name))), default=0.0)

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

    def refresh(self, name: str, retention_s: float, most_s: float, *, initial: bool) -> list[str]:
        """Refresh hours that changed, but never those whose items are dropped: they would become empty.

        `most_s`: how far back at most, in seconds.
        """
        current = self._start_offset.get(name)
        if current is None and not initial:
            return []  # somebody removed it
        start_s = most_s if current is None else current
        if retention_s:
            start_s = min(most_s, max(retention_s - DAY_S, 3 * _HOUR_S))
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
