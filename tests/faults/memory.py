"""Little memory and much to take: the daemon refuses what does not fit, and is never killed for having taken it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product

from collector.model.signal import OPENTELEMETRY, Signal
from tests.faults.generator import Client, Plan, Request
from tests.faults.limits import MemoryLimit, data_limit, memory_limit
from tests.faults.outcome import Outcome
from tests.faults.play import COME_AGAIN
from tests.faults.stage import MIB, Stage, caught_up, closed, config
from tests.faults.transport import GZIP, JSON, PROTOBUF
from tests.support.daemon import Daemon
from tests.support.destination import Destination

_LIMIT_MIB = 128
_CLIENTS = 200
# Of one request, in MiB: near the largest that is ever taken in so little memory, and a usual one. JSON takes several
# times its size while it is read.
_SIZES_MIB = (3.5, 1.0)
_SIZES_JSON_MIB = (2.5, 1.0)
_WAYS = (("grpc", PROTOBUF), ("grpc", GZIP), ("http", PROTOBUF), ("http", GZIP), ("http", JSON))


def little_memory(stage: Stage, *, store: str) -> Outcome:
    """200 clients send the largest requests that there are, all at once, in 128 MiB: refusals only, and no end."""
    with memory_limit(mib=_LIMIT_MIB) as limit:
        if store == "sqlite":
            return _played(stage, stage.sqlite(), limit)
        with stage.postgresql(timescaledb=True) as database:
            return _played(stage, database, limit)


def little_data(stage: Stage) -> Outcome:
    """The same where nobody has a control group: what may be written has a limit (`DataLimit`)."""
    return _played(stage, stage.sqlite(), data_limit(mib=_LIMIT_MIB))


def _played(stage: Stage, database: Destination, limit: MemoryLimit) -> Outcome:
    with (
        stage.daemon(config(database), launcher=limit.launcher) as daemon,
        _sampled(limit, daemon.process.pid) as most,
    ):
        with stage.load_of(plan(stage, daemon)) as load:
            load.wait_for(1, within_s=120)
            time.sleep(stage.seconds(3.0, 60.0))
            requests = load.finish()
        caught_up(daemon, within_s=120)
        problems = [*closed(daemon, requests), *_refused_otherwise(requests)]
        if code := daemon.stop():
            problems.append(f"exit code {code}")
        problems += limit.problems(daemon)
    outcome = stage.verdict(requests, database)
    taken = sum(request.outcome == "acked" for request in requests)
    refused = sum(request.attempts - 1 for request in requests)
    return outcome.but(
        *problems,
        note=f"{taken} requests taken, {refused} refusals; {stage.peak_rss / MIB:.0f} MiB RSS, "
        f"{most() / MIB:.0f} MiB of {_LIMIT_MIB} that the kernel cannot take back",
    )


def plan(stage: Stage, daemon: Daemon) -> Plan:
    """Every way in, every signal, all sizes."""
    endpoints = {"grpc": daemon.grpc, "http": daemon.http.removeprefix("http://")}
    kinds = list(product((0, 1), _WAYS, OPENTELEMETRY))
    clients = []
    for number in range(_CLIENTS):
        which, (transport, coding), signal = kinds[number % len(kinds)]
        size_mib = (_SIZES_JSON_MIB if coding == JSON else _SIZES_MIB)[which]
        clients.append(
            Client(
                name=f"m-{number}",
                signal=signal.value,
                transport=transport,
                endpoint=endpoints[transport],
                coding=coding,
                **_shape(signal, round(size_mib * MIB), large_items=number % 2 == 0),
            )
        )
    empty = stage.plan(
        grpc="", http="", clients=1, patience_s=stage.seconds(10.0, 30.0), timeout_s=20.0, together=True
    )
    return dataclasses.replace(empty, clients=clients)


def _shape(signal: Signal, size: int, *, large_items: bool) -> dict[str, int]:
    if signal is Signal.METRICS:  # a point has no room for padding: so many that they can still be counted
        return {"items": min(size // 60, 5000), "padding": 0}
    padding = 100_000 if large_items else 2_000
    return {"items": max(1, size // (padding + 80)), "padding": padding}


def _refused_otherwise(requests: list[Request]) -> list[str]:
    codes = {code for request in requests for code in request.codes} - COME_AGAIN
    return [f"clients met {', '.join(sorted(codes))}"] if codes else []


@contextmanager
def _sampled(limit: MemoryLimit, process: int) -> Iterator[Callable[[], int]]:
    """The most that was held, of what counts."""
    held = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            held[0] = max(held[0], limit.held(process))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: held[0]
    finally:
        over.set()
        thread.join(5)


FAULTS: dict[str, Callable[[Stage], Outcome]] = {
    "little-memory-sqlite": partial(little_memory, store="sqlite"),
    "little-memory-postgresql": partial(little_memory, store="postgresql"),
    "little-data": little_data,
}
