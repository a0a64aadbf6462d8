"""`cost attribute`: run the engine over stored telemetry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from collector.cli.cost.options import accounting, cost_config, period_of, period_options, prices_option
from collector.cli.database.output import Column, Format, format_option, show
from collector.cli.database.target import Target, note, with_target

if TYPE_CHECKING:
    from collector.accounting.attribution import WindowReport


@click.command("attribute")
@period_options
@prices_option
@click.option("--dry-run", is_flag=True, help="Compute and show, and write nothing.")
@format_option
@with_target
def attribute(
    target: Target, since: str, until: str, prices: tuple[str, ...], dry_run: bool, output_format: Format
) -> None:
    """Attribute what is stored to who caused it, window by window, and keep that in the ledger.

    Windows that have ended are done; running twice changes nothing. Telemetry that came late revises a window, or
    corrects it if its month is closed.
    """
    from collector.accounting.attribution import PURPOSE, Attribution
    from collector.accounting.remarks import remarks
    from collector.cost.window import WindowState
    from collector.model.clock import SystemClock

    config = cost_config(target, prices)
    period = period_of(since, until)
    if config is None:
        return
    target.open()
    reports: list[WindowReport] = []
    with accounting(), target.store.exclusive(PURPOSE) as alone:
        if not alone:
            raise click.ClickException("another process attributes costs in this database: try again later")
        run = Attribution(target.store, config, SystemClock())
        reports += run.run(period, dry_run=dry_run)
    show(_lines(reports), _COLUMNS, output_format, empty="no window of that time has ended")
    for remark in remarks(reports, config.rules):
        note(str(remark))
    written = sum(report.written for report in reports)
    if closed := sum(report.state is WindowState.CLOSED and report.written > 0 for report in reports):
        note(
            f"{closed} windows are of months that are closed: what is new there are corrections, billed in the month that"
            " is open (cost.close)"
        )
    note(f"{written} records {'would be ' if dry_run else ''}written in {len(reports)} windows")
    if any(not line.balances for report in reports for line in report.totals):
        raise click.ClickException("costs do not add up: this is an error of ours")


def _lines(reports: Sequence[WindowReport]) -> list[dict[str, object]]:
    """One line for each window and currency."""
    from collector.cost.amount import amount_text
    from collector.cost.calendar import text_of

    lines: list[dict[str, object]] = []
    for report in reports:
        base = {
            "window": text_of(report.period.start_unix_nano),
            "state": report.state.value,
            "records": report.records,
            "unpriced": report.unpriced,
            "written": report.written,
        }
        for total in report.totals:
            amounts = {
                name: amount_text(getattr(total, name))
                for name in ("origin", "attributed", "idle", "shared", "unallocated")
            }
            balance = "ok" if total.balances else "WRONG"
            lines.append({**base, "currency": total.currency, **amounts, "balance": balance})
        if not report.totals:
            lines.append({**base, "currency": "", "balance": "ok"})
    return lines


def _column(name: str, *, right: bool = False) -> Column:
    return Column(name, lambda line: line.get(name, ""), lambda line: str(line.get(name, "")), right)


_COLUMNS = [
    *(_column(name) for name in ("window", "state", "currency")),
    *(_column(name, right=True) for name in ("origin", "attributed", "idle", "shared", "unallocated")),
    *(_column(name, right=True) for name in ("unpriced", "records", "written")),
    _column("balance"),
]
