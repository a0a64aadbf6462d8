"""`Store`: what every database can do, and the only thing that exporters, queries and the command line know of one.

Every sentence here is a test in `tests/contract/test_store.py`, run against each dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.pipeline.component import CheckStep

if TYPE_CHECKING:
    from collector.model.clock import Clock
    from collector.storage.rows import Encoded, Row
    from collector.storage.tables import Table


class PositionError(RetryableError):
    """A batch overlaps what the store holds of its queue: ask `position` and continue from there."""

    def __init__(self, queue_id: UUID, stored: int, start: int, end: int) -> None:
        super().__init__(
            f"queue {queue_id} is stored up to {stored}; the batch ({start}, {end}] overlaps that",
            reason="position",
        )
        self.stored = stored


class SchemaError(RetryableError):
    """The database's tables are not those this version writes. It can be migrated meanwhile: retryable."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="schema")


class RowRefusedError(PermanentError):
    """A database will never take some rows, and stopped at one of them: `row`, in place `place` of those of `table`.

    That one or one before it is to blame, and nothing behind it.
    """

    def __init__(self, message: str, *, reason: str, table: Table, place: int, row: Row) -> None:
        super().__init__(message, reason=reason)
        self.table = table
        self.place = place
        self.row = row


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema."""

    version: int
    name: str
    sql: str
    checksum: str  # of `sql`; a migration that was applied must not change any more


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database's schema stands. Version 0: not initialised."""

    current: int
    expected: int  # newest that this program knows
    pending: tuple[Migration, ...]

    @property
    def usable(self) -> bool:
        """Whether this program can write: initialised, and at most one version apart.

        Hundreds of sidecars roll one by one, so neighbours must get on: a migration only adds, and what it adds
        is written from the next version on (storage/README.md, "Migrations").
        """
        return self.current > 0 and abs(self.current - self.expected) <= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStats:
    """Size of one table. None: the store cannot say, or has no such thing."""

    table: str
    rows: int  # may be the planner's estimate where counting is not affordable: `exact` says
    exact: bool
    bytes: int | None
    chunks: int | None = None
    compressed_chunks: int | None = None
    bytes_before_compression: int | None = None
    bytes_after_compression: int | None = None
    # What all rows would take uncompressed and without indexes, estimated from a sample: of rows that were
    # compressed as they arrived, nothing else can be said.
    bytes_as_rows: int | None = None
    oldest_unix_nano: int | None = None  # facts only
    newest_unix_nano: int | None = None

    @property
    def compression_ratio(self) -> float | None:
        """How many times smaller compression made what it has compressed.

        As recorded if it was; else `bytes_as_rows` against the table as it is, with its indexes.
        """
        if self.compression_recorded:
            return (self.bytes_before_compression or 0) / (self.bytes_after_compression or 1)
        if self.compressed_chunks and self.bytes_as_rows and self.bytes:
            return self.bytes_as_rows / self.bytes
        return None

    @property
    def compression_recorded(self) -> bool:
        """Whether the sizes before and after are known, because rows were stored first and compressed later."""
        return bool(self.bytes_before_compression and self.bytes_after_compression)


@dataclass(frozen=True, slots=True)
class Result:
    """Answer to a query."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Change:
    """A statement that changes rows of people's own, such as policies: never of telemetry or costs.

    Placeholders are written as for `Store.query`. `required`: it has to change a row, or nothing is done.
    """

    sql: str
    params: Mapping[str, Any]
    required: bool = True


class NothingChangedError(Exception):
    """Takes back the transaction of a store's `change`; nobody else sees it."""


class Store(Protocol):
    """A database that holds telemetry in the shape of `storage.tables`.

    `write`, `position`, `read` and `query` may be called from several threads at once. Everything that talks to
    the database raises `RetryableError` when it is away, and opens it again by itself at the next call.
    """

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`: which SQL it speaks."""
        ...

    @property
    def edition(self) -> str:
        """What it is exactly, for people: `SQLite 3.46`, `PostgreSQL 18.6 with TimescaleDB 2.29.2 (full)`.

        Known after `open`.
        """
        ...

    def arrival(self) -> str:
        """How rows are stored as they arrive, for people: `compressed on arrival`; "" where there is one way only.

        Asks the database if that is not known yet, and may write to it and roll back. Raises as `position`.
        """
        ...

    def open(self) -> None:
        """Connect. Safe when open.

        Raises:
            RetryableError: it cannot be reached now.
            PermanentError: it never can as configured (wrong password, no such database).
        """
        ...

    def close(self) -> None:
        """Disconnect. Safe when closed or never opened; `open` works again afterwards.

        What another thread begins then is a `RetryableError`; what it is at ends soon, with that where it waits for a
        server. A query of a SQLite file is read to its end.
        """
        ...

    def migrate(self, *, dry_run: bool = False) -> list[Migration]:
        """Bring the schema up to date, creating it in an empty database; return what was (or would be) applied.

        Any number of processes may try at once: one does it, the others wait and find nothing to do.

        Raises:
            PermanentError: an applied migration differs from the one this program knows under its number.
        """
        ...

    def schema_status(self) -> SchemaStatus:
        """Compare the database's schema with this program's."""
        ...

    def write(
        self, encoded: Encoded, *, queue_id: UUID, start: int, end: int, also: Collection[UUID] = ()
    ) -> bool:
        """Store `encoded`, which is the positions `(start, end]` of queue `queue_id`. Whole or not at all.

        `also`: queues whose position becomes `end` in the same transaction, whatever it was.

        Costs are stored as `storage.ledger` says: what is there is not stored again, what is revised is replaced.

        Dimensions first, in a short transaction of their own, which repeats without effect; then, in one
        transaction, the facts and the position. Returns False, having done nothing, if the position stored for
        the queue is `end` or more: writing twice is writing once. A position before `start` is a gap that the
        sender knows about.

        Raises:
            PositionError: the stored position lies between `start` and `end`. Nothing was written.
            SchemaError: the tables are missing or too different. Nothing was written.
            RetryableError: nothing is known to be written.
            PermanentError: the database will never take these rows (an allow-list of error codes).
        """
        ...

    def parts(
        self, *, queue_id: UUID, start: int, end: int
    ) -> AbstractContextManager[Callable[[Encoded], None] | None]:
        """One transaction in which the positions `(start, end]` of queue `queue_id` are written part by part.

        Gives what writes a part, whole or not at all: it raises as `write`, and after a `PermanentError` the rest can
        still be written; a `RowRefusedError` if the database says which row it stopped at. The position is written at
        the end; if the body raises, nothing is. Gives None where the store holds the whole batch already. Raises as `write`.
        """
        ...

    def position(self, queue_id: UUID) -> int | None:
        """How far `queue_id` is stored; None: nothing of it."""
        ...

    def read(
        self,
        signal: Signal,
        *,
        start_unix_nano: int = 0,
        end_unix_nano: int = 2**63 - 1,
        limit: int | None = None,
    ) -> Encoded:
        """Return stored items with `start <= time < end`, and their dimensions, as they were written.

        Oldest first if there is a `limit` (rows per table). `storage.decode` makes OTLP of it.
        """
        ...

    def query(
        self,
        sql: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        rows_max: int | None = None,
    ) -> Result:
        """Run one statement that only reads, and return at most `rows_max` rows.

        With `params`, placeholders are written `%(name)s` and a literal percent sign `%%`, whatever the dialect;
        without, `sql` is passed as it is.

        Raises:
            QueryError: the statement is wrong, writes, or takes longer than `timeout_s`.
        """
        ...

    def stream(
        self, sql: str, params: Mapping[str, Any], *, rows_at_once: int = 2000
    ) -> AbstractContextManager[Iterator[tuple[Any, ...]]]:
        """Run one statement that only reads, and give its rows as they are asked for: memory is `rows_at_once`.

        Nothing else may be asked of an in-memory store meanwhile. Placeholders and errors as `query`.
        """
        ...

    def change(self, changes: Sequence[Change]) -> bool:
        """Do all of `changes` in one transaction; False, and nothing is done, if one that is required changes no row.

        Raises as `write`.
        """
        ...

    def exclusive(self, purpose: str) -> AbstractContextManager[bool]:
        """Whether this process, of all that use this database, is the only one that works at `purpose` now.

        False, at once, if another one does; the lock is given back at the end, whatever way that comes. It saves
        work. What is written must be right without it too, since a connection can be lost in the middle.
        """
        ...

    def stats(self) -> list[TableStats]:
        """Size, age and compression of every table."""
        ...

    def retention_s(self) -> dict[str, float]:
        """Ages in seconds at which the database itself drops rows, by table and roll-up, of those that have one.

        Empty where that is this program's work: then it is as configured.
        """
        ...

    def apply_retention(
        self, ages_s: Mapping[Signal | Table, float], *, now_unix_nano: int, dry_run: bool = False
    ) -> dict[str, int]:
        """Delete items older than their signal's or table's age in seconds; what is not named is kept for ever.

        In bounded pieces, so that writers are not held up. Returns rows deleted (or, on `dry_run`, that would be)
        per table; stores that drop whole chunks delete what lies in chunks entirely older.
        """
        ...

    def check(self) -> list[CheckStep]:
        """Try step by step: reach, open, version, privileges, schema version, write and roll back.

        Stops at the first step that fails. Needs no `open`, changes nothing, never raises for what it finds.
        """
        ...


class QueryError(Exception):
    """A query that cannot be answered; the message is the database's own."""


_POSTGRESQL: Final = frozenset({"postgresql", "postgres", "timescaledb"})
SCHEMES: Final[Sequence[str]] = ("sqlite", "postgresql", "postgres", "timescaledb")


def store_for(url: str, *, clock: Clock | None = None) -> Store:
    """Return the store that `url` names, not yet opened. The dialect's driver is imported only now.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://` (in memory); `postgresql://user@host/database`,
    also spelled `postgres://` or `timescaledb://`.

    Raises:
        ValueError: no dialect has this scheme.
    """
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        from collector.storage.sqlite.store import SqliteStore

        return SqliteStore.from_url(url, clock=clock)
    if scheme in _POSTGRESQL:
        from collector.storage.postgresql.store import PostgresqlStore

        return PostgresqlStore.from_url(url, clock=clock)
    raise ValueError(f"{scheme or url!r} is not a known scheme: expected {', '.join(SCHEMES)}")


def open_store(url: str, *, clock: Clock | None = None) -> Store:
    """Return the store that `url` names, opened: `with contextlib.closing(open_store(url)) as store:`.

    Raises:
        ValueError: no dialect has this scheme.
        RetryableError, PermanentError: as `Store.open`.
    """
    store = store_for(url, clock=clock)
    store.open()
    return store
