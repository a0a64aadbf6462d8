"""Every example configuration runs as it is, but for its ports, and delivers what an app sends."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.components import FACTORIES
from collector.config.load import load
from collector.config.sources import Surroundings
from collector.model.signal import Signal
from collector.service.config import load_config
from tests.support.daemon import ROOT, Daemon, running
from tests.support.eventually import eventually
from tests.support.instrumented_app import record, send

EXAMPLES = sorted([ROOT / "config/collector.yaml", *(ROOT / "config/examples").glob("*.yaml")])
ANY_PORT = "127.0.0.1:0"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_every_exporter_of_it_delivers(
    example: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Sent = accepted = delivered, by each exporter that a pipeline of the signal names."""
    environment = {"COLLECTOR_DATABASE": "postgresql://nobody@127.0.0.1:1/none"}
    config = load_config(
        load([str(example)], (), Surroundings(environment | {"HOME": "/home/me"})), FACTORIES
    )
    sets = [f"service.admin.endpoint={ANY_PORT}", "service.telemetry.logs.encoding=json"]
    for store in ("postgresql", "timescaledb"):
        if any(exporter.type == store for exporter in config.exporters):
            environment["COLLECTOR_DATABASE"] = request.getfixturevalue(f"{store}_url")
            sets.append(f"exporters.{store}.auto_migrate=true")  # in place of `collector database init`
    for receiver_id, entry in config.receivers.items():
        if receiver_id.type != "otlp":
            continue
        protocols = entry.config.protocols
        sets += [
            f"receivers::{receiver_id}::protocols::{name}::endpoint={ANY_PORT}"
            for name in ("grpc", "http")
            if getattr(protocols, name) is not None
        ]
    arguments = ["--config", str(example), *(word for option in sets for word in ("--set", option))]
    recording = record()
    with running(tmp_path, None, arguments=arguments, environment=environment) as daemon:
        send(recording, daemon, "grpc")
        for pipeline_id, pipeline in config.pipelines.items():
            if pipeline_id.name or pipeline.signal not in recording.items():
                continue  # nothing was sent to it: it has receivers of its own, or takes what no SDK sends
            for exporter in pipeline.exporters:
                delivered(daemon, str(exporter), pipeline.signal, recording.items()[pipeline.signal])
        assert daemon.stop() == 0


def delivered(daemon: Daemon, exporter: str, signal: Signal, items: int) -> None:
    """Wait until the exporter has delivered so many items."""
    name = f"otelcol_exporter_sent_{signal.item}"
    eventually(
        lambda: daemon.metric(name, exporter=exporter) == items,
        within_s=30,
        what=f"{items} {signal.item} sent by {exporter}",
    )
