"""`database test-connection`: step by step, so that the first ✗ says what to mend."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from collector.cli.database.output import Column, Format, console, format_option, show, text
from collector.cli.database.target import Target, note, with_target

if TYPE_CHECKING:
    from collector.pipeline.component import CheckStep


@click.command("test-connection")
@format_option
@with_target
def test_connection(target: Target, output_format: Format) -> None:
    """Try step by step whether the database can be reached and written to. Leaves nothing behind.

    Exit code 1 if a step fails.
    """
    note(f"Testing {target.address}")
    steps = target.store.check()
    if output_format == "table":
        for step in steps:
            _print(target, step)
    else:
        columns = [
            Column("step", lambda step: step.name),
            Column("ok", lambda step: step.ok),
            Column("detail", lambda step: target.without_secrets(step.detail)),
        ]
        if output_format == "json":
            from collector.cli.database.output import show_json

            show_json([{column.heading: column.value(step) for column in columns} for step in steps])
        else:
            show(steps, columns, output_format, empty="")
    if not all(step.ok for step in steps):
        sys.exit(1)


def _print(target: Target, step: CheckStep) -> None:
    line = text("✓ " if step.ok else "✗ ", "green" if step.ok else "bold red")
    line.append_text(text(step.name, "bold"))
    if step.detail:
        line.append_text(text(f": {target.without_secrets(step.detail)}"))
    console().print(line)
