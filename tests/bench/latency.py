"""How long a client waits for its answer, at half of the load that the daemon can take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from collector.model.signal import Signal
from tests.bench import end_to_end, steady
from tests.bench.figure import Figure

_SECONDS: Final = 10.0


def run() -> Iterator[Figure]:
    """Requests of 1 000 points and of 100 spans, over gRPC."""
    with steady.daemon() as (daemon, exporter, directory):
        files = {Signal.METRICS: steady.point_file(directory), Signal.TRACES: steady.span_file(directory)}
        for signal, path in files.items():
            requests = 200 if signal is Signal.METRICS else 400
            full = requests / end_to_end.send(path, daemon.grpc, signal).seconds
            answers = steady.send(path, "grpc", daemon.grpc, signal, full / 2, _SECONDS)
            name = f"latency at half load, {signal.value} into {exporter}"
            yield Figure(name=f"{name}: requests", value=full / 2, unit="/s")
            yield Figure(name=f"{name}: p50", value=answers.p50_ms, unit="ms")
            yield Figure(name=f"{name}: p99", value=answers.p99_ms, unit="ms")
