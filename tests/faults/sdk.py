"""An app with the OpenTelemetry SDK goes on while the daemon is restarted and its database is away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.generator import ACKED, Request
from tests.faults.oracle import read_books
from tests.faults.outages import behind_a_proxy
from tests.faults.outcome import Outcome
from tests.faults.stage import Stage, caught_up, config, stable_ports
from tests.support.daemon import ROOT
from tests.support.eventually import eventually

# How long the SDK's exporters try, at least, before they give a batch up: the last pause that fits into their
# timeout of 10 s ends after 7 s (1 + 2 + 4, 20 % less by jitter; OTEL_EXPORTER_OTLP_TIMEOUT).
_SDK_TRIES_S = 5.6


class App:
    """A running `sdk_app`."""

    def __init__(self, client: str, transport: str, endpoint: str, journal: Path, rate: float) -> None:
        self._journal = journal
        journal.touch()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        arguments = [client, transport, endpoint, str(journal), str(rate)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.sdk_app", *arguments],
            cwd=ROOT,
            env=kept | {"PYTHONPATH": str(ROOT), "GRPC_VERBOSITY": "NONE"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the SDK logs each retry
            text=True,
        )

    def requests(self) -> list[Request]:
        """The batches so far, by what the SDK's exporters said of them."""
        return [
            Request(**json.loads(line))
            for line in self._journal.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]

    def finish(self) -> int:
        """Let it shut down; how many items the SDK dropped because its own queue was full."""
        out, _ = self._process.communicate(timeout=60)
        return int(json.loads(out)["dropped"])

    def kill(self) -> None:
        """End it if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)


@contextmanager
def _apps(stage: Stage, ports: tuple[int, int], rate: float) -> Iterator[list[App]]:
    apps = [
        App(f"sdk-{name}", name, f"127.0.0.1:{port}", stage.directory / f"sdk-{name}", rate)
        for name, port in zip(("grpc", "http"), ports, strict=True)
    ]
    try:
        yield apps
    finally:
        for app in apps:
            app.kill()


def left_running(stage: Stage) -> Outcome:
    """The daemon is away for a while, then the database: each batch that the SDK was told is taken is stored, once.

    It gives up what it could not send for some ten seconds, which is its own limit; nothing before that, and
    nothing while the daemon is there.
    """
    gap_s, outage_s = (4.0, 6.0) if not stage.long else (60.0, 300.0)
    ports = stable_ports()
    problems = []
    with ExitStack() as stack:
        database = stack.enter_context(stage.postgresql(timescaledb=True))
        proxy, near = stack.enter_context(behind_a_proxy(database))
        text = config(near, ports=ports)
        apps: list[App] = []
        with stage.daemon(text) as daemon:
            apps = stack.enter_context(_apps(stage, ports, 20.0))
            eventually(
                lambda: all(_signals(app) == 3 for app in apps), within_s=30, what="all signals acknowledged"
            )
            if code := daemon.stop():
                problems.append(f"exit code {code}")
        away_at = time.time()
        time.sleep(gap_s)
        with stage.daemon(text) as daemon:
            back_at = time.time()
            eventually(
                lambda: all(_acked_since(app, back_at) for app in apps), within_s=60, what="the apps back"
            )
            settled_at = time.time()
            proxy.refuse()
            time.sleep(outage_s)
            waiting = daemon.metric("collector_exporter_queue_items")
            proxy.restore()
            dropped = sum(app.finish() for app in apps)
            caught_up(daemon)
            books = read_books(daemon)
            problems += books.problems()
            if code := daemon.stop():
                problems.append(f"exit code {code}")
        requests = [request for app in apps for request in app.requests()]
        failed = [request for request in requests if request.outcome != ACKED]
        problems += [
            f"{one.client} gave {one.count} {one.signal} up after {one.took_s:.1f} s"
            for one in failed
            if one.took_s < _SDK_TRIES_S or one.at > settled_at or one.at < away_at - 10
        ]
        if not waiting:
            problems.append("nothing waited for the database")
        if dropped:
            problems.append(f"the SDK dropped {dropped} items before it exported them")
        outcome = stage.verdict(requests, database)
    given_up = sum(request.count for request in failed)
    return outcome.but(
        *problems,
        note=f"daemon away {gap_s:.0f} s, database {outage_s:.0f} s; given up by the SDK: {given_up}",
    )


def _signals(app: App) -> int:
    return len({request.signal for request in app.requests() if request.outcome == ACKED})


def _acked_since(app: App, unix_s: float) -> bool:
    return len({one.signal for one in app.requests() if one.outcome == ACKED and one.at > unix_s}) == 3


FAULTS: dict[str, Callable[[Stage], Outcome]] = {"sdk-left-running": left_running}
