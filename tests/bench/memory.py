"""Whether memory stays where it is: RSS at a steady load, minute by minute. BENCH_MINUTES says for how long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from collector.model.signal import Signal
from tests.bench import process, steady
from tests.bench.figure import Figure

_REQUESTS_PER_S: Final = 50.0


def run() -> Iterator[Figure]:
    """50 000 points per second for five minutes."""
    minutes = int(os.environ.get("BENCH_MINUTES", "5"))
    with steady.daemon() as (daemon, exporter, directory):
        path = steady.point_file(directory)
        pid = daemon.process.pid
        name = f"memory with {exporter}"
        yield Figure(name=f"{name}: RSS idle", value=process.memory_mb(pid), unit="MiB", bar=70)
        readings = []
        for minute in range(1, minutes + 1):
            steady.send(path, "grpc", daemon.grpc, Signal.METRICS, _REQUESTS_PER_S, 60.0)
            readings.append(process.memory_mb(pid))
            yield Figure(name=f"{name}: RSS after minute {minute}", value=readings[-1], unit="MiB", bar=160)
        yield Figure(name=f"{name}: last minute ÷ first", value=readings[-1] / readings[0], bar=1.1)
