"""Costs in a running daemon, and by the commands that a person types."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

import pytest

from collector.storage.store import open_store
from tests.contract.test_cost_runs import telemetry
from tests.support.daemon import ROOT, running
from tests.support.eventually import eventually

PRICES: Final = (ROOT / "collector/demo/costs.yaml").read_text().replace("window: 5s", "window: 1h")
WINDOW: Final = ("--from", "2026-09-21", "--to", "2026-09-23")


def collector(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "collector", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture
def database(tmp_path: Path) -> str:
    """One with two hours of telemetry."""
    url = f"sqlite:///{tmp_path / 'telemetry.db'}"
    store = open_store(url)
    store.migrate()
    telemetry(store)
    store.close()
    return url


def test_a_person_goes_all_the_way(database: str, tmp_path: Path) -> None:
    """Attribute, report, export, import: each command does what the README says."""
    where = ("--connection-string", database)
    prices = ("--prices", "config/prices/demo.yaml", "--prices", "config/cost/kubernetes-and-llm.yaml")
    attribute = ("cost", "attribute", *WINDOW, *where, *prices)
    done = collector(*attribute, "--format", "json")
    assert done.returncode == 0, done.stderr
    lines = json.loads(done.stdout)
    assert {line["balance"] for line in lines} == {"ok"}
    assert "no price matches" in done.stderr
    assert "2 windows are of months that are closed: what is new there are corrections" in done.stderr
    assert re.search(
        r"kubernetes-and-llm\.yaml:\d+:7: rule 'functions': the rule matched nothing", done.stderr
    )
    again = collector(*attribute)
    assert again.returncode == 0
    assert "0 records written" in again.stderr
    report = collector("cost", "report", *WINDOW, *where, "--by", "team,service", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(report.stdout)))
    assert rows[0].keys() == {"team", "service", "currency", "cost", "unpriced"}
    shown = collector("cost", "report", *WINDOW, *where, "--by", "team", "--compare-to", "previous")
    assert "█" in shown.stdout
    assert "__idle__" in shown.stdout
    assert "have no price" in shown.stderr
    for kind in ("focus-1.2", "focus-1.4", "opencost", "cost-entry", "otlp"):
        made = collector("cost", "export", *WINDOW, *where, "--format", kind, "--output", f"{tmp_path}/out/")
        assert made.returncode == 0, made.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 7
    file = next((tmp_path / "out").glob("focus-1.4*.csv"))
    brought = collector(
        "cost", "import", str(file), "--connection-string", f"sqlite:///{tmp_path / 'new.db'}"
    )
    assert brought.returncode == 1  # no tables yet: it says how to make them
    assert "collector database init" in brought.stderr
    brought = collector("cost", "import", str(file), *where, "--dry-run")
    assert brought.returncode == 0, brought.stderr
    assert json.loads(brought.stdout)["records"] > 0


def test_wrong_prices_are_named_with_their_line(database: str, tmp_path: Path) -> None:
    """Exit code 78, as for any configuration; nothing is computed."""
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES.replace("unit: Hours", "unit: Horas").replace("USD", "DOLLAR"))
    done = collector("cost", "attribute", *WINDOW, "--connection-string", database, "--prices", str(prices))
    assert done.returncode == 78
    assert f"{prices}:3:" in done.stderr
    assert "Horas" in done.stderr


def test_the_daemon_attributes_by_itself(tmp_path: Path) -> None:
    """Its windows are those of the section cost; health and metrics say what it does."""
    example = (ROOT / "config/examples/cost.yaml").read_text()
    # Windows that end while the test looks.
    config = example.replace("window: 1h", "window: 1s").replace("interval: 15m", "interval: 1s")
    sets = [
        "extensions.cost_attribution.lookback=60s",
        "extensions.cost_attribution.policies=true",
        "service.admin.endpoint=127.0.0.1:0",
        "service.telemetry.logs.encoding=json",
        "receivers::otlp::protocols::grpc::endpoint=127.0.0.1:0",
        "receivers::otlp::protocols::http::endpoint=127.0.0.1:0",
    ]
    arguments = [word for option in sets for word in ("--set", option)]
    with running(tmp_path, config, arguments=arguments) as daemon:
        address = daemon.grpc
        budget = {"id": "b", "budget": 0, "on_violation": "block", "period": "1d"}
        request = urllib.request.Request(
            f"{daemon.admin}/policies", json.dumps(budget).encode(), method="POST"
        )
        assert urllib.request.urlopen(request, timeout=10).status == 200
        shop = subprocess.run(
            [sys.executable, "-m", "collector.demo.cost_shop", "--grpc", address, "--seconds", "3"],
            check=True,
            capture_output=True,
        )
        assert shop.returncode == 0
        eventually(
            lambda: daemon.metric("collector_cost_attribution_records", extension="cost_attribution") > 0,
            within_s=30,
            what="cost records",
        )
        assert daemon.metric("collector_cost_attribution_runs", outcome="done") > 0
        assert daemon.metric("collector_cost_attribution_last_success_seconds") > time.time() - 60
        eventually(lambda: daemon.metric("collector_policy_status", policy="b") == 2, what="a verdict")
        assert daemon.metric("collector_policy_evaluations", verdict="block") > 0
        assert "1 policies evaluated, 1 block" in daemon.get("/healthz")[1]
        line = daemon.logged("A policy says something else than before.")[-1]
        assert (line["level"], line["policy"], line["verdict"]) == ("error", "b", "block")
        assert json.loads(daemon.get("/analyses?status=block")[1])["items"][0]["policy_id"] == "b"
        assert "windows attributed" in daemon.get("/healthz")[1]
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("exporter: sqlite", "exporter: sqlight"), "'sqlight' is no exporter to a database that lasts"),
        (("per: k8s.node.name}", "per: k8s.node.name, prize: x}"), "prize"),
        (("price: node-m5-xlarge", "price: node-m5"), "there is no price 'node-m5'"),
        (("cost:\n  currency", "costs:\n  currency"), "unknown section 'costs'"),
        (("window: 1h", "window: 7h"), "does not divide a day"),
    ],
)
def test_validate_finds_mistakes(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    """With file, line and column."""
    path = tmp_path / "collector.yaml"
    path.write_text((ROOT / "config/examples/cost.yaml").read_text().replace(*change))
    done = collector("validate", "--config", str(path))
    assert done.returncode == 78
    assert complaint in done.stderr + done.stdout
    assert f"{path}:" in done.stderr + done.stdout
