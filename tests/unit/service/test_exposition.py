"""Our own metrics as Prometheus text."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from collector.pipeline.observe import Meters
from collector.service.exposition import ProcessMetrics, exposition
from collector.service.reload import ReloadMetrics
from collector.service.status import ComponentKey, ComponentMetrics, ComponentStatus
from tests.support.fake_clock import FakeClock
from tests.support.recording_log import RecordingLog

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics.txt"


def test_counters_have_no_suffix_as_in_otelcol() -> None:
    """Its dashboards ask for `otelcol_exporter_sent_spans`."""
    registry = CollectorRegistry()
    Counter("otelcol_exporter_sent_spans", "Sent.", ("exporter",), registry=registry).labels("sqlite").inc(3)
    assert exposition(registry.collect()) == (
        "# HELP otelcol_exporter_sent_spans Sent.\n"
        "# TYPE otelcol_exporter_sent_spans counter\n"
        'otelcol_exporter_sent_spans{exporter="sqlite"} 3\n'
    )


def test_counters_have_the_suffix_when_asked_for() -> None:
    """Prometheus' own convention, for those whose rules rely on it."""
    registry = CollectorRegistry()
    Counter("otelcol_exporter_sent_spans", "Sent.", registry=registry).inc(3)
    text = exposition(registry.collect(), type_suffix=True)
    assert "\notelcol_exporter_sent_spans_total 3\n" in text
    assert "# TYPE otelcol_exporter_sent_spans_total counter\n" in text


def test_histograms_are_whole() -> None:
    """Buckets, sum and count, without the creation time, which 0.0.4 does not know."""
    registry = CollectorRegistry()
    Histogram("commit_seconds", "Commit.", registry=registry, buckets=(0.5, 1.0)).observe(0.7)
    assert exposition(registry.collect()).splitlines()[1:] == [
        "# TYPE commit_seconds histogram",
        'commit_seconds_bucket{le="0.5"} 0',
        'commit_seconds_bucket{le="1.0"} 1',
        'commit_seconds_bucket{le="+Inf"} 1',
        "commit_seconds_count 1",
        "commit_seconds_sum 0.7",
    ]


def test_label_values_are_escaped_and_read_back() -> None:
    """Quotes, backslashes and newlines in a component's name."""
    registry = CollectorRegistry()
    name = 'a"b\\c\nd'
    Gauge("up", "Up.\nReally.", ("component",), registry=registry).labels(name).set(float("inf"))
    (family,) = text_string_to_metric_families(exposition(registry.collect()))
    (sample,) = family.samples
    assert (sample.labels["component"], sample.value) == (name, float("inf"))


def test_the_process_describes_itself() -> None:
    """Uptime, CPU and memory by otelcol's names, and which process it is."""
    clock, registry = FakeClock(), CollectorRegistry()
    registry.register(ProcessMetrics(clock, service={"service_name": "collector", "service_version": "1"}))
    clock.advance(90)
    lines = [line for line in exposition(registry.collect()).splitlines() if not line.startswith("#")]
    values = {line.partition("{")[0].split(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    assert values["otelcol_process_uptime"] == 90
    assert values["otelcol_process_cpu_seconds"] > 0
    assert 5e6 < values["otelcol_process_memory_rss"] < 5e9
    assert values["target_info"] == 1


def test_names_types_and_labels_are_a_promise(recorded: RecordingLog) -> None:
    """Every instrument, against `tests/golden/metrics.txt`: dashboards are built on them.

    After a change that is meant: `UPDATE_GOLDEN=1`, and a line in the changelog.
    """
    registry = CollectorRegistry()
    meters = Meters(registry)
    registry.register(ProcessMetrics(FakeClock(), service={"service_name": "collector"}))
    status = ComponentStatus(ComponentKey("exporter", "sqlite"), FakeClock(), recorded.log)
    registry.register(ComponentMetrics(lambda: [status]))
    instruments = [
        instrument
        for value in (*vars(meters).values(), *vars(ReloadMetrics(registry)).values())
        for instrument in (value.values() if isinstance(value, dict) else [value])
        if isinstance(instrument, Counter | Gauge | Histogram)
    ]
    for instrument in instruments:
        labels = instrument._labelnames
        child = instrument.labels(*labels) if labels else instrument
        child.observe(0) if isinstance(child, Histogram) else child.inc(0)
    families = text_string_to_metric_families(exposition(registry.collect()))
    seen = "".join(
        f"{family.type} {family.name}"
        f"{{{','.join(sorted({key for sample in family.samples for key in sample.labels} - {'le'}))}}}\n"
        for family in sorted(families, key=lambda family: family.name)
    )
    if "UPDATE_GOLDEN" in os.environ:
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(seen)
    assert GOLDEN.read_text() == seen
