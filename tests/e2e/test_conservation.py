"""Nothing is lost and nothing is made up: what was acknowledged, what is counted, and what is stored."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import urllib.error
from contextlib import closing
from pathlib import Path

from tests.support.daemon import Daemon, running
from tests.support.destination import sqlite_destination
from tests.support.eventually import eventually
from tests.support.instrumented_app import post_json

BIG = "x" * 100_000


def _logs(first: int, count: int, *, padding: str = "") -> bytes:
    now = str(time.time_ns())
    records = [
        {
            "timeUnixNano": now,
            "body": {"stringValue": padding},
            "attributes": [{"key": "number", "value": {"intValue": str(number)}}],
        }
        for number in range(first, first + count)
    ]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


def _numbers(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT json_extract(attributes, '$.number') FROM logs").fetchall()
    return sorted(number for (number,) in rows)


def _balance(daemon: Daemon) -> dict[str, float]:
    return {
        "accepted": daemon.metric("otelcol_receiver_accepted_log_records"),
        "refused": daemon.metric("otelcol_receiver_refused_log_records"),
        "enqueued": daemon.metric("collector_exporter_enqueued_log_records"),
        "sent": daemon.metric("otelcol_exporter_sent_log_records"),
        "dropped": daemon.metric("collector_exporter_dropped_items"),
        "queued": daemon.metric("collector_exporter_queue_items"),
    }


def test_under_load_everything_acknowledged_is_stored_once(tmp_path: Path) -> None:
    """Several clients at once, stopped in the middle: each number acknowledged is in the database, once."""
    path = tmp_path / "c.db"
    acknowledged: list[int] = []
    lock = threading.Lock()
    with running(tmp_path, sqlite_destination(path).config()) as daemon:
        url = f"{daemon.http}/v1/logs"

        def client(start: int) -> None:
            for first in range(start, start + 100_000, 20):
                try:
                    assert post_json(url, _logs(first, 20)) == b"{}"
                except (urllib.error.URLError, ConnectionError):
                    return  # it has stopped listening
                with lock:
                    acknowledged.extend(range(first, first + 20))

        clients = [
            threading.Thread(target=client, args=(number * 1_000_000,), daemon=True) for number in range(4)
        ]
        for thread in clients:
            thread.start()
        eventually(lambda: len(acknowledged) > 2000)
        assert daemon.stop() == 0
        for thread in clients:
            thread.join(20)
            assert not thread.is_alive()
    stored = _numbers(path)
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    # An answer can be on its way when the listener closes; no more than one request of each client.
    assert len(set(stored) - set(acknowledged)) <= 4 * 20


def test_a_full_queue_refuses_and_the_books_balance(tmp_path: Path) -> None:
    """The database locked by somebody else: accepted until the bound, refused after it, stored in the end."""
    path = tmp_path / "c.db"
    extra = ", timeout: 1s, sending_queue: {queue_size: 1MiB}, retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}"
    with running(tmp_path, sqlite_destination(path).config(extra=extra)) as daemon:
        url = f"{daemon.http}/v1/logs"
        post_json(url, _logs(0, 1))
        eventually(lambda: daemon.metric("otelcol_exporter_sent_log_records") == 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            accepted, refusal = 1, None
            while refusal is None:
                try:
                    post_json(url, _logs(accepted, 1, padding=BIG))
                    accepted += 1
                except urllib.error.HTTPError as error:
                    refusal = error
            assert refusal.code == 503
            assert int(refusal.headers["Retry-After"]) >= 1
            balance = _balance(daemon)
            assert balance["accepted"] == accepted == balance["enqueued"]
            assert balance["refused"] == 1
            assert balance["sent"] + balance["queued"] + balance["dropped"] == balance["enqueued"]
            eventually(lambda: daemon.health()["status"] == "degraded")
            assert daemon.get("/readyz")[0] == 503
            assert daemon.get("/livez")[0] == 200
            somebody.execute("ROLLBACK")
        eventually(lambda: daemon.metric("collector_exporter_queue_items") == 0)
        balance = _balance(daemon)
        assert (balance["sent"], balance["dropped"]) == (accepted, 0)
        eventually(lambda: daemon.health()["status"] == "ok")
        assert daemon.stop() == 0
    assert _numbers(path) == list(range(accepted))
