"""Which server is tested, and the totals at the end.

Without further ado it is this project's daemon, started for the occasion. `COLLECTOR_CONFORMANCE_HTTP` (a URL or
host:port) and `COLLECTOR_CONFORMANCE_GRPC` (host:port) point the suite at any other server, whose limit on the size
of requests is `COLLECTOR_CONFORMANCE_SIZE_MAX` (64 MiB); or run `python -m tests.conformance --http URL --grpc ADDRESS`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from collector.model.signal import OPENTELEMETRY, Signal
from tests.conformance.rows import ROWS, Level
from tests.conformance.target import MIB, Target, new_case, sample
from tests.support.daemon import running

# Everything is the default, but: free ports, short patience with slow clients, and an exporter whose output can
# be read at once.
CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {endpoint: 127.0.0.1:0}
      http: {endpoint: 127.0.0.1:0, read_header_timeout: 1s, read_timeout: 1s}
exporters:
  file:
    path: taken.jsonl
    sending_queue: {batch: {flush_timeout: 20ms}}
service:
  admin: {endpoint: 127.0.0.1:0}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
    metrics: {receivers: [otlp], exporters: [file]}
    logs: {receivers: [otlp], exporters: [file]}
"""

# A destination that is away, behind the smallest queue: it is full after 1 MiB.
OVERLOADED = CONFIG.replace("exporters: [file]", "exporters: [postgresql]").replace(
    """  file:
    path: taken.jsonl
    sending_queue: {batch: {flush_timeout: 20ms}}
""",
    """  postgresql:
    connection_string: postgresql://127.0.0.1:1/nowhere
    sending_queue: {queue_size: 1MiB}
""",
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker that ties a test to the checklist."""
    config.addinivalue_line("markers", "row(id): the row of the checklist that the test is about")


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Note the row in the report, where the summary finds it."""
    marker = item.get_closest_marker("row")
    if marker is not None and call.when == "setup":
        item.user_properties.append(("row", marker.args[0]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many rows of each level are met, and which are not."""
    failed: dict[str, list[str]] = defaultdict(list)
    seen: dict[str, set[str]] = defaultdict(set)
    for outcome in ("passed", "failed", "error", "skipped", "xfailed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, row in getattr(report, "user_properties", ()):
                if name != "row":
                    continue
                seen[row].add(outcome)
                if outcome in ("failed", "error", "xfailed"):
                    failed[row].append(reason_of(report))
    if not seen:
        return
    terminalreporter.section("OTLP conformance")
    for level in Level:
        tested = [row for row in ROWS.values() if row.level is level and (seen[row.id] - {"skipped"})]
        met = [row for row in tested if row.id not in failed]
        terminalreporter.write_line(f"{level.value:7} {len(met)}/{len(tested)}")
    for row in ROWS.values():
        if row.id in failed:
            terminalreporter.write_line(f"not met   {row.id} ({row.level.value}): {row.text}")
            for reason in sorted(set(failed[row.id])):
                terminalreporter.write_line(f"          {reason}")
        elif row.untested or seen[row.id] == {"skipped"}:
            why = row.untested or "this cannot be seen from outside of the server"
            terminalreporter.write_line(f"untested  {row.id} ({row.level.value}): {row.text}: {why}")


def reason_of(report: Any) -> str:
    """The last line of a failure, or the reason of an expected one."""
    expected = getattr(report, "wasxfail", "")
    if expected:
        return str(expected).removeprefix("reason: ")
    lines = [line for line in str(report.longrepr).splitlines() if line.startswith("E ")]
    return lines[0].removeprefix("E").strip() if lines else report.nodeid


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The server under test."""
    http = os.environ.get("COLLECTOR_CONFORMANCE_HTTP", "")
    grpc = os.environ.get("COLLECTOR_CONFORMANCE_GRPC", "")
    if http and grpc:
        yield Target(
            http_endpoint=http.removeprefix("http://").rstrip("/"),
            grpc_endpoint=grpc,
            size_max=int(os.environ.get("COLLECTOR_CONFORMANCE_SIZE_MAX", 64 * MIB)),
        )
        return
    directory = tmp_path_factory.mktemp("conformance")
    with running(directory, CONFIG) as daemon:
        yield Target(
            http_endpoint=daemon.http.removeprefix("http://"),
            grpc_endpoint=daemon.grpc,
            own=True,
            pid=daemon.process.pid,
            output=directory / "taken.jsonl",
            header_timeout_s=10.0,
        )


@pytest.fixture(scope="session")
def overloaded(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server of the same kind that cannot take more now. Only ours can be brought into that state."""
    if not target.own:
        pytest.skip("a foreign server cannot be overloaded from here")
    with running(tmp_path_factory.mktemp("overloaded"), OVERLOADED) as daemon:
        full = Target(http_endpoint=daemon.http.removeprefix("http://"), grpc_endpoint=daemon.grpc, own=True)
        for signal in OPENTELEMETRY:
            for size in (MIB // 4, MIB // 16, MIB // 64, MIB // 256):
                _fill(full, signal, size)
        yield full


@pytest.fixture
def case() -> str:
    """A name for what this test sends."""
    return new_case()


def _fill(target: Target, signal: Signal, size: int) -> None:
    """Send requests of about `size` bytes until one is refused."""
    for _ in range(20):
        body = sample(signal, new_case() + "x" * (size // 2)).SerializeToString()
        if target.post(signal.http_path, body).status != 200:
            return
    raise AssertionError(f"the queue of {signal.value} does not fill")
