"""A daemon, or a peer, under a steady load: what `sidecar`, `latency` and `memory` have in common."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.model.signal import Signal
from collector.pipeline.sender_config import Ack
from tests.bench import load, payloads
from tests.bench.databases import postgres
from tests.support.daemon import Daemon, running
from tests.support.eventually import eventually

_CONFIG: Final = """
receivers:
  otlp:
    duplicate_window: 0s
    protocols: {{grpc: {{endpoint: 127.0.0.1:0}}, http: {{endpoint: 127.0.0.1:0}}}}
processors: {{memory_limiter: {{}}, batch: {{}}}}
exporters: {{{exporter}: {{{options}{queue}}}}}
extensions: {{file_storage: {{directory: {directory}/queue}}}}
service:
  extensions: [file_storage]
  admin: {{endpoint: 127.0.0.1:0}}
  pipelines:
    traces:
      {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [{exporter}], ack: {ack}}}
    metrics:
      {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [{exporter}], ack: {ack}}}
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """How a steady load was answered."""

    requests: int
    p50_ms: float
    p99_ms: float


@contextmanager
def daemon(ack: Ack = "memory", *, on_disk: bool = False) -> Iterator[tuple[Daemon, str, Path]]:
    """A daemon on TimescaleDB or PostgreSQL, or on SQLite where there is none; what it stores in; a directory.

    Its clients are answered as `ack` says; its queues are in memory or `on_disk`.
    """
    with tempfile.TemporaryDirectory(prefix="collector-bench-") as temporary, postgres() as server:
        directory = Path(temporary)
        exporter, options = "sqlite", f"path: {directory}/bench.db"
        if server is not None:
            exporter = "timescaledb" if server.timescaledb else "postgresql"
            url = server.create_database(timescaledb=server.timescaledb)
            options = f"connection_string: '{url}', auto_migrate: true"
        queue = ", sending_queue: {storage: file_storage}" if on_disk else ""
        config = _CONFIG.format(exporter=exporter, options=options, queue=queue, directory=directory, ack=ack)
        with running(directory, config) as process:
            eventually(lambda: process.health()["status"] == "ok", within_s=60, what="a healthy daemon")
            yield process, exporter, directory


def span_file(directory: Path, requests: int = 400, spans: int = 100) -> Path:
    """A file of requests of spans."""
    path = directory / "spans"
    load.write(path, payloads.span_requests(requests, spans, time.time_ns(), random.Random(2)))
    return path


def point_file(directory: Path, requests: int = 200, points: int = 1000) -> Path:
    """A file of requests of number points."""
    path = directory / "points"
    load.write(path, payloads.metric_requests(requests, points, time.time_ns(), random.Random(2)))
    return path


def send(
    path: Path,
    transport: str,
    endpoint: str,
    signal: Signal,
    rate: float,
    seconds: float,
    connections: int = 2,
) -> Answers:
    """Send the requests of `path` at `rate` per second for `seconds`."""
    command = [
        *(sys.executable, "-m", "tests.bench.paced", str(path), transport, endpoint.removeprefix("http://")),
        *(signal.value, str(rate), str(seconds), str(connections)),
    ]
    return Answers(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
