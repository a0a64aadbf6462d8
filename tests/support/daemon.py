"""The daemon as a real process, as an end-to-end test sees it: its ports, its log, its signals, its admin server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
READY = "Everything is ready."


class Daemon:
    """A running `collector run`. Made by `running` (or `spawn`, when it is not expected to come up)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self.stderr: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    def spawn(
        cls,
        directory: Path,
        config: str | None,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        interpreter: Sequence[str] = (),
        launcher: Sequence[str] = (),
    ) -> Daemon:
        """Start it in `directory` with a configuration file of this text; None: with none.

        `interpreter`: options of Python itself. `launcher`: a command that becomes the one that follows it.
        """
        command = [*launcher, sys.executable, *interpreter, "-m", "collector", "run"]
        if config is not None:
            path = directory / "collector.yaml"
            path.write_text(config)
            command += ["--config", str(path)]
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=directory,
            env=_environment(directory) | dict(environment or {}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        return cls(process)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr.append(line)
            if line.startswith("{"):
                self.log.append(json.loads(line))

    # --- log --------------------------------------------------------------------------------------------

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The log lines with this message so far."""
        return [line for line in list(self.log) if line.get("message") == message]

    def wait_until_ready(self, *, within_s: float = 30.0) -> dict[str, Any]:
        """Wait for the start banner; return its fields."""

        def ready() -> dict[str, Any] | None:
            assert self.process.poll() is None, f"it ended: {''.join(self.stderr)}"
            return next(iter(self.logged(READY)), None)

        found = eventually(ready, within_s=within_s, what="the start of the daemon")
        assert found is not None
        return found

    # --- addresses --------------------------------------------------------------------------------------

    @property
    def grpc(self) -> str:
        """`host:port` of OTLP/gRPC."""
        return str(self.wait_until_ready()["listening"]["otlp grpc"])

    @property
    def http(self) -> str:
        """`http://host:port` of OTLP/HTTP."""
        return f"http://{self.wait_until_ready()['listening']['otlp http']}"

    @property
    def admin(self) -> str:
        """`http://host:port` of the admin server."""
        return f"http://{self.wait_until_ready()['admin']}"

    # --- admin server -----------------------------------------------------------------------------------

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a path of the admin server."""
        try:
            with urllib.request.urlopen(f"{self.admin}{path}", timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self) -> dict[str, Any]:
        """What /healthz says."""
        found: dict[str, Any] = json.loads(self.get("/healthz")[1])
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all series of a metric that have these labels; 0 if there is none."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name in (name, f"{name}_total") and labels.items() <= sample.labels.items()
        )

    # --- end --------------------------------------------------------------------------------------------

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, *, within_s: float = 30.0) -> int:
        """Wait for its end; return the exit code."""
        code = self.process.wait(within_s)
        self._reader.join(5)
        return code

    def stop(self) -> int:
        """SIGTERM, and wait for the end."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it whatever it does. Safe when it has ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(5)
        if self.process.stderr is not None:
            self.process.stderr.close()


def _environment(directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COLLECTOR_", "OTEL_"))}
    return kept | {"COLLECTOR_DATA_DIR": str(directory / "data"), "PYTHONPATH": str(ROOT)}


@contextmanager
def running(
    directory: Path,
    config: str | None,
    *,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    interpreter: Sequence[str] = (),
    launcher: Sequence[str] = (),
) -> Iterator[Daemon]:
    """A daemon that is up; killed at the end if the test has not stopped it."""
    daemon = Daemon.spawn(
        directory,
        config,
        arguments=arguments,
        environment=environment,
        interpreter=interpreter,
        launcher=launcher,
    )
    try:
        daemon.wait_until_ready()
        yield daemon
    finally:
        daemon.kill()
