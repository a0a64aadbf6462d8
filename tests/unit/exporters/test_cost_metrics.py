"""The exporter `cost_metrics`, against a real HTTP server: what was sent sums to the costs."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from collector.config.types import Secret
from collector.cost.protobuf import encode_request
from collector.cost.record import CostAttributionRecord
from collector.exporters.cost_metrics.config import CostMetricsConfig
from collector.exporters.cost_metrics.factory import FACTORY
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Batch, State
from tests.support.components import House, make_house
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, ledger


@dataclass
class Backend:
    """Adds up what it is sent. `statuses`: what it answers first; then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    answer: bytes = b""
    sums: Counter[tuple[str, int]] = field(default_factory=Counter)
    requests: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        self.requests += 1
        self.headers = headers
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            return status
        assert path == "/v1/metrics"
        request = ExportMetricsServiceRequest.FromString(gzip.decompress(body))
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.sum.data_points:
                self.sums[metric.name, point.time_unix_nano] += point.as_double  # type: ignore[assignment]
        return 200


@pytest.fixture
def backend() -> Iterator[Backend]:
    found = Backend()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = found.take(self.path, dict(self.headers), body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(found.answer if status == 200 else b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def exporting(directory: Path, backend: Backend, **options: Any) -> Iterator[tuple[Any, House]]:
    """An exporter that sends when it stops."""
    house = make_house("cost_metrics", "exporter")
    given: dict[str, Any] = {"endpoint": backend.url, "interval": 3600.0, **options}
    exporter: Any = FACTORY.create(house.settings, CostMetricsConfig(directory=directory, **given))
    exporter.start()
    try:
        yield exporter, house
    finally:
        exporter.shutdown()


def batch(position: int, records: list[CostAttributionRecord]) -> Batch:
    data = Telemetry(Signal.COSTS, encode_request(records), len(records))
    return Batch(Signal.COSTS, (data,), UUID(int=7), position, position + 1)


def said(house: House) -> tuple[State, str]:
    *_, last = [part[1:] for part in house.parts if part[0] == "files" and part[1] is not State.STOPPED]
    return last


def test_points_sum_to_the_costs_whatever_was_revised(backend: Backend, tmp_path: Path) -> None:
    """A revision is a difference; what has not changed is not sent again."""
    with exporting(tmp_path, backend, headers={"X-Token": Secret("t")}) as (exporter, _):
        exporter.export(batch(0, ledger()))
        exporter.export(batch(1, ledger(start=NOW_UNIX_NANO - HOUR)))
    assert backend.sums["cost.attributed", NOW_UNIX_NANO + HOUR] == pytest.approx(1)
    assert backend.sums["cost.attributed", NOW_UNIX_NANO] == pytest.approx(1)
    assert backend.sums["cost.unpriced.quantity", NOW_UNIX_NANO] == 1000
    assert backend.headers["X-Token"] == "t"
    sent = backend.requests
    with exporting(tmp_path, backend) as (exporter, _):
        exporter.export(batch(2, ledger(revision=1)))
    assert backend.requests == sent  # other ids, the same sums
    with exporting(tmp_path, backend) as (exporter, house):
        exporter.export(batch(3, ledger(revision=2)[:1]))  # undivided: idle is taken back
    assert backend.requests == sent + 1
    assert backend.sums["cost.attributed", NOW_UNIX_NANO + HOUR] == pytest.approx(1)
    assert said(house) == (State.OK, "written")


def test_what_did_not_arrive_is_sent_again(backend: Backend, tmp_path: Path) -> None:
    """The state says where to and why."""
    backend.statuses = [503]
    with exporting(tmp_path, backend) as (exporter, house):
        exporter.export(batch(0, ledger()))
    state, message = said(house)
    assert state is State.DEGRADED
    assert f"{backend.url}/v1/metrics answered 503" in message
    with exporting(tmp_path, backend):
        pass
    assert backend.sums["cost.attributed", NOW_UNIX_NANO + HOUR] == pytest.approx(1)


def test_what_is_refused_is_said(backend: Backend, tmp_path: Path) -> None:
    """By the status, and by partial success: those points are not sent again."""
    backend.statuses = [401]
    with exporting(tmp_path, backend) as (exporter, house):
        exporter.export(batch(0, ledger()))
    assert "answered 401" in said(house)[1]
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = 2
    answer.partial_success.error_message = "too old"
    backend.answer = answer.SerializeToString()
    with exporting(tmp_path, backend) as (_, house):
        pass
    assert said(house)[0] is State.DEGRADED
    assert "refused 2 points: too old" in said(house)[1]
    requests = backend.requests
    with exporting(tmp_path, backend):
        pass
    assert backend.requests == requests


def test_another_endpoint_is_sent_everything(backend: Backend, tmp_path: Path) -> None:
    """It has nothing yet."""
    with exporting(tmp_path, backend) as (exporter, _):
        exporter.export(batch(0, ledger()))
    backend.sums.clear()
    with exporting(tmp_path, backend, endpoint=backend.url.replace("127.0.0.1", "localhost")):
        pass
    assert backend.sums["cost.attributed", NOW_UNIX_NANO + HOUR] == pytest.approx(1)


def test_an_endpoint_that_is_away_is_said(tmp_path: Path) -> None:
    """With its URL."""
    with exporting(tmp_path, Backend(url="http://127.0.0.1:1")) as (exporter, house):
        exporter.export(batch(0, ledger()))
    assert "http://127.0.0.1:1/v1/metrics: Connection refused" in said(house)[1]


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        ({"endpoint": "otel-collector:4318"}, "endpoint", "write it like http://otel-collector:4318"),
        ({"endpoint": "http://me:pw@host"}, "endpoint", "credentials go into `headers`"),
        ({"headers": {"a b": Secret("c")}}, "headers.a b", "is not a header"),
        ({"headers": {"a": Secret("c\nd")}}, "headers.a", "is not a header"),
        ({"ca_file": Path("/none.pem")}, "ca_file", "there is no file /none.pem"),
        ({"bases": ()}, "bases", "is empty"),
    ],
)
def test_options_are_checked(options: dict[str, Any], key: str, message: str, tmp_path: Path) -> None:
    """Each at its place."""
    given: dict[str, Any] = {"endpoint": "http://host:4318", **options}
    [invalid] = CostMetricsConfig(directory=tmp_path, **given).validate()
    assert invalid.key == key
    assert message in invalid.message
