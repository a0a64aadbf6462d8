"""Another configuration in a daemon that runs: SIGHUP and --watch, with a real process and real clients."""

from __future__ import annotations

import http.client
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from collector.model.signal import Signal
from tests.e2e.test_lifecycle import send_logs
from tests.faults.stage import stable_port
from tests.faults.stamp import request, stored
from tests.support.daemon import Daemon, running
from tests.support.eventually import eventually

NOW = time.time_ns()
DONE = "Configuration reloaded."
FAILED = "The configuration could not be reloaded: the one before stays in effect."


def text(
    path: Path,
    *,
    grpc_port: int = 0,
    http_port: int = 0,
    admin: str = "127.0.0.1:0",
    exporters: str = "",
    used: str = "sqlite",
    otlp: str = "",
    sqlite: str = "",
    batch: str = "{timeout: 100ms}",
    service: str = "",
) -> str:
    pipeline = f"{{receivers: [otlp], processors: [batch], exporters: [{used}]}}"
    return f"""
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc_port}"}}
      http: {{endpoint: "127.0.0.1:{http_port}"}}
    {otlp}
processors: {{batch: {batch}}}
exporters:
  sqlite: {{path: "{path}", sending_queue: {{storage: file_storage}}{sqlite}}}
  {exporters}
extensions: {{file_storage: {{directory: "${{env:COLLECTOR_DATA_DIR}}/queue"}}}}
service:
  extensions: [file_storage]
  admin: {{endpoint: "{admin}"}}
  {service}
  pipelines: {{logs: {pipeline}, traces: {pipeline}, metrics: {pipeline}}}
"""


class Reloaded:
    """A daemon whose file is written again."""

    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self.daemon = daemon
        self.path = directory / "collector.yaml"

    def write(self, content: str) -> None:
        self.path.write_text(content)

    def reload(self, content: str, expected: str = DONE) -> dict[str, Any]:
        """SIGHUP with this file; the log line that tells how it went."""
        before = len(self.daemon.logged(expected))
        self.write(content)
        self.daemon.signal(signal.SIGHUP)
        eventually(lambda: len(self.daemon.logged(expected)) > before, what=expected)
        return self.daemon.logged(expected)[-1]

    def listening(self) -> dict[str, str]:
        """Where it listens by now."""
        found: dict[str, str] = self.daemon.logged("Everything is ready.")[-1]["listening"]
        return found


@contextmanager
def reloadable(directory: Path, content: str, *arguments: str) -> Iterator[Reloaded]:
    with running(directory, content, arguments=arguments) as daemon:
        yield Reloaded(daemon, directory)


def post(endpoint: str, first: int) -> int:
    connection = http.client.HTTPConnection(endpoint, timeout=10)
    body = request(Signal.LOGS, "http", first, 1, NOW)
    connection.request("POST", "/v1/logs", body, {"Content-Type": "application/x-protobuf"})
    status = connection.getresponse().status
    connection.close()
    return status


def call(endpoint: str, first: int) -> None:
    with grpc.insecure_channel(endpoint, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        export = channel.unary_unary(f"/{Signal.LOGS.service}/Export", None, None)
        export(request(Signal.LOGS, "grpc", first, 1, NOW), timeout=10, wait_for_ready=True)


def test_a_broken_file_changes_nothing_and_is_told_everywhere(tmp_path: Path) -> None:
    """Log, metric and /healthz say why; a good file makes all well again."""
    good = text(tmp_path / "c.db")
    with reloadable(tmp_path, good) as life:
        daemon = life.daemon
        line = life.reload(good.replace("timeout", "timeoutt"), FAILED)
        assert "did you mean 'timeout'?" in line["findings"]
        assert daemon.metric("collector_config_reloads", outcome="failure") == 1
        assert daemon.metric("collector_config_last_reload_successful") == 0
        health = daemon.health()
        assert health["status"] == "degraded"
        assert "1 error" in health["configuration"]["last_reload_failed"]
        send_logs(daemon, 1)
        life.reload(good, "Configuration read again: nothing has changed.")
        assert daemon.health()["status"] == "ok"
        assert daemon.metric("collector_config_last_reload_successful") == 1
        assert daemon.metric("collector_config_reloads", outcome="unchanged") == 1
        assert daemon.stop() == 0


def test_a_port_in_use_changes_nothing(tmp_path: Path) -> None:
    """The new listener cannot start, and the old one has never stopped."""
    path = tmp_path / "c.db"
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        reloadable(tmp_path, text(path)) as life,
    ):
        line = life.reload(text(path, http_port=taken.getsockname()[1]), FAILED)
        assert "is in use" in line["why"]
        send_logs(life.daemon, 1)
        assert life.daemon.stop() == 0


@pytest.mark.parametrize("what", ["batch", "sqlite", "service"])
def test_listeners_that_have_not_changed_keep_their_connections(tmp_path: Path, what: str) -> None:
    """One connection each, before and after: the client does not notice."""
    path = tmp_path / "c.db"
    changed = {
        "batch": text(path, batch="{timeout: 50ms}"),
        "sqlite": text(path, sqlite=", timeout: 9s"),
        "service": text(path, service="telemetry: {logs: {level: debug}}"),
    }[what]
    with reloadable(tmp_path, text(path)) as life:
        daemon = life.daemon
        connection = http.client.HTTPConnection(daemon.http.removeprefix("http://"), timeout=10)
        connection.connect()
        kept = connection.sock
        with grpc.insecure_channel(daemon.grpc) as channel:
            states: list[grpc.ChannelConnectivity] = []
            channel.subscribe(states.append)
            export = channel.unary_unary(f"/{Signal.LOGS.service}/Export", None, None)
            for number in range(2):
                body = request(Signal.LOGS, "http", number, 1, NOW)
                connection.request("POST", "/v1/logs", body, {"Content-Type": "application/x-protobuf"})
                response = connection.getresponse()
                assert response.status == 200
                response.read()
                assert connection.sock is kept
                export(request(Signal.LOGS, "grpc", number, 1, NOW), timeout=10)
                if not number:
                    life.reload(changed)
            connection.close()
        lost = [state for state in states if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE]
        assert not lost
        assert states.count(grpc.ChannelConnectivity.READY) == 1
        assert daemon.stop() == 0
    assert stored(f"sqlite:///{path}").total() == 4


def test_a_changed_port_listens_there_and_no_longer_here(tmp_path: Path) -> None:
    """Both protocols, and the admin server."""
    path = tmp_path / "c.db"
    ports = [stable_port() for _ in range(3)]
    with reloadable(tmp_path, text(path)) as life:
        before = life.listening()
        post(before["otlp http"], 0)
        moved = text(path, grpc_port=ports[0], http_port=ports[1], admin=f"127.0.0.1:{ports[2]}")
        life.reload(moved)
        eventually(lambda: life.listening() != before)
        assert life.listening() == {
            "otlp grpc": f"127.0.0.1:{ports[0]}",
            "otlp http": f"127.0.0.1:{ports[1]}",
        }
        assert post(f"127.0.0.1:{ports[1]}", 1) == 200
        call(f"127.0.0.1:{ports[0]}", 0)
        eventually(lambda: _refused(before["otlp http"]) and _refused(before["otlp grpc"]))
        connection = http.client.HTTPConnection(f"127.0.0.1:{ports[2]}", timeout=10)
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
        connection.close()
        assert life.daemon.stop() == 0
    assert stored(f"sqlite:///{path}").total() == 3


def _refused(endpoint: str) -> bool:
    try:
        post(endpoint, 99)
    except ConnectionRefusedError:
        return True
    except ConnectionError:
        return False
    return False


def test_a_changed_option_of_a_listener_on_the_same_port_refuses_no_connection(tmp_path: Path) -> None:
    """New and old listen beside each other until the old one goes; what is repeated is still known.

    A gRPC call that meets the last moment of the old server is answered by a code that says: again.
    """
    path = tmp_path / "c.db"
    grpc_port, http_port = stable_port(), stable_port()
    failures: list[Exception] = []
    over = threading.Event()
    sent = {"http": 0, "grpc": 0}

    def client(kind: str) -> None:
        while not over.is_set():
            try:
                if kind == "http":
                    assert post(f"127.0.0.1:{http_port}", sent[kind]) == 200
                else:
                    call(f"127.0.0.1:{grpc_port}", sent[kind])
            except grpc.RpcError as error:
                if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    continue
                failures.append(error)
            except Exception as error:  # noqa: BLE001  looked at below
                failures.append(error)
            sent[kind] += 1

    with reloadable(tmp_path, text(path, grpc_port=grpc_port, http_port=http_port)) as life:
        clients = [threading.Thread(target=client, args=(kind,)) for kind in sent]
        for thread in clients:
            thread.start()
        for number in range(5):
            life.reload(
                text(path, grpc_port=grpc_port, http_port=http_port, otlp=f"duplicate_window: {number + 30}s")
            )
        over.set()
        for thread in clients:
            thread.join(20)
        again = post(f"127.0.0.1:{http_port}", 0)
        assert again == 200
        assert life.daemon.metric("collector_receiver_duplicate_requests") == 1
        assert life.daemon.stop() == 0
    assert not failures
    assert stored(f"sqlite:///{path}").total() == sum(sent.values())


def test_an_exporter_that_moves_takes_what_waits_along(tmp_path: Path) -> None:
    """The path was wrong, or the database locked: correct it, and what was acknowledged goes to the right place."""
    wrong, right = tmp_path / "locked.db", tmp_path / "c.db"
    with reloadable(tmp_path, text(wrong, sqlite=", timeout: 1s")) as life:
        daemon = life.daemon
        send_logs(daemon, 1)
        eventually(lambda: daemon.metric("otelcol_exporter_sent_log_records") == 1)
        with closing(sqlite3.connect(wrong, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            send_logs(daemon, 7)
            life.reload(text(right))
            eventually(lambda: daemon.metric("otelcol_exporter_sent_log_records") == 8, within_s=20)
            send_logs(daemon, 2)
            somebody.execute("ROLLBACK")
        assert daemon.stop() == 0
    with closing(sqlite3.connect(right)) as connection:
        assert connection.execute("SELECT count(*) FROM logs").fetchone() == (9,)


def test_what_a_removed_exporter_could_not_deliver_stays_on_disk(tmp_path: Path) -> None:
    """Named in the log; when the exporter comes back it is delivered, once."""
    path, second = tmp_path / "c.db", tmp_path / "second.db"
    exporters = f'sqlite/two: {{path: "{second}", timeout: 1s, sending_queue: {{storage: file_storage}}}}'
    both = text(path, exporters=exporters, used="sqlite, sqlite/two", service="shutdown_timeout: 2s")
    one = text(path, service="shutdown_timeout: 2s")
    with reloadable(tmp_path, both) as life:
        daemon = life.daemon
        send_logs(daemon, 1)
        eventually(lambda: daemon.metric("otelcol_exporter_sent_log_records") == 2)
        with closing(sqlite3.connect(second, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            send_logs(daemon, 5)
            life.reload(one)
            left = "A queue is left on disk: no exporter of this configuration reads it."
            line = eventually(lambda: daemon.logged(left), within_s=20)[0]
            assert (line["exporter"], line["items"]) == ("sqlite/two", 5)
            assert daemon.metric("collector_exporter_queue_items", exporter="sqlite/two") == 5
            somebody.execute("ROLLBACK")
        life.reload(both)
        eventually(
            lambda: daemon.metric("otelcol_exporter_sent_log_records", exporter="sqlite/two") == 6,
            within_s=20,
        )
        # What was left was counted once, although its queue was opened twice.
        labels = {"exporter": "sqlite/two"}
        assert daemon.metric("collector_exporter_enqueued_log_records", **labels) == 6
        assert daemon.metric("collector_exporter_restored_log_records", **labels) == 0
        assert daemon.metric("collector_exporter_queue_items", **labels) == 0
        assert daemon.stop() == 0
    with closing(sqlite3.connect(second)) as connection:
        assert connection.execute("SELECT count(*) FROM logs").fetchone() == (6,)


def test_an_exporter_that_comes_back_while_it_still_drains(tmp_path: Path) -> None:
    """Its queue is locked by the one that drains, and is handed over; nothing twice."""
    path, second = tmp_path / "c.db", tmp_path / "second.db"
    exporters = f'sqlite/two: {{path: "{second}", timeout: 1s, sending_queue: {{storage: file_storage}}}}'
    both = text(path, exporters=exporters, used="sqlite, sqlite/two")
    with reloadable(tmp_path, both) as life:
        daemon = life.daemon
        send_logs(daemon, 1)
        eventually(lambda: daemon.metric("otelcol_exporter_sent_log_records") == 2)
        with closing(sqlite3.connect(second, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            send_logs(daemon, 5)
            life.reload(text(path))  # drains for up to 20 s
            life.reload(both)
            somebody.execute("ROLLBACK")
        eventually(
            lambda: daemon.metric("collector_exporter_queue_items", exporter="sqlite/two") == 0, within_s=20
        )
        assert daemon.stop() == 0
    with closing(sqlite3.connect(second)) as connection:
        assert connection.execute("SELECT count(*) FROM logs").fetchone() == (6,)


def test_sigterm_during_a_reload_stops_in_order(tmp_path: Path) -> None:
    """The reload comes to its end, then the stop begins: exit code 0, and all that was acknowledged is stored."""
    path = tmp_path / "c.db"
    with reloadable(tmp_path, text(path, batch="{timeout: 1h}")) as life:
        send_logs(life.daemon, 50)
        life.write(text(path, batch="{timeout: 2h}", sqlite=", timeout: 9s"))
        life.daemon.signal(signal.SIGHUP)
        life.daemon.signal(signal.SIGHUP)
        life.daemon.signal(signal.SIGTERM)
        assert life.daemon.wait() == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM logs").fetchone() == (50,)


def test_watch_reloads_when_a_mounted_file_is_swapped(tmp_path: Path) -> None:
    """As a kubelet does it: by links. No signal is needed."""
    mount = tmp_path / "mounted"
    mount.mkdir()

    def project(name: str, content: str) -> None:
        (mount / name).mkdir()
        (mount / name / "collector.yaml").write_text(content)
        link = mount / "..data_tmp"
        link.symlink_to(name)
        link.rename(mount / "..data")

    path = tmp_path / "c.db"
    project("..1", text(path))
    (mount / "collector.yaml").symlink_to("..data/collector.yaml")
    arguments = ["--config", str(mount / "collector.yaml"), "--watch"]
    with running(tmp_path, None, arguments=arguments) as daemon:
        project("..2", text(path, service="telemetry: {logs: {level: debug}}"))
        line = eventually(lambda: daemon.logged(DONE), within_s=20)[0]
        assert line["reason"] == "a file has changed"
        assert line["changes"] == ["service.telemetry changed: it takes effect at once"]
        assert daemon.stop() == 0
