"""Rotel, an OpenTelemetry collector in Rust, as the peer: receives and drops. From PyPI, started on free ports."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.support.eventually import eventually


@dataclass(frozen=True, slots=True)
class Rotel:
    """A running agent."""

    pid: int
    grpc: str
    http: str


def executable() -> Path | None:
    """The agent's binary, if the package is installed."""
    spec = find_spec("rotel")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "rotel-agent"


@contextmanager
def running() -> Iterator[Rotel | None]:
    """An agent with a blackhole behind it; None where the package is not installed."""
    binary = executable()
    if binary is None:
        yield None
        return
    grpc, http = f"127.0.0.1:{_free_port()}", f"127.0.0.1:{_free_port()}"
    command = [
        *(str(binary), "start", "--exporter", "blackhole"),
        *("--otlp-grpc-endpoint", grpc, "--otlp-http-endpoint", http),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _listens(grpc), within_s=20, what="Rotel's port")
        yield Rotel(process.pid, grpc, http)
    finally:
        process.terminate()
        process.wait(20)


def _listens(endpoint: str) -> bool:
    host, _, port = endpoint.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
