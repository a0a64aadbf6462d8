"""`cost allocation`: what `GET /allocation` of the admin server answers, without the daemon."""

from __future__ import annotations

import sys

import click

from collector.cli.database.target import Target, with_target


@click.command("allocation")
@click.argument("parameters", nargs=-1, metavar="NAME=VALUE...")
@click.option("--summary", is_flag=True, help="As /allocation/summary: with fewer fields.")
@with_target
def allocation(target: Target, parameters: tuple[str, ...], summary: bool) -> None:
    """Answer as OpenCost's API does, in JSON: window=7d aggregate=namespace step=1d.

    Parameters: window (today, 7d, lastweek, two times or seconds with a comma between), aggregate (namespace, controller,
    pod, team, label:app …, several with commas, or all), step, accumulate, accumulateBy, includeIdle, idleByNode,
    shareIdle, shareNamespaces, shareLabels, shareSplit, basis (effective, billed, list, contracted), currency, and
    compat=opencost for numbers of five decimals instead of all.
    """
    from collector.cost.opencost import answer
    from collector.cost.opencost.query import parse_query
    from collector.cost.opencost.window import QueryError
    from collector.model.clock import SystemClock
    from collector.query.allocations import allocation_sets
    from collector.query.dialect import Dialect
    from collector.query.reader import Reader

    given: dict[str, str] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not equals:
            raise click.UsageError(f"{parameter!r}: write it like window=7d")
        given[name] = value
    clock = SystemClock()
    try:
        query = parse_query(given, clock.unix_nano())
        target.open()
        reader = Reader(target.store, Dialect(target.store.dialect == "sqlite"), clock, None)
        sets = allocation_sets(reader, query)
    except QueryError as error:
        raise click.UsageError(str(error)) from error
    for piece in (answer.summary if summary else answer.answer)(sets, query):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.write(b"\n")
