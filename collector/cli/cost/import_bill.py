"""`cost import`: a bill into the ledger."""

from __future__ import annotations

from pathlib import Path

import click

from collector.cli.cost.options import accounting
from collector.cli.database.target import Target, note, with_target


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["auto", "focus", "cur", "cost-entry"]),
    default="auto",
    show_default=True,
    help="FOCUS 1.0 to 1.4 or AWS CUR 2.0, each as CSV or Parquet; finopsmetrics CostEntry as JSON.",
)
@click.option(
    "--strict", is_flag=True, help="Refuse forms that are not quite right, instead of counting them."
)
@click.option(
    "--again",
    is_flag=True,
    help="Take charges although such were imported from another file: they are others.",
)
@click.option("--dry-run", is_flag=True, help="Read and check, and store nothing.")
@with_target
def import_command(target: Target, file: Path, kind: str, strict: bool, again: bool, dry_run: bool) -> None:
    """Bring a bill in: all of it, or nothing and every mistake with its line. The same file twice is once.

    A later file of the same charges, as providers write it every day, is refused: `cost reconcile` lets it count instead.
    Prints a manifest: what was read, its sums, and every form that was tolerated.
    """
    from collector.accounting.bills import import_bill

    target.open()
    with accounting():
        imported = import_bill(target.store, file, kind=kind, strict=strict, again=again, dry_run=dry_run)
    click.echo(imported.manifest.json(), nl=False)
    kept = imported.manifest.records - imported.stored
    note(
        f"{imported.stored} records {'would be ' if dry_run else ''}stored"
        + (f", {kept} were there already" if kept else "")
    )
