"""`cost demo`: from an instrumented app to FOCUS files, and whether all of it adds up."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from decimal import Decimal
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from collector.accounting.attribution import WindowReport
    from collector.cost.config import CostConfig
    from collector.cost.record import CostAttributionRecord, Period
    from collector.storage.store import Store

_VERSIONS: Final = ("1.2", "1.4")
_STORED_S: Final = 10.0


@click.command("demo")
@click.option("--seconds", default=12.0, show_default=True, help="How long the app runs.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where to put database and files. [default: the state directory]",
)
def demo(seconds: float, data_dir: Path | None) -> None:
    """Start the collector, drive it with a shop on Kubernetes that calls language models, and tell who costs what.

    The costs are exported as FOCUS 1.2 and 1.4, checked, and added up: exit code 1 if a sum differs in any digit.
    """
    from rich.console import Console

    from collector.accounting.attribution import Attribution
    from collector.cli.demo import free_ports, start_daemon, state_directory, stop, wait_until_ready
    from collector.config.load import load
    from collector.config.sources import system
    from collector.cost.config import load_costs
    from collector.cost.record import Period
    from collector.model.clock import SystemClock
    from collector.storage.store import open_store

    console = Console(highlight=False, soft_wrap=True)
    if find_spec("opentelemetry.sdk") is None:
        raise click.ClickException(
            "the demo's app needs the OpenTelemetry SDK: pip install 'collector[demo]', or use `make demo-cost`"
        )
    directory = data_dir or state_directory() / "demo-cost"
    directory.mkdir(parents=True, exist_ok=True)
    database = directory / "collector.db"
    for old in directory.glob("collector.db*"):
        old.unlink()
    text = files("collector.demo").joinpath("costs.yaml").read_text()
    config = load_costs(load([f"yaml:{text}"], (), system()))
    began = SystemClock().unix_nano()
    ports = free_ports()
    with ExitStack() as stack:
        daemon = start_daemon(stack, database, ports, directory / "collector.log")
        wait_until_ready(daemon, ports, directory / "collector.log")
        sent = _drive(console, ports.grpc, seconds)
        store = stack.enter_context(closing(open_store(f"sqlite:///{database}")))
        _wait_until_stored(store, sent)
        _wait_until_ended(config)
        period = Period(began, SystemClock().unix_nano())
        first = list(Attribution(store, config, SystemClock()).run(period))
        again = list(Attribution(store, config, SystemClock()).run(period))
        stop(daemon)
        console.print(
            f"{sum(sent.values())} items sent and stored; {len(first)} windows of {config.window:g} s attributed:"
            f" {sum(report.written for report in first)} records, and on a second run"
            f" {sum(report.written for report in again)}"
        )
        right = not any(report.written for report in again)
        _report(store, period)
        right &= _files(console, store, config, period, directory, first)
    sys.exit(0 if right else 1)


def _drive(console: Console, port: int, seconds: float) -> dict[str, int]:
    """Run the app; return what it was told had arrived."""
    line = [sys.executable, "-m", "collector.demo.cost_shop", "--seconds", str(seconds)]
    line += ["--grpc", f"127.0.0.1:{port}"]
    with console.status(f"Four pods on two nodes export spans and metrics for {seconds:g} seconds…"):
        app = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if app.returncode != 0:
        raise click.ClickException(f"the app failed with exit code {app.returncode}")
    sent: dict[str, int] = json.loads(app.stdout)["sent"]
    return {name: items for name, items in sent.items() if items}


def _wait_until_stored(store: Store, sent: dict[str, int]) -> None:
    from collector.cli.demo import COUNTS

    deadline = time.monotonic() + _STORED_S
    while True:
        stored = {name: int(store.query(COUNTS[name]).rows[0][0]) for name in sent}
        if stored == sent:
            return
        if time.monotonic() > deadline:
            raise click.ClickException(f"{sent} was sent and {stored} is stored")
        time.sleep(0.1)


def _wait_until_ended(config: CostConfig) -> None:
    """Wait for the end of the window that is open, so that it is attributed, too."""
    from collector.model.clock import SystemClock

    time.sleep((config.window_ns - SystemClock().unix_nano() % config.window_ns) / 1e9)


def _report(store: Store, period: Period) -> None:
    from collector.accounting.summary import summarize
    from collector.cli.cost.report import print_summary

    for by in (("team", "service"), ("tenant",)):
        print_summary(summarize(store, period, by), limit=20)


def _files(
    console: Console,
    store: Store,
    config: CostConfig,
    period: Period,
    directory: Path,
    reports: list[WindowReport],
) -> bool:
    """Export, check with our checker and others', and compare the sums; return whether all of it is right."""
    from collector.accounting.book import Book, leaves
    from collector.accounting.export import records_of, sector_of, write_focus
    from collector.cost.amount import amount_text
    from collector.cost.focus.rows import FocusOptions
    from collector.cost.record import Level

    records = list(records_of(Book(store), period))
    origin = _sum(record for record in records if record.level is Level.ORIGIN)
    sums = {
        "charges (nodes by the hour, calls by the token)": origin,
        "their finest parts": _sum(leaves(records)),
    }
    right = bool(origin) and store.query("SELECT count(*) FROM cost_balance").rows[0][0] == 0
    for version in _VERSIONS:
        path = directory / f"focus-{version}.csv"
        sectors = tuple(sector_of(report.period, period.end_unix_nano, config) for report in reports)
        written = write_focus(iter(records), path, FocusOptions(version=version), sectors=sectors)
        sums[f"{path} ({written.rows} rows, checked)"] = _effective(path)
        if version == "1.4" and (toolkit := which("focus-toolkit", path=_beside())):
            check = subprocess.run(  # noqa: S603
                [toolkit, "validate", str(path)], capture_output=True, text=True, check=False
            )
            verdict = "is content" if check.returncode == 0 else f"finds:\n{check.stdout}"
            console.print(f"focus-data-toolkit {verdict} with {path.name}", markup=False)
            right &= check.returncode == 0
    for name, value in sums.items():
        right &= value == origin
        console.print(
            f"{amount_text(value):>24} USD  {'=' if value == origin else '≠'}  {name}", markup=False
        )
    console.print("It adds up, to the last digit." if right else "It does NOT add up.")
    return right


def _sum(records: Iterable[CostAttributionRecord]) -> Decimal:
    from collector.cost.amount import total

    return total(cost for record in records if (cost := record.amounts.effective_cost) is not None)


def _effective(path: Path) -> Decimal:
    """Add up a file as anybody would who reads it, with the csv module."""
    import csv

    from collector.cost.amount import parse_amount, total

    with path.open(newline="") as stream:
        return total(parse_amount(_plain(row["EffectiveCost"])) for row in csv.DictReader(stream))


def _plain(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _beside() -> str:
    """Where commands of this environment lie, before those of the system."""
    import os

    return os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
