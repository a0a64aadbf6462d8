"""`collector print-config`."""

from __future__ import annotations

import json
from typing import Literal

import click

from collector.cli.configuration import configuration_options, load_or_exit


@click.command("print-config")
@configuration_options
@click.option(
    "--mode",
    type=click.Choice(["redacted", "unredacted"]),
    default="redacted",
    help="Whether secrets are printed as [REDACTED].",
)
@click.option("--format", "output_format", type=click.Choice(["yaml", "json"]), default="yaml")
def command(
    configs: tuple[str, ...],
    sets: tuple[str, ...],
    mode: Literal["redacted", "unredacted"],
    output_format: Literal["yaml", "json"],
) -> None:
    """Print the configuration in effect: files merged, ${…} replaced, defaults filled in, secrets redacted.

    What `--mode unredacted` prints can be loaded again and means the same.
    """
    from collector.config.encode import to_yaml
    from collector.service.config import as_data

    data = as_data(load_or_exit(configs, sets), reveal=mode == "unredacted")
    click.echo(
        json.dumps(data, indent=2, ensure_ascii=False) if output_format == "json" else to_yaml(data).rstrip()
    )
