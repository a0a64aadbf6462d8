"""`collector demo`: start the daemon, drive it with a real app, show what was stored."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from collector.storage.store import Store

_READY_S: Final = 30.0
# How long after the app's last export everything must be readable: the batch interval and a commit, with slack.
_STORED_S: Final = 10.0
# Items of each signal, counted in the tables people read.
COUNTS: Final = {
    "traces": "SELECT count(*) FROM spans",
    "metrics": "SELECT (SELECT count(*) FROM metrics) + (SELECT count(*) FROM histograms)"
    " + (SELECT count(*) FROM summaries)",
    "logs": "SELECT count(*) FROM logs",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the daemon listens."""

    grpc: int
    http: int
    admin: int


@click.command("demo")
@click.option("--seconds", default=10.0, show_default=True, help="How long the app runs.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where to put the database. [default: the state directory]",
)
def command(seconds: float, data_dir: Path | None) -> None:
    """Start the collector on SQLite, drive it with an instrumented app, and show what was stored.

    Exit code 0 if everything the app was told had arrived is in the database, 1 if not.
    """
    from rich.console import Console

    console = Console()
    if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
        raise click.ClickException(
            "the demo's app needs the OpenTelemetry SDK: pip install 'collector[demo]', or use `make demo`"
        )
    directory = data_dir or state_directory() / "demo"
    database = directory / "collector.db"
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("collector.db*"):  # the database of an earlier demo, and its journal
        old.unlink()
    ports = free_ports()
    log = directory / "collector.log"
    with ExitStack() as stack:
        daemon = start_daemon(stack, database, ports, log)
        wait_until_ready(daemon, ports, log)
        console.print(
            f"collector listens on 127.0.0.1:{ports.grpc} (gRPC) and 127.0.0.1:{ports.http} (HTTP), "
            f"stores in {database}",
            soft_wrap=True,
        )
        sent = _drive(console, ports, seconds)
        store = _open(stack, database)
        stored = _wait_until_stored(store, sent)
        complete = _show(console, store, database, sent, stored)
        stop(daemon)
    console.print(_how_to_go_on(database), highlight=False, soft_wrap=True)
    sys.exit(0 if complete else 1)


def state_directory() -> Path:
    """Where the daemon keeps its data by default."""
    from collector.config.sources import DATA_DIR, system

    surroundings = system()
    directory = surroundings.variable(DATA_DIR) or surroundings.built_in(DATA_DIR)
    if directory is None:
        raise click.ClickException("neither COLLECTOR_DATA_DIR nor HOME is set: say where with --data-dir")
    return Path(directory)


def free_ports() -> Ports:
    """The well-known ports where they are free, others where not."""
    return Ports(*(_free_port(wanted) for wanted in (4317, 4318, 13133)))


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise click.ClickException("no port is free on 127.0.0.1")


def start_daemon(stack: ExitStack, database: Path, ports: Ports, log: Path) -> subprocess.Popen[bytes]:
    """Start the collector on SQLite."""
    settings = {
        "receivers.otlp.protocols.grpc.endpoint": f"127.0.0.1:{ports.grpc}",
        "receivers.otlp.protocols.http.endpoint": f"127.0.0.1:{ports.http}",
        "service.admin.endpoint": f"127.0.0.1:{ports.admin}",
        "exporters.sqlite.path": str(database),
    }
    sets = [argument for key, value in settings.items() for argument in ("--set", f"{key}={value}")]
    output = stack.enter_context(log.open("wb"))
    daemon = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "collector", "run", *sets], stdout=output, stderr=output
    )
    stack.callback(stop, daemon)
    return daemon


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """Stop it as an operator would, and wait."""
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(timeout=30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def wait_until_ready(daemon: subprocess.Popen[bytes], ports: Ports, log: Path) -> None:
    """Wait until it takes telemetry."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and daemon.poll() is None:
        with suppress(OSError, urllib.error.URLError):
            url = f"http://127.0.0.1:{ports.admin}/readyz"
            with closing(urllib.request.urlopen(url, timeout=1)) as answer:
                if answer.status == 200:
                    return
        time.sleep(0.05)
    raise click.ClickException(f"the collector did not come up; its log says:\n{log.read_text()}")


def _drive(console: Console, ports: Ports, seconds: float) -> Mapping[str, int]:
    """Run the app and return what it was told had arrived, by signal."""
    command_line = [
        *(sys.executable, "-m", "collector.demo.shop", "--seconds", str(seconds)),
        *("--grpc", f"127.0.0.1:{ports.grpc}", "--http", f"127.0.0.1:{ports.http}"),
    ]
    with console.status(
        f"An app of three services exports traces, metrics and logs for {seconds:g} seconds…"
    ):
        app = subprocess.run(command_line, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if app.returncode != 0:
        raise click.ClickException(f"the app failed with exit code {app.returncode}")
    tally = json.loads(app.stdout)
    for name, items in tally["failed"].items():
        if items:
            console.print(f"[yellow]{items} items of {name} were not accepted[/]")
    sent: Mapping[str, int] = tally["sent"]
    return sent


def _open(stack: ExitStack, database: Path) -> Store:
    from collector.storage.store import open_store

    return stack.enter_context(closing(open_store(f"sqlite:///{database}")))


def _wait_until_stored(store: Store, sent: Mapping[str, int]) -> Mapping[str, int]:
    """Count until it is all there, or for as long as it may take at most."""
    deadline = time.monotonic() + _STORED_S
    while True:
        stored = {name: int(store.query(sql).rows[0][0]) for name, sql in COUNTS.items()}
        if stored == sent or time.monotonic() > deadline:
            return stored
        time.sleep(0.1)


def _show(
    console: Console, store: Store, database: Path, sent: Mapping[str, int], stored: Mapping[str, int]
) -> bool:
    """Print what was stored; return whether it is what was sent."""
    from rich.table import Table

    from collector.cli.demo_tables import metric_over_time, services, slowest_trace
    from collector.query.client import connect

    table = Table(title="Items", title_justify="left")
    table.add_column("signal")
    for name in ("sent", "stored"):
        table.add_column(name, justify="right")
    table.add_column("")
    for name, count in sent.items():
        equal = stored[name] == count
        table.add_row(name, str(count), str(stored[name]), "[green]✓[/]" if equal else "[red]✗[/]")
    console.print(table)
    with closing(connect(f"sqlite:///{database}")) as query:
        console.print(services(store))
        console.print("[italic]The slowest trace[/]")
        console.print(slowest_trace(query))
        console.print(metric_over_time(query, "shop.revenue"))
    return dict(stored) == dict(sent) and all(sent.values())


def _how_to_go_on(database: Path) -> str:
    url = f"sqlite:///{database}"
    called = program()
    # A text for people: nothing in it is run.
    return f"""
How to go on
  look around       {called} database query slowest-traces --connection-string {url}
  ask with SQL      {called} database query --connection-string {url} \\
                      --sql "SELECT name, count(*) AS spans, avg(duration_ms) AS ms FROM spans GROUP BY name"
  your own app      {called} run        then, in another terminal:
                      export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317
                      python your_app.py
  another database  config/examples/ and README.md"""  # noqa: S608


def program() -> str:
    """How the person at the keyboard calls us: as found on PATH, or by the path it was called with."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m collector"
    if which(called.name) == str(called):
        return called.name
    with suppress(ValueError):
        return str(called.resolve().relative_to(Path.cwd()))
    return str(called)
