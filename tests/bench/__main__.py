"""`make bench`: what the daemon takes and stores per second, what that costs, and how much memory it holds.

    python -m tests.bench [metrics|spans] [sqlite|timescaledb|postgresql]

Each run starts a daemon with a fresh database, sends encoded requests over gRPC as fast as they are taken, and ends
when all of them can be counted in the database. CPU and memory are the daemon's, from /proc. With `BENCH_JSON=file`
the figures are also written there. The databases are found as for the tests (tests/support/postgres.py).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from collector.model.signal import Signal
from collector.storage.store import Store, open_store
from tests.bench import load, payloads
from tests.support.daemon import Daemon, running
from tests.support.eventually import eventually
from tests.support.postgres import Server, installation, start_server

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CONFIG: Final = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: 127.0.0.1:0}}}}}}}}
processors: {{memory_limiter: {{}}, batch: {{}}}}
exporters: {{{exporter}: {options}}}
service:
  admin: {{endpoint: 127.0.0.1:0}}
  pipelines: {{{signal}: {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [{exporter}]}}}}
"""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is sent."""

    name: str
    signal: Signal
    requests: int
    items: int
    make: Callable[[int, int, int, random.Random], list[bytes]]
    table: str


WORKLOADS: Final = (
    Workload("metrics", Signal.METRICS, 120, 1000, payloads.metric_requests, "otlp_number_points"),
    Workload("spans", Signal.TRACES, 600, 100, payloads.span_requests, "otlp_spans"),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured. CPU in µs of the daemon per item, memory in MB of resident set."""

    workload: str
    store: str
    items: int
    accepted_per_s: float
    stored_per_s: float
    cpu_us: float
    rss_idle: float
    rss_peak: float


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory_mb(pid: int, entry: str) -> float:
    """`VmRSS` or `VmHWM` (its peak) of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(entry):
            return int(line.split()[1]) / 1024
    raise KeyError(entry)


def _count(store: Store, table: str) -> int:
    schema = "" if store.dialect == "sqlite" else "telemetry."
    return int(store.query(f"SELECT count(*) FROM {schema}{table}").rows[0][0])


def measure(workload: Workload, exporter: str, options: str, url: str, directory: Path) -> Figures:
    """Run one workload into one store."""
    rng = random.Random(20260101)
    requests = workload.make(workload.requests, workload.items, time.time_ns(), rng)
    path = directory / "requests"
    load.write(path, requests)
    items = workload.requests * workload.items
    config = _CONFIG.format(exporter=exporter, options=options, signal=workload.signal.value)
    with running(directory, config) as daemon:
        _warm(daemon)
        pid = daemon.process.pid
        rss_idle = _memory_mb(pid, "VmRSS")
        cpu_before, began = _cpu_s(pid), time.monotonic()
        command = [
            sys.executable,
            "-m",
            "tests.bench.load",
            str(path),
            daemon.grpc,
            workload.signal.value,
            "2",
        ]
        sent = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        with closing(open_store(url)) as store:
            eventually(
                lambda: _count(store, workload.table) >= items, within_s=300, what=f"{items} stored items"
            )
            elapsed = time.monotonic() - began
            assert _count(store, workload.table) == items, "more was stored than was sent"
        cpu = _cpu_s(pid) - cpu_before
        return Figures(
            workload.name,
            exporter,
            items,
            items / sent["seconds"],
            items / elapsed,
            cpu / items * 1e6,
            rss_idle,
            _memory_mb(pid, "VmHWM"),
        )


def _warm(daemon: Daemon) -> None:
    """Wait until the exporter is at work: its tables are there."""
    eventually(lambda: daemon.health()["status"] == "ok", within_s=60, what="a healthy daemon")


@contextmanager
def _postgres() -> Iterator[Server | None]:
    found = installation()
    if found is None:
        yield None
        return
    print(found.description)
    server = start_server()
    try:
        yield server
    finally:
        server.close()


def main() -> None:
    """Command line: see the module."""
    chosen = set(sys.argv[1:])
    figures = []
    with _postgres() as server:
        stores = ["sqlite"]
        if server is not None:
            stores.append("timescaledb" if server.timescaledb else "postgresql")
        for workload in WORKLOADS:
            for name in stores:
                if not chosen or chosen & {workload.name, name}:
                    figures.append(_run(workload, name, server))
                    _print(figures[-1])
    if target := os.environ.get("BENCH_JSON"):
        Path(target).write_text(json.dumps([asdict(figure) for figure in figures], indent=2))


def _run(workload: Workload, name: str, server: Server | None) -> Figures:
    with tempfile.TemporaryDirectory(prefix="collector-bench-") as temporary:
        directory = Path(temporary)
        if name == "sqlite":
            path = directory / "bench.db"
            return measure(workload, name, f"{{path: {path}}}", f"sqlite:///{path}", directory)
        assert server is not None
        url = server.create_database(timescaledb=name == "timescaledb")
        options = f"{{connection_string: '{url}', auto_migrate: true}}"
        return measure(workload, name, options, url, directory)


def _print(figures: Figures) -> None:
    print(
        f"{figures.workload:8} {figures.store:12} {figures.items:7} items"
        f"  accepted {figures.accepted_per_s:8.0f}/s  stored {figures.stored_per_s:8.0f}/s"
        f"  CPU {figures.cpu_us:6.1f} µs/item  RSS idle {figures.rss_idle:5.1f} MB  peak {figures.rss_peak:5.1f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
