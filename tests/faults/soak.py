"""Half of the load that it can take, for long: what it holds must not grow.

    python -m tests.faults soak            SOAK_MINUTES, 30 unless told otherwise
    make soak SOAK_MINUTES=3

Half of what the clients get acknowledged in the first seconds at full speed, unless `--rate` says how much. One row
per minute. Flat is: after the first quarter, a straight line through RSS rises by no more than 5 % over the rest of
the run, or 4 MiB if that is more; and file descriptors and threads have no higher peak in the last quarter than in
the second, give or take two.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.faults.footprint import MIB, Footprint, footprint
from tests.faults.load import Load
from tests.faults.outcome import Outcome
from tests.faults.play import wait_until_stored
from tests.faults.stage import Stage, caught_up, closed, config
from tests.support.daemon import Daemon

_FULL_SPEED_S = 10.0
_SAMPLE_S = 2.0
_ITEMS = 100
_CLIENTS = 6
_RSS_GROWTH_MAX = 0.05
_RSS_GROWTH_LEAST = 4 * MIB
_COUNT = "SELECT (SELECT count(*) FROM {0}logs) + (SELECT count(*) FROM {0}spans) + (SELECT count(*) FROM {0}metrics)"
_HEAD = ("minute", "items/s", "RSS MiB", "files", "threads", "queued", "p50 ms", "p99 ms")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the daemon. `at`: seconds since the beginning."""

    at: float
    held: Footprint
    queued: int


class Latencies:
    """How long requests took, of those that the journal has got since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_upto = 0

    def new(self) -> tuple[int, list[float]]:
        """Items acknowledged, and milliseconds per request."""
        with self._path.open("rb") as file:
            file.seek(self._read_upto)
            lines, newline, _ = file.read().rpartition(b"\n")
        self._read_upto += len(lines) + len(newline)
        requests = [json.loads(line) for line in lines.splitlines()]
        acked = [request for request in requests if request["outcome"] == "acked"]
        return sum(one["count"] for one in acked), [one["took_s"] * 1000 for one in acked]


def soak(stage: Stage) -> Outcome:
    """See the module."""
    seconds = stage.seconds(60.0, 60.0 * float(os.environ.get("SOAK_MINUTES", "30")))
    with stage.postgresql(timescaledb=True) as database, stage.daemon(config(database)) as daemon:
        half = stage.rate(0.0, 0.0) or _full_speed(stage, daemon) / 2
        print(f"soak: {half:.0f} items/s for {seconds / 60:.0f} min", file=sys.stderr)
        before = stored_items(database.url)
        with stage.load(daemon, rate=half, clients=_CLIENTS, items=_ITEMS) as load:
            wait_until_stored(daemon)
            samples = _watch(daemon, load, seconds)
            requests = load.finish()
        caught_up(daemon)
        problems = [problem for problem in closed(daemon, requests) if "clients know" not in problem]
        acked = sum(request.count for request in requests if request.outcome == "acked")
        stored = stored_items(database.url) - before
        if code := daemon.stop():
            problems.append(f"exit code {code}")
    grown = not_flat(samples)
    return Outcome(
        runs=1,
        acked=acked,
        stored=stored,
        lost=max(0, acked - stored),
        doubled=max(0, stored - acked) if all(request.outcome == "acked" for request in requests) else 0,
        problems=(*problems, *grown, *stage.unbalanced[:1]),
        note=f"{half:.0f} items/s, {stage.samples} samples of the books, {'not flat' if grown else 'flat'}",
    )


def _full_speed(stage: Stage, daemon: Daemon) -> float:
    with stage.load(daemon, clients=_CLIENTS, items=_ITEMS, seconds=_FULL_SPEED_S) as load:
        load.wait(_FULL_SPEED_S + 60)
        acked = load.acked
    caught_up(daemon)
    return acked / _FULL_SPEED_S


def _watch(daemon: Daemon, load: Load, seconds: float) -> list[Sample]:
    samples: list[Sample] = []
    latencies = Latencies(load.path)
    began = time.monotonic()
    _print(_HEAD)
    minute: list[Sample] = []
    while (at := time.monotonic() - began) < seconds:
        if minute and at // 60 > minute[0].at // 60:
            _print(_row(minute, latencies, at - minute[0].at))
            samples += minute
            minute = []
        minute.append(Sample(at, footprint(daemon), int(daemon.metric("collector_exporter_queue_items"))))
        time.sleep(_SAMPLE_S)
    if minute:
        _print(_row(minute, latencies, time.monotonic() - began - minute[0].at))
    return samples + minute


def _row(minute: Sequence[Sample], latencies: Latencies, seconds: float) -> tuple[str, ...]:
    acked, took_ms = latencies.new()
    ranked = sorted(took_ms) or [0.0]
    return (
        f"{minute[-1].at / 60:.1f}",
        f"{acked / seconds:,.0f}",
        f"{statistics.median(one.held.rss for one in minute) / MIB:.1f}",
        str(max(one.held.files for one in minute)),
        str(max(one.held.threads for one in minute)),
        f"{max(one.queued for one in minute):,}",
        f"{ranked[len(ranked) // 2]:.1f}",
        f"{ranked[min(len(ranked) - 1, len(ranked) * 99 // 100)]:.1f}",
    )


def _print(cells: Sequence[str]) -> None:
    print("  ".join(cell.rjust(8) for cell in cells), file=sys.stderr, flush=True)


def not_flat(samples: Sequence[Sample]) -> list[str]:
    """What grows, by the rule in the module's text."""
    quarter = len(samples) // 4
    rest = samples[quarter:]
    problems = []
    times, sizes = [one.at for one in rest], [float(one.held.rss) for one in rest]
    slope = statistics.linear_regression(times, sizes).slope
    growth = slope * (times[-1] - times[0])
    if growth > max(_RSS_GROWTH_MAX * statistics.median(sizes), _RSS_GROWTH_LEAST):
        problems.append(f"RSS grows by {growth / MIB:.1f} MiB over {(times[-1] - times[0]) / 60:.0f} min")
    for name in ("files", "threads"):
        early = max(getattr(one.held, name) for one in samples[quarter : 2 * quarter])
        late = max(getattr(one.held, name) for one in samples[-quarter:])
        if late > early + 2:
            problems.append(f"{name} from {early} to {late}")
    return problems


def stored_items(url: str) -> int:
    """How many items are in the store."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return int(connection.execute(_COUNT.format("")).fetchone()[0])
    with psycopg.connect(url) as connection:
        row = connection.execute(_COUNT.format("telemetry.").encode()).fetchone()
        return int(row[0]) if row else 0


LONG_ONLY: dict[str, Callable[[Stage], Outcome]] = {"soak": soak}
