"""At a sidecar's load, 200 requests of 100 spans per second, waking threads is what costs: CPU per request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from collector.model.signal import Signal
from tests.bench import process, rotel, steady
from tests.bench.figure import Figure

_RATE: Final = 200.0
_SECONDS: Final = 5.0
# What a request costs on a machine that idles in between differs by a third from minute to minute: who is compared takes turns.
_ROUNDS: Final = 4
_BAR: Final = 1.5


def run() -> Iterator[Figure]:
    """The daemon over gRPC and HTTP, storing; Rotel, dropping."""
    with steady.daemon() as (daemon, exporter, directory), rotel.running() as agent:
        path = steady.span_file(directory)
        for transport in ("grpc", "http"):
            ours = _Target(path, transport, daemon.process.pid, getattr(daemon, transport))
            peer = _Target(path, transport, agent.pid, getattr(agent, transport)) if agent else None
            for _ in range(_ROUNDS):
                ours.load()
                if peer is not None:
                    peer.load()
            yield Figure(
                name=f"sidecar: CPU per request, {transport} into {exporter}", value=ours.cpu_ms(), unit="ms"
            )
            if peer is None:
                continue
            yield Figure(
                name=f"sidecar: CPU per request of Rotel, {transport}", value=peer.cpu_ms(), unit="ms"
            )
            yield Figure(
                name=f"sidecar: CPU per request ÷ Rotel's, {transport}",
                value=ours.cpu_ms() / peer.cpu_ms(),
                bar=_BAR,
            )


class _Target:
    """Who takes the requests, and what that has cost so far."""

    def __init__(self, path: Path, transport: str, pid: int, endpoint: str) -> None:
        self._path, self._transport, self._pid, self._endpoint = path, transport, pid, endpoint
        self._cpu_s = 0.0
        self._requests = 0

    def load(self) -> None:
        """One turn of it."""
        self._send(1.0)  # connections and caches
        before = process.cpu_s(self._pid)
        self._requests += self._send(_SECONDS)
        self._cpu_s += process.cpu_s(self._pid) - before

    def _send(self, seconds: float) -> int:
        answers = steady.send(self._path, self._transport, self._endpoint, Signal.TRACES, _RATE, seconds)
        return answers.requests

    def cpu_ms(self) -> float:
        """CPU of a request, in milliseconds."""
        return self._cpu_s / self._requests * 1000
