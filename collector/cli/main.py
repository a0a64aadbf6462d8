"""`collector`: the command line. Each command is a module, imported when it is the one that runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click

from collector.version import version_text

# Name -> module with an object `command`, and the line in the list of commands. The text is here so that the
# list can be shown without importing rich, drivers and SDKs.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "run": ("collector.cli.run", "Start the collector."),
    "demo": ("collector.cli.demo", "Start it, drive it with an instrumented app, show what was stored."),
    "validate": ("collector.cli.validate", "Check a configuration: every mistake, with its place."),
    "print-config": ("collector.cli.print_config", "Show the effective configuration, without secrets."),
    "components": ("collector.cli.components", "Show what can be configured, and every option."),
    "queue": ("collector.cli.queue", "Show what waits on disk and what was refused; retry or drop it."),
    "cost": ("collector.cli.cost", "Attribute costs, import bills, report, export to FOCUS."),
    "policy": ("collector.cli.policy", "Keep budgets and policies; evaluate them on stored costs."),
    "database": ("collector.cli.database", "Create, migrate, test, query and clean the database."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; if there is none of that name, say which is near."""
        import difflib

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There is: {', '.join(COMMANDS)}."
            raise click.UsageError(f"No such command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


def _show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(version_text())
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
def command() -> None:
    """An OpenTelemetry collector that stores traces, metrics and logs in TimescaleDB, PostgreSQL or SQLite.

    Every option can also be set by an environment variable: COLLECTOR_<COMMAND>_<OPTION>.
    """


def main() -> None:
    """The entry point of the console script."""
    command(prog_name="collector", auto_envvar_prefix="COLLECTOR")
