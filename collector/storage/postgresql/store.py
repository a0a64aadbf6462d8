"""`PostgresqlStore`: PostgreSQL 14 or newer, with TimescaleDB or without."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit
from uuid import UUID

import psycopg

from collector.model.clock import Clock, SystemClock
from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.pipeline.component import CheckStep
from collector.storage.dimensions import DimensionWriter
from collector.storage.positions import QUEUE_FORGOTTEN_AFTER_S, must_write
from collector.storage.postgresql import ledger, policies, reading, schema, writing
from collector.storage.postgresql.arrival import Arrival, find_arrival
from collector.storage.postgresql.check import check
from collector.storage.postgresql.chunks import drop_chunks_before
from collector.storage.postgresql.claim import claim_queue
from collector.storage.postgresql.connections import Connection, Connections
from collector.storage.postgresql.errors import classify, row_refused
from collector.storage.postgresql.names import compose, lock_key
from collector.storage.postgresql.options import Layout, StoreOptions
from collector.storage.postgresql.partitions import (
    Partition,
    create_partitions,
    in_one_partition,
    read_partitions,
    uncovered,
)
from collector.storage.postgresql.schema import Database
from collector.storage.postgresql.statistics import read_stats
from collector.storage.rows import CopyRows, Encoded, Key, Row
from collector.storage.store import Change, Migration, Result, SchemaError, SchemaStatus, TableStats
from collector.storage.tables import (
    COST_FACTS,
    FACTS,
    FACTS_OF,
    POSITIONS,
    TELEMETRY_FACTS,
    Table,
    tables_of,
)

# Partitions are made so far ahead, so that a writer seldom has to.
_AHEAD_INTERVALS: Final = 2
# A server that is slow says so itself, by its statement_timeout; who waits longer than that waits for nobody.
_PATIENCE_BEYOND_S: Final = 5.0

# See `Arrival.steps`.
_Steps: TypeAlias = list[tuple[Table, Mapping[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """What `PostgresqlStore.maintain` did: changes in words, rows dropped by table."""

    changes: list[str] = field(default_factory=list)
    deleted: Mapping[str, int] = field(default_factory=dict)


class PostgresqlStore:
    """See `Store`. `address` is a URL or libpq's `key=value` form.

    `on_pool` gets the numbers of idle and busy connections when they change.
    """

    dialect: Final = "postgresql"

    def __init__(
        self,
        address: str,
        options: StoreOptions | None = None,
        *,
        clock: Clock | None = None,
        on_pool: Callable[[int, int], None] = lambda idle, busy: None,
    ) -> None:
        self.options = options or StoreOptions()
        self._clock = clock or SystemClock()
        self._connections = Connections(
            address,
            clock=self._clock,
            connections_max=self.options.connections_max,
            connect_timeout_s=self.options.connect_timeout_s,
            idle_s=self.options.connection_idle_s,
            application_name=self.options.application_name,
            on_open=self._forget,
            on_change=on_pool,
        )
        self._dimensions = DimensionWriter(identities=self.options.identities)
        self._lock = threading.Lock()
        # What was found behind the connections; all of it is forgotten when one is opened.
        self._database: Database | None = None
        self._partitions: dict[Table, list[Partition]] = {}
        self._arrival: Arrival | None = None
        self._arrival_before: Arrival | None = None  # as found behind connections since closed
        self._edition = "PostgreSQL"

    @classmethod
    def from_url(cls, url: str, *, clock: Clock | None = None) -> PostgresqlStore:
        """`postgresql://user@host/database`, with `?schema=name` if it is not the default one.

        `timescaledb://` insists on TimescaleDB; `postgresql://` takes it if it is there.
        """
        parts = urlsplit(url)
        options = StoreOptions(layout=Layout.HYPERTABLES if parts.scheme == "timescaledb" else None)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if "schema" in query:  # ours, unknown to libpq
            options = dataclasses.replace(options, schema=query.pop("schema"))
            url = urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))
        return cls(url, options, clock=clock)

    @property
    def edition(self) -> str:
        """See `Store`."""
        return self._edition

    @property
    def layout(self) -> Layout | None:
        """How the tables are cut by time; None while that is not known."""
        return self._database.layout if self._database else None

    def arrival(self) -> str:
        """See `Store`."""
        with self._session() as connection:
            database = self._usable(connection)
            if database.layout is None:
                return ""
            return self._find_arrival(connection, database).description

    def open(self) -> None:
        """See `Store`. A server that is away or refuses us may change its mind: that is retryable.

        Raises:
            SchemaError: it is there and cannot be used: too old, or without the extension that is asked for.
        """
        self._connections.open()
        with self._session(patient=False) as connection:
            self._inspect(connection).require_possible(self.options)

    def close(self) -> None:
        """See `Store`."""
        self._connections.close()
        self._forget()

    def close_idle(self) -> None:
        """Close connections that have not been used for long."""
        self._connections.close_idle()

    def migrate(self, *, dry_run: bool = False) -> list[Migration]:
        """See `Store`. Then brings TimescaleDB's policies in line with the options, with or without migrations."""
        with self._session() as connection:
            if dry_run:
                return schema.plan(connection, self.options)
            applied = schema.migrate(connection, self.options)
            self._forget()
            database = self._inspect(connection)
            if self._has_policies(database):
                policies.apply_policies(connection, database, self.options, initial=_made_by(applied))
            return applied

    def schema_status(self) -> SchemaStatus:
        """See `Store`."""
        with self._session(patient=False) as connection:
            return self._inspect(connection).status

    def write(
        self, encoded: Encoded, *, queue_id: UUID, start: int, end: int, also: Collection[UUID] = ()
    ) -> bool:
        """See `Store`."""
        with self._session(patient=False) as connection:
            database = self._usable(connection)
            layout = database.require_usable(self.options)
            self._require_tables(database, encoded)
            arrival = self._find_arrival(connection, database)
            encoded = self._write_dimensions(connection, encoded)
            if layout is Layout.PARTITIONS:
                self._make_room(connection, encoded)
            settings, steps = self._settings(), _steps(arrival, encoded)
            if steps:  # the parameters of the first table are set with those of the transaction
                (first, parameters), *others = steps
                settings.update(parameters)
                steps = [(first, {}), *others]
            with connection.transaction():
                if not self._advance(connection, queue_id, start, end, settings):
                    return False
                self._copy_facts(connection, steps, encoded)
                if also:
                    writing.put_positions(connection, self.options.schema, also, end)
        return True

    @contextlib.contextmanager
    def parts(self, *, queue_id: UUID, start: int, end: int) -> Iterator[Callable[[Encoded], None] | None]:
        """See `Store`. Each part under a savepoint."""
        with self._session(patient=False) as connection:
            database = self._usable(connection)
            layout = database.require_usable(self.options)
            arrival = self._find_arrival(connection, database)

            def write(encoded: Encoded) -> None:
                self._connections.extend(connection, self._patience_s)
                try:
                    self._require_tables(database, encoded)
                    # Of a part that is refused, the dimensions stay: they are remembered as written.
                    encoded = self._write_dimensions(connection, encoded)
                    if layout is Layout.PARTITIONS:
                        self._make_room(connection, encoded)
                    with connection.transaction():
                        self._copy_facts(connection, _steps(arrival, encoded), encoded)
                except psycopg.Error as error:
                    raise row_refused(error, encoded.facts) from error

            try:
                with connection.transaction():
                    claim_queue(connection, self.options.schema, queue_id, self._settings())
                    stored = writing.lock_position(connection, self.options.schema, queue_id)
                    if not must_write(stored, queue_id=queue_id, start=start, end=end):
                        yield None
                        return
                    # What would be checked when the transaction ends is checked while it is known whose it is.
                    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                    yield write
                    self._put_position(connection, queue_id, stored, end)
            except BaseException:
                self._forget()  # what was taken back with the transaction is remembered as written
                raise

    def position(self, queue_id: UUID) -> int | None:
        """See `Store`."""
        with self._session(patient=False) as connection:
            self._usable(connection).require_usable(self.options)
            row = connection.execute(
                compose(
                    "SELECT position FROM {table} WHERE queue_id = %s", self.options.schema, table=POSITIONS
                ),
                (queue_id,),
            ).fetchone()
            return None if row is None else row[0]

    def read(
        self,
        signal: Signal,
        *,
        start_unix_nano: int = 0,
        end_unix_nano: int = 2**63 - 1,
        limit: int | None = None,
    ) -> Encoded:
        """See `Store`."""
        name = self.options.schema
        with self._session() as connection, connection.transaction():
            # One snapshot for all tables.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            selected = {
                table: reading.select_facts(connection, name, table, start_unix_nano, end_unix_nano, limit)
                for table in FACTS_OF[signal]
            }
            facts = {table: rows for table, rows in selected.items() if rows}
            dimensions = reading.select_dimensions(connection, name, facts)
        return Encoded(signal=signal, items=sum(map(len, facts.values())), dimensions=dimensions, facts=facts)

    def query(
        self,
        sql: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        rows_max: int | None = None,
    ) -> Result:
        """See `Store`."""
        with self._session() as connection:
            extension = self._usable(connection).edition.extension_schema
            return reading.run_query(
                connection, self.options.schema, extension, sql, params, timeout_s, rows_max
            )

    @contextlib.contextmanager
    def stream(
        self, sql: str, params: Mapping[str, Any], *, rows_at_once: int = 2000
    ) -> Iterator[Iterator[tuple[Any, ...]]]:
        """See `Store`."""
        with self._session() as connection:
            extension = self._usable(connection).edition.extension_schema
            with reading.stream_query(
                connection, self.options.schema, extension, sql, params, rows_at_once
            ) as rows:
                yield rows

    def change(self, changes: Sequence[Change]) -> bool:
        """See `Store`."""
        with self._session(patient=False) as connection:
            self._usable(connection).require_usable(self.options)
            return writing.run_changes(connection, self.options.schema, self._settings(), changes)

    @contextlib.contextmanager
    def exclusive(self, purpose: str) -> Iterator[bool]:
        """See `Store`. An advisory lock of a transaction, since a pooler may stand in between: it holds a connection.

        That one is beyond `connections_max`, so that one connection is enough for what is done meanwhile.
        """
        with self._session(beyond=True) as connection, connection.transaction():
            writing.set_local(connection, {"idle_in_transaction_session_timeout": "0"})
            [locked] = connection.execute(
                "SELECT pg_try_advisory_xact_lock(%s)", (lock_key(self.options.schema, purpose),)
            ).fetchone() or (False,)
            yield bool(locked)

    def stats(self) -> list[TableStats]:
        """See `Store`."""
        with self._session() as connection:
            database = self._usable(connection)
            layout = database.require_usable(self.options)
            return read_stats(connection, self.options.schema, layout, database)

    def retention_s(self) -> dict[str, float]:
        """See `Store`: TimescaleDB's policies, on its full edition."""
        with self._session() as connection:
            database = self._usable(connection)
            if not self._has_policies(database):
                return {}
            return policies.read_retention(connection, self.options.schema)

    def apply_retention(
        self, ages_s: Mapping[Signal | Table, float], *, now_unix_nano: int, dry_run: bool = False
    ) -> dict[str, int]:
        """See `Store`. Drops whole chunks or partitions; also what is stored of queues long forgotten."""
        deleted: dict[str, int] = {}
        name = self.options.schema
        with self._session() as connection:
            database = self._usable(connection)
            layout = database.require_usable(self.options)
            for what, age_s in ages_s.items():
                cutoff = (now_unix_nano - int(age_s * 1e9)) // 1000
                for table in tables_of(what):
                    if table not in database.facts:
                        continue
                    deleted[table.name] = drop_chunks_before(
                        connection, name, table, layout, database.edition, cutoff, dry_run=dry_run
                    )
            with self._lock:
                self._partitions.clear()
            if not dry_run:
                connection.execute(
                    compose(
                        "DELETE FROM {table} WHERE updated_at < now() - %s * interval '1 second'",
                        name,
                        table=POSITIONS,
                    ),
                    (QUEUE_FORGOTTEN_AFTER_S,),
                )
        return deleted

    def maintain(self, *, now_unix_nano: int) -> Maintenance:
        """Do what keeps the tables in shape: policies, partitions ahead, retention where there are no policies.

        Any number of processes may run it; it changes nothing that is as it should be. It is left to others when
        this role does not own the tables.
        """
        with self._session() as connection:
            database = self._usable(connection)
            layout = database.require_usable(self.options)
            self._arrival = None  # somebody may have changed the tables' compression
            if not schema.owns_tables(connection, self.options.schema):
                return Maintenance()
            if self._has_policies(database):
                changes = policies.apply_policies(connection, database, self.options)
                return Maintenance(changes=changes)
            made: list[str] = []
            if layout is Layout.PARTITIONS:
                made = self._partitions_ahead(connection, now_unix_nano // 1000)
        ages_s = {what: age_s for what, age_s in self.options.retention_s.items() if age_s}
        return Maintenance(changes=made, deleted=self.apply_retention(ages_s, now_unix_nano=now_unix_nano))

    def check(self) -> list[CheckStep]:
        """See `Store`."""
        return check(self._connections, self.options, self._clock.unix_nano())

    # --- what the operations above are made of --------------------------------------------------------------

    @contextlib.contextmanager
    def _session(self, *, patient: bool = True, beyond: bool = False) -> Iterator[Connection]:
        """A connection, and the errors of the database as errors of telemetry.

        `patient`: for what may take long; else the server must answer in the time that writing has, and a bit.
        `beyond`: see `Connections`.
        """
        patience_s = None if patient else self._patience_s
        try:
            with self._connections.connection(patience_s, beyond=beyond) as connection:
                yield connection
        except psycopg.Error as error:
            self._database = None  # whatever it was, look again before the next write
            self._arrival = None
            with self._lock:
                self._partitions.clear()
            raise classify(error) from error

    @property
    def _patience_s(self) -> float:
        return self.options.write_timeout_s + _PATIENCE_BEYOND_S

    def _advance(
        self, connection: Connection, queue_id: UUID, start: int, end: int, settings: Mapping[str, str]
    ) -> bool:
        """Begin a transaction that writes facts: its parameters, and the position. False: they are stored already.

        The parameters are a statement of their own: a statement's timeout is that of the moment in which it begins.
        """
        name = self.options.schema
        claim_queue(connection, name, queue_id, settings)
        if writing.put_position(connection, name, queue_id, start, end):
            return True
        stored = writing.lock_position(connection, name, queue_id)
        if not must_write(stored, queue_id=queue_id, start=start, end=end):
            return False
        self._put_position(connection, queue_id, stored, end)
        return True

    def _settings(self) -> dict[str, str]:
        """Server parameters of the transaction that writes facts."""
        settings = {"statement_timeout": f"{round(self.options.write_timeout_s * 1000)}ms"}
        if self.options.synchronous_commit is not None:
            settings["synchronous_commit"] = self.options.synchronous_commit
        return settings

    def _forget(self) -> None:
        self._database = None
        self._arrival = None
        self._dimensions.forget()
        with self._lock:
            self._partitions.clear()

    def _inspect(self, connection: Connection) -> Database:
        database = schema.inspect(connection, self.options)
        self._edition = database.edition.description
        self._database = database
        return database

    def _usable(self, connection: Connection) -> Database:
        """What is known of the database; looked at again as long as it could not be used.

        Raises:
            SchemaError: a migration was applied with another content than the known one. No fault of any batch.
        """
        database = self._database
        if database is None or not database.status.usable:
            try:
                database = self._inspect(connection)
            except PermanentError as error:
                raise SchemaError(str(error)) from error
        return database

    def _find_arrival(self, connection: Connection, database: Database) -> Arrival:
        """How rows are to be stored here. Found out once per connection, and checked once per start of the server."""
        arrival = self._arrival
        if arrival is None:
            arrival = find_arrival(connection, database, self.options, self._arrival_before)
            self._arrival = self._arrival_before = arrival
        return arrival

    @staticmethod
    def _has_policies(database: Database) -> bool:
        return database.layout is Layout.HYPERTABLES and database.edition.full

    def _write_dimensions(self, connection: Connection, encoded: Encoded) -> Encoded:
        def insert(missing: Mapping[Table, list[Row]]) -> Mapping[Key, bytes]:
            with connection.transaction():
                writing.set_local(connection, self._settings())
                return writing.insert_dimensions(connection, self.options.schema, missing)

        return self._dimensions.write(encoded, insert)

    def _require_tables(self, database: Database, encoded: Encoded) -> None:
        if not set(encoded.facts) <= set(database.facts):
            raise SchemaError(
                f"schema {self.options.schema!r} is at version {database.status.current}, which has no tables "
                f"for {encoded.signal.value}: run 'collector database migrate'"
            )

    def _copy_facts(self, connection: Connection, steps: _Steps, encoded: Encoded) -> None:
        if encoded.signal is Signal.COSTS:
            ledger.store_costs(connection, self.options.schema, encoded.facts)
            return
        for table, parameters in steps:
            writing.set_local(connection, parameters)
            writing.copy_facts(connection, self.options.schema, table, encoded.facts[table])

    def _put_position(self, connection: Connection, queue_id: UUID, before: int | None, end: int) -> None:
        if not writing.put_position(connection, self.options.schema, queue_id, before, end):
            raise RetryableError(f"queue {queue_id} is written by somebody else", reason="position")

    def _make_room(self, connection: Connection, encoded: Encoded) -> None:
        """Make the partitions that the rows of `encoded` need."""
        for table, rows in encoded.facts.items():
            with self._lock:
                partitions = self._partitions.get(table)
            if partitions is None:
                partitions = read_partitions(connection, self.options.schema, table)
            if isinstance(rows, CopyRows) and in_one_partition(partitions, *rows.time_range()):
                continue
            at = table.index("time")
            times = {row[at] for row in rows} - {None}  # None: for the database to refuse
            if uncovered(partitions, times):
                interval = self.options.interval_us(table)
                partitions = create_partitions(connection, self.options.schema, table, times, interval)
            with self._lock:
                self._partitions[table] = partitions

    def _partitions_ahead(self, connection: Connection, now: int) -> list[str]:
        """Make partitions for the time to come, of tables that are in use."""
        made = []
        for table in FACTS:
            interval = self.options.interval_us(table)
            times = [now + ahead * interval for ahead in range(_AHEAD_INTERVALS + 1)]
            partitions = read_partitions(connection, self.options.schema, table)
            if partitions and uncovered(partitions, times):
                after = create_partitions(connection, self.options.schema, table, times, interval)
                made.append(f"{table.name}: {len(after) - len(partitions)} partitions made")
        return made


def _steps(arrival: Arrival, encoded: Encoded) -> _Steps:
    return arrival.steps({table: len(rows) for table, rows in encoded.facts.items()})


def _made_by(applied: Iterable[Migration]) -> tuple[Table, ...]:
    """The fact tables that these migrations have made."""
    versions = {migration.version for migration in applied}
    return (
        *(TELEMETRY_FACTS if 1 in versions else ()),
        *(COST_FACTS if schema.COSTS_SINCE in versions else ()),
    )
