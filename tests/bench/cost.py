"""What exact attribution costs: shares per second on one core, and a day of a cluster."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

from collector.config.load import load
from collector.config.sources import Surroundings
from collector.cost.config import load_costs
from collector.cost.engine import Engine
from collector.cost.needs import needs, token_usage
from collector.cost.record import Period
from collector.cost.selftime import SpanTiming, weights
from collector.cost.split import split
from collector.cost.usage import RequestGroup, Series, SeriesValue, WindowUsage
from tests.bench.figure import Figure

_SECONDS: Final = 1.0
_COST_MAX: Final = 10**24  # a million dollars in units of 1E-18
_WEIGHT_MAX: Final = 10**21  # core-seconds of a day on a thousand cores, likewise
_ROOT: Final = Path(__file__).parents[2]

_HOURS: Final = 24
_NODES: Final = 50
_PODS: Final = 1000
_TRACES: Final = 10_400  # an hour, of four spans each: a million spans a day
_ROUTES: Final = 5
_HOUR_NS: Final = 3600 * 10**9
_MIDNIGHT: Final = 1_790_035_200 * 10**9
_CALLS: Final = 1000  # of language models, an hour


def run() -> Iterator[Figure]:
    """A share is one subject's part of one charge."""
    for size in (3, 30, 1000, 100_000):
        yield Figure(
            name=f"cost: shares/s, {size:,} in a group",
            value=_shares_per_second(size),
            unit="/s",
            bar=200_000,
            at_least=True,
        )
    yield from _day()


def _shares_per_second(size: int) -> float:
    """In CPU time of this thread: others on the machine count less."""
    rng = random.Random(20260101)
    groups = [
        (
            rng.randrange(_COST_MAX),
            [rng.randrange(_WEIGHT_MAX) for _ in range(size)],
            [rng.randbytes(40) for _ in range(size)],
        )
        for _ in range(max(1, 10_000 // size))
    ]
    shares = 0
    began = time.thread_time()
    while (elapsed := time.thread_time() - began) < _SECONDS:
        for total, weights_, keys in groups:
            split(total, weights_, keys)
            shares += size
    return shares / elapsed


def _day() -> Iterator[Figure]:
    """A day of 1 000 pods on 50 nodes and a million spans, without a store: usage is made up, window by window.

    Making it up is not counted; self times, tokens and the engine are.
    """
    files = [str(_ROOT / "config/prices/demo.yaml"), str(_ROOT / "config/cost/kubernetes-and-llm.yaml")]
    config = load_costs(load(files, (), Surroundings({})))
    engine = Engine(config)
    rng = random.Random(20260101)
    seconds, records, spans = 0.0, 0, 0
    for hour in range(_HOURS):
        period = Period(_MIDNIGHT + hour * _HOUR_NS, _MIDNIGHT + (hour + 1) * _HOUR_NS)
        timings, calls = _spans(period, rng), _calls(rng)
        series = _series(rng)
        spans += len(timings) + len(calls)
        began = time.thread_time()
        usage = token_usage(config, needs(config).tokens[0])
        for call in calls:
            usage.add(call)
        requests = [
            RequestGroup({"k8s.pod.uid": pod, "service.name": pod[:6], "http.route": route}, weight, count)
            for (pod, route), (weight, count) in weights(timings).items()
        ]
        window = WindowUsage(
            period=period, series=series, requests={"request-share": requests}, tokens={"llm": usage.groups()}
        )
        records += len(engine.attribute(window, period.end_unix_nano).records)
        seconds += time.thread_time() - began
    yield Figure(name="cost: s for a day of 1 000 pods", value=seconds, unit="s", bar=60)
    yield Figure(name="cost: spans of that day", value=spans)
    yield Figure(name="cost: records of that day", value=records)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure(name="cost: MiB at most, with what was made up", value=peak, unit="MiB", bar=500)


def _spans(period: Period, rng: random.Random) -> list[SpanTiming[tuple[str, str]]]:
    found: list[SpanTiming[tuple[str, str]]] = []
    for number in range(_TRACES):
        trace = number.to_bytes(16, "big")
        start = rng.randrange(period.start_unix_nano, period.end_unix_nano)
        pod = f"pod-{rng.randrange(_PODS):04}"
        group = (pod, f"/route/{rng.randrange(_ROUTES)}")
        found += (
            SpanTiming(trace, b"a", b"", pod, 2, start, start + 100_000_000, group),
            SpanTiming(trace, b"b", b"a", pod, 1, start + 10_000_000, start + 60_000_000, None),
            SpanTiming(trace, b"c", b"b", pod, 3, start + 20_000_000, start + 50_000_000, None),
            SpanTiming(trace, b"d", b"a", pod, 1, start + 70_000_000, start + 90_000_000, None),
        )
    return found


def _calls(rng: random.Random) -> list[dict[str, object]]:
    return [
        {
            "gen_ai.provider.name": "anthropic",
            "gen_ai.response.model": "claude-sonnet-4",
            "service.name": f"service-{rng.randrange(20)}",
            "gen_ai.usage.input_tokens": rng.randrange(1000, 100_000),
            "gen_ai.usage.cache_read.input_tokens": rng.randrange(1000),
            "gen_ai.usage.output_tokens": rng.randrange(2000),
        }
        for _ in range(_CALLS)
    ]


def _series(rng: random.Random) -> dict[Series, list[SeriesValue]]:
    def value(attributes: dict[str, str], most: int, decimals: int) -> SeriesValue:
        return SeriesValue(attributes, Decimal(rng.randrange(most)).scaleb(-decimals), _HOUR_NS)

    pods = [
        {
            "k8s.node.name": f"node-{number % _NODES}",
            "k8s.pod.uid": f"pod-{number:04}",
            "k8s.pod.name": f"pod-{number:04}",
            "k8s.namespace.name": f"ns-{number % 7}",
            "k8s.deployment.name": f"deployment-{number % 100}",
        }
        for number in range(_PODS)
    ]
    nodes = [{"k8s.node.name": f"node-{number}", "host.type": "m5.xlarge"} for number in range(_NODES)]
    return {
        Series.parse("k8s.pod.cpu.time(rate)"): [value(pod, 10**9, 9) for pod in pods],
        Series.parse("k8s.container.cpu.request.desired"): [value(pod, 10**3, 3) for pod in pods],
        Series.parse("k8s.node.cpu.allocatable"): [
            SeriesValue(node, Decimal(16), _HOUR_NS) for node in nodes
        ],
        Series.parse("k8s.pod.memory.working_set(avg)"): [value(pod, 2**32, 0) for pod in pods],
        Series.parse("k8s.container.memory.request.desired"): [value(pod, 2**31, 0) for pod in pods],
        Series.parse("k8s.node.memory.allocatable"): [
            SeriesValue(node, Decimal(64 * 2**30), _HOUR_NS) for node in nodes
        ],
    }
