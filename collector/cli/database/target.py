"""Which database a command is about, and what becomes of errors."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import click
from click.core import ParameterSource

from collector.cli.configuration import configuration_options, load_or_exit

if TYPE_CHECKING:
    from collector.cost.config import CostConfig
    from collector.model.signal import Signal
    from collector.service.config import Config
    from collector.storage.store import Store
    from collector.storage.tables import Table

CONNECTION_STRING: Final = "COLLECTOR_CONNECTION_STRING"
_OPTIONS: Final = ("configs", "sets", "connection_string", "backend", "exporter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A database: its store, not opened; its address for people; how long the configuration keeps items."""

    store: Store
    address: str
    retention_s: Mapping[Signal | Table, float] | None  # None: nothing is configured
    secrets: tuple[str, ...] = ()
    backend: str | None = None  # what the user said that it is
    cost: CostConfig | None = None  # the section cost of the configuration
    analyses_s: float | None = None  # how long it keeps analyses of policies; None: nothing is configured

    def open(self, *, creating: bool = False) -> None:
        """Connect, and see that it is what the user thinks it is, or (`creating`) what he wants to make of it.

        Raises:
            ClickException: it is not.
        """
        self.store.open()
        if not creating and self.backend == "timescaledb" and "timescaledb" not in self.store.edition.lower():
            raise click.ClickException(
                f"--backend is timescaledb, but {self.address} is {self.store.edition}: create the extension"
                " there, or use --backend postgresql"
            )

    def without_secrets(self, text: str) -> str:
        """`text` with the passwords in this database's address taken out."""
        for secret in self.secrets:
            text = text.replace(secret, "[REDACTED]")
        return text


def with_target(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that name a database, and call it with the `Target` first."""
    return target_options(targeted(function))


def targeted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Call `function` with the `Target` that the options of the running command name, and close it after."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        for name in _OPTIONS:
            options.pop(name, None)
        target = _target(click.get_current_context())
        with reported(target):
            try:
                return function(target, *args, **options)
            finally:
                target.store.close()

    return call


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that name a database."""
    for option in (
        click.option(
            "--exporter", metavar="ID", help="Which exporter of the configuration, if it has several."
        ),
        click.option(
            "--backend",
            type=click.Choice(["sqlite", "postgresql", "timescaledb"]),
            help="Refuse to work on anything else. Not needed: the connection string says what it is.",
        ),
        click.option(
            "--connection-string",
            metavar="URL",
            envvar=CONNECTION_STRING,
            help="sqlite:///relative.db, sqlite:////absolute.db or postgresql://user@host/database."
            f" [{CONNECTION_STRING}]",
        ),
    ):
        function = option(function)
    return configuration_options(function)


@contextmanager
def reported(target: Target) -> Iterator[None]:
    """Turn what can go wrong with a database into a message and exit code 1."""
    from collector.model.errors import TelemetryError
    from collector.storage.store import QueryError

    try:
        yield
    except QueryError as error:
        raise click.ClickException(f"the query failed: {target.without_secrets(str(error))}") from error
    except TelemetryError as error:
        raise click.ClickException(f"{target.address}: {target.without_secrets(str(error))}") from error


@contextmanager
def arguments() -> Iterator[None]:
    """Turn what a query client says about its arguments into a usage error."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _target(context: click.Context) -> Target:
    given = {name: _given(context, name) for name in _OPTIONS}
    from_url = given["connection_string"]
    from_file = given["configs"]
    if from_url[0] and from_file[0]:
        if from_url[1] == from_file[1]:
            raise click.UsageError("give either --connection-string or --config, not both")
        # What is written on the command line counts more than the environment.
        if from_url[1] is not ParameterSource.COMMANDLINE:
            from_url = (None, None)
    if from_url[0]:
        if given["exporter"][0]:
            raise click.UsageError("--exporter chooses one of a configuration: it goes with --config")
        return _of_url(from_url[0], given["backend"][0])
    config = load_or_exit(from_file[0] or (), given["sets"][0] or ())
    return _of_config(config, given["exporter"][0], given["backend"][0])


def _given(context: click.Context, name: str) -> tuple[Any, ParameterSource | None]:
    """An option and where it was given: to the command or to the group it is in, environment last."""
    found: tuple[Any, ParameterSource | None] = (None, None)
    at: click.Context | None = context
    while at is not None:
        source = at.get_parameter_source(name)
        if at.params.get(name) and source is ParameterSource.COMMANDLINE:
            return at.params[name], source
        if at.params.get(name) and source is ParameterSource.ENVIRONMENT:
            found = (at.params[name], source)
        at = at.parent
    return found


def _of_url(url: str, backend: str | None) -> Target:
    from collector.config.types import ConnectionString
    from collector.storage.store import store_for

    scheme = urlsplit(url).scheme
    if backend is not None and (backend == "sqlite") != (scheme == "sqlite"):
        raise click.UsageError(
            f"--backend is {backend}, but the connection string is one of {scheme or 'nothing known'}"
        )
    if backend is not None and backend != "sqlite":
        # The scheme says which tables to make: hypertables or partitions.
        url = f"{backend}{url[len(scheme) :]}"
    try:
        store = store_for(url)
    except ValueError as error:
        raise click.UsageError(f"--connection-string: {error}") from error
    return Target(
        store=store,
        address=str(ConnectionString(url)),
        retention_s=None,
        secrets=_passwords(url),
        backend=backend,
    )


def _passwords(url: str) -> tuple[str, ...]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return ()
    return tuple(dict.fromkeys((password, unquote(password)))) if password else ()


def _of_config(config: Config, wanted: str | None, backend: str | None) -> Target:
    from collector.service.check import unattended
    from collector.storage.exporter import StoreConfig, StoreExporter

    entries = {
        str(name): entry for name, entry in config.exporters.items() if isinstance(entry.config, StoreConfig)
    }
    files = ", ".join(config.names)
    if wanted is not None and wanted not in entries:
        raise click.UsageError(f"--exporter {wanted} is no database exporter of {files}: {_list(entries)}")
    if wanted is None and len(entries) != 1:
        raise click.UsageError(f"{files} has {_list(entries)}: choose with --exporter ID")
    name = wanted if wanted is not None else next(iter(entries))
    entry = entries[name]
    if backend is not None and backend != entry.id.type:
        raise click.UsageError(f"--backend is {backend}, but exporter {name} of {files} is {entry.id.type}")
    exporter = entry.factory.create(unattended(entry.id, "exporter", config), entry.config)
    if not isinstance(exporter, StoreExporter):
        raise TypeError(f"{name} has the options of a store and is none")
    return Target(
        store=exporter.store,
        address=f"exporter {name} of {files}",
        retention_s=entry.config.retention.ages_s(),
        secrets=_passwords_in(entry.config),
        backend=backend,
        cost=config.cost,
        analyses_s=float(entry.config.retention.analyses),
    )


def _passwords_in(config: Any) -> tuple[str, ...]:
    from collector.config.types import ConnectionString

    values = [getattr(config, field.name) for field in dataclasses.fields(config)]
    return tuple(
        password
        for value in values
        if isinstance(value, ConnectionString)
        for password in _passwords(value.reveal())
    )


def _list(entries: Mapping[str, object] | Sequence[str]) -> str:
    return f"database exporters {', '.join(entries)}" if entries else "no database exporter"


def note(text: str) -> None:
    """Say something to the person at the terminal, on standard error."""
    click.echo(text, err=True)
