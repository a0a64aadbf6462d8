"""`collector database`: everything about the database that is not done by the running collector."""

from __future__ import annotations

import click

from collector.cli.database.cleanup import cleanup
from collector.cli.database.cost_questions import costs
from collector.cli.database.examples import examples
from collector.cli.database.query import query
from collector.cli.database.questions import latest, logs, metrics, over_time, services
from collector.cli.database.schema import init, migrate, status
from collector.cli.database.stats import stats
from collector.cli.database.test_connection import test_connection
from collector.cli.database.trace_questions import errors, slowest_traces, spans, trace


@click.group("database")
def command() -> None:
    """Create, migrate, test, query and clean the database.

    Which one: --connection-string, or the exporter of a --config; without either, that of the built-in default.
    Results go to standard output, everything else to standard error. Exit code 0 if it was done, 1 if not,
    2 if the command line is wrong, 78 if the configuration is.
    """


for question in (services, metrics, latest, over_time, slowest_traces, spans, errors, trace, logs, costs):
    query.add_command(question)
for verb in (init, migrate, status, test_connection, stats, query, cleanup, examples):
    command.add_command(verb)
