"""`SqliteStore`: one file, or memory."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID

from collector.model.clock import Clock, SystemClock
from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.pipeline.component import CheckStep
from collector.pipeline.memory_plan import UNBOUNDED
from collector.storage.dimensions import DimensionWriter
from collector.storage.positions import must_write
from collector.storage.rows import Encoded, Key, Row
from collector.storage.sqlite import ledger, schema, statements, upkeep
from collector.storage.sqlite.check import check
from collector.storage.sqlite.connection import (
    classified,
    file_lock,
    is_busy,
    limited,
    reading_only,
    transaction,
)
from collector.storage.sqlite.connections import Connections
from collector.storage.store import (
    Change,
    Migration,
    NothingChangedError,
    QueryError,
    Result,
    SchemaStatus,
    TableStats,
)
from collector.storage.tables import DIMENSIONS, FACTS_OF, SIGNAL_OF, Table

_PLACEHOLDER: Final = re.compile(r"%\((\w+)\)s|%%")


def path_of(url: str) -> Path | None:
    """The file that a `sqlite:` URL names; None: memory."""
    path = unquote(url.removeprefix("sqlite:").removeprefix("//").split("?")[0])
    if path in ("", "/", "/:memory:"):
        return None
    return Path(path.removeprefix("/")).expanduser()


class SqliteStore:
    """See `Store`. With `path` None the store is in memory and its life is from `open` to `close`.

    `items_max` keeps at most so many items: the oldest go first. Only for memory, where nobody else writes.
    `identities`: how many rows of each dimension are remembered as written, at least.
    """

    dialect: Final = "sqlite"

    def __init__(
        self,
        path: Path | None,
        *,
        clock: Clock | None = None,
        busy_timeout_s: float = 5.0,
        items_max: int | None = None,
        identities: int = UNBOUNDED.identities,
    ) -> None:
        self.path = path
        self._clock = clock or SystemClock()
        self._items_max = items_max
        self._connections = Connections(path, busy_timeout_s=busy_timeout_s, on_open=self._forget)
        # What was found behind the writing connection; all of it is forgotten when that is opened.
        self._ready = False  # whether it has seen a usable schema
        self._dimensions = DimensionWriter(identities=identities)
        self._evicted: Counter[Signal] = Counter()
        self._purposes: dict[str, threading.Lock] = {}

    @classmethod
    def from_url(cls, url: str, *, clock: Clock | None = None) -> SqliteStore:
        """`sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://`."""
        return cls(path_of(url), clock=clock)

    @property
    def edition(self) -> str:
        """See `Store`."""
        return f"SQLite {sqlite3.sqlite_version}"

    def arrival(self) -> str:
        """See `Store`: there is one way."""
        return ""

    def open(self) -> None:
        """See `Store`. A file that does not exist is no error yet: `migrate` makes it."""
        self._connections.open()
        if self.path is None or self.path.exists():
            with self._connections.writing("open"):
                pass

    def close(self) -> None:
        """See `Store`. Waits for what is being written: slices of some 20 ms, or a batch."""
        self._connections.close()

    def migrate(self, *, dry_run: bool = False) -> list[Migration]:
        """See `Store`. Makes the file, and the folders it lies in, when they are missing.

        Raises:
            PermanentError: also when the folder cannot be made or written to.
        """
        if dry_run:
            return list(self.schema_status().pending)
        self._make_folder()
        with self._connections.writing("migrate", create=True) as connection, transaction(connection):
            return schema.apply(connection, self._clock.unix_nano())

    def schema_status(self) -> SchemaStatus:
        """See `Store`. A file that does not exist is at version 0."""
        if self.path is not None and not self.path.exists():
            return SchemaStatus(0, len(schema.known()), schema.known())
        with self._connections.reading("read the schema version") as connection:
            return schema.status(connection)

    def write(
        self, encoded: Encoded, *, queue_id: UUID, start: int, end: int, also: Collection[UUID] = ()
    ) -> bool:
        """See `Store`."""
        with self._connections.writing("write") as connection:
            self._require_schema(connection)
            encoded = self._write_dimensions(connection, encoded)
            with transaction(connection):
                stored = statements.select_position(connection, queue_id)
                if not must_write(stored, queue_id=queue_id, start=start, end=end):
                    return False
                self._insert_facts(connection, encoded)
                for one in (queue_id, *also):
                    self._put_position(connection, one, end)
        return True

    @contextmanager
    def parts(self, *, queue_id: UUID, start: int, end: int) -> Iterator[Callable[[Encoded], None] | None]:
        """See `Store`. Each part under a savepoint."""
        with self._connections.writing("write") as connection:
            self._require_schema(connection)

            def write(encoded: Encoded) -> None:
                if (
                    not connection.in_transaction
                ):  # the database has ended it, and taken back what was written
                    raise RetryableError("the transaction was ended by the database", reason="database")
                try:
                    # Of a part that is refused, the dimensions stay: they are remembered as written.
                    encoded = self._write_dimensions(connection, encoded)
                    with transaction(connection):
                        self._insert_facts(connection, encoded)
                except (sqlite3.Error, OverflowError) as error:
                    raise classified(error, f"write {self.path or 'in memory'}") from error

            try:
                with transaction(connection):
                    stored = statements.select_position(connection, queue_id)
                    if not must_write(stored, queue_id=queue_id, start=start, end=end):
                        yield None
                        return
                    yield write
                    if not connection.in_transaction:
                        raise RetryableError("the transaction was ended by the database", reason="database")
                    self._put_position(connection, queue_id, end)
            except BaseException as error:
                self._dimensions.forget()  # what was taken back with the transaction is remembered as written
                if self.path is not None and isinstance(error, RetryableError):
                    self._connections.disconnect()
                raise

    def _write_dimensions(self, connection: sqlite3.Connection, encoded: Encoded) -> Encoded:
        def insert(missing: Mapping[Table, list[Row]]) -> Mapping[Key, bytes]:
            with transaction(connection):
                return statements.insert_dimensions(connection, missing)

        return self._dimensions.write(encoded, insert)

    @staticmethod
    def _insert_facts(connection: sqlite3.Connection, encoded: Encoded) -> None:
        if encoded.signal is Signal.COSTS:
            ledger.store_costs(connection, encoded.facts)
            return
        for table, rows in encoded.facts.items():
            statements.insert_facts(connection, table, rows)

    def _put_position(self, connection: sqlite3.Connection, queue_id: UUID, end: int) -> None:
        statements.put_position(connection, queue_id, end, self._clock.unix_nano())
        if self._items_max is not None:
            self._make_room(connection)

    def position(self, queue_id: UUID) -> int | None:
        """See `Store`."""
        with self._connections.writing("read the position") as connection:
            self._require_schema(connection)
            return statements.select_position(connection, queue_id)

    def read(
        self,
        signal: Signal,
        *,
        start_unix_nano: int = 0,
        end_unix_nano: int = 2**63 - 1,
        limit: int | None = None,
    ) -> Encoded:
        """See `Store`."""
        with self._connections.reading("read") as connection, transaction(connection, "DEFERRED"):
            selected = {
                table: statements.select_facts(connection, table, start_unix_nano, end_unix_nano, limit)
                for table in FACTS_OF[signal]
            }
            facts = {table: rows for table, rows in selected.items() if rows}
            dimensions = statements.select_dimensions(connection, facts)
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
        if params is not None:
            sql = _named(sql)
        deadline = None if timeout_s is None else self._clock.monotonic() + timeout_s

        def expired() -> bool:
            return deadline is not None and self._clock.monotonic() >= deadline

        with (
            self._connections.reading("query") as connection,
            reading_only(connection),
            limited(connection, expired),
        ):
            try:
                cursor = connection.execute(sql, {} if params is None else params)
                rows = cursor.fetchall() if rows_max is None else cursor.fetchmany(rows_max)
            except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
                if isinstance(error, sqlite3.OperationalError) and is_busy(error):
                    raise
                if expired():
                    raise QueryError(f"took longer than {timeout_s:g} s") from error
                denied = "not authorized" in str(error)
                raise QueryError("only reading is allowed" if denied else str(error)) from error
            columns = cursor.description
            cursor.close()
        if columns is None:
            raise QueryError("the statement is empty")
        return Result(tuple(column[0] for column in columns), rows)

    @contextmanager
    def stream(
        self, sql: str, params: Mapping[str, Any], *, rows_at_once: int = 2000
    ) -> Iterator[Iterator[tuple[Any, ...]]]:
        """See `Store`."""
        sql = _named(sql)
        with self._connections.reading("query") as connection, reading_only(connection):
            try:
                cursor = connection.execute(sql, params)
            except (sqlite3.Error, sqlite3.Warning) as error:
                if isinstance(error, sqlite3.OperationalError) and is_busy(error):
                    raise
                raise QueryError(str(error)) from error
            with closing(cursor):
                cursor.arraysize = rows_at_once
                yield iter(cursor)

    def change(self, changes: Sequence[Change]) -> bool:
        """See `Store`."""
        with self._connections.writing("change") as connection:
            self._require_schema(connection)
            try:
                with transaction(connection):
                    for change in changes:
                        cursor = connection.execute(_named(change.sql), change.params)
                        if change.required and not cursor.rowcount:
                            raise NothingChangedError
            except NothingChangedError:
                return False
        return True

    @contextmanager
    def exclusive(self, purpose: str) -> Iterator[bool]:
        """See `Store`. The lock is the operating system's, on a file beside the database: it ends with its process."""
        lock = self._purposes.setdefault(purpose, threading.Lock())
        if not lock.acquire(blocking=False):
            yield False
            return
        try:
            if self.path is None:
                yield True
                return
            with file_lock(self.path.with_name(f"{self.path.name}-{purpose}.lock")) as locked:
                yield locked
        finally:
            lock.release()

    def stats(self) -> list[TableStats]:
        """See `Store`."""
        with self._connections.reading("read the sizes") as connection:
            return upkeep.stats(connection)

    def retention_s(self) -> dict[str, float]:
        """See `Store`: SQLite drops nothing by itself."""
        return {}

    def apply_retention(
        self, ages_s: Mapping[Signal | Table, float], *, now_unix_nano: int, dry_run: bool = False
    ) -> dict[str, int]:
        """See `Store`."""
        if dry_run:
            with self._connections.reading("count what is old") as connection:
                return upkeep.count_old(connection, ages_s, now_unix_nano)
        return upkeep.delete_old(
            lambda: self._connections.writing("delete what is old"), ages_s, now_unix_nano
        )

    def delete_billed(self, start_unix_nano: int, end_unix_nano: int) -> int:
        """Delete the costs of billing periods that begin from `start` to before `end`; return how many."""
        return upkeep.delete_billed(
            lambda: self._connections.writing("delete what is old"), start_unix_nano, end_unix_nano
        )

    def take_evicted(self) -> Counter[Signal]:
        """How many items made room for newer ones since the last call, by signal."""
        with self._connections.lock:
            evicted, self._evicted = self._evicted, Counter()
        return evicted

    def check(self) -> list[CheckStep]:
        """See `Store`."""
        return check(self._connections, self.edition, self._clock.unix_nano())

    def _make_folder(self) -> None:
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermanentError(
                f"cannot make the folder {self.path.parent.absolute()}: {error.strerror}",
                reason="cannot_open",
            ) from error

    def _require_schema(self, connection: sqlite3.Connection) -> None:
        if not self._ready:
            schema.require_usable(schema.status(connection))
            self._ready = True

    def _forget(self) -> None:
        self._ready = False
        self._dimensions.forget()

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Keep within `items_max`, and the dimensions in proportion."""
        assert self._items_max is not None  # noqa: S101  the caller asked
        for table, count in upkeep.keep_newest(connection, self._items_max).items():
            self._evicted[SIGNAL_OF[table.name]] += count
        for table in DIMENSIONS:
            if upkeep.count(connection, table) > 2 * self._items_max:
                upkeep.delete_unused_dimensions(connection)
                self._dimensions.forget()


def _named(sql: str) -> str:
    """Write placeholders as SQLite does."""
    return _PLACEHOLDER.sub(lambda match: f":{match[1]}" if match[1] else "%", sql)
