"""`--config` and `--set` of every command that reads a configuration, and what happens when it is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collector.service.config import Config


def configuration_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the parameters `configs` and `sets`."""
    function = click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set one option over all files: exporters.sqlite.path=data.db (or a::b::c=v). Repeatable.",
    )(function)
    return click.option(
        "--config",
        "-c",
        "configs",
        multiple=True,
        metavar="FILE",
        envvar="COLLECTOR_CONFIG",
        help="YAML file; also env:NAME or yaml:TEXT. Repeatable: later ones are laid over earlier ones. "
        "None: the built-in default. [COLLECTOR_CONFIG]",
    )(function)


def load_or_exit(configs: Sequence[str], sets: Sequence[str]) -> Config:
    """Return the configuration. Warnings go to standard error; errors too, and then the exit code is 78."""
    from collector.service.config_files import ConfigFiles

    return read_or_exit(ConfigFiles(configs, sets).read)


def read_or_exit(read: Callable[[], Config]) -> Config:
    """The same for a function that reads it."""
    from collector.config.diagnostics import ConfigError, render

    color = sys.stderr.isatty()
    try:
        config = read()
    except ConfigError as error:
        click.echo(error.render(color=color), err=True, color=color)
        sys.exit(error.exit_code)
    if config.warnings:
        click.echo(render(config.warnings, color=color), err=True, color=color)
    return config
