"""What the three levels of acknowledgement cost: requests accepted per second, and how long a client waits.

Saturation: requests are sent as fast as they are answered, fewer than a queue holds, so that it is the answers that are
measured and not the database. Half load: half of the requests that are stored per second from a queue in memory, the same
for all levels. Beside it, what the disk alone takes for as many writes of that size.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from collector.model.signal import Signal
from collector.pipeline.sender_config import Ack
from tests.bench import disk, end_to_end, steady
from tests.bench.figure import Figure
from tests.support.daemon import Daemon
from tests.support.eventually import eventually

_REQUESTS: Final = 800
_SPANS: Final = 100
_ROUNDS: Final = 3
_SECONDS: Final = 10.0
# As many wait for one sync, or for one batch to be stored.
_CLIENTS: Final = 16
_SENT: Final = "otelcol_exporter_sent_spans"


@dataclass(frozen=True, slots=True)
class _Full:
    """At saturation: requests per second that were accepted, and that were stored."""

    accepted: float
    stored: float


def run() -> Iterator[Figure]:
    """Requests of 100 spans over gRPC, 16 clients."""
    accepted: dict[Ack, float] = {}
    p99_ms: dict[Ack, float] = {}
    rate, size = 0.0, 0
    levels: tuple[Ack, ...] = ("memory", "disk", "stored")
    for ack in levels:
        with steady.daemon(ack, on_disk=ack == "disk") as (daemon, exporter, directory):
            path = steady.span_file(directory, _REQUESTS, _SPANS)
            full = _saturate(daemon, path)
            rate = rate or full.stored / 2
            size = path.stat().st_size // _REQUESTS
            answers = steady.send(path, "grpc", daemon.grpc, Signal.TRACES, rate, _SECONDS, _CLIENTS)
        accepted[ack], p99_ms[ack] = full.accepted, answers.p99_ms
        name = f"ack {ack}, {exporter}"
        yield Figure(name=f"{name}: accepted at saturation", value=full.accepted, unit="req/s")
        yield Figure(name=f"{name}: p50 at {rate:.0f} req/s", value=answers.p50_ms, unit="ms")
        yield Figure(name=f"{name}: p99 at {rate:.0f} req/s", value=answers.p99_ms, unit="ms")
    yield from disk.floor(rate, size)
    yield Figure(
        name="ack disk ÷ memory: accepted",
        value=accepted["disk"] / accepted["memory"],
        bar=0.7,
        at_least=True,
    )
    yield Figure(name="ack disk - memory: p99", value=p99_ms["disk"] - p99_ms["memory"], unit="ms", bar=10)


def _saturate(daemon: Daemon, path: Path) -> _Full:
    """The median of rounds, each of which begins when all of the one before is stored. The first warms up."""
    rounds = []
    for turn in range(1, _ROUNDS + 2):
        sent = end_to_end.send(path, daemon.grpc, Signal.TRACES, _CLIENTS)
        all_of_it = turn * _REQUESTS * _SPANS
        eventually(lambda: daemon.metric(_SENT) >= all_of_it, within_s=60, what="all stored")  # noqa: B023
        rounds.append(_Full(_REQUESTS / sent.seconds, _REQUESTS / (time.monotonic() - sent.began)))
    return _Full(median(one.accepted for one in rounds[1:]), median(one.stored for one in rounds[1:]))
