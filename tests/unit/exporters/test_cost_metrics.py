"""The exporter `cost_metrics`, against a real HTTP server: what was sent sums to the costs."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trustme
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
    with serving() as found:
        yield found


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Backend]:
    """A server on loopback; with `tls`, over https."""
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

    class Server(HTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that does not trust it goes away; that is for the test to see at the client."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        # The handshake is part of the first read: a client that only connects must not hold the others up.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    found.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
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
        ({"ca_file": Path(__file__)}, "ca_file", "cannot be read as PEM certificates"),
        ({"bases": ()}, "bases", "is empty"),
    ],
)
def test_options_are_checked(options: dict[str, Any], key: str, message: str, tmp_path: Path) -> None:
    """Each at its place."""
    given: dict[str, Any] = {"endpoint": "http://host:4318", **options}
    [invalid] = CostMetricsConfig(directory=tmp_path, **given).validate()
    assert invalid.key == key
    assert message in invalid.message


# --- https --------------------------------------------------------------------------------------------------


@contextmanager
def secured(authority: trustme.CA, name: str = "127.0.0.1", **options: Any) -> Iterator[Backend]:
    """A server whose certificate is for `name`. `options`: of the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **options).configure_cert(context)
    with serving(context) as backend:
        yield backend


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def test_costs_are_sent_over_https(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """To a server whose certificate an authority has signed that is trusted."""
    with secured(authority) as backend:
        with exporting(tmp_path / "sent", backend, ca_file=ca_file) as (exporter, house):
            exporter.export(batch(0, ledger()))
        assert said(house) == (State.OK, "written")
        assert backend.sums["cost.attributed", NOW_UNIX_NANO + HOUR] == pytest.approx(1)


def test_the_systems_authorities_are_trusted_where_none_are_named(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenSSL finds them."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    with secured(authority) as backend:
        with exporting(tmp_path / "sent", backend) as (exporter, house):
            exporter.export(batch(0, ledger()))
        assert said(house) == (State.OK, "written")


@pytest.mark.parametrize(
    ("name", "trusted", "options", "why"),
    [
        ("127.0.0.1", False, {}, "unable to get local issuer certificate"),
        ("127.0.0.2", True, {}, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("example.test", True, {}, "certificate is not valid for '127.0.0.1'"),
        ("127.0.0.1", True, {"not_after": datetime(2020, 1, 1, tzinfo=UTC), "not_before": datetime(2019, 1, 1, tzinfo=UTC)}, "certificate has expired"),
    ],
    ids=["unknown authority", "another address", "another name", "expired"],
)  # fmt: skip
def test_a_server_that_is_not_who_it_says_is_sent_nothing(
    authority: trustme.CA,
    ca_file: Path,
    tmp_path: Path,
    name: str,
    trusted: bool,
    options: dict[str, Any],
    why: str,
) -> None:
    """The state says why; when it has a right certificate, everything is sent."""
    if not trusted:
        trustme.CA().cert_pem.write_to_path(str(ca_file))
    with secured(authority, name, **options) as backend:
        with exporting(tmp_path / "sent", backend, ca_file=ca_file) as (exporter, house):
            exporter.export(batch(0, ledger()))
        state, message = said(house)
        assert state is State.DEGRADED
        assert f"{backend.url}/v1/metrics: " in message
        assert why in message
        assert backend.requests == 0
    authority.cert_pem.write_to_path(str(ca_file))
    with secured(authority) as backend:
        with exporting(tmp_path / "sent", backend, ca_file=ca_file):
            pass
        assert backend.sums["cost.attributed", NOW_UNIX_NANO + HOUR] == pytest.approx(1)


def test_https_to_a_server_that_speaks_http_is_said(backend: Backend, ca_file: Path, tmp_path: Path) -> None:
    """And nothing is sent in the clear."""
    backend.url = backend.url.replace("http:", "https:")
    with exporting(tmp_path / "sent", backend, ca_file=ca_file) as (exporter, house):
        exporter.export(batch(0, ledger()))
    state, message = said(house)
    assert (state, backend.requests) == (State.DEGRADED, 0)
    assert f"{backend.url}/v1/metrics: " in message
