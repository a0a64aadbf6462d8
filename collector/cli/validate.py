"""`collector validate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import click

from collector.cli.configuration import configuration_options, load_or_exit

if TYPE_CHECKING:
    from collector.config.diagnostics import Problem
    from collector.service.config import Config

Format = Literal["text", "json", "github"]

_EXIT_UNREACHABLE: Final = 1


@click.command("validate")
@configuration_options
@click.option("--connect", is_flag=True, help="Also try to reach and use every exporter's destination.")
@click.option(
    "--against",
    metavar="FILE",
    help="Also say what a reload would change in a collector that runs with FILE.",
)
@click.option("--deny-warnings", is_flag=True, help="Treat warnings as errors.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="github: annotations for a workflow's log.",
)
def command(
    configs: tuple[str, ...],
    sets: tuple[str, ...],
    connect: bool,
    against: str | None,
    deny_warnings: bool,
    output_format: Format,
) -> None:
    """Check a configuration: every mistake in one run, each with its place. Without --connect no network is used.

    It is read exactly as `collector run` reads it. Exit code 0 if it is valid, 78 if not, 1 if with --connect a
    destination cannot be used.
    """
    from collector.components import FACTORIES
    from collector.config.diagnostics import EXIT_CONFIG, ConfigError
    from collector.config.load import load
    from collector.config.sources import system
    from collector.service.config import load_config

    source = load(configs, sets, system())
    try:
        config = load_config(source, FACTORIES)
    except ConfigError as error:
        _show(error.problems, output_format)
        sys.exit(error.exit_code)
    denied = deny_warnings and bool(config.warnings)
    if config.warnings or output_format == "json":
        _show(config.warnings, output_format)
    if denied:
        sys.exit(EXIT_CONFIG)
    if output_format == "text":
        click.echo(f"{', '.join(config.names)}: valid")
    if against is not None and output_format == "text":
        from collector.service.changes import changes

        running = load_or_exit([against], sets)
        for change in changes(running, config):
            click.echo(f"  {change}")
    if connect and not _connect(config, quiet=output_format != "text"):
        sys.exit(_EXIT_UNREACHABLE)


def _show(problems: Sequence[Problem], output_format: Format) -> None:
    """Print findings: as text to standard error, for machines to standard output."""
    from collector.config.diagnostics import in_order, render

    match output_format:
        case "text":
            color = sys.stderr.isatty()
            click.echo(render(problems, color=color), err=True, color=color)
        case "json":
            click.echo(json.dumps([problem.as_data() for problem in in_order(problems)], indent=2))
        case "github":
            for problem in in_order(problems):
                click.echo(_annotation(problem))


def _annotation(problem: Problem) -> str:
    """Return a finding as a workflow command of GitHub Actions."""
    text = "\n".join(part for part in (problem.message, problem.label, *problem.notes) if part)
    place = problem.place
    where = ""
    if place is not None:
        last = place.column + place.length - 1
        where = f" file={_escape_property(place.file)},line={place.line},col={place.column},endColumn={last}"
    return f"::{problem.severity}{where}::{_escape(text)}"


def _escape(text: str) -> str:
    """Escape the message of a workflow command (actions/toolkit, packages/core/src/command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


def _connect(config: Config, *, quiet: bool) -> bool:
    """Run the check of every exporter in use. Returns whether all steps were good."""
    from collector.service.check import check_exporters

    good = True
    for exporter_id, steps in check_exporters(config):
        if not quiet:
            click.echo(f"\nexporter {exporter_id}")
        for step in steps:
            good &= step.ok
            mark = click.style("✓", fg="green") if step.ok else click.style("✗", fg="red")
            click.echo(f"  {mark} {step.name}{': ' if step.detail else ''}{step.detail}", err=quiet)
    return good
