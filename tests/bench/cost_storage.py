"""What exact amounts cost: NUMERIC beside a scaled bigint, in room and in the time that a dashboard takes; and writing.

A month of hourly allocations of 300 workloads, with amounts of 18 decimals as splits make them, in the ledger's own table
and in a copy that has the effective cost a second time, as a bigint in units of 10^-9. Compressed as the policy does it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Final, LiteralString
from uuid import uuid4

import psycopg

from collector.cost.protobuf import encode_request
from collector.model.signal import Signal
from collector.storage.encoding import payload_encoder
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.sqlite.store import SqliteStore
from collector.storage.store import Store
from collector.storage.tables import COST_ALLOCATIONS
from tests.bench.databases import postgres
from tests.bench.figure import Figure
from tests.support.cost_samples import ledger
from tests.support.postgres import run_job

_WORKLOADS: Final = 300
_DAYS: Final = 30
_ROWS: Final = _WORKLOADS * _DAYS * 24
_TRIES: Final = 3
_BATCH: Final = 5_000

_FILL: LiteralString = """
INSERT INTO telemetry.otlp_cost_allocations (
    record_id, time, origin_id, parent_record_id, revision, charge_period_end_unix_nano,
    billing_period_start_unix_nano, billing_period_end_unix_nano, charge_category, charge_class, source, subject_kind,
    billing_currency, billed_cost, effective_cost, list_cost, contracted_cost, pricing_quantity, list_unit_price,
    pricing_unit, service_category, service_name, resource_id, sku_id, allocated_method_id, rule_id,
    subject_service_name, subject_team, subject_environment, subject_k8s_namespace, subject_k8s_workload, refined
)
SELECT gen_random_uuid(), hour, md5(hour::text || node)::uuid, md5('p' || hour::text || node)::uuid, 0,
    (extract(epoch FROM hour) * 1e9)::bigint + 3600000000000, 1790000000000000000, 1792592000000000000, 1, 0, 1, 1,
    'USD', cost, cost, cost, cost, quantity, 0.031611, 'Core-Hours', 'Compute', 'Machines', 'node-' || node,
    'm5.xlarge', 'max-request-usage', 'k8s-node', 'service ' || workload, 'team ' || workload %% 12, 'prod',
    'namespace ' || workload %% 20, 'service ' || workload, false
FROM (
    SELECT hour, workload, workload %% 40 AS node, quantity, round(quantity * 0.031611, 18) AS cost
    FROM generate_series(%(start)s::timestamptz, %(start)s::timestamptz + %(days)s * interval '1 day'
            - interval '1 hour', '1 hour') AS hour,
        generate_series(1, %(workloads)s) AS workload,
        LATERAL (SELECT round((0.1 + random()::numeric / (1 + workload)), 12) AS quantity) AS drawn
) AS rows
"""
_COPY: LiteralString = """
CREATE TABLE telemetry.beside (LIKE telemetry.otlp_cost_allocations INCLUDING DEFAULTS, effective_nano bigint);
SELECT public.create_hypertable('telemetry.beside', public.by_range('time', interval '7 days'), create_default_indexes => false);
ALTER TABLE telemetry.beside SET (timescaledb.compress, timescaledb.compress_segmentby = '',
    timescaledb.compress_orderby = 'time, origin_id, record_id');
INSERT INTO telemetry.beside SELECT *, (effective_cost * 1e9)::bigint FROM telemetry.otlp_cost_allocations;
SELECT public.compress_chunk(chunk) FROM public.show_chunks('telemetry.beside') AS chunk;
"""
_QUESTIONS: Final[Mapping[str, LiteralString]] = {
    "by day and team, numeric": """
        SELECT date_trunc('day', time), subject_team, sum(effective_cost) FROM telemetry.otlp_cost_allocations
        GROUP BY 1, 2""",
    "by day and team, bigint": """
        SELECT date_trunc('day', time), subject_team, sum(effective_nano) FROM telemetry.beside GROUP BY 1, 2""",
    "in all, numeric": "SELECT sum(effective_cost) FROM telemetry.otlp_cost_allocations",
    "in all, bigint": "SELECT sum(effective_nano) FROM telemetry.beside",
    "by day and team, the view costs": """
        SELECT date_trunc('day', time), team, sum(effective_cost) FROM telemetry.costs GROUP BY 1, 2""",
    "by day and team, costs_daily": """
        SELECT day, team, sum(effective_cost) FROM telemetry.costs_daily GROUP BY 1, 2""",
}


def run() -> Iterator[Figure]:
    """Room, questions and writing."""
    with closing(SqliteStore(None)) as store:
        store.migrate()
        yield Figure(name="sqlite, in memory: write", value=_written_per_s(store), unit="records/s")
    with postgres() as server:
        if server is None or not server.timescaledb:
            return
        with closing(PostgresqlStore(server.create_database(timescaledb=True))) as store:
            store.migrate()
            yield Figure(name="timescaledb: write", value=_written_per_s(store), unit="records/s")
        url = server.create_database(timescaledb=True)
        with closing(PostgresqlStore(url)) as store:
            store.migrate()
            yield from _room_and_questions(store, url)


def _written_per_s(store: Store) -> float:
    """Origins with parts, encoded and stored in batches, each a transaction."""
    payloads = []
    for turn in range(4):
        records = []
        for number in range(_BATCH // 5):
            records += ledger(f"{turn} {number}")[:5]
        payloads.append(encode_request(records))
    began = time.monotonic()
    for payload in payloads:
        encoded = payload_encoder(Signal.COSTS).encode([payload])
        store.write(encoded, queue_id=uuid4(), start=0, end=1)
    return _BATCH * len(payloads) / (time.monotonic() - began)


def _room_and_questions(store: PostgresqlStore, url: str) -> Iterator[Figure]:
    start = "2026-06-01T00:00:00Z"  # long closed: the policy may compress all of it
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FILL, {"start": start, "days": _DAYS, "workloads": _WORKLOADS})
        plain = _size(connection, "otlp_cost_allocations")
        yield Figure(name="numeric, as rows with indexes", value=plain / _ROWS, unit="B/row")
        run_job(store, "compression", COST_ALLOCATIONS.name)
        connection.execute(_COPY)
        for view in ("hourly", "daily"):
            for level in ("origins", "allocations", "requests"):
                connection.execute(
                    psycopg.sql.SQL("CALL public.refresh_continuous_aggregate({}, NULL, NULL)").format(
                        psycopg.sql.Literal(f"telemetry.otlp_cost_{level}_{view}")
                    )
                )
        numeric, beside = _size(connection, "otlp_cost_allocations"), _size(connection, "beside")
        yield Figure(name="numeric, compressed with indexes", value=numeric / _ROWS, unit="B/row")
        column = _column(connection)
        yield Figure(name="four numeric costs, compressed", value=column["numeric"] / _ROWS, unit="B/row")
        yield Figure(name="one bigint beside, compressed", value=column["bigint"] / _ROWS, unit="B/row")
        assert beside > 0
        connection.execute("VACUUM ANALYZE")
        for question, statement in _QUESTIONS.items():
            yield Figure(name=question, value=_best_ms(connection, statement), unit="ms")


def _size(connection: psycopg.Connection[tuple[object, ...]], table: str) -> int:
    row = connection.execute(
        "SELECT public.hypertable_size(%s::regclass)", (f"telemetry.{table}",)
    ).fetchone()
    assert row is not None
    assert isinstance(row[0], int)
    return row[0]


def _column(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, int]:
    """Bytes of compressed columns."""
    sizes = {"numeric": 0, "bigint": 0}
    # TimescaleDB names them differently from version to version: what is compressed has the column as its own type.
    chunks = connection.execute(
        "SELECT nspname, relname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE attname = 'effective_nano' AND format_type(atttypid, NULL) LIKE '%compressed_data' AND relkind = 'r'"
    ).fetchall()
    assert chunks
    for schema, table in chunks:
        row = connection.execute(
            psycopg.sql.SQL(
                "SELECT sum(pg_column_size(billed_cost) + pg_column_size(effective_cost) + pg_column_size(list_cost) "
                "+ pg_column_size(contracted_cost))::bigint, sum(pg_column_size(effective_nano))::bigint FROM {}"
            ).format(psycopg.sql.Identifier(str(schema), str(table)))
        ).fetchone()
        assert row is not None
        sizes["numeric"] += int(str(row[0]))
        sizes["bigint"] += int(str(row[1]))
    return sizes


def _best_ms(connection: psycopg.Connection[tuple[object, ...]], statement: LiteralString) -> float:
    times = []
    for _ in range(_TRIES):
        began = time.monotonic()
        connection.execute(statement).fetchall()
        times.append((time.monotonic() - began) * 1000)
    return min(times)
