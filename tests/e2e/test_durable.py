"""Queues on disk: what was acknowledged outlives kill -9, and is stored once."""

from __future__ import annotations

import os
import random
import sqlite3
import time
import urllib.error
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running
from tests.support.destination import Destination, postgresql_destination, sqlite_destination
from tests.support.eventually import eventually
from tests.support.instrumented_app import post_json
from tests.support.stamped import Clients, stamped, stored_stamps

KILLS = int(os.environ.get("COLLECTOR_TEST_KILLS", "4"))
QUICK = "timeout: 2s, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}"


def durable(
    destination: Destination, directory: Path, *, queue: str = "", storage: str = "", ack: str = ""
) -> str:
    """The destination's configuration, with its queues on disk."""
    extra = f", {QUICK}, sending_queue: {{storage: file_storage{queue}}}"
    text = destination.config(batch="{timeout: 20ms}", extra=extra)
    text = text.replace("service:\n", "service:\n  extensions: [file_storage]\n")
    if ack:
        text = text.replace("{receivers:", f"{{ack: {ack}, receivers:")
    return text + f'extensions: {{file_storage: {{directory: "{directory}"{storage}}}}}\n'


@pytest.fixture(params=["sqlite", "postgresql"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    """Each store that remembers positions."""
    if request.param == "sqlite":
        return sqlite_destination(tmp_path / "c.db")
    return postgresql_destination(request.getfixturevalue("postgresql_url"))


def caught_up(daemon: Daemon) -> None:
    eventually(lambda: daemon.metric("collector_exporter_queue_items") == 0, within_s=60)


@pytest.mark.timeout(60 + 15 * KILLS)
def test_killed_at_random_instants_under_load_it_loses_nothing_and_doubles_nothing(
    destination: Destination, tmp_path: Path
) -> None:
    """Kill -9 while clients send and batches are written; the next process goes on where the database says.

    COLLECTOR_TEST_KILLS: how often.
    """
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    print(f"seed {seed}")
    config = durable(destination, tmp_path / "queue")
    clients = Clients(4)
    for number in range(KILLS):
        daemon = Daemon.spawn(tmp_path, config)
        try:
            endpoint = f"{daemon.http}/v1/logs"
            if not number:
                clients.start(endpoint)
            clients.endpoint = endpoint
            before = len(clients.acknowledged)
            eventually(lambda: len(clients.acknowledged) > before + 50)  # noqa: B023
            time.sleep(rng.uniform(0, 0.5))  # the instant is the point
        finally:
            daemon.kill()
    with running(tmp_path, config) as daemon:
        clients.endpoint = f"{daemon.http}/v1/logs"
        clients.stop()
        caught_up(daemon)
        assert daemon.metric("collector_exporter_dropped_items") == 0
        assert daemon.metric("collector_exporter_queue_lost_records") == 0
        assert daemon.stop() == 0
    clients.judge(destination.url)


def test_what_waits_for_a_database_survives_a_kill(tmp_path: Path) -> None:
    """Acknowledged while the database is locked, killed, started again: stored, and counted as what was found."""
    path = tmp_path / "c.db"
    config = durable(sqlite_destination(path), tmp_path / "queue")
    with running(tmp_path, config) as daemon:
        assert "on this disk" in daemon.health()["guarantee"]
        assert daemon.health()["acknowledged_when"] == dict.fromkeys(
            ("traces", "metrics", "logs", "costs"), "disk"
        )
        with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            for first in range(0, 500, 10):
                post_json(f"{daemon.http}/v1/logs", stamped(7, first))
            daemon.kill()
            somebody.execute("ROLLBACK")
    with running(tmp_path, config) as daemon:
        caught_up(daemon)
        assert daemon.metric("collector_exporter_enqueued_log_records") == 500
        assert daemon.metric("otelcol_exporter_sent_log_records") == 500
        assert daemon.stop() == 0
    stored = stored_stamps(f"sqlite:///{path}")
    assert stored == {f"7/{number}": 1 for number in range(500)}


def test_a_stop_with_the_database_away_loses_nothing_and_exits_with_0(tmp_path: Path) -> None:
    """What is not stored by the deadline stays in the queue; that is no failure."""
    path = tmp_path / "c.db"
    config = durable(sqlite_destination(path), tmp_path / "queue").replace(
        "service:\n", "service:\n  shutdown_timeout: 1s\n"
    )
    with (
        running(tmp_path, config) as daemon,
        closing(sqlite3.connect(path, isolation_level=None)) as somebody,
    ):
        somebody.execute("BEGIN IMMEDIATE")
        post_json(f"{daemon.http}/v1/logs", stamped(1, 0))
        assert daemon.stop() == 0
        somebody.execute("ROLLBACK")
    with running(tmp_path, config) as daemon:
        caught_up(daemon)
        assert daemon.stop() == 0
    assert sum(stored_stamps(f"sqlite:///{path}").values()) == 10


def test_a_second_daemon_on_the_same_queue_does_not_start(tmp_path: Path) -> None:
    """It says who has it, and what to do."""
    config = durable(sqlite_destination(tmp_path / "c.db"), tmp_path / "queue")
    with running(tmp_path, config) as daemon:
        second = Daemon.spawn(tmp_path, config)
        try:
            assert second.wait() == 1
        finally:
            second.kill()
        told = "".join(second.stderr)
        assert f"in use by another process (pid {daemon.process.pid})" in told
        assert "Traceback" not in told
        assert daemon.stop() == 0


def test_a_directory_that_cannot_be_made_is_told_at_the_start(tmp_path: Path) -> None:
    """A file stands in the way."""
    (tmp_path / "queue").write_text("")
    daemon = Daemon.spawn(tmp_path, durable(sqlite_destination(tmp_path / "c.db"), tmp_path / "queue"))
    try:
        assert daemon.wait() == 1
    finally:
        daemon.kill()
    assert "cannot write to" in "".join(daemon.stderr)
    assert "Traceback" not in "".join(daemon.stderr)


def test_stored_is_answered_after_the_commit(destination: Destination, tmp_path: Path) -> None:
    """With `ack: stored`, whoever has an answer finds the data in the database, at once."""
    with running(tmp_path, durable(destination, tmp_path / "queue", ack="stored")) as daemon:
        assert daemon.health()["acknowledged_when"]["logs"] == "stored"
        post_json(f"{daemon.http}/v1/logs", stamped(1, 0))
        assert sum(stored_stamps(destination.url).values()) == 10
        assert daemon.stop() == 0


def test_who_asks_again_for_what_is_not_stored_yet_does_not_double_it(tmp_path: Path) -> None:
    """The database is locked longer than a client waits: 503, and the repeated request joins the first."""
    path = tmp_path / "c.db"
    with running(tmp_path, durable(sqlite_destination(path), tmp_path / "queue", ack="stored")) as daemon:
        request = stamped(1, 0)
        with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            with pytest.raises(urllib.error.HTTPError) as refusal:
                post_json(f"{daemon.http}/v1/logs", request)
            assert refusal.value.code == 503
            somebody.execute("ROLLBACK")
        post_json(f"{daemon.http}/v1/logs", request)
        assert set(stored_stamps(f"sqlite:///{path}").values()) == {1}
        assert daemon.metric("collector_receiver_duplicate_requests") == 1
        assert daemon.stop() == 0
