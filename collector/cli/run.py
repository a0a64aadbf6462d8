"""`collector run`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from collector.cli.configuration import configuration_options, read_or_exit

if TYPE_CHECKING:
    from collector.service.banner import Banner


@click.command("run")
@configuration_options
@click.option(
    "--watch",
    is_flag=True,
    help="Reload when a configuration file changes, or a file that ${file:…} names. Without it: on SIGHUP.",
)
def command(configs: tuple[str, ...], sets: tuple[str, ...], watch: bool) -> None:
    """Start the collector and keep it running until SIGTERM, SIGINT or Ctrl-C.

    Without a configuration: OTLP on 127.0.0.1:4317 (gRPC) and 127.0.0.1:4318 (HTTP), the admin server on
    127.0.0.1:13133, and a SQLite file in COLLECTOR_DATA_DIR (default: the XDG state directory).

    SIGHUP reads the configuration again and puts it into effect without a pause: what has not changed goes on, and
    if something is wrong all stays as it is.

    Exit code 0 after a signal, 1 if something could not start or died, 78 if the configuration is wrong.
    """
    from collector.model.clock import SystemClock
    from collector.service.config_files import ConfigFiles, Watch
    from collector.service.lifecycle import Service
    from collector.service.logging import open_log

    files = ConfigFiles(configs, sets)
    config = read_or_exit(files.read)
    clock = SystemClock()
    logs = config.service.telemetry.logs
    log = open_log(sys.stderr, clock, level=logs.level, encoding=logs.encoding)

    def announce(banner: Banner) -> None:
        if sys.stdout.isatty():
            click.echo(banner.text())
        else:
            log.root.info("Everything is ready.", **banner.fields())

    service = Service(config, log, clock, read=files.read)
    watcher = Watch(files, lambda: service.ask_for_reload("a file has changed")) if watch else None
    sys.exit(service.run(announce, watch=watcher))
