"""What the server takes: COPY of rows encoded beforehand, in the transactions of the daemon, on one connection.

The limit that end to end is held against; also the row store's, which shows what compressing on arrival is worth.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg

from collector.model.signal import Signal
from collector.storage.encode import Encoder
from collector.storage.postgresql.arrival import find_arrival
from collector.storage.postgresql.copy_binary import copy_pieces
from collector.storage.postgresql.options import DAY_S, Layout, StoreOptions
from collector.storage.postgresql.partitions import create_partitions
from collector.storage.postgresql.schema import inspect
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.postgresql.writing import copy_statement, set_local
from collector.storage.rows import Row
from collector.storage.tables import Table
from tests.bench import payloads, process
from tests.bench.databases import postgres
from tests.bench.figure import Figure
from tests.support.postgres import Server

BATCH_ITEMS: Final = 10_000
_SCHEMA: Final = "telemetry"


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one batch for one table, ready for COPY."""

    table: Table
    rows: int
    times: frozenset[int]  # µs, the first and the last
    copy: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """What the server did with batches. CPU is that of the session's backend."""

    rows_per_s: float
    cpu_us: float


def run() -> Iterator[Figure]:
    """Points and spans, compressed on arrival and as rows."""
    with postgres() as server:
        if server is None:
            return
        requests = {
            Signal.METRICS: payloads.metric_requests(300, 1000, time.time_ns(), random.Random(1)),
            Signal.TRACES: payloads.span_requests(1000, 100, time.time_ns(), random.Random(1)),
        }
        for signal, name in ((Signal.METRICS, "points"), (Signal.TRACES, "spans")):
            batches = encoded(signal, requests[signal])
            for compressed in (True, False) if server.timescaledb else (False,):
                with migrated(server, compressed=compressed) as url:
                    taken = copy(url, batches, compressed=compressed)
                way = "compressed on arrival" if compressed else "as rows"
                yield Figure(name=f"COPY of {name} {way}", value=taken.rows_per_s, unit="rows/s")
                yield Figure(name=f"COPY of {name} {way}: CPU", value=taken.cpu_us, unit="µs/row")


def rows_per_s(signal: Signal, requests: Sequence[bytes], server: Server) -> float:
    """The rate at which `server` takes the rows of `requests`, stored the best way it has."""
    batches = encoded(signal, requests)
    with migrated(server, compressed=True) as url:
        return copy(url, batches, compressed=True).rows_per_s


def encoded(signal: Signal, requests: Sequence[bytes]) -> list[Batch]:
    """The facts of `requests` in batches of about 10 000 items, as the daemon forms them."""
    encoder = Encoder()
    messages = [signal.request_type().FromString(request) for request in requests]
    each = max(1, BATCH_ITEMS // encoder.encode(signal, messages[:1]).items)
    return [
        batch(table, rows)
        for at in range(0, len(messages), each)
        for table, rows in encoder.encode(signal, messages[at : at + each]).facts.items()
    ]


def batch(table: Table, rows: Sequence[Row]) -> Batch:
    """`rows`, which are sorted, as a batch."""
    times = [row[table.index("time")] for row in rows]
    return Batch(table, len(rows), frozenset((min(times), max(times))), b"".join(copy_pieces(table, rows)))


@contextmanager
def migrated(server: Server, *, compressed: bool) -> Iterator[str]:
    """A fresh database with our tables; its URL. `compressed`: on arrival, if the server can."""
    url = server.create_database(timescaledb=server.timescaledb)
    with closing(PostgresqlStore(url, options(server, compressed=compressed))) as store:
        store.migrate()
    yield url
    server.drop_database(url)


def options(server: Server, *, compressed: bool) -> StoreOptions:
    """How a bench sets up its store."""
    layout = Layout.HYPERTABLES if server.timescaledb else Layout.PARTITIONS
    return StoreOptions(layout=layout, compress_on_arrival=compressed)


def copy(url: str, batches: Sequence[Batch], *, compressed: bool) -> Taken:
    """COPY each of `batches` in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        wanted = StoreOptions(compress_on_arrival=compressed)
        database = inspect(connection, wanted)
        arrival = find_arrival(connection, database, wanted, None)
        if database.layout is Layout.PARTITIONS:
            for one in batches:
                create_partitions(connection, _SCHEMA, one.table, one.times, round(DAY_S) * 1_000_000)
        pid = connection.info.backend_pid
        local = connection.info.host in ("127.0.0.1", "localhost", "::1")
        cpu_before, began = process.cpu_s(pid) if local else 0.0, time.monotonic()
        for one in batches:
            with connection.transaction():
                for table, parameters in arrival.steps({one.table: one.rows}):
                    set_local(connection, parameters)
                    with connection.cursor() as cursor, cursor.copy(copy_statement(_SCHEMA, table)) as stream:
                        stream.write(one.copy)
        elapsed = time.monotonic() - began
        cpu = process.cpu_s(pid) - cpu_before if local else 0.0
    rows = sum(one.rows for one in batches)
    return Taken(rows / elapsed, cpu / rows * 1e6)
