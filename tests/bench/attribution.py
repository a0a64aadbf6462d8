"""A day of a cluster attributed: a million spans, a thousand pods on fifty nodes, from a store and back into it.

SQLite, and TimescaleDB where there is one (`python -m tests.bench attribution`).

The day is made with rows, as the encoder makes them, so that making it takes seconds. Points every five minutes. The run
is a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from collector.model.signal import Signal
from collector.storage.encode import encode
from collector.storage.rows import Encoded
from collector.storage.store import Store, open_store
from collector.storage.tables import SPANS
from tests.bench.databases import postgres
from tests.bench.figure import Figure
from tests.support.daemon import ROOT
from tests.support.otlp_builder import counter, gauge, metrics_request, number_point, span, spans_request

_SPANS: Final = 1_000_000
_PODS: Final = 1000
_NODES: Final = 50
_SECOND: Final = 10**9
_DAY_S: Final = 86_400
_START: Final = 1_789_948_800 * _SECOND  # 2026-09-21
_STEP_S: Final = 300
_GIB: Final = 2**30
_RUN: Final = """
import json, resource, sys, time
from collector.accounting.attribution import Attribution
from collector.config.load import load
from collector.config.sources import Surroundings
from collector.cost.config import load_costs
from collector.cost.record import Period
from collector.model.clock import SystemClock
from collector.storage.store import open_store
config = load_costs(load(sys.argv[2:], (), Surroundings({})))
store = open_store(sys.argv[1])
start = int(%d)
began = time.monotonic()
reports = list(Attribution(store, config, SystemClock()).run(Period(start, start + 86400 * 10**9)))
print(json.dumps({
    "seconds": time.monotonic() - began,
    "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "written": sum(report.written for report in reports),
    "balance": all(line.balances for report in reports for line in report.totals),
}))
"""


def run() -> Iterator[Figure]:
    """Measure."""
    with tempfile.TemporaryDirectory() as directory:
        yield from _measured("SQLite", f"sqlite:///{Path(directory) / 'day.db'}")
    with postgres() as server:
        if server is not None and server.timescaledb:
            yield from _measured("TimescaleDB", server.create_database(timescaledb=True))


def _measured(name: str, url: str) -> Iterator[Figure]:
    with closing(open_store(url)) as store:
        store.migrate()
        _put_metrics(store)
        _put_spans(store)
    files = [str(ROOT / "config/prices/demo.yaml"), str(ROOT / "config/cost/kubernetes-and-llm.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", _RUN % _START, url, *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    if not found["balance"] or not found["written"]:
        raise AssertionError(f"it does not add up: {found}")
    yield Figure(
        name=f"attribution of a day, {_SPANS:,} spans, {_PODS} pods, {name}",
        value=found["seconds"],
        unit="s",
        bar=60,
    )
    yield Figure(
        name=f"attribution of a day, peak memory, {name}",
        value=found["mib"],
        unit="MiB",
        bar=500,
    )


def _who(pod: int) -> dict[str, str]:
    return {
        "k8s.node.name": f"node-{pod % _NODES}",
        "k8s.pod.uid": f"uid-{pod}",
        "k8s.pod.name": f"app-{pod % 40}-{pod}",
        "k8s.namespace.name": f"ns-{pod % 10}",
        "k8s.deployment.name": f"app-{pod % 40}",
        "k8s.pod.label.team": f"team-{pod % 7}",
    }


def _put_metrics(store: Store) -> None:
    times = [_START + at * _SECOND for at in range(0, _DAY_S, _STEP_S)]
    messages = []
    for node in range(_NODES):
        who = {"k8s.node.name": f"node-{node}", "host.type": "m5.xlarge"}
        points = [[number_point(at, value) for at in times] for value in (16.0, 64 * _GIB)]
        gauges = [
            gauge("k8s.node.cpu.allocatable", points[0]),
            gauge("k8s.node.memory.allocatable", points[1]),
        ]
        messages.append(metrics_request("kubelet", gauges, who))
    for pod in range(_PODS):
        used = [number_point(at, (at - _START) / _SECOND * (pod % 13) / 20, start=_START) for at in times]
        metrics = [
            counter("k8s.pod.cpu.time", used),
            gauge("k8s.pod.memory.working_set", [number_point(at, _GIB + pod * 1000) for at in times]),
            gauge("k8s.container.cpu.request.desired", [number_point(at, 0.5) for at in times]),
            gauge("k8s.container.memory.request.desired", [number_point(at, _GIB) for at in times]),
        ]
        messages.append(metrics_request("kubelet", metrics, _who(pod)))
        if len(messages) >= 100:
            store.write(encode(Signal.METRICS, messages), queue_id=uuid4(), start=0, end=1)
            messages = []
    store.write(encode(Signal.METRICS, messages), queue_id=uuid4(), start=0, end=1)


def _put_spans(store: Store) -> None:
    """Traces of a request, its work, a query, and in every fifth a call of a model: rows like a few that are encoded."""
    rng = random.Random(20260921)
    models = []
    for pod in range(_PODS):
        attributes = {
            "tenant.id": f"t{pod % 20}",
            "http.route": f"/r{pod % 30}",
            "http.request.method": "GET",
        }
        call = {
            "gen_ai.provider.name": "anthropic",
            "gen_ai.response.model": "claude-sonnet-4-5",
            "gen_ai.usage.input_tokens": 1000 + pod,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.usage.cache_read.input_tokens": 500,
        }
        made = [
            span("00" * 15 + "01", "00" * 7 + "01", "GET", _START, _START + 1, kind=2, attrs=attributes),  # type: ignore[arg-type]
            span("00" * 15 + "01", "00" * 7 + "02", "work", _START, _START + 1, parent="00" * 7 + "01"),
            span("00" * 15 + "01", "00" * 7 + "03", "SELECT", _START, _START + 1, parent="00" * 7 + "02", kind=3,  # type: ignore[arg-type]
                 attrs={"db.system.name": "postgresql", "db.operation.name": "SELECT"}),
            span("00" * 15 + "01", "00" * 7 + "04", "chat", _START, _START + 1, parent="00" * 7 + "01", kind=3, attrs=call),  # type: ignore[arg-type]
        ]  # fmt: skip
        encoded = encode(Signal.TRACES, [spans_request(f"app-{pod % 40}", made, _who(pod))])
        rows = sorted(encoded.facts[SPANS], key=lambda row: row[SPANS.index("span_id")])
        models.append((encoded, rows))
    at = {
        name: SPANS.index(name) for name in ("time", "duration_nano", "trace_id", "span_id", "parent_span_id")
    }
    batch: list[tuple[Any, ...]] = []
    count, trace = 0, 0
    dimensions: dict[Any, dict[Any, Any]] = {}
    for encoded, _ in models:
        for table, known in encoded.dimensions.items():
            dimensions.setdefault(table, {}).update(known)
    while count < _SPANS:
        trace += 1
        _, rows = models[rng.randrange(_PODS)]
        begin = _START // 1000 + rng.randrange(_DAY_S - 2) * 1_000_000
        first = rng.getrandbits(62)
        for number, row in enumerate(rows if trace % 5 == 0 else rows[:3]):
            cells = list(row)
            cells[at["time"]] = begin + number * 1000
            cells[at["duration_nano"]] = (200 - number * 40) * 1_000_000
            cells[at["trace_id"]] = trace.to_bytes(16, "big")
            cells[at["span_id"]] = first + number
            cells[at["parent_span_id"]] = first + (number - 1 if number < 3 else 0) if number else None
            batch.append(tuple(cells))
            count += 1
        if len(batch) >= 100_000 or count >= _SPANS:
            facts = {SPANS: batch}
            store.write(
                Encoded(signal=Signal.TRACES, items=len(batch), dimensions=dimensions, facts=facts),
                queue_id=uuid4(),
                start=0,
                end=1,
            )
            batch = []
