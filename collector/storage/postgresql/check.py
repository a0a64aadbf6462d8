"""The steps of `check`: from the name of the server to a row written and rolled back."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import psycopg

from collector.model.errors import TelemetryError
from collector.pipeline.component import CheckStep
from collector.storage.postgresql import schema
from collector.storage.postgresql.arrival import find_arrival
from collector.storage.postgresql.arrival_check import sample_row
from collector.storage.postgresql.connections import Connection, Connections
from collector.storage.postgresql.ledger import store_costs
from collector.storage.postgresql.options import Layout, StoreOptions
from collector.storage.postgresql.partitions import create_partitions
from collector.storage.postgresql.schema import Database, layout_problem
from collector.storage.postgresql.writing import (
    copy_facts,
    insert_dimensions,
    insert_row,
    lock_position,
    put_position,
)
from collector.storage.tables import (
    COST_FACTS,
    DIMENSIONS,
    POLICY_TABLES,
    POSITIONS,
    TELEMETRY_FACTS,
    Table,
)

_HOST: Final = "localhost"
_PORT: Final = "5432"
_CONNECT_TIMEOUT_S: Final = 5.0
_CHANGED: Final = (*COST_FACTS, *POLICY_TABLES)  # rows are replaced and deleted, beside being added


class _FailedError(Exception):
    """A step that failed; the message is for people."""


def check(connections: Connections, options: StoreOptions, now_unix_nano: int) -> list[CheckStep]:
    """Try step by step, and stop at the first that fails."""
    steps: list[CheckStep] = []
    for name, step in _steps(connections, options, now_unix_nano):
        try:
            steps.append(CheckStep(name, True, step()))
        except (_FailedError, TelemetryError, psycopg.Error, ValueError, OSError) as error:
            steps.append(CheckStep(name, False, str(error).strip().partition("\n")[0]))
            break
    return steps


def _steps(
    connections: Connections, options: StoreOptions, now_unix_nano: int
) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "resolve", lambda: _resolve(connections)
    yield "connect", lambda: _reach(connections)
    opened: list[Connection] = []

    def log_in() -> str:
        connection = connections.connect()
        opened.append(connection)
        return f"as {connection.info.user!r} to database {connection.info.dbname!r}"

    try:
        yield "auth", log_in
        connection = opened[0]
        database = schema.inspect(connection, options)
        yield "version", lambda: _version(database)
        yield "extension and edition", lambda: _extension(database, options)
        yield "privileges", lambda: _privileges(connection, database, options)
        yield "schema version", lambda: _schema_version(database, options)
        yield "write and roll back", lambda: _write(connection, database, options, now_unix_nano)
    finally:
        for connection in opened:
            connection.close()


def _hosts(connections: Connections) -> list[tuple[str, str]]:
    parameters = connections.parameters()
    hosts = str(parameters.get("hostaddr") or parameters.get("host") or _HOST).split(",")
    ports = str(parameters.get("port") or _PORT).split(",")
    return [(host, ports[index] if index < len(ports) else ports[0]) for index, host in enumerate(hosts)]


def _resolve(connections: Connections) -> str:
    found = []
    for host, port in _hosts(connections):
        if host.startswith(("/", "@")):
            found.append(f"{host} is a Unix socket")
            continue
        try:
            addresses = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        except OSError as error:
            raise _FailedError(f"{host}: {error.strerror or error}") from error
        found.append(f"{host} is {', '.join(sorted({str(address[4][0]) for address in addresses}))}")
    return "; ".join(found)


def _reach(connections: Connections) -> str:
    """One of the hosts must take connections: with several, the others may be standbys that are away."""
    problems = []
    for host, port in _hosts(connections):
        if host.startswith(("/", "@")):
            return f"{host}: left to the next step"
        try:
            socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
        except OSError as error:
            problems.append(f"{host}:{port}: {error.strerror or error}")
        else:
            return f"{host}:{port} takes connections"
    raise _FailedError("; ".join(problems))


def _version(database: Database) -> str:
    problem = database.edition.problem()
    if problem:
        raise _FailedError(problem)
    return f"PostgreSQL {database.edition.version}"


def _extension(database: Database, options: StoreOptions) -> str:
    edition = database.edition
    problem = layout_problem(database, options)
    if problem:
        raise _FailedError(problem)
    if edition.full:
        return f"TimescaleDB {edition.timescaledb}, full edition"
    if edition.timescaledb:
        return (
            f"TimescaleDB {edition.timescaledb}, Apache edition: no compression and no continuous aggregates; "
            "retention is done by this collector"
        )
    if options.layout is Layout.HYPERTABLES:
        return f"TimescaleDB {edition.available} will be created by 'collector database init'"
    return "no TimescaleDB: tables are partitioned by time, retention is done by this collector"


def _privileges(connection: Connection, database: Database, options: StoreOptions) -> str:
    if database.layout is None:
        statement = (
            "SELECT has_database_privilege(current_database(), 'CREATE') OR EXISTS (SELECT FROM pg_namespace "
            "WHERE nspname = %s AND has_schema_privilege(pg_namespace.oid, 'CREATE'))"
        )
        if not _one(connection, statement, (options.schema,)):
            raise _FailedError(
                f"may not create schema {options.schema!r}: GRANT CREATE ON DATABASE, or let an administrator "
                "run 'collector database init'"
            )
        return f"may create schema {options.schema!r}"
    missing = _missing(connection, options, (*DIMENSIONS, *TELEMETRY_FACTS, POSITIONS))
    if missing:
        raise _FailedError(f"missing: {', '.join(missing)}")
    without = "".join(
        f"; no {what}, for want of {', '.join(lacking)}"
        for what, tables in (("costs", _costs(database)), ("policies", database.policies))
        if (lacking := _missing(connection, options, tables))
    )
    if schema.owns_tables(connection, options.schema):
        return f"may write and maintain the tables{without}"
    if database.layout is Layout.PARTITIONS:
        return f"may write, but not make partitions: another collector must, or writes will wait{without}"
    return f"may write; retention and compression are left to the owner of the tables{without}"


def _costs(database: Database) -> list[Table]:
    return [table for table in database.facts if table in COST_FACTS]


def _missing(connection: Connection, options: StoreOptions, tables: Iterable[Table]) -> list[str]:
    """The privileges on `tables` that a writer needs and this role does not have."""
    missing = []
    for table in tables:
        needed = ["SELECT", "INSERT"]
        if table is POSITIONS or table in _CHANGED:
            needed.append("UPDATE")
        if table in _CHANGED:
            needed.append("DELETE")
        missing += [
            f"{privilege} on {table.name}"
            for privilege in needed
            if not _one(
                connection,
                "SELECT has_table_privilege(format('%%I.%%I', %s::text, %s::text), %s)",
                (options.schema, table.name, privilege),
            )
        ]
    return missing


def _schema_version(database: Database, options: StoreOptions) -> str:
    database.require_usable(options)
    return f"version {database.status.current}, this collector's is {database.status.expected}"


def _write(connection: Connection, database: Database, options: StoreOptions, now_unix_nano: int) -> str:
    """One row into every table, by the statements that the daemon uses."""
    name = options.schema
    queue_id = _one(connection, "SELECT gen_random_uuid()", ())
    with connection.transaction(force_rollback=True):
        insert_dimensions(connection, name, {table: [sample_row(table, 0)] for table in DIMENSIONS})
        costs = [] if _missing(connection, options, _costs(database)) else _costs(database)
        for table in (*TELEMETRY_FACTS, *costs):
            now = now_unix_nano // 1000
            if database.layout is Layout.PARTITIONS:
                create_partitions(connection, name, table, [now], options.interval_us(table))
            if table in COST_FACTS:
                store_costs(connection, name, {table: [sample_row(table, now)]})
            else:
                copy_facts(connection, name, table, [sample_row(table, now)])
        policies = () if _missing(connection, options, database.policies) else database.policies
        for table in policies:
            insert_row(connection, name, table, sample_row(table, now_unix_nano // 1000))
        put_position(connection, name, queue_id, lock_position(connection, name, queue_id), 1)
    arrival = find_arrival(connection, database, options, None)
    stored = "" if database.layout is Layout.PARTITIONS else f"; rows are stored {arrival.description}"
    tables = len(DIMENSIONS) + len(TELEMETRY_FACTS) + len(costs) + len(policies) + 1
    return f"a row in each of {tables} tables, and nothing is left of it{stored}"


def _one(connection: Connection, statement: Any, params: tuple[Any, ...]) -> Any:
    row = connection.execute(statement, params).fetchone()
    return None if row is None else row[0]
