"""`database cleanup`: delete what is old."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from collector.cli.database import human
from collector.cli.database.output import Column, Format, format_option, show, show_json
from collector.cli.database.target import Target, note, with_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.model.signal import Signal
    from collector.storage.tables import Table

_DAY_S = 86_400.0


@click.command("cleanup")
@click.option(
    "--retention-days",
    type=click.FloatRange(min=0),
    help="Age in days, of traces, metrics and logs. [default: what the configuration says of each; costs too]",
)
@click.option("--dry-run", is_flag=True, help="Count what would go, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask. Off a terminal nobody is asked.")
@format_option
@with_target
def cleanup(
    target: Target, retention_days: float | None, dry_run: bool, yes: bool, output_format: Format
) -> None:
    """Delete items older than their retention. Stores that keep chunks delete those that are old as a whole."""
    ages_s = _ages(target, retention_days)
    target.open()
    from collector.model.clock import SystemClock

    now = SystemClock().unix_nano()
    if dry_run:
        would = target.store.apply_retention(ages_s, now_unix_nano=now, dry_run=True)
        _show(would, output_format, "would be deleted")
        return
    if sys.stdin.isatty() and not yes:
        would = target.store.apply_retention(ages_s, now_unix_nano=now, dry_run=True)
        _show(would, "table", "would be deleted")
        click.confirm(
            f"Delete {human.count(sum(would.values()))} rows from {target.address}?", abort=True, err=True
        )
    deleted: dict[str, int] = {}
    with _progress(len(ages_s)) as advance:
        for what, age_s in ages_s.items():
            advance(getattr(what, "value", None) or what.name)
            deleted |= target.store.apply_retention({what: age_s}, now_unix_nano=now)
        advance("done")
    _show(deleted, output_format, "deleted")


def _ages(target: Target, retention_days: float | None) -> Mapping[Signal | Table, float]:
    from collector.model.signal import OPENTELEMETRY

    if retention_days is not None:
        return dict.fromkeys(OPENTELEMETRY, retention_days * _DAY_S)
    if target.retention_s is None:
        raise click.UsageError("say how old is too old: --retention-days DAYS, or --config with `retention`")
    if not target.retention_s:
        raise click.UsageError(f"{target.address} keeps everything for ever: say --retention-days DAYS")
    return target.retention_s


def _show(rows: Mapping[str, int], output_format: Format, what: str) -> None:
    if output_format == "json":
        show_json(dict(rows))
        return
    columns = [
        Column("table", lambda row: row[0]),
        Column("rows", lambda row: row[1], lambda row: human.count(row[1]), right=True),
    ]
    show(list(rows.items()), columns, output_format, empty="")
    if output_format == "table":
        note(f"{human.count(sum(rows.values()))} rows {what}.")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on a terminal, nothing elsewhere. Call with what comes next."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=total + 1)

        def advance(what: str) -> None:
            progress.update(task, description=f"Deleting old {what}…", advance=1)

        yield advance
