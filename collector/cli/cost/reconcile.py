"""`cost reconcile`: estimates against a bill."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.cli.cost.options import accounting
from collector.cli.database.output import Column, Format, show
from collector.cli.database.target import Target, arguments, note, with_target

if TYPE_CHECKING:
    from collector.cost.reconcile import Reconciled


@click.command("reconcile")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["auto", "focus", "cur", "cost-entry"]),
    default="auto",
    show_default=True,
    help="What the bill is.",
)
@click.option(
    "--match",
    default="resource_id",
    show_default=True,
    help="Columns in which both sides are equal, besides charge period and currency; comma-separated.",
)
@click.option(
    "--replace",
    is_flag=True,
    help="Let this bill count instead of the one before; the differences become corrections.",
)
@click.option("--dry-run", is_flag=True, help="Compare and show, and store nothing.")
@click.option(
    "--output",
    "output_format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="json and csv are for machines.",
)
@with_target
def reconcile(
    target: Target, file: Path, kind: str, match: str, replace: bool, dry_run: bool, output_format: Format
) -> None:
    """Compare what was estimated with a bill, and give the difference to whom the estimate was given.

    Afterwards both sum to the bill, to its last digit. What nobody has estimated is taken over, unallocated; what the bill
    does not have is taken back.
    """
    from collector.accounting.bills import reconcile_bill
    from collector.model.clock import SystemClock

    target.open()
    with accounting(), arguments():
        done = reconcile_bill(
            target.store,
            file,
            kind=kind,
            match=[name.strip() for name in match.split(",")],
            replace=replace,
            dry_run=dry_run,
            now_unix_nano=SystemClock().unix_nano(),
        )
    lines = [_line(item) for item in done.report]
    names = list(lines[0]) if lines else []
    show(lines, [_column(name) for name in names], output_format, empty="the bill has no charges")
    note(f"{len(done.records)} records {'would be ' if dry_run else ''}stored")


def _line(item: Reconciled) -> dict[str, object]:
    from collector.cost.amount import amount_text

    coverage = item.coverage
    return {
        **{name or "key": value for name, value in item.key.items() if name},
        "currency": item.currency,
        "estimated": amount_text(item.estimated),
        "actual": amount_text(item.actual),
        "delta": amount_text(item.delta),
        "coverage": "" if coverage is None else f"{coverage:.1%}",
    }


def _column(name: str) -> Column:
    right = name in {"estimated", "actual", "delta", "coverage"}
    return Column(name, lambda line: line[name], lambda line: str(line[name]), right)
