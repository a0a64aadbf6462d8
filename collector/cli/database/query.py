"""`database query`: questions with a name, and one's own SQL."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from collector.cli.database import human
from collector.cli.database.output import Column, Format, format_option, show, show_rows
from collector.cli.database.target import Target, arguments, note, target_options, targeted, with_target

if TYPE_CHECKING:
    from collector.query.client import QueryClient

_ROWS_MAX: Final = 1000


@click.group("query", invoke_without_command=True)
@click.option("--sql", metavar="SQL", help="One statement of your own. It can only read.")
@click.option(
    "--days", type=click.FloatRange(min=0, min_open=True), help="How many days to look back. [default: 1]"
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"At most so many rows. [default: {_ROWS_MAX} for --sql]",
)
@click.option("--timeout", metavar="DURATION", default="30s", show_default=True, help="How long it may take.")
@format_option
@target_options
@click.pass_context
def query(context: click.Context, /, **_: Any) -> None:
    """Ask what is stored: one of the questions below, or --sql. Without either: how much there is.

    \b
      collector database query services
      collector database query latest http.server.active_requests
      collector database query range http.server.request.duration --aggregation p95 --step 5m
      collector database query trace 5b8efff798038103d269b633813fc60c
      collector database query --sql "SELECT name, count(*) FROM spans GROUP BY name"

    Views and columns: collector/query/README.md. Examples: `collector database examples`.
    """  # noqa: D301  the backslash keeps click from filling the lines
    if context.invoked_subcommand is None:
        own = ("sql", "days", "limit", "timeout", "output_format")
        _unnamed(**{name: context.params[name] for name in own})


@targeted
def _unnamed(
    target: Target,
    sql: str | None,
    days: float | None,
    limit: int | None,
    timeout: str,
    output_format: Format,
) -> None:
    if sql is None:
        _overview(target, days or 1.0, timeout, output_format)
        return
    target.open()
    rows_max = limit or _ROWS_MAX
    with arguments():
        from collector.config.types import Duration

        timeout_s = float(Duration.parse(timeout))
    # One more than asked for tells whether there is more.
    result = target.store.query(sql, timeout_s=timeout_s, rows_max=rows_max + 1)
    show_rows(result.columns, result.rows[:rows_max], output_format)
    if len(result.rows) > rows_max:
        note(f"There is more than these {rows_max} rows: --limit N shows more.")


def _overview(target: Target, days: float, timeout: str, output_format: Format) -> None:
    with client(target, timeout) as ask:
        ever, lately = ask.items(), ask.items(f"-{days:g}d")
        services = ask.services()
    rows = [
        {"signal": signal.value, "items": ever[signal], "lately": lately[signal], "unit": signal.item}
        for signal in ever
    ]
    columns = (
        Column("signal", lambda row: row["signal"]),
        Column("items", lambda row: row["items"], lambda row: human.count(row["items"]), right=True),
        Column(
            f"last {days:g} days" if output_format == "table" else "lately",
            lambda row: row["lately"],
            lambda row: human.count(row["lately"]),
            right=True,
        ),
    )
    show(rows, columns, output_format, empty="")
    if output_format == "table":
        names = ", ".join(service.service_name or "(no name)" for service in services) or "none yet"
        note(f"Services: {names}\nQuestions: {', '.join(query.list_commands(click.get_current_context()))}")


def question(
    name: str, *, window: bool = True, limit: int | None = 20, start: str = "-1h"
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a question of a function that takes a client, and options of its own.

    Adds the options that all have; those given to `query` itself count as well. `start`: from when, if nobody says.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def call(target: Target, **options: Any) -> None:
            context = click.get_current_context()
            timeout = _inherited(context, "timeout") or "30s"
            options.pop("timeout")
            options["output_format"] = _inherited(context, "output_format") or "table"
            if limit is not None:
                options["limit"] = _inherited(context, "limit") or limit
            if window:
                days = _inherited(context, "days")
                options.pop("days")
                if days is not None:
                    options["start"] = f"-{days:g}d"
            with client(target, timeout) as ask, arguments():
                function(ask, **options)

        decorated = with_target(call)
        for option in _options(window=window, limit=limit, start=start):
            decorated = option(decorated)
        return click.command(name)(decorated)

    return decorate


def _options(*, window: bool, limit: int | None, start: str) -> Iterator[Callable[..., Any]]:
    yield format_option
    yield click.option("--timeout", metavar="DURATION", help="How long it may take. [default: 30s]")
    if limit is not None:
        yield click.option("--limit", type=click.IntRange(min=1), help=f"At most so many. [default: {limit}]")
    if window:
        # Either pair: OpenTelemetry's people say start and end, and `collector cost` says from and to.
        yield click.option(
            "--end",
            "--to",
            "end",
            metavar="TIME",
            default="now",
            show_default=True,
            help="Up to when, not included.",
        )
        yield click.option(
            "--start",
            "--from",
            "start",
            metavar="TIME",
            default=start,
            show_default=True,
            help="From when: -90m, -7d, 2026-01-31, 2026-01-31T12:00:00Z or epoch seconds.",
        )
        yield click.option(
            "--days",
            type=click.FloatRange(min=0, min_open=True),
            help="From so many days ago, instead of --start.",
        )


def _inherited(context: click.Context, name: str) -> Any:
    """An option of this command or else of the group it is in; None if it was not given to either."""
    from click.core import ParameterSource

    at: click.Context | None = context
    while at is not None:
        if at.get_parameter_source(name) not in (None, ParameterSource.DEFAULT):
            return at.params[name]
        at = at.parent
    return None


@contextmanager
def client(target: Target, timeout: str) -> Iterator[QueryClient]:
    """Open `target` for questions."""
    from collector.config.types import Duration
    from collector.model.clock import SystemClock
    from collector.query.client import QueryClient

    with arguments():
        timeout_s = float(Duration.parse(timeout))
    target.open()
    status = target.store.schema_status()
    if not status.current:
        raise click.ClickException(f"{target.address} has no tables yet: run `collector database init`")
    yield QueryClient(target.store, clock=SystemClock(), timeout_s=timeout_s)
