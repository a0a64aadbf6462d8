"""The database is down, absent or not migrated: data is taken, kept, and stored when it is back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collector.model.signal import Signal
from collector.storage.decode import decode
from collector.storage.store import open_store
from collector.wire.canonical import canonical
from tests.support.daemon import ROOT, Daemon, running
from tests.support.destination import postgresql_destination
from tests.support.eventually import eventually
from tests.support.instrumented_app import Recording, post_json, record, send
from tests.support.postgres import Server, start_server

QUICK = ", timeout: 5s, retry_on_failure: {initial_interval: 200ms, max_interval: 500ms}"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of one's own, which may be stopped."""
    # Commits count here: what the server has confirmed must be there after it was killed.
    server = start_server(synchronous_commit="on")
    yield server
    server.close()


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record()


def caught_up(daemon: Daemon) -> None:
    """Wait until the queues are empty and everything is well again."""
    eventually(lambda: daemon.metric("collector_exporter_queue_items") == 0, within_s=40)
    eventually(lambda: daemon.health()["status"] == "ok", within_s=40)


def assert_stored(url: str, recording: Recording) -> None:
    """What the database holds is what was sent, once."""
    with closing(open_store(url)) as store:
        for signal, message in recording.messages().items():
            rows = store.read(signal)
            back = decode(signal, rows.facts, rows.dimensions)
            assert canonical(signal, [back]) == canonical(signal, [message])


def test_a_database_that_is_down_at_the_start_is_caught_up_with(
    server: Server, recording: Recording, tmp_path: Path
) -> None:
    """The daemon starts, takes data, says what is wrong, and stores everything once the database is up."""
    assert server.local is not None
    url = server.create_database(timescaledb=False)
    server.local.stop()
    sent = sum(recording.items().values())
    with running(tmp_path, postgresql_destination(url).config(extra=QUICK)) as daemon:
        send(recording, daemon, "grpc")
        assert daemon.get("/readyz")[0] == 200
        assert daemon.get("/livez")[0] == 200
        eventually(lambda: daemon.health()["status"] == "degraded")
        assert daemon.get("/healthz")[0] == 200
        assert daemon.metric("collector_exporter_queue_items") == sent
        (info,) = json.loads(daemon.get("/database/info")[1])["databases"]
        assert info["reachable"] is False
        server.local.start()
        caught_up(daemon)
        (info,) = json.loads(daemon.get("/database/info")[1])["databases"]
        assert info["reachable"] is True
        assert "PostgreSQL" in info["edition"]
        assert daemon.stop() == 0
    assert_stored(url, recording)


def test_a_database_that_is_not_migrated_is_waited_for(
    postgresql_url: str, recording: Recording, tmp_path: Path
) -> None:
    """The command to run is in /healthz; once somebody has run it, what waits is stored."""
    config = postgresql_destination(postgresql_url).config(extra=QUICK)
    config = config.replace("auto_migrate: true", "auto_migrate: false")
    with running(tmp_path, config) as daemon:
        send(recording, daemon, "http/protobuf")
        eventually(lambda: daemon.health()["status"] == "degraded")
        told = [component["message"] for component in daemon.health()["components"]]
        assert any("collector database" in message for message in told)
        subprocess.run(
            [sys.executable, "-m", "collector", "database", "init", "--connection-string", postgresql_url],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        caught_up(daemon)
        assert daemon.stop() == 0
    assert_stored(postgresql_url, recording)


def test_a_database_that_crashes_under_load_loses_nothing_and_doubles_nothing(
    server: Server, tmp_path: Path
) -> None:
    """Killed while it is written to and started again: each number acknowledged is stored, once."""
    assert server.local is not None
    url = server.create_database(timescaledb=False)
    acknowledged: list[int] = []
    done = threading.Event()
    with running(tmp_path, postgresql_destination(url).config(extra=QUICK)) as daemon:
        endpoint = f"{daemon.http}/v1/logs"

        def client() -> None:
            for first in range(0, 10_000_000, 10):
                if done.is_set():
                    return
                now = str(time.time_ns())
                records = [
                    {"timeUnixNano": now, "body": {"intValue": number}} for number in range(first, first + 10)
                ]
                body = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
                assert post_json(endpoint, json.dumps(body).encode()) == b"{}"
                acknowledged.extend(range(first, first + 10))
                time.sleep(0.005)  # a steady app, not a benchmark

        thread = threading.Thread(target=client, daemon=True)
        thread.start()
        for _ in range(2):
            stored = daemon.metric("otelcol_exporter_sent_log_records")
            eventually(lambda: daemon.metric("otelcol_exporter_sent_log_records") > stored + 100)  # noqa: B023
            retries = daemon.metric("collector_exporter_retries")
            server.local.stop(immediately=True)
            eventually(lambda: daemon.metric("collector_exporter_retries") > retries)  # noqa: B023
            count = len(acknowledged)
            eventually(lambda: len(acknowledged) > count + 100)  # noqa: B023  it takes data meanwhile
            server.local.start()
        done.set()
        thread.join(20)
        caught_up(daemon)
        assert daemon.metric("collector_exporter_dropped_items") == 0
        assert daemon.stop() == 0
    with closing(open_store(url)) as store:
        rows = store.read(Signal.LOGS)
        back = decode(Signal.LOGS, rows.facts, rows.dimensions)
    found = [
        entry.body.int_value
        for resource in getattr(back, "resource_logs")  # noqa: B009  the three messages share a type
        for scope in resource.scope_logs
        for entry in scope.log_records
    ]
    assert sorted(found) == acknowledged


def test_a_password_is_nowhere_to_be_seen(recording: Recording, tmp_path: Path) -> None:
    """Not in the log, not in any answer of the admin server, although the database cannot be reached."""
    url = "postgresql://collector:hunter2@127.0.0.1:1/telemetry"
    config = postgresql_destination(url).config(extra=QUICK)
    with running(tmp_path, config, arguments=["--set=service::shutdown_timeout=1s"]) as daemon:
        send(recording, daemon, "grpc")
        eventually(lambda: daemon.metric("collector_exporter_retries") > 0)
        for path in ("/healthz", "/metrics", "/database/info"):
            status, body = daemon.get(path)
            assert status == 200
            assert "hunter2" not in body
        assert "collector:[REDACTED]@127.0.0.1:1" in daemon.get("/database/info")[1]
        assert daemon.stop() == 1
    assert "hunter2" not in "".join(daemon.stderr)
