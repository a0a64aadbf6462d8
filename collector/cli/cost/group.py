"""`collector cost`: who causes which cost, from what is stored and from bills."""

from __future__ import annotations

import click

from collector.cli.cost.allocation import allocation
from collector.cli.cost.attribute import attribute
from collector.cli.cost.demo import demo
from collector.cli.cost.export import export
from collector.cli.cost.import_bill import import_command
from collector.cli.cost.reconcile import reconcile
from collector.cli.cost.report import report


@click.group("cost")
def command() -> None:
    """Attribute costs to who causes them, bring bills in, report, and export to FOCUS and others.

    Which database: --connection-string, or the exporter of a --config; prices and rules: --prices, or the section
    cost of that configuration. Results go to standard output, everything else to standard error. Exit code 0 if it
    was done, 1 if not, 2 if the command line is wrong, 78 if prices, rules or the configuration are.
    """


for verb in (attribute, import_command, reconcile, report, allocation, export, demo):
    command.add_command(verb)
