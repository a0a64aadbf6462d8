"""`queue retry` and `queue drop`: they need the collector stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from collector.cli.database import human
from collector.cli.database.target import note
from collector.cli.queue.place import Place, choose, with_places

if TYPE_CHECKING:
    from collector.pipeline.dead_letters import Letter


def _which(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the parameters that choose queues and letters."""
    for option in (
        click.option(
            "--letter",
            "names",
            multiple=True,
            metavar="LETTER",
            help="Only this one, as `inspect` names it. Repeatable.",
        ),
        click.option("--all", "everything", is_flag=True, help="All queues."),
        click.argument("queues", nargs=-1, metavar="[QUEUE]..."),
    ):
        function = option(function)
    return function


def _wanted(names: Sequence[str]) -> Callable[[Letter], bool]:
    return (lambda letter: letter.name in names) if names else (lambda letter: True)


@click.command("retry")
@_which
@with_places
def retry(places: Sequence[Place], queues: tuple[str, ...], everything: bool, names: tuple[str, ...]) -> None:
    """Put dead letters back into their queue: the collector sends them when it is started.

    For when the reason is gone: a rule in the database was changed, a table repaired.
    """
    total = 0
    for place in choose(places, queues, everything=everything):
        with place.opened() as (queue, letters):
            count = letters.redeliver(queue, _wanted(names))
        total += count
        note(f"{place.name}: {human.count(count)} dead letters are in the queue again.")
    _found(total, names)


@click.command("drop")
@_which
@click.option("--waiting", is_flag=True, help="What waits to be sent, in place of the dead letters.")
@click.option("--yes", is_flag=True, help="Do not ask. Off a terminal it must be given.")
@with_places
def drop(
    places: Sequence[Place],
    queues: tuple[str, ...],
    everything: bool,
    names: tuple[str, ...],
    waiting: bool,
    yes: bool,
) -> None:
    """Delete dead letters, or what waits to be sent. For ever: `inspect` prints what it is."""
    if waiting and names:
        raise click.UsageError("--letter names a dead letter: leave --waiting out")
    chosen = choose(places, queues, everything=everything)
    if not yes:
        what = (
            "everything that waits" if waiting else "the dead letters named" if names else "all dead letters"
        )
        if not sys.stdin.isatty():
            raise click.UsageError(f"say --yes to delete {what}")
        click.confirm(f"Delete {what} in {', '.join(place.name for place in chosen)}?", abort=True, err=True)
    total = 0
    for place in chosen:
        with place.opened() as (queue, letters):
            count = queue.release(queue.last) if waiting else letters.remove(_wanted(names))
        total += count
        note(f"{place.name}: {human.count(count)} {'items' if waiting else 'dead letters'} deleted.")
    _found(total, names)


def _found(total: int, names: Sequence[str]) -> None:
    if names and not total:
        note("No dead letter has that name: `collector queue inspect` shows them.")
        sys.exit(1)
