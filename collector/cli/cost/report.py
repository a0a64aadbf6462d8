"""`cost report`: who costs how much, with bars, beside the time before."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import click

from collector.cli.cost.options import cost_config, period_of, period_options, prices_option
from collector.cli.database.output import Column, Format, format_option, show
from collector.cli.database.target import Target, arguments, note, with_target

if TYPE_CHECKING:
    from collector.accounting.summary import Line, Summary

_BAR = 24


@click.command("report")
@period_options
@click.option("--by", default="service", show_default=True, help="Dimensions, comma-separated: team,service.")
@click.option(
    "--compare-to", metavar="TIME", help="`previous`: the same length just before; or where that begins."
)
@click.option(
    "--currency",
    metavar="CODE",
    help="Convert into this one, by the dated rates of --prices or --config (cost.rates). What has no rate stays as it is.",
)
@prices_option
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@format_option
@with_target
def report(
    target: Target,
    since: str,
    until: str,
    by: str,
    compare_to: str | None,
    currency: str | None,
    prices: tuple[str, ...],
    limit: int,
    output_format: Format,
) -> None:
    """Show what was attributed, most expensive first. What is idle, shared or without a price has lines of its own.

    Effective costs, exactly; currencies are never added to each other, unless they are converted.
    """
    from collector.accounting.summary import previous, summarize
    from collector.cost.exchange import Exchange
    from collector.cost.record import Period

    period = period_of(since, until)
    compared = None
    if compare_to == "previous":
        compared = previous(period)
    elif compare_to:
        start = period_of(compare_to, until).start_unix_nano
        compared = Period(start, start + period.length_ns)
    target.open()
    with arguments():
        exchange = None
        if currency:
            config = cost_config(target, prices, needed=False)
            exchange = Exchange(currency.upper(), config.rates if config is not None else ())
        names = [name.strip() for name in by.split(",")]
        summary = summarize(target.store, period, names, compared, exchange)
    if output_format == "table":
        print_summary(summary, limit)
    else:
        show(
            [_line(summary, line) for line in summary.lines],
            _machine_columns(summary),
            output_format,
            empty="",
        )
        _rates(summary)


def print_summary(summary: Summary, limit: int) -> None:
    """Print it for people."""
    empty = (
        "there are no costs in that time: `collector cost attribute` or `collector cost import` makes them"
    )
    show(summary.lines[:limit], _columns(summary), "table", empty=empty)
    _more(summary, limit)


def _line(summary: Summary, line: Line) -> dict[str, object]:
    from collector.cost.amount import amount_text

    found: dict[str, object] = dict(zip(summary.by, line.keys, strict=True))
    found |= {"currency": line.currency, "cost": amount_text(line.cost), "unpriced": line.unpriced}
    if summary.rates:
        found["original"] = ", ".join(
            f"{amount_text(amount)} {currency}" for currency, amount in sorted(line.original.items())
        )
    if line.previous is not None and line.change is not None:
        found |= {"previous": amount_text(line.previous), "change": amount_text(line.change)}
    return found


def _machine_columns(summary: Summary) -> list[Column]:
    names = [*summary.by, "currency", "cost", "unpriced"]
    names += ["original"] if summary.rates else []
    names += ["previous", "change"] if summary.compared is not None else []
    return [_item(name) for name in names]


def _item(name: str) -> Column:
    return Column(name, lambda line: line[name])


def _columns(summary: Summary) -> list[Column]:
    largest = max((abs(line.cost) for line in summary.lines), default=Decimal(0))
    columns = [_key(place, name) for place, name in enumerate(summary.by)]
    columns += [
        Column(
            "cost", lambda line: line.cost, lambda line: f"{_money(line.cost)} {line.currency}", right=True
        ),
        Column(
            "share",
            lambda line: line,
            lambda line: _share(line.cost, summary.total(line.currency)),
            right=True,
        ),
        Column("bar", lambda line: line, lambda line: _bar(line.cost, largest), human_heading=" "),
    ]
    if summary.compared is not None:
        columns += [
            Column("previous", lambda line: line, lambda line: _money(line.previous), right=True),
            Column("change", lambda line: line, lambda line: _money(line.change, sign=True), right=True),
        ]
    if any(line.unpriced for line in summary.lines):
        columns.append(
            Column("unpriced", lambda line: line.unpriced, lambda line: str(line.unpriced or ""), right=True)
        )
    return columns


def _key(place: int, name: str) -> Column:
    return Column(name, lambda line: line.keys[place], lambda line: line.keys[place] or "(none)")


def _more(summary: Summary, limit: int) -> None:
    from collector.cost.amount import amount_text

    for currency in dict.fromkeys(line.currency for line in summary.lines):
        note(f"total {amount_text(summary.total(currency))} {currency}")
    if len(summary.lines) > limit:
        note(f"{len(summary.lines) - limit} more lines: --limit, or --format csv")
    if summary.movers():
        note("changed most:")
    for line in summary.movers():
        name = ", ".join(key or "(none)" for key in line.keys)
        note(f"  {_money(line.change, sign=True)} {line.currency}  {name}")
    _rates(summary)
    if unpriced := sum(line.unpriced for line in summary.lines):
        note(f"{unpriced} records have no price: they are in no sum")


def _rates(summary: Summary) -> None:
    """Say by which rates costs were converted, and which were not."""
    for rate in summary.rates:
        note(f"converted at {rate}")
    for currency in summary.without_rate:
        note(
            f"costs in {currency} have no rate on some of these days, and are shown in {currency}: add it to cost.rates"
        )


def _money(amount: Decimal | None, *, sign: bool = False) -> str:
    """Show an amount to four places, small ones to their first two digits."""
    if amount is None:
        return ""
    places = 4 if not amount or abs(amount) >= Decimal("0.01") else 1 - amount.adjusted()
    return f"{amount:+,.{places}f}" if sign else f"{amount:,.{places}f}"


def _share(cost: Decimal, whole: Decimal) -> str:
    return f"{cost / whole:.1%}" if whole else ""


def _bar(cost: Decimal, largest: Decimal) -> str:
    return "█" * round(_BAR * abs(cost) / largest) if largest else ""
