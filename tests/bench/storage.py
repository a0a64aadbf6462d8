"""Bytes per row: after arrival, after the compression policy has merged, and in the indexed row store.

The same rows each time. They ended days ago, so that the policy takes them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

from collector.model.signal import Signal
from collector.storage.postgresql.policies import COMPRESS_AFTER_S
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.tables import NUMBER_POINTS, SPANS, Table
from tests.bench import copy_limit, payloads, repeated
from tests.bench.copy_limit import Batch
from tests.bench.databases import postgres
from tests.bench.figure import Figure
from tests.support.postgres import Server, run_job

_DAYS_AGO_S: Final = 3 * 86_400
assert COMPRESS_AFTER_S < _DAYS_AGO_S


def run() -> Iterator[Figure]:
    """Points and spans in batches of 10 000; and as a sidecar's."""
    end = time.time_ns() - _DAYS_AGO_S * 10**9
    with postgres() as server:
        if server is None or not server.timescaledb:
            return
        points = payloads.metric_requests(400, 1000, end, random.Random(1))
        spans = payloads.span_requests(2000, 100, end, random.Random(1))
        yield from _measure(
            server, "point", NUMBER_POINTS, copy_limit.encoded(Signal.METRICS, points), 0.25, 0.12
        )
        yield from _measure(server, "span", SPANS, copy_limit.encoded(Signal.TRACES, spans), 0.20, 0.16)
        yield from _sidecar(server, end)


def _measure(
    server: Server, item: str, table: Table, batches: Sequence[Batch], arrival_bar: float, policy_bar: float
) -> Iterator[Figure]:
    arrived, merged, _ = _sizes(server, table, batches, compressed=True)
    rows, compressed, _ = _sizes(server, table, batches, compressed=False)
    yield Figure(name=f"bytes per {item}: row store, indexed", value=rows, unit="B")
    yield Figure(name=f"bytes per {item}: row store, after the policy", value=compressed, unit="B")
    yield Figure(name=f"bytes per {item}: compressed on arrival", value=arrived, unit="B")
    yield Figure(name=f"bytes per {item}: the same after the policy", value=merged, unit="B")
    yield Figure(name=f"bytes per {item}: after arrival ÷ row store", value=arrived / rows, bar=arrival_bar)
    yield Figure(name=f"bytes per {item}: after the policy ÷ row store", value=merged / rows, bar=policy_bar)


def _sidecar(server: Server, end: int) -> Iterator[Figure]:
    """A batch is what comes between two exports of the SDK: far less than fills a compressed batch."""
    source = repeated.facts(repeated.point_source(6_000), NUMBER_POINTS)
    one_of_each = list({row[0]: row for row in source}.values())
    for name, series, every_s in (
        ("500 points every 5 s", source[:500], 5.0),
        ("60 metrics", one_of_each, 10.0),
    ):
        batches = [
            copy_limit.batch(NUMBER_POINTS, rows)
            for rows in repeated.points(series, 200, every_s, end // 1000, len(series))
        ]
        for compressed, way in ((True, "compressed on arrival"), (False, "as rows")):
            arrived, merged, cpu_us = _sizes(server, NUMBER_POINTS, batches, compressed=compressed)
            yield Figure(name=f"sidecar, {name}, {way}: bytes per point", value=arrived, unit="B")
            yield Figure(name=f"sidecar, {name}, {way}: after the policy", value=merged, unit="B")
            yield Figure(name=f"sidecar, {name}, {way}: CPU of the server", value=cpu_us, unit="µs/point")


def _sizes(
    server: Server, table: Table, batches: Sequence[Batch], *, compressed: bool
) -> tuple[float, float, float]:
    """Bytes per row before and after the policy ran, and the CPU of storing one."""
    with copy_limit.migrated(server, compressed=compressed) as url:
        taken = copy_limit.copy(url, batches, compressed=compressed)
        rows = sum(batch.rows for batch in batches)
        with closing(PostgresqlStore(url)) as store:
            arrived = _bytes(store, table)
            run_job(store, "compression", table.name)
            return arrived / rows, _bytes(store, table) / rows, taken.cpu_us


def _bytes(store: PostgresqlStore, table: Table) -> int:
    [[size]] = store.query(f"SELECT hypertable_size('telemetry.{table.name}')").rows
    return int(size)
