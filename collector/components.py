"""The one list of everything that exists. Adding a component is its folder and its line here.

A line is where the component's factory is; it is imported when the component is first asked for, so that a
daemon that stores in SQLite never loads a PostgreSQL driver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final, Generic, TypeVar, cast

from collector.pipeline.component import (
    ExporterFactory,
    ExtensionFactory,
    Factories,
    ProcessorFactory,
    ReceiverFactory,
)

RECEIVERS: Final[Mapping[str, str]] = {
    "cost_ledger": "collector.receivers.cost_ledger.factory",
    "otlp": "collector.receivers.otlp.factory",
}
PROCESSORS: Final[Mapping[str, str]] = {
    "batch": "collector.processors.batch.factory",
    "memory_limiter": "collector.processors.memory_limiter.factory",
    "resource": "collector.processors.resource.factory",
}
EXPORTERS: Final[Mapping[str, str]] = {
    "cost_entry": "collector.exporters.cost_entry.factory",
    "cost_metrics": "collector.exporters.cost_metrics.factory",
    "debug": "collector.exporters.debug.factory",
    "file": "collector.exporters.file.factory",
    "focus": "collector.exporters.focus.factory",
    "memory": "collector.exporters.memory.factory",
    "postgresql": "collector.exporters.postgresql.factory",
    "sqlite": "collector.exporters.sqlite.factory",
    "timescaledb": "collector.exporters.timescaledb.factory",
}
EXTENSIONS: Final[Mapping[str, str]] = {
    "file_storage": "collector.extensions.file_storage.factory",
    "cost_attribution": "collector.extensions.cost_attribution.factory",
}

FactoryT = TypeVar("FactoryT")


class LazyFactories(Mapping[str, FactoryT], Generic[FactoryT]):
    """Factories by type name. Listing the names imports nothing; getting one imports its module, once."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def __getitem__(self, type_name: str) -> FactoryT:
        return cast(FactoryT, import_module(self._modules[type_name]).FACTORY)

    def __contains__(self, type_name: object) -> bool:
        return type_name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


FACTORIES: Final = Factories(
    receivers=LazyFactories[ReceiverFactory](RECEIVERS),
    processors=LazyFactories[ProcessorFactory](PROCESSORS),
    exporters=LazyFactories[ExporterFactory](EXPORTERS),
    extensions=LazyFactories[ExtensionFactory](EXTENSIONS),
)

# What people bring from an otelcol file and is not here. Kind -> type -> what to do instead.
INSTEAD: Final[Mapping[str, Mapping[str, str]]] = {
    "receiver": {
        "nop": "leave the pipeline out",
        "otlp_grpc": "use 'otlp' with only 'protocols.grpc'",
        "otlp_http": "use 'otlp' with only 'protocols.http'",
        "jaeger": "send OTLP: Jaeger's clients were retired in favour of the OpenTelemetry SDKs",
        "zipkin": "send OTLP: every OpenTelemetry SDK has an OTLP exporter",
        "prometheus": "let the app push with the SDK's OTLP metric exporter",
        "hostmetrics": "run an OpenTelemetry Collector with 'hostmetrics' that exports OTLP to this one",
        "filelog": "run an OpenTelemetry Collector with 'filelog' that exports OTLP to this one",
        "kafka": "run an OpenTelemetry Collector with 'kafka' that exports OTLP to this one",
        "statsd": "run an OpenTelemetry Collector with 'statsd' that exports OTLP to this one",
    },
    "processor": {
        "nop": "leave it out",
        "attributes": "use 'resource' for what is the same on all items of a resource",
        "filter": "drop at the source, with the SDK's sampler or views",
        "transform": "use 'resource' for resource attributes; spans, points and records pass unchanged",
        "k8sattributes": "use 'resource' with values from the pod's downward API: ${env:POD_NAME}",
        "resourcedetection": "use 'resource' with values from the environment: ${env:NAME}",
        "probabilistic_sampler": "sample in the SDK: OTEL_TRACES_SAMPLER=parentbased_traceidratio",
        "tail_sampling": "sample in the SDK, or keep all and set 'retention' in the exporter",
        "span": "set names and attributes in the SDK",
        "groupbytrace": "leave it out: the store keeps a trace's spans together",
        "cumulativetodelta": "leave it out: both temporalities are stored, and the views tell them apart",
        "deltatocumulative": "leave it out: both temporalities are stored, and the views tell them apart",
        "interval": "leave it out: store every point, and read the roll-up views",
    },
    "exporter": {
        "nop": "use 'debug'",
        "logging": "it was renamed: use 'debug'",
        "otlp": "this collector stores and does not forward: use 'timescaledb', 'postgresql' or 'sqlite'",
        "otlp_http": "this collector stores and does not forward: use 'timescaledb', 'postgresql' or 'sqlite'",
        "otlphttp": "this collector stores and does not forward: use 'timescaledb', 'postgresql' or 'sqlite'",
        "prometheus": "query the stored metrics with SQL (view 'metrics')",
        "prometheusremotewrite": "query the stored metrics with SQL (view 'metrics')",
        "clickhouse": "use 'timescaledb', 'postgresql' or 'sqlite'",
        "kafka": "use 'file' and ship its OTLP-JSON lines",
    },
    "extension": {
        "health_check": "remove it: /livez, /readyz and /healthz are served by 'service.admin'",
        "healthcheckv2": "remove it: /livez, /readyz and /healthz are served by 'service.admin'",
        "zpages": "remove it: see /healthz and /metrics of 'service.admin'",
        "pprof": "remove it: it profiles Go",
        "memory_limiter": "use the processor 'memory_limiter'",
        "basicauth": "listen on loopback, or put a proxy in front",
        "bearertokenauth": "listen on loopback, or put a proxy in front",
        "oidc": "listen on loopback, or put a proxy in front",
    },
}


def instead(kind: str, type_name: str) -> str | None:
    """What to do about a component of otelcol's that is not here; None if we never heard of it.

    `kind` is "receiver", "processor", "exporter", "connector" or "extension".
    """
    if kind == "connector":
        return "connectors are not built: give each pipeline its own receivers and exporters"
    advice = INSTEAD.get(kind, {}).get(type_name)
    return None if advice is None else f"otelcol's {kind} {type_name!r} is not built here: {advice}"
