"""OTLP in, rows stored and counted: rate, the share of what the server takes at all, and the CPU of it.

Each run starts a daemon with a fresh database, sends encoded requests over gRPC as fast as they are taken, and ends when
all of them can be counted in the database. Rotel, which stores nothing, gets the same requests from the same generator.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.model.signal import Signal
from collector.storage.store import Store, open_store
from tests.bench import copy_limit, load, payloads, process, rotel
from tests.bench.databases import postgres
from tests.bench.figure import Figure
from tests.support.daemon import Daemon, running
from tests.support.eventually import eventually
from tests.support.postgres import Server

_CONFIG: Final = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: 127.0.0.1:0}}}}, duplicate_window: 0s}}}}
processors: {{memory_limiter: {{}}, batch: {{}}}}
exporters: {{{exporter}: {{{options}{queue}}}}}
extensions: {{file_storage: {{directory: {directory}/queue}}}}
service:
  extensions: [file_storage]
  admin: {{endpoint: 127.0.0.1:0}}
  pipelines: {{{signal}: {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [{exporter}]}}}}
"""
_CLIENT_THREADS: Final = 2
# Of figures that differ by a fifth from minute to minute, the median; ratios are of one round each.
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Workload:
    """What is sent, and the bars it is held against."""

    name: str
    signal: Signal
    warm: int  # requests before the clock starts, so that every series is known
    requests: int
    items: int
    make: Callable[[int, int, int, random.Random], list[bytes]]
    table: str
    limit_bar: float  # of the rate at which the server takes the same rows, encoded beforehand


POINTS: Final = Workload(
    "points", Signal.METRICS, 10, 1000, 1000, payloads.metric_requests, "otlp_number_points", 0.6
)
SPANS: Final = Workload("spans", Signal.TRACES, 10, 300, 1000, payloads.span_requests, "otlp_spans", 0.7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run. Rates in items/s, CPU in µs per item, memory in MiB."""

    stored_per_s: float
    accepted_per_s: float
    daemon_cpu_us: float
    server_cpu_us: float
    rss_idle: float
    rss_peak: float


@dataclass(frozen=True, slots=True)
class _Round:
    """Everything that is compared, one after the other."""

    in_memory: Measured
    on_disk: Measured
    limit: float  # rows/s
    peer: float | None  # CPU of Rotel, µs per item


@dataclass(frozen=True, slots=True)
class Sent:
    """When the first request was sent, on the monotonic clock, and how long until the last was answered."""

    began: float
    seconds: float


def run() -> Iterator[Figure]:
    """Both workloads into SQLite and into the PostgreSQL of this machine, and into Rotel."""
    with tempfile.TemporaryDirectory(prefix="collector-bench-") as temporary, postgres() as server:
        directory = Path(temporary)
        for workload in (POINTS, SPANS):
            requests = workload.make(
                workload.warm + workload.requests, workload.items, time.time_ns(), random.Random(1)
            )
            warm, file = directory / f"{workload.name}.warm", directory / workload.name
            load.write(warm, requests[: workload.warm])
            requests = requests[workload.warm :]
            load.write(file, requests)
            yield from _sqlite(workload, file, directory)
            if server is not None:
                yield from _server(workload, file, requests, directory, server)


def _sqlite(workload: Workload, file: Path, directory: Path) -> Iterator[Figure]:
    path = directory / f"{workload.name}.db"
    found = measure(workload, file, "sqlite", f"path: {path}", f"sqlite:///{path}", directory, None)
    bar = 100_000 if workload is POINTS else None
    yield from _figures(f"{workload.name} into sqlite", found, bar)


def _server(
    workload: Workload, file: Path, requests: list[bytes], directory: Path, server: Server
) -> Iterator[Figure]:
    exporter = "timescaledb" if server.timescaledb else "postgresql"
    rounds = []
    for _ in range(_ROUNDS):
        in_memory, on_disk = (
            _into(workload, file, exporter, directory, server, on_disk=on_disk) for on_disk in (False, True)
        )
        limit = copy_limit.rows_per_s(workload.signal, requests, server)
        rounds.append(_Round(in_memory, on_disk, limit, rotel_cpu_us(workload, file)))

    def median(value: Callable[[_Round], float]) -> float:
        return statistics.median(map(value, rounds))

    name = f"{workload.name} into {exporter}"
    found, on_disk = (_typical([getattr(one, kind) for one in rounds]) for kind in ("in_memory", "on_disk"))
    yield from _figures(name, found, None)
    yield Figure(name=f"{name}: CPU of the server", value=found.server_cpu_us, unit="µs/item")
    yield from _figures(f"{name}, queue on disk", on_disk, None)
    yield Figure(
        name=f"{name}: queue on disk ÷ in memory",
        value=median(lambda one: one.on_disk.stored_per_s / one.in_memory.stored_per_s),
        bar=0.7,
        at_least=True,
    )
    yield Figure(name=f"{name}, queue on disk: RSS idle", value=on_disk.rss_idle, unit="MiB", bar=70)
    yield Figure(name=f"{name}, queue on disk: RSS at full load", value=on_disk.rss_peak, unit="MiB", bar=160)
    yield Figure(name=f"{name}: COPY limit", value=median(lambda one: one.limit), unit="items/s")
    yield Figure(
        name=f"{name} ÷ COPY limit",
        value=median(lambda one: one.in_memory.stored_per_s / one.limit),
        bar=workload.limit_bar,
        at_least=True,
    )
    if rounds[0].peer is None:
        return
    peer = median(_peer)
    yield Figure(name=f"{workload.name}: CPU of Rotel, which drops them", value=peer, unit="µs/item")
    yield Figure(
        name=f"{name}: daemon's CPU ÷ Rotel's",
        value=median(lambda one: one.in_memory.daemon_cpu_us / _peer(one)),
        bar=0.8,
    )
    yield Figure(
        name=f"{name}: daemon's and server's CPU ÷ Rotel's",
        value=median(lambda one: (one.in_memory.daemon_cpu_us + one.in_memory.server_cpu_us) / _peer(one)),
        bar=1.2 if workload is POINTS else None,
    )


def _into(
    workload: Workload, file: Path, exporter: str, directory: Path, server: Server, *, on_disk: bool
) -> Measured:
    url = server.create_database(timescaledb=server.timescaledb)
    options = f"connection_string: '{url}', auto_migrate: true"
    with tempfile.TemporaryDirectory(dir=directory) as own:
        return measure(workload, file, exporter, options, url, Path(own), server, on_disk=on_disk)


def _peer(one: _Round) -> float:
    assert one.peer is not None
    return one.peer


def _typical(found: Sequence[Measured]) -> Measured:
    """Of each figure the median; of memory the most."""
    return Measured(
        stored_per_s=statistics.median(one.stored_per_s for one in found),
        accepted_per_s=statistics.median(one.accepted_per_s for one in found),
        daemon_cpu_us=statistics.median(one.daemon_cpu_us for one in found),
        server_cpu_us=statistics.median(one.server_cpu_us for one in found),
        rss_idle=max(one.rss_idle for one in found),
        rss_peak=max(one.rss_peak for one in found),
    )


def _figures(name: str, found: Measured, bar: float | None) -> Iterator[Figure]:
    yield Figure(name=name, value=found.stored_per_s, unit="items/s", bar=bar, at_least=True)
    yield Figure(name=f"{name}: accepted", value=found.accepted_per_s, unit="items/s")
    yield Figure(name=f"{name}: CPU of the daemon", value=found.daemon_cpu_us, unit="µs/item")


def measure(
    workload: Workload,
    file: Path,
    exporter: str,
    options: str,
    url: str,
    directory: Path,
    server: Server | None,
    *,
    on_disk: bool = False,
) -> Measured:
    """Run `workload`, whose requests are in `file`, into one store, from a queue in memory or on disk."""
    items = workload.requests * workload.items
    config = _CONFIG.format(
        exporter=exporter,
        options=options,
        queue=", sending_queue: {storage: file_storage}" if on_disk else "",
        directory=directory,
        signal=workload.signal.value,
    )
    with running(directory, config) as daemon:
        eventually(lambda: daemon.health()["status"] == "ok", within_s=60, what="a healthy daemon")
        pid = daemon.process.pid
        rss_idle = process.memory_mb(pid)
        _store(workload, file.with_suffix(".warm"), daemon, url, workload.warm)
        before = process.cpu_s(pid), _server_cpu_s(server)
        elapsed, sent = _store(workload, file, daemon, url, workload.warm + workload.requests)
        return Measured(
            stored_per_s=items / elapsed,
            accepted_per_s=items / sent.seconds,
            daemon_cpu_us=(process.cpu_s(pid) - before[0]) / items * 1e6,
            server_cpu_us=(_server_cpu_s(server) - before[1]) / items * 1e6,
            rss_idle=rss_idle,
            rss_peak=process.memory_mb(pid, "VmHWM"),
        )


def _store(workload: Workload, file: Path, daemon: Daemon, url: str, requests: int) -> tuple[float, Sent]:
    """Send `file`; return when `requests` in all are stored: the seconds that took from the first request on."""
    items = requests * workload.items
    sent = send(file, daemon.grpc, workload.signal)
    # The daemon's own count, because counting a large table again and again would be what is measured.
    name = f"otelcol_exporter_sent_{workload.signal.item}"
    deadline = time.monotonic() + 300
    while daemon.metric(name) < items and time.monotonic() < deadline:
        time.sleep(0.1)
    elapsed = time.monotonic() - sent.began
    with closing(open_store(url)) as store:
        assert _count(store, workload) == items, "what is stored is not what was sent"
    return elapsed, sent


def send(file: Path, endpoint: str, signal: Signal, threads: int = _CLIENT_THREADS) -> Sent:
    """Send the requests of `file` from a process of its own, over so many connections."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.load",
        str(file),
        endpoint,
        signal.value,
        str(threads),
    ]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(result.stdout)
    return Sent(found["began"], found["seconds"])


def rotel_cpu_us(workload: Workload, file: Path) -> float | None:
    """CPU that Rotel spends on receiving and dropping an item of `file`; None where it is not installed."""
    with rotel.running() as agent:
        if agent is None:
            return None
        before = process.cpu_s(agent.pid)
        send(file, agent.grpc, workload.signal)
        return (process.cpu_s(agent.pid) - before) / (workload.requests * workload.items) * 1e6


def _count(store: Store, workload: Workload) -> int:
    schema = "" if store.dialect == "sqlite" else "telemetry."
    return int(store.query(f"SELECT count(*) FROM {schema}{workload.table}").rows[0][0])


def _server_cpu_s(server: Server | None) -> float:
    if server is None or server.local is None or server.local.pid is None:
        return 0.0
    return process.tree_cpu_s(server.local.pid)
