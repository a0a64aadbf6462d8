"""The question of `database query` about costs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from collector.cli.database import human
from collector.cli.database.output import Column, Format, show
from collector.cli.database.query import question
from collector.cli.database.questions import parse_labels
from collector.cost.amount import amount_text

if TYPE_CHECKING:
    from collector.query.client import QueryClient


@question("costs", start="-30d")
@click.option(
    "--group-by",
    "group_by",
    multiple=True,
    metavar="DIMENSION",
    help="service, team, tenant, environment, namespace, workload, category, label:KEY, tag:KEY, … Repeatable. "
    "[default: service]",
)
@click.option(
    "--where",
    multiple=True,
    metavar="DIMENSION=VALUE",
    callback=parse_labels,
    help="Only costs with this value; without one: DIMENSION=. Repeatable.",
)
@click.option("--step", type=click.Choice(["hour", "day", "month"]), help="A line for each.")
@click.option(
    "--changes", is_flag=True, help="Against the period of the same length before: largest changes first."
)
def costs(
    ask: QueryClient,
    group_by: tuple[str, ...],
    where: Mapping[str, str],
    step: str | None,
    changes: bool,
    start: str,
    end: str,
    limit: int,
    output_format: Format,
) -> None:
    """What was charged for, every cost once, exactly; each currency by itself."""
    by = group_by or ("service",)
    labels = [_label(name) for name in by]
    currency = Column("currency", lambda line: line.billing_currency)
    if changes:
        if step is not None:
            raise click.UsageError("--changes compares two whole periods: leave --step out")
        columns = [
            *labels,
            _amount("cost", "cost"),
            _amount("previous", "previous"),
            _amount("difference", "difference"),
            currency,
        ]
        found: list[Any] = ask.cost_changes(start, end, by, where, limit=limit)
    else:
        columns = [
            *labels,
            _amount("effective", "effective_cost"),
            _amount("billed", "billed_cost"),
            currency,
            Column("records", lambda line: line.records, lambda line: human.count(line.records), right=True),
            Column(
                "unpriced", lambda line: line.unpriced, lambda line: human.count(line.unpriced), right=True
            ),
        ]
        if step is not None:
            columns.insert(
                0,
                Column(step, lambda line: line.time_unix_nano, lambda line: human.time(line.time_unix_nano)),
            )
        found = list(ask.costs(start, end, by, where, step))[:limit]
    show(found, columns, output_format, empty="No costs in this window.")


def _label(name: str) -> Column:
    def text(line: Any) -> str | None:
        value: str | None = line.labels[name]
        return value

    return Column(name, text, lambda line: text(line) or "-")


def _amount(heading: str, name: str) -> Column:
    """An amount with all its digits."""

    def text(line: Any) -> str | None:
        amount: Decimal | None = getattr(line, name)
        return None if amount is None else amount_text(amount)

    return Column(heading, text, lambda line: text(line) or "unpriced", right=True)
