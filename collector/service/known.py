"""Components of otelcol's that are known here and do not exist here: what to use instead."""

from __future__ import annotations

from typing import Final

_ADMIN: Final = "the admin server (service.admin.endpoint) answers /livez, /readyz, /healthz and /metrics"

INSTEAD: Final[dict[str, dict[str, str]]] = {
    "receiver": {
        "otlp_grpc": "use otlp with protocols.grpc",
        "otlp_http": "use otlp with protocols.http",
        "jaeger": "send OTLP: Jaeger's own clients are retired in favour of OpenTelemetry SDKs",
        "zipkin": "send OTLP",
        "prometheus": "send OTLP metrics, which Prometheus' client libraries do not do by themselves",
        "hostmetrics": "run otelcol's hostmetrics receiver and send its OTLP here",
        "filelog": "run otelcol's filelog receiver and send its OTLP here",
    },
    "processor": {
        "queuebatch": "use batch, or sending_queue in the exporter",
        "k8sattributes": "use resource with values from the pod's environment (downward API)",
        "resourcedetection": "use resource with values from the environment",
    },
    "exporter": {
        "logging": "use debug; otelcol renamed it as well",
        "prometheus": "the metrics of this daemon are at /metrics of the admin server",
    },
    "extension": {
        "health_check": _ADMIN,
        "healthcheckv2": _ADMIN,
        "zpages": f"remove it; {_ADMIN}",
        "pprof": "remove it; py-spy shows where a running Python process spends its time",
        "memory_limiter": "use the processor of this name",
        "memory_ballast": "remove it; it is of use to Go programs only",
        "file_storage": "remove it; the sending queue is in memory",
    },
}
