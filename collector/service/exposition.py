"""Our own metrics as Prometheus text, in the spelling of otelcol's default reader.

Prometheus' Python client appends `_total` to every counter. otelcol's built-in reader does not
(`without_type_suffix: true`, opentelemetry-collector service/telemetry/otelconftelemetry/factory.go), and its
dashboards and alerts rely on that. Both spellings are to be had; which one is a setting.
"""

from __future__ import annotations

import math
import os
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

    from collector.model.clock import Clock

# Prometheus text format 0.0.4 (prometheus.io, "Exposition formats").
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class ProcessMetrics(Collector):
    """Uptime, CPU time and resident memory, by otelcol's names.

    otelcol's `process_runtime_*` describe Go's heap; Python has no equal, so they are left out.
    """

    def __init__(self, clock: Clock, *, service: dict[str, str]) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._service = service

    def uptime_s(self) -> float:
        """Seconds since this was made, which is when the process began."""
        return self._clock.monotonic() - self._started

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of this moment."""
        target = GaugeMetricFamily("target_info", "Which process this is.", labels=[*self._service])
        target.add_metric([*self._service.values()], 1)
        yield target
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield CounterMetricFamily(
            "otelcol_process_uptime", "Seconds since the process started.", self.uptime_s()
        )
        yield CounterMetricFamily(
            "otelcol_process_cpu_seconds",
            "CPU time of the process, user and system, in seconds.",
            usage.ru_utime + usage.ru_stime,
        )
        yield GaugeMetricFamily(
            "otelcol_process_memory_rss", "Resident memory in bytes.", resident_memory_bytes()
        )


def resident_memory_bytes() -> int:
    """Memory of this process that is in RAM; where there is no /proc, the most it ever was."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def exposition(metrics: Iterable[Metric], *, type_suffix: bool = False) -> str:
    """Return metrics, of `CollectorRegistry.collect`, as text. `type_suffix`: counters end in `_total`."""
    lines: list[str] = []
    for metric in metrics:
        samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
        if not samples:
            continue
        counter = metric.type == "counter"
        name = f"{metric.name}_total" if counter and type_suffix else metric.name
        lines.append(f"# HELP {name} {_escape_help(metric.documentation)}")
        lines.append(f"# TYPE {name} {metric.type}")
        lines += (_line(name if counter else sample.name, sample) for sample in samples)
    return "\n".join(lines) + "\n"


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(f'{key}="{_escape_label(value)}"' for key, value in sample.labels.items())
    return f"{name}{{{labels}}} {_number(sample.value)}" if labels else f"{name} {_number(sample.value)}"


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escape_label(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(int(value)) if value == int(value) else repr(value)
