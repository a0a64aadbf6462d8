"""`collector queue`: sending queues on disk, and their dead letters."""

from __future__ import annotations

import click

from collector.cli.queue.change import drop, retry
from collector.cli.queue.look import inspect, ls


@click.group("queue")
def command() -> None:
    """Show what waits in the sending queues on disk, and what destinations refused for ever: the dead letters.

    Where they are: --directory, or the `file_storage` of a --config; without either, that of the built-in default.
    `ls` and `inspect` only read, also while the collector runs; `retry` and `drop` need it stopped.
    """


for verb in (ls, inspect, retry, drop):
    command.add_command(verb)
