"""A small shop on Kubernetes that calls language models: what it costs can be told from what it exports.

Three services (two pods of one of them) on two nodes, instrumented by the OpenTelemetry SDK with the attributes of its
semantic conventions, and the metrics that a kubelet and the cluster's receiver give of pods and nodes. Nothing in here
knows the collector, or a price. It prints, as one line of JSON, how many items its exporters were told had arrived.

    python -m collector.demo.cost_shop --grpc 127.0.0.1:4317 --seconds 10
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

from collector.demo.shop import Tally, counting

GIB: Final = 2**30
_TENANTS: Final = ("acme", "globex", "initech")
_EXPORT_MS: Final = 500


@dataclass(frozen=True, slots=True)
class Node:
    """A machine."""

    name: str
    cores: float
    memory: int  # bytes


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a service on a node: what it asks for and what it uses."""

    service: str
    number: int
    team: str
    node: Node
    cores_requested: float
    cores_used: float
    memory_requested: int
    memory_used: int

    @property
    def name(self) -> str:
        """As a Deployment names it."""
        return f"{self.service}-{self.number}"

    @property
    def attributes(self) -> dict[str, str]:
        """Of its resource."""
        return {
            "k8s.cluster.name": "demo",
            "k8s.node.name": self.node.name,
            "k8s.namespace.name": "shop",
            "k8s.deployment.name": self.service,
            "k8s.pod.name": self.name,
            "k8s.pod.uid": f"0c5a-{self.name}",
            "k8s.pod.label.team": self.team,
        }


NODES: Final = (Node("node-1", 4, 16 * GIB), Node("node-2", 4, 16 * GIB))
PODS: Final = (
    Pod("storefront", 1, "web", NODES[0], 0.5, 0.2, GIB, GIB // 2),
    Pod("storefront", 2, "web", NODES[1], 0.5, 0.7, GIB, GIB // 2),
    Pod("checkout", 1, "payments", NODES[0], 1.0, 1.5, 2 * GIB, 3 * GIB),
    Pod("assistant", 1, "research", NODES[1], 1.0, 0.4, 4 * GIB, 2 * GIB),
)


class Exporting:
    """Providers of one resource."""

    def __init__(self, attributes: dict[str, Any], endpoint: str, tally: Tally) -> None:
        resource = Resource.create(attributes)
        spans = counting(OTLPSpanExporter, "traces", tally)(endpoint=endpoint, insecure=True)
        points = counting(OTLPMetricExporter, "metrics", tally)(endpoint=endpoint, insecure=True)
        self._tracers = TracerProvider(resource=resource)
        self._tracers.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=_EXPORT_MS))
        reader = PeriodicExportingMetricReader(points, export_interval_millis=_EXPORT_MS)
        self._meters = MeterProvider(resource=resource, metric_readers=[reader])
        self.tracer = self._tracers.get_tracer("shop")
        self.meter = self._meters.get_meter("kubelet")

    def shutdown(self) -> None:
        """Export what is left."""
        self._tracers.shutdown()
        self._meters.shutdown()


def _observe_node(node: Node, exporting: Exporting) -> None:
    meter = exporting.meter
    meter.create_observable_gauge("k8s.node.cpu.allocatable", [lambda _: [Observation(node.cores)]], "{cpu}")
    meter.create_observable_gauge("k8s.node.memory.allocatable", [lambda _: [Observation(node.memory)]], "By")


def _observe_pod(pod: Pod, exporting: Exporting) -> None:
    began = time.monotonic()
    meter = exporting.meter
    meter.create_observable_counter(
        "k8s.pod.cpu.time", [lambda _: [Observation((time.monotonic() - began) * pod.cores_used)]], "s"
    )
    meter.create_observable_up_down_counter(
        "k8s.pod.memory.working_set", [lambda _: [Observation(pod.memory_used)]], "By"
    )
    container = {"k8s.container.name": pod.service}
    meter.create_observable_up_down_counter(
        "k8s.container.cpu.request.desired",
        [lambda _: [Observation(pod.cores_requested, container)]],
        "{cpu}",
    )
    meter.create_observable_up_down_counter(
        "k8s.container.memory.request.desired",
        [lambda _: [Observation(pod.memory_requested, container)]],
        "By",
    )


def _work(pod: Pod, exporting: Exporting, until: float, rng: random.Random) -> None:
    """Answer requests until the time is over."""
    tracer = exporting.tracer
    while time.monotonic() < until:
        tenant = rng.choice(_TENANTS)
        route = {"storefront": "/products", "checkout": "/orders", "assistant": "/ask"}[pod.service]
        attributes = {"http.route": route, "http.request.method": "POST", "tenant.id": tenant}
        with tracer.start_as_current_span(f"POST {route}", kind=SpanKind.SERVER, attributes=attributes):
            with tracer.start_as_current_span("render"):
                time.sleep(rng.uniform(0.01, 0.04))
            if pod.service == "assistant":
                _ask(tracer, tenant, rng)
        time.sleep(rng.uniform(0.0, 0.05))


def _ask(tracer: trace.Tracer, tenant: str, rng: random.Random) -> None:
    """Call a language model; most of the prompt is in its cache. One call in ten is of a model without a price."""
    cached, fresh = rng.randint(500, 4000), rng.randint(5, 200)
    model = "mystery-1" if rng.randrange(10) == 0 else "claude-sonnet-4-5"
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.agent.name": "helper",
        "gen_ai.usage.input_tokens": cached + fresh,
        "gen_ai.usage.cache_read.input_tokens": cached,
        "gen_ai.usage.output_tokens": rng.randint(20, 400),
        "tenant.id": tenant,
    }
    with tracer.start_as_current_span(f"chat {model}", kind=SpanKind.CLIENT, attributes=attributes):
        time.sleep(rng.uniform(0.02, 0.06))


def main() -> None:
    """Command line: see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    tally = Tally()
    nodes = [
        Exporting(
            {"k8s.cluster.name": "demo", "k8s.node.name": node.name, "host.type": "m5.xlarge"},
            arguments.grpc,
            tally,
        )
        for node in NODES
    ]
    for node, exporting in zip(NODES, nodes, strict=True):
        _observe_node(node, exporting)
    pods = [
        Exporting({"service.name": pod.service, "deployment.environment.name": "demo", **pod.attributes},
                  arguments.grpc, tally)
        for pod in PODS
    ]  # fmt: skip
    until = time.monotonic() + arguments.seconds
    threads = []
    for number, (pod, exporting) in enumerate(zip(PODS, pods, strict=True)):
        _observe_pod(pod, exporting)
        rng = random.Random(number)  # noqa: S311
        thread = threading.Thread(target=_work, args=(pod, exporting, until, rng))  # noqa: TID251
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    for exporting in (*pods, *nodes):
        exporting.shutdown()
    print(json.dumps({"sent": tally.sent, "failed": tally.failed}))  # noqa: T201


if __name__ == "__main__":
    main()
