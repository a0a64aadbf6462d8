"""What a sidecar carries: only what its configuration needs is loaded. Memory is won by what is not imported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running
from tests.support.destination import sqlite_destination
from tests.support.eventually import eventually
from tests.support.instrumented_app import Recording, record, send

COMMAND_LINE = {"rich", "pygments", "markdown_it", "hypothesis", "pytest"}
DRIVERS = {"psycopg", "psycopg_binary", "psycopg_pool"}
SDK = {"opentelemetry.sdk", "opentelemetry.exporter", "requests"}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(orders=2)


def loaded(daemon: Daemon) -> set[str]:
    """Every module that the process has imported so far (`python -X importtime`)."""
    lines = [re.fullmatch(r"import time:.*\|\s*(\S+)\n", line) for line in list(daemon.stderr)]
    names = {found[1] for found in lines if found}
    # What was tried and was not there, or was kept out, is listed too; what was loaded has parts.
    return {
        name for name in names if name not in COMMAND_LINE or any(n.startswith(f"{name}.") for n in names)
    }


def packages(modules: set[str]) -> set[str]:
    """The first one and two parts of each name."""
    return {part for name in modules for part in (name.split(".")[0], ".".join(name.split(".")[:2]))}


def test_a_daemon_with_sqlite_loads_no_other_driver_and_nothing_of_the_command_line(
    tmp_path: Path, recording: Recording
) -> None:
    """Started, used over every transport, asked everything: no psycopg, no rich, no SDK."""
    config = sqlite_destination(tmp_path / "c.db").config()
    with running(tmp_path, config, interpreter=["-X", "importtime"]) as daemon:
        send(recording, daemon, "grpc")
        send(recording, daemon, "http/protobuf")
        eventually(lambda: daemon.metric("otelcol_exporter_sent_spans") > 0)
        for path in ("/healthz", "/database/info"):
            daemon.get(path)
        assert daemon.stop() == 0
    found = packages(loaded(daemon))
    assert {"hpack", "sqlite3", "httptools", "structlog"} <= found  # the listing works
    assert not found & (COMMAND_LINE | DRIVERS | SDK | {"grpc", "uvicorn"})
    others = ("collector.exporters.debug", "collector.exporters.file", "collector.processors.resource")
    assert not loaded(daemon) & set(others)
    assert "collector.query" not in found


def test_a_daemon_without_grpc_does_not_load_it(tmp_path: Path, recording: Recording) -> None:
    """What nobody asked for takes no memory."""
    config = sqlite_destination(tmp_path / "c.db").config()
    config = config.replace('grpc: {endpoint: "127.0.0.1:0"}, ', "")
    with running(tmp_path, config, interpreter=["-X", "importtime"]) as daemon:
        send(recording, daemon, "http/protobuf")
        assert daemon.stop() == 0
    assert "hpack" not in packages(loaded(daemon))
