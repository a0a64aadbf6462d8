"""Start and stop of the daemon, as a process."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.daemon import ROOT, Daemon, running
from tests.support.destination import sqlite_destination
from tests.support.eventually import eventually
from tests.support.instrumented_app import post_json
from tests.support.raw_http import RawHttp


def send_logs(daemon: Daemon, count: int) -> None:
    """Send `count` requests of one log record each; each is acknowledged."""
    for number in range(count):
        log_record = {"body": {"intValue": number}, "timeUnixNano": str(time.time_ns())}
        body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [log_record]}]}]}).encode()
        assert post_json(f"{daemon.http}/v1/logs", body) == b"{}"


def stored_logs(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (count,) = connection.execute("SELECT count(*) FROM logs").fetchone()
        return int(count)
    finally:
        connection.close()


def test_without_a_file_it_starts_and_says_everything_one_needs(tmp_path: Path) -> None:
    """The defaults, on other ports: what is bound, where data goes, what a 200 means, what to paste."""
    ports = [
        "--set=receivers::otlp::protocols::grpc::endpoint=127.0.0.1:0",
        "--set=receivers::otlp::protocols::http::endpoint=127.0.0.1:0",
        "--set=service::admin::endpoint=127.0.0.1:0",
    ]
    with running(tmp_path, None, arguments=ports) as daemon:
        banner = daemon.wait_until_ready()
        assert banner["storing"] == {"sqlite": str(tmp_path / "data" / "collector.db")}
        assert "on this disk" in banner["guarantee"]
        assert banner["environment"]["http"] == {
            "OTEL_EXPORTER_OTLP_ENDPOINT": daemon.http,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        send_logs(daemon, 1)
        eventually(lambda: daemon.metric("otelcol_exporter_sent_log_records") == 1)
        assert daemon.stop() == 0
    assert stored_logs(tmp_path / "data" / "collector.db") == 1


def test_a_stop_stores_everything_that_was_acknowledged(tmp_path: Path) -> None:
    """Although the batch interval is far from over."""
    destination = sqlite_destination(tmp_path / "c.db")
    with running(tmp_path, destination.config(batch="{timeout: 1h}")) as daemon:
        send_logs(daemon, 50)
        assert daemon.metric("collector_exporter_queue_items") == 50
        assert daemon.stop() == 0
        (stopping,) = daemon.logged("Stopping; a second signal exits at once.")
        assert (stopping["reason"], stopping["queued_items"]) == ("SIGTERM", 50)
    assert stored_logs(tmp_path / "c.db") == 50


def test_a_service_is_told_before_requests_are_refused(tmp_path: Path) -> None:
    """`shutdown_delay`: /readyz says no, and who comes all the same is served and stored."""
    path = tmp_path / "c.db"
    arguments = ["--set=service::shutdown_delay=2s"]
    with running(tmp_path, sqlite_destination(path).config(), arguments=arguments) as daemon:
        assert daemon.get("/readyz")[0] == 200
        daemon.signal(signal.SIGTERM)
        eventually(lambda: daemon.get("/readyz")[0] == 503)
        send_logs(daemon, 3)
        assert daemon.wait() == 0
    assert stored_logs(path) == 3


def test_ctrl_c_stops_it_in_order(tmp_path: Path) -> None:
    """SIGINT is SIGTERM for people."""
    with running(tmp_path, sqlite_destination(tmp_path / "c.db").config()) as daemon:
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 0


def test_a_second_signal_exits_at_once(tmp_path: Path) -> None:
    """Although the database is locked and the queue would be drained for 20 seconds."""
    path = tmp_path / "c.db"
    with running(tmp_path, sqlite_destination(path).config(extra=", timeout: 1s")) as daemon:
        send_logs(daemon, 1)
        eventually(lambda: daemon.metric("otelcol_exporter_sent_log_records") == 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            send_logs(daemon, 2)
            daemon.signal(signal.SIGTERM)
            eventually(lambda: daemon.logged("Stopping; a second signal exits at once."))
            daemon.signal(signal.SIGTERM)
            assert daemon.wait(within_s=3) == 128 + signal.SIGTERM
    assert "exiting at once" in "".join(daemon.stderr)


def test_what_could_not_be_stored_in_time_is_named(tmp_path: Path) -> None:
    """After `shutdown_timeout` it ends; how many items that cost is in the log, and the exit code is 1."""
    path = tmp_path / "c.db"
    with running(
        tmp_path,
        sqlite_destination(path).config(extra=", timeout: 1s"),
        arguments=["--set=service::shutdown_timeout=1s"],
    ) as daemon:
        send_logs(daemon, 1)
        eventually(lambda: daemon.metric("otelcol_exporter_sent_log_records") == 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            send_logs(daemon, 3)
            daemon.signal(signal.SIGTERM)
            assert daemon.wait(within_s=15) == 1
        (line,) = daemon.logged("Stopped before all was sent; what was queued in memory is lost.")
        assert line["items"] == 3
        (stopped,) = daemon.logged("Stopped.")
        assert stopped["lost_items"] == 3


def test_a_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    """It names the port and what to do, leaves nothing running, and exits with 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = sqlite_destination(tmp_path / "c.db").config()
        for protocol in ("grpc", "http"):
            daemon = Daemon.spawn(
                tmp_path,
                config,
                arguments=[f"--set=receivers::otlp::protocols::{protocol}::endpoint=127.0.0.1:{port}"],
            )
            try:
                assert daemon.wait() == 1
            finally:
                daemon.kill()
            (line,) = daemon.logged("Cannot start.")
            assert f"port {port} is in use" in line["why"]
            assert "'endpoint'" in line["why"]
            assert "Traceback" not in "".join(daemon.stderr)


def test_a_wrong_configuration_exits_with_78(tmp_path: Path) -> None:
    """Every mistake with its place, before anything is bound."""
    config = sqlite_destination(tmp_path / "c.db").config().replace("limit_mib", "limit_mb")
    daemon = Daemon.spawn(tmp_path, config)
    try:
        assert daemon.wait() == 78
    finally:
        daemon.kill()
    assert "limit_mb" in "".join(daemon.stderr)
    assert "did you mean 'limit_mib'?" in "".join(daemon.stderr)


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_the_command_line_answers_without_loading_the_daemon(argument: str) -> None:
    """`collector --help` is instant: no gRPC, no rich, no driver."""
    script = (
        "import sys\nfrom collector.cli.main import main\nsys.argv[1:] = sys.argv[1:2]\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code\n"
        "heavy = {'grpc', 'rich', 'psycopg', 'httptools', 'structlog', 'google.protobuf', 'asyncio'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, argument], check=True, capture_output=True, cwd=ROOT)


def test_it_has_as_many_files_as_it_may(tmp_path: Path) -> None:
    """What a shell gives is less than the connections that are allowed; who idles in all of it keeps nobody out."""
    few = ("sh", "-c", 'ulimit -Sn 128 && exec "$@"', "sh")
    config = sqlite_destination(tmp_path / "telemetry.db").config()
    with running(tmp_path, config, launcher=few) as daemon, ExitStack() as stack:
        for endpoint in (daemon.grpc, daemon.http.removeprefix("http://")):
            for _ in range(200):
                stack.enter_context(RawHttp.to(endpoint))
        send_logs(daemon, 3)
        assert daemon.stop() == 0
    assert stored_logs(tmp_path / "telemetry.db") == 3
