"""Costs through the whole daemon into a database and into files at once, and what `/allocation` says of them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from collector.cost.amount import total
from collector.cost.cost_entry import read_cost_entries
from collector.cost.focus.check import check_file
from collector.cost.protobuf import encode_request
from collector.storage.store import open_store
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, ledger
from tests.support.daemon import Daemon, running
from tests.support.eventually import eventually

CHARGES = 30
WINDOW = "2026-09-01T00:00:00Z,2026-10-01T00:00:00Z"


def _config(directory: Path) -> str:
    queue = "sending_queue: {storage: file_storage}"
    return f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}, http: {{endpoint: "127.0.0.1:0"}}}}}}}}
processors: {{memory_limiter: {{limit_mib: 1000, check_interval: 1s}}, batch: {{timeout: 20ms}}}}
exporters:
  sqlite: {{path: "{directory}/costs.db", {queue}}}
  focus: {{directory: "{directory}/focus", version: "1.4", interval: 200ms, {queue}}}
  cost_entry: {{directory: "{directory}/entries", interval: 200ms, {queue}}}
extensions: {{file_storage: {{directory: "{directory}/queue"}}}}
service:
  extensions: [file_storage]
  admin: {{endpoint: "127.0.0.1:0"}}
  pipelines:
    costs: {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [sqlite, focus, cost_entry]}}
"""


def _send(daemon: Daemon, records: Any) -> None:
    request = urllib.request.Request(
        f"{daemon.http}/v1/costs", encode_request(records), {"Content-Type": "application/x-protobuf"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.status == 200
        assert response.read() == b""


def _ask(daemon: Daemon, path: str) -> tuple[int, Any]:
    try:
        status, body = daemon.get(path)
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read().decode()
    return status, json.loads(body, parse_float=Decimal, parse_int=Decimal)


def _files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.glob("BillingPeriod=*/*"))
    }


def _validated_by_others(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "focus_data_toolkit", "validate", str(path)],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_costs_are_in_the_database_in_files_and_in_the_answer_of_allocation(tmp_path: Path) -> None:
    """The same costs, to the last digit; and when everything is sent again to another process, the same bytes."""
    charges = [
        ledger(f"svc-{number}", start=NOW_UNIX_NANO - number * HOUR, contracted_unit_price=Decimal("1.00"))
        for number in range(CHARGES)
    ]
    seen: list[dict[str, bytes]] = []
    for turn in range(2):
        with running(tmp_path, _config(tmp_path)) as daemon:
            for records in charges[:: -1 if turn else 1]:
                _send(daemon, records[: 1 + turn])
                _send(daemon, records[1 + turn :])
            eventually(lambda: daemon.metric("collector_exporter_queue_items") == 0, within_s=60)
            _allocations(daemon)
            assert daemon.stop() == 0
        seen.append({**_files(tmp_path / "focus"), **_files(tmp_path / "entries")})
    assert seen[0] == seen[1]
    days = [name for name in seen[0] if name.endswith(".csv")]
    assert len(days) == 2
    rows = []
    for name in days:
        report = check_file(io.BytesIO(seen[0][name]), name, "1.4")
        assert report.ok(strict=True), report.findings
        _validated_by_others(tmp_path / "focus" / name)
        rows += list(csv.DictReader(io.StringIO(seen[0][name].decode(), newline="")))
    entries = [data for name, data in seen[0].items() if name.endswith(".jsonl")]
    records = [record for data in entries for record in read_cost_entries(io.BytesIO(data), "t").records()]
    with closing(open_store(f"sqlite:///{tmp_path}/costs.db")) as store:
        stored = store.query(
            "SELECT record_id, effective_cost FROM costs WHERE effective_cost IS NOT NULL"
        ).rows
    assert {row["x_RecordId"]: Decimal(row["EffectiveCost"]) for row in rows} == {
        record_id: Decimal(cost) for record_id, cost in stored
    }
    assert len(rows) == len(stored) == len(records) == 3 * CHARGES
    assert total(Decimal(row["EffectiveCost"]) for row in rows) == CHARGES


def _allocations(daemon: Daemon) -> None:
    """Sums are the database's; each request that is wrong is told how."""
    status, found = _ask(daemon, f"/allocation?window={WINDOW}&aggregate=controller")
    assert (status, found["code"]) == (200, 200)
    assert total(row["totalCost"] for rows in found["data"] for row in rows.values()) == CHARGES
    assert found["data"][0]["svc-3"]["totalCost"] == Decimal("0.333333333333333333")
    assert _ask(daemon, f"/allocation/compute?window={WINDOW}&aggregate=controller")[1] == found
    _, brief = _ask(daemon, f"/allocation/summary?window={WINDOW}&aggregate=namespace&step=1d")
    assert len(brief["data"]["sets"]) == 30
    assert (
        total(row["totalCost"] for one in brief["data"]["sets"] for row in one["allocations"].values())
        == CHARGES
    )
    status, found = _ask(daemon, "/allocation?window=1d&aggregate=namspace")
    assert (status, found["code"]) == (400, 400)
    assert found["message"] == "aggregate: 'namspace' is not a property; is namespace meant?"


def test_a_record_that_fits_no_focus_file_is_a_dead_letter(tmp_path: Path) -> None:
    """The others are in the file, and all of them in the database."""
    with running(tmp_path, _config(tmp_path)) as daemon:
        _send(daemon, ledger("good", contracted_unit_price=Decimal("1.00")))
        _send(daemon, ledger("bad", contracted_unit_price=Decimal("1.00"), billing_account_id=""))
        eventually(lambda: daemon.metric("collector_exporter_queue_items") == 0, within_s=60)
        assert daemon.metric("collector_exporter_dead_lettered_items", exporter="focus") == 5
        assert daemon.metric("otelcol_exporter_sent_cost_records", exporter="sqlite") == 12
        eventually(lambda: any(_files(tmp_path / "focus")), what="a file")
        assert daemon.stop() == 0
    done = subprocess.run(
        [sys.executable, "-m", "collector", "queue", "inspect", "focus-costs", "--directory", f"{tmp_path}/queue"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    first = json.loads(done.stdout.splitlines()[0])
    assert "set a default for BillingAccountId" in json.dumps(first)
