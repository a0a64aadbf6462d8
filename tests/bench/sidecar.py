"""At a sidecar's load, 200 requests of 100 spans per second, waking threads is what costs: CPU per request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from collector.model.signal import Signal
from tests.bench import process, rotel, steady
from tests.bench.figure import Figure

_RATE: Final = 200.0
_SECONDS: Final = 15.0


def run() -> Iterator[Figure]:
    """The daemon over gRPC and HTTP, storing; Rotel, dropping."""
    with steady.daemon() as (daemon, exporter, directory):
        path = steady.span_file(directory)
        ours = {
            transport: _cpu_ms(daemon.process.pid, path, transport, endpoint)
            for transport, endpoint in (("grpc", daemon.grpc), ("http", daemon.http))
        }
        for transport, cpu_ms in ours.items():
            yield Figure(
                name=f"sidecar: CPU per request, {transport} into {exporter}", value=cpu_ms, unit="ms"
            )
        with rotel.running() as agent:
            if agent is None:
                return
            for transport, endpoint in (("grpc", agent.grpc), ("http", agent.http)):
                peer = _cpu_ms(agent.pid, path, transport, endpoint)
                yield Figure(name=f"sidecar: CPU per request of Rotel, {transport}", value=peer, unit="ms")
                yield Figure(
                    name=f"sidecar: CPU per request ÷ Rotel's, {transport}",
                    value=ours[transport] / peer,
                    bar=1.5,
                )


def _cpu_ms(pid: int, path: Path, transport: str, endpoint: str) -> float:
    steady.send(path, transport, endpoint, Signal.TRACES, _RATE, 2.0)  # connections and caches
    before = process.cpu_s(pid)
    answers = steady.send(path, transport, endpoint, Signal.TRACES, _RATE, _SECONDS)
    return (process.cpu_s(pid) - before) / answers.requests * 1000
