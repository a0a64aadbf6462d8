"""`queue ls` and `queue inspect`: they only read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from collector.cli.database import human
from collector.cli.database.output import Column, Format, format_option, show
from collector.cli.queue.place import Place, choose, with_places

if TYPE_CHECKING:
    from collector.model.telemetry import Telemetry
    from collector.pipeline.queue_survey import Survey


@dataclass(frozen=True, slots=True)
class _Line:
    """A queue in the list."""

    queue: str
    directory: str
    waiting: Survey
    dead: Survey | None

    @property
    def state(self) -> str:
        owner = self.waiting.owner
        return "free" if owner is None else f"in use by process {owner or 'unknown'}"

    @property
    def quarantined(self) -> int:
        return self.waiting.quarantined + (self.dead.quarantined if self.dead else 0)


def _iso(unix_nano: int | None) -> str | None:
    from collector.query.when import iso

    return None if unix_nano is None else iso(unix_nano)


_COLUMNS = (
    Column("queue", lambda line: line.queue),
    Column(
        "items", lambda line: line.waiting.items, lambda line: human.count(line.waiting.items), right=True
    ),
    Column("bytes", lambda line: line.waiting.size, lambda line: human.size(line.waiting.size), right=True),
    Column(
        "oldest",
        lambda line: _iso(line.waiting.oldest_unix_nano),
        lambda line: human.time(line.waiting.oldest_unix_nano),
    ),
    Column(
        "dead_letters",
        lambda line: line.dead.items if line.dead else 0,
        lambda line: human.count(line.dead.items if line.dead else 0),
        right=True,
    ),
    Column(
        "dead_letter_bytes",
        lambda line: line.dead.size if line.dead else 0,
        lambda line: human.size(line.dead.size if line.dead else 0),
        right=True,
    ),
    Column(
        "quarantined_bytes",
        lambda line: line.quarantined,
        lambda line: human.size(line.quarantined),
        right=True,
    ),
    Column("state", lambda line: line.state),
    Column("directory", lambda line: line.directory),
)


@click.command("ls")
@format_option
@with_places
def ls(places: Sequence[Place], output_format: Format) -> None:
    """List the queues: what waits, since when, how many dead letters there are, and who has the queue open."""
    lines = [_line(place) for place in places]
    if output_format == "json":
        click.echo(
            json.dumps(
                [{column.heading: column.value(line) for column in _COLUMNS} for line in lines], indent=2
            )
        )
        return
    show(lines, _COLUMNS, output_format, empty="There is no queue yet.")


def _line(place: Place) -> _Line:
    from collector.pipeline.queue_survey import survey

    dead = survey(place.letters_path) if place.letters_path.is_dir() else None
    return _Line(place.name, str(place.directory), survey(place.path), dead)


@click.command("inspect")
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option("--all", "everything", is_flag=True, help="All queues.")
@click.option("--waiting", is_flag=True, help="What waits to be sent, in place of the dead letters.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many lines.")
@with_places
def inspect(
    places: Sequence[Place], queues: tuple[str, ...], everything: bool, waiting: bool, limit: int | None
) -> None:
    """Print dead letters as JSON lines, each with its reason and its items as OTLP/JSON; or what waits.

    The `letter` in it is what `retry` and `drop` take.
    """
    left = limit
    for place in choose(places, queues, everything=everything):
        for about, data in _waiting(place) if waiting else _letters(place):
            if left is not None:
                if not left:
                    return
                left -= 1
            click.echo(_json_line({"queue": place.name, **about}, data))


def _waiting(place: Place) -> Iterator[tuple[dict[str, Any], Telemetry]]:
    from collector.pipeline import queue_survey

    for frame in queue_survey.waiting(place.path):
        if frame.data is not None:
            yield {"record": frame.sequence, "taken": _iso(frame.unix_nano)}, frame.data


def _letters(place: Place) -> Iterator[tuple[dict[str, Any], Telemetry]]:
    from collector.pipeline import queue_survey
    from collector.pipeline.dead_letters import Letter

    seen = set()
    if place.letters_path.is_dir():
        for frame in queue_survey.waiting(place.letters_path):
            letter = Letter.decode(frame.data) if frame.data is not None else None
            if letter is not None and letter.key not in seen:
                seen.add(letter.key)
                about = {
                    "letter": letter.name,
                    "refused": _iso(frame.unix_nano),
                    "reason": letter.reason,
                    "message": letter.message,
                }
                yield about, letter.data


def _json_line(about: dict[str, Any], data: Telemetry) -> str:
    from collector.wire.json_encode import encode_json

    about |= {"signal": data.signal.value, "items": data.items}
    head = json.dumps(about, ensure_ascii=False)
    return f'{head[:-1]}, "request": {encode_json(data.signal, data.parse()).decode()}}}'
