"""`collector run`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from collector.cli.configuration import configuration_options, load_or_exit

if TYPE_CHECKING:
    from collector.service.banner import Banner


@click.command("run")
@configuration_options
def command(configs: tuple[str, ...], sets: tuple[str, ...]) -> None:
    """Start the collector and keep it running until SIGTERM, SIGINT or Ctrl-C.

    Without a configuration: OTLP on 127.0.0.1:4317 (gRPC) and 127.0.0.1:4318 (HTTP), the admin server on
    127.0.0.1:13133, and a SQLite file in COLLECTOR_DATA_DIR (default: the XDG state directory).

    Exit code 0 after a signal, 1 if something could not start or died, 78 if the configuration is wrong.
    """
    from collector.model.clock import SystemClock
    from collector.service.lifecycle import Service
    from collector.service.logging import open_log

    config = load_or_exit(configs, sets)
    clock = SystemClock()
    logs = config.service.telemetry.logs
    log = open_log(sys.stderr, clock, level=logs.level, encoding=logs.encoding)

    def announce(banner: Banner) -> None:
        if sys.stdout.isatty():
            click.echo(banner.text())
        else:
            log.root.info("Everything is ready.", **banner.fields())

    sys.exit(Service(config, log, clock).run(announce))
