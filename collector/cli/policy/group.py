"""`collector policy`: what stored costs may be, and what is said about them."""

from __future__ import annotations

import click

from collector.cli.policy.evaluate import analyses, evaluate
from collector.cli.policy.keep import add, disable, enable, export, import_command, ls, rm, show


@click.group("policy")
def command() -> None:
    """Keep policies and budgets in the database, and evaluate them on the costs that are stored there.

    Policies are JSON, FinOpsGuard's unchanged (collector/cost/README.md, "Policies and budgets"). Which database:
    --connection-string, or the exporter of a --config. Exit code 0 if it was done, 1 if not, 2 if the command line is
    wrong; of `evaluate` 3 if a policy blocks.
    """


for verb in (add, ls, show, rm, enable, disable, evaluate, analyses, export, import_command):
    command.add_command(verb)
