"""Attributed costs on their way into files: `cost_ledger` in a real daemon that is killed at any moment."""

from __future__ import annotations

import csv
import io
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from collector.cost.focus.check import check_file
from collector.storage.store import Store, open_store
from tests.contract.test_cost_runs import HOUR, attribute, clock, telemetry
from tests.support.daemon import ROOT, Daemon, running
from tests.support.eventually import eventually

KILLS: Final = 4
# What an exporter of the pipeline promises: by its queue, or by what the pipeline waits for.
QUEUES: Final = {"disk": ("sending_queue: {storage: file_storage}", ""), "stored": ("", "ack: stored, ")}


def _config(directory: Path, kind: str) -> str:
    """The extension and the receiver over one database; the store exporter is in the pipeline as well."""
    example = (ROOT / "config/examples/cost.yaml").read_text()
    costs = example[example.index("cost:\n") : example.index("service:\n")]
    queue, ack = QUEUES[kind]
    return f"""
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}, http: {{endpoint: "127.0.0.1:0"}}}}}}
  cost_ledger: {{exporter: sqlite, interval: 200ms}}
processors: {{batch: {{timeout: 20ms}}}}
exporters:
  sqlite: {{path: "{directory}/telemetry.db", {queue}}}
  focus:
    directory: "{directory}/focus"
    version: "1.4"
    interval: 200ms
    columns: {{BillingAccountId: acct-1, InvoiceIssuerName: Example Cloud}}
    {queue}
extensions:
  cost_attribution: {{exporter: sqlite, interval: 1s, lookback: 60s}}
  file_storage: {{directory: "{directory}/queue"}}
{costs.replace("window: 1h", "window: 1s")}
service:
  extensions: [cost_attribution, file_storage]
  admin: {{endpoint: "127.0.0.1:0"}}
  telemetry: {{logs: {{encoding: json}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [sqlite]}}
    metrics: {{receivers: [otlp], processors: [batch], exporters: [sqlite]}}
    costs: {{{ack}receivers: [cost_ledger, otlp], processors: [batch], exporters: [sqlite, focus]}}
"""


def _rows(directory: Path) -> list[dict[str, str]]:
    """All rows of all files; each file passes the checker."""
    rows = []
    for path in sorted(directory.glob("focus/BillingPeriod=*/*.csv")):
        data = path.read_bytes()
        report = check_file(io.BytesIO(data), path.name, "1.4")
        assert report.ok(strict=True), report.findings
        rows += list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    return rows


def _stored(store: Store) -> dict[str, Decimal]:
    rows = store.query("SELECT record_id, effective_cost FROM costs WHERE effective_cost IS NOT NULL").rows
    return {record_id: Decimal(cost) for record_id, cost in rows}


def _same(directory: Path, store: Store) -> bool:
    rows = _rows(directory)
    assert len({row["x_RecordId"] for row in rows}) == len(rows), "a cost is in the files twice"
    return {row["x_RecordId"]: Decimal(row["EffectiveCost"]) for row in rows} == _stored(store)


def _killed(daemon: Daemon, after_s: float) -> None:
    time.sleep(after_s)
    daemon.signal(signal.SIGKILL)
    daemon.wait()


@pytest.mark.parametrize("kind", QUEUES)
def test_runs_of_others_arrive_in_files(tmp_path: Path, kind: str) -> None:
    """Attributed by hand, revised, and corrected when the month is closed; the daemon is killed each time."""
    rng = random.Random(7)
    with closing(open_store(f"sqlite:///{tmp_path}/telemetry.db")) as store:
        store.migrate()
        telemetry(store, hours=4, part="early")
        attribute(store)
        for number in range(KILLS):
            with running(tmp_path, _config(tmp_path, kind)) as daemon:
                if number == 1:
                    telemetry(store, hours=4, part="late")
                    attribute(store)
                if number == 2:
                    telemetry(store, hours=4, pods=3, part="late")
                    attribute(store, clock(90 * 24 * HOUR))
                _killed(daemon, rng.uniform(0.0, 1.0))
        with running(tmp_path, _config(tmp_path, kind)) as daemon:
            eventually(lambda: _same(tmp_path, store), within_s=40, what="the files of what is stored")
            health = daemon.health()
            assert "passed on" in str(health)
            assert daemon.stop() == 0
        classes = {row["ChargeClass"] for row in _rows(tmp_path)}
        assert classes == {"", "Correction"}
        assert store.query("SELECT * FROM cost_balance").rows == []


def test_what_the_extension_attributes_arrives_in_files(tmp_path: Path) -> None:
    """Everything of it, once, whatever is killed in between; the pipeline's own store does not take it twice."""
    rng = random.Random(11)
    for _ in range(KILLS):
        with running(tmp_path, _config(tmp_path, "disk")) as daemon:
            subprocess.run(
                [sys.executable, "-m", "collector.demo.cost_shop", "--grpc", daemon.grpc, "--seconds", "1"],
                check=True,
                capture_output=True,
            )
            _killed(daemon, rng.uniform(0.5, 3.0))
    with (
        running(tmp_path, _config(tmp_path, "disk")) as daemon,
        closing(open_store(f"sqlite:///{tmp_path}/telemetry.db")) as store,
    ):
        eventually(
            lambda: daemon.metric("collector_cost_attribution_runs", outcome="done") > 2,
            within_s=40,
            what="turns of attribution",
        )
        eventually(lambda: len(_stored(store)) > 10 and _same(tmp_path, store), within_s=40, what="the files")
        assert daemon.stop() == 0
        assert _same(tmp_path, store)
        assert store.query("SELECT * FROM cost_balance").rows == []


def test_another_configuration_goes_on_where_the_one_before_was(tmp_path: Path) -> None:
    """SIGHUP: the receiver is another one, or has another database; nothing is left out."""
    text = _config(tmp_path, "disk")
    with closing(open_store(f"sqlite:///{tmp_path}/telemetry.db")) as store:
        store.migrate()
        telemetry(store, hours=2, part="early")
        attribute(store)
        with running(tmp_path, text) as daemon:
            eventually(lambda: _same(tmp_path, store), within_s=30, what="the files of what is stored")
            (tmp_path / "collector.yaml").write_text(text.replace("interval: 200ms}", "interval: 100ms}"))
            daemon.signal(signal.SIGHUP)
            eventually(lambda: daemon.logged("Configuration reloaded."), what="a reload")
            assert any("receiver cost_ledger changed" in str(line) for line in daemon.log)
            telemetry(store, hours=2, part="late")
            attribute(store)
            eventually(lambda: _same(tmp_path, store), within_s=30, what="the files of what was revised")
            assert daemon.stop() == 0
    with closing(open_store(f"sqlite:///{tmp_path}/other.db")) as other:
        other.migrate()
        telemetry(other, hours=3)
        attribute(other)
        with running(tmp_path, text.replace("telemetry.db", "other.db")) as daemon:
            ids = _stored(other).keys()
            eventually(
                lambda: ids <= {row["x_RecordId"] for row in _rows(tmp_path)}, within_s=30, what="both"
            )
            assert daemon.stop() == 0
