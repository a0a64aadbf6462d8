"""What the commands about costs have in common: which time, which prices, and what becomes of errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collector.cli.database.target import Target
    from collector.cost.config import CostConfig
    from collector.cost.record import Period


def period_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--from` and `--to`."""
    function = click.option(
        "--to", "until", metavar="TIME", default="now", show_default=True, help="End, not included."
    )(function)
    return click.option(
        "--from",
        "since",
        metavar="TIME",
        required=True,
        help="Start: 2026-09-01, 2026-09-01T15:00:00Z, or -1d, counted from now.",
    )(function)


def prices_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--prices`."""
    return click.option(
        "--prices",
        multiple=True,
        metavar="FILE",
        help="YAML with a section cost: prices, rules or both. Repeatable, laid over each other. "
        "Without it, that of --config.",
    )(function)


def period_of(since: str, until: str) -> Period:
    """Read the two ends."""
    from collector.cost.record import Period
    from collector.model.clock import SystemClock
    from collector.query.when import Window

    try:
        window = Window.of(since, until, SystemClock())
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return Period(window.start_unix_nano, window.end_unix_nano)


def cost_config(target: Target, prices: Sequence[str], *, needed: bool = True) -> CostConfig | None:
    """Return prices and rules. What is wrong with them goes to standard error, and the exit code is 78."""
    from collector.config.diagnostics import ConfigError
    from collector.config.load import load
    from collector.config.sources import system
    from collector.cost.config import load_costs

    if prices:
        color = sys.stderr.isatty()
        try:
            return load_costs(load(prices, (), system()))
        except ConfigError as error:
            click.echo(error.render(color=color), err=True, color=color)
            sys.exit(error.exit_code)
    if target.cost is None and needed:
        raise click.UsageError(
            "there are no prices and rules: give files with a section cost by --prices (config/prices/demo.yaml and"
            " config/cost/kubernetes-and-llm.yaml are examples), or a --config that has one"
        )
    return target.cost


@contextmanager
def accounting() -> Iterator[None]:
    """Turn what keeps costs from being worked on into a message and exit code 1."""
    from collector.accounting.errors import AccountingError
    from collector.cost.focus.bill import BillError
    from collector.cost.focus.mapping import FocusExportError
    from collector.cost.focus.table_parquet import ParquetUnavailableError

    try:
        yield
    except (AccountingError, BillError, FocusExportError, ParquetUnavailableError, OSError) as error:
        raise click.ClickException(str(error)) from error
