"""Policies in a running daemon: over HTTP, and after each turn of cost attribution."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collector.cost.protobuf import encode_request
from collector.model.clock import SystemClock
from tests.support.cost_samples import HOUR, ledger
from tests.support.daemon import Daemon, running
from tests.support.destination import sqlite_destination
from tests.support.eventually import eventually

BUDGET = {"id": "b", "name": "Budget", "budget": 0.5, "on_violation": "block", "period": "1d"}


def ask(daemon: Daemon, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Ask the admin server."""
    connection = http.client.HTTPConnection(urlsplit(daemon.admin).netloc, timeout=10)
    try:
        text = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection.request(method, path, text, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        answer = response.read().decode()
        return response.status, json.loads(answer) if "json" in response.headers["content-type"] else answer
    finally:
        connection.close()


def spend(daemon: Daemon) -> None:
    """A cost of this hour."""
    connection = http.client.HTTPConnection(urlsplit(daemon.http).netloc, timeout=10)
    body = encode_request(ledger(start=SystemClock().unix_nano() - HOUR))
    connection.request("POST", "/v1/costs", body, {"Content-Type": "application/x-protobuf"})
    assert connection.getresponse().status == 200
    connection.close()


def test_a_policy_blocks_over_http_and_drops_nothing(tmp_path: Path) -> None:
    """Costs come in by OTLP's manners, the verdict goes out in FinOpsGuard's, and what comes next is stored all the same."""
    config = sqlite_destination(tmp_path / "c.db").config()
    with running(tmp_path, config) as daemon:
        assert ask(daemon, "POST", "/policies", BUDGET)[0] == 200
        assert ask(daemon, "POST", "/policy/evaluate", {"policy_id": "b"})[1]["status"] == "pass"
        spend(daemon)
        eventually(lambda: daemon.metric("otelcol_exporter_sent_cost_records") > 0, what="costs stored")
        status, verdict = ask(daemon, "POST", "/policy/evaluate", {"policy_id": "b"})
        assert (status, verdict["status"], verdict["overall_status"]) == (200, "fail", "block")
        assert verdict["reason"] == "cost 1 USD is above the budget 0.5 USD"
        before = daemon.metric("otelcol_exporter_sent_cost_records")
        spend(daemon)
        eventually(lambda: daemon.metric("otelcol_exporter_sent_cost_records") == 2 * before)
        items = ask(daemon, "GET", "/analyses?policy_id=b")[1]["items"]
        assert [item["policy_status"] for item in items] == ["block", "pass"]
        assert ask(daemon, "POST", "/policies", b"x" * 500_000)[0] == 413
        assert ask(daemon, "POST", "/policies", {**BUDGET, "id": "c"}, Origin="https://example.com")[0] == 403
        assert ask(daemon, "GET", "/policies/c")[0] == 404
        assert ask(daemon, "DELETE", "/policies/b")[0] == 200
        assert "/policy/evaluate" in ask(daemon, "GET", "/")[1]
        assert daemon.stop() == 0
