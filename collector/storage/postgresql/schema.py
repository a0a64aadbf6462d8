"""The schema of one database: what state it is in, and bringing it up to date."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Final

from collector.model.errors import PermanentError
from collector.storage import migrations
from collector.storage.migrations import VERSION_TABLE
from collector.storage.postgresql.connections import Connection
from collector.storage.postgresql.edition import Edition, read_edition
from collector.storage.postgresql.names import LOCK_MIGRATE, compose, lock_key
from collector.storage.postgresql.options import Layout, StoreOptions
from collector.storage.postgresql.template import render
from collector.storage.store import Migration, SchemaError, SchemaStatus
from collector.storage.tables import FACTS, POLICY_TABLES, SPANS, TELEMETRY_FACTS, Table

# The migrations that make the tables of costs, and of policies.
COSTS_SINCE: Final = 4
_POLICIES_SINCE: Final = 5

_PACKAGE: Final = "collector.storage.postgresql"
_KIND: Final = """
SELECT relkind::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = %s AND relname = %s
"""


@cache
def known() -> tuple[Migration, ...]:
    """The migrations of this dialect, as they are written."""
    return migrations.load(_PACKAGE)


@dataclass(frozen=True, slots=True)
class Database:
    """What was found behind a connection. Holds until the next one."""

    edition: Edition
    status: SchemaStatus
    layout: Layout | None  # of the tables; None while there are none

    @property
    def facts(self) -> tuple[Table, ...]:
        """The fact tables that are there: the schema may be a version behind this program."""
        return FACTS if self.status.current >= COSTS_SINCE else TELEMETRY_FACTS

    @property
    def policies(self) -> tuple[Table, ...]:
        """The tables of policies, if they are there."""
        return POLICY_TABLES if self.status.current >= _POLICIES_SINCE else ()

    def require_possible(self, options: StoreOptions) -> None:
        """Raise if no migration would make the database usable.

        Raises:
            SchemaError: the server is too old, or has not what `options` ask for.
        """
        problem = self.edition.problem() or layout_problem(self, options)
        if problem:
            raise SchemaError(problem)

    def require_usable(self, options: StoreOptions) -> Layout:
        """Return the layout if this program can write here.

        Raises:
            SchemaError: it cannot, until somebody does what the message says.
        """
        self.require_possible(options)
        status = self.status
        if not status.usable or self.layout is None:
            state = f"is at version {status.current}" if status.current else "has not been initialised"
            advice = (
                "run 'collector database init', or set auto_migrate"
                if status.current < status.expected
                else "upgrade this collector"
            )
            raise SchemaError(
                f"schema {options.schema!r} {state}, this collector needs {status.expected}: {advice}"
            )
        return self.layout


def owns_tables(connection: Connection, schema: str) -> bool:
    """Whether this role may do what only an owner may: policies, partitions, dropping."""
    [[owns]] = connection.execute(
        "SELECT bool_and(pg_has_role(relowner, 'MEMBER')) FROM pg_class "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = %s AND relname = %s",
        (schema, SPANS.name),
    ).fetchall()
    return bool(owns)


def inspect(connection: Connection, options: StoreOptions) -> Database:
    """Find out what is there. Pending migrations are as they would be run here.

    Raises:
        PermanentError: a migration was applied with another content than the known one.
    """
    edition = read_edition(connection)
    kind = connection.execute(_KIND, (options.schema, SPANS.name)).fetchone()
    layout = None
    if kind is not None:
        layout = Layout.PARTITIONS if kind[0] == "p" else Layout.HYPERTABLES
    status = migrations.status(known(), _applied(connection, options.schema))
    variables = _variables(edition, layout, options)
    pending = tuple(
        dataclasses.replace(migration, sql=render(migration.sql, variables)) for migration in status.pending
    )
    return Database(edition, dataclasses.replace(status, pending=pending), layout)


def layout_problem(database: Database, options: StoreOptions) -> str:
    """Why tables cannot be, or are not, in the layout that is asked for; "" if all is well."""
    edition = database.edition
    if options.layout is Layout.HYPERTABLES:
        if not edition.timescaledb and not edition.available:
            return (
                f"{edition.description} has no TimescaleDB: install the extension, or use the exporter "
                "'postgresql' (or a postgresql:// address), which needs none"
            )
        if database.layout is Layout.PARTITIONS:
            return (
                f"the tables in schema {options.schema!r} were made without TimescaleDB: use the exporter "
                "'postgresql', or another schema"
            )
    return ""


def plan(connection: Connection, options: StoreOptions) -> list[Migration]:
    """The pending migrations as the SQL that `migrate` would run here.

    Raises:
        PermanentError: as `migrate`.
    """
    database = inspect(connection, options)
    _require(database, options)
    steps = list(database.status.pending)
    if steps and _creates_extension(database, options):
        first = f"{_CREATE_EXTENSION};\n\n{steps[0].sql}"
        steps[0] = dataclasses.replace(steps[0], sql=first)
    return steps


def migrate(connection: Connection, options: StoreOptions) -> list[Migration]:
    """Apply what is pending, one transaction each; any number of processes may try at once.

    Raises:
        PermanentError: this server cannot hold the schema, or holds another's.
    """
    database = inspect(connection, options)
    _require(database, options)
    if _creates_extension(database, options):
        with connection.transaction():
            _lock(connection, options.schema)
            connection.execute(_CREATE_EXTENSION)
    _make_version_table(connection, options.schema)
    applied: list[Migration] = []
    while True:
        with connection.transaction():
            _lock(connection, options.schema)
            steps = plan(connection, options)
            if not steps:
                return applied
            step = steps[0]
            # Without parameters, so that the file may hold any number of statements and percent signs.
            connection.execute(step.sql.encode())
            connection.execute(
                compose(
                    "INSERT INTO {schema}.{table} (version, name, checksum) VALUES (%s, %s, %s)",
                    options.schema,
                    table=VERSION_TABLE,
                ),
                (step.version, step.name, step.checksum),
            )
        applied.append(step)


_CREATE_EXTENSION: Final = "CREATE EXTENSION IF NOT EXISTS timescaledb"


def _creates_extension(database: Database, options: StoreOptions) -> bool:
    return options.layout is Layout.HYPERTABLES and not database.edition.timescaledb


def _require(database: Database, options: StoreOptions) -> None:
    problem = database.edition.problem() or layout_problem(database, options)
    if problem:
        raise PermanentError(problem, reason="schema")


def _variables(edition: Edition, layout: Layout | None, options: StoreOptions) -> dict[str, str]:
    """What the migrations are filled in with. `layout`: that of the tables, if there are any."""
    layout = layout or options.layout
    if layout is None:
        layout = Layout.HYPERTABLES if edition.timescaledb else Layout.PARTITIONS
    hypertables = layout is Layout.HYPERTABLES
    return {
        "schema": options.schema,
        # For `--dry-run` before the extension is there: CREATE EXTENSION puts it where tables go by default.
        "extension": edition.extension_schema or "public",
        "partition_by": "" if hypertables else "PARTITION BY RANGE (time)",
        "hypertables": "on" if hypertables else "off",
        "full": "on" if hypertables and (edition.full or not edition.timescaledb) else "off",
        "chunk_interval": f"{round(options.chunk_interval_s)} seconds",
    }


def _lock(connection: Connection, schema: str) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key(schema, LOCK_MIGRATE),))


def _make_version_table(connection: Connection, schema: str) -> None:
    with connection.transaction():
        _lock(connection, schema)
        if _has_version_table(connection, schema):
            return
        # Even IF NOT EXISTS needs the privilege to create one, which a role with a schema of its own may not have.
        found = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
        if found is None:
            connection.execute(compose("CREATE SCHEMA {schema}", schema))
        connection.execute(
            compose(
                """
                CREATE TABLE {schema}.{table} (
                    version integer PRIMARY KEY,
                    name text NOT NULL,
                    checksum text NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT now()
                )
                """,
                schema,
                table=VERSION_TABLE,
            )
        )


def _has_version_table(connection: Connection, schema: str) -> bool:
    return connection.execute(_KIND, (schema, VERSION_TABLE)).fetchone() is not None


def _applied(connection: Connection, schema: str) -> dict[int, str]:
    """Checksums by version of what was applied; empty when nothing was."""
    if not _has_version_table(connection, schema):
        return {}
    rows = connection.execute(
        compose("SELECT version, checksum FROM {schema}.{table}", schema, table=VERSION_TABLE)
    ).fetchall()
    return dict(rows)
