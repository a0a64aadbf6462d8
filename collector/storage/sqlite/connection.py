"""Connections to SQLite files, and what its errors mean."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from collector.model.errors import PermanentError, RetryableError
from collector.storage.sqlite.decimals import add_functions
from collector.storage.store import SchemaError

# Rows that SQLite will never take. Everything else (locked, disk full, damaged file, …) may change.
_PERMANENT: Final = frozenset({sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG})
_REASONS: Final = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_CANTOPEN: "cannot_open",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_PERM: "read_only",
    sqlite3.SQLITE_IOERR: "io",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
}
_READING: Final = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_PAUSE_S: Final = 0.005


def connect(path: Path | None, *, create: bool, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the file, or with `path` None a database in memory. Transactions are begun and ended by hand.

    WAL lets readers read while one writes. synchronous=FULL syncs the log at every commit, so that what the
    position says is stored survives a power cut: the queue lets go of it then. At one commit per second and
    signal that costs nothing worth having.
    """
    if path is None:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    else:
        uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        connection = sqlite3.connect(
            uri, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
    try:
        if create:
            _make_lasting(connection, busy_timeout_s)
        connection.execute("PRAGMA synchronous = FULL")
        add_functions(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _make_lasting(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Set what a file keeps. Others that make the same file are waited for, for `busy_timeout_s` seconds."""
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            # Must be set before the first table. Lets retention give disk space back in small pieces.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # The change to WAL reads first and wants to write then. SQLite does not wait for that: of two that
            # read, neither could begin. Whoever is refused reads no longer, and the other goes on.
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


@contextmanager
def transaction(connection: sqlite3.Connection, mode: str = "IMMEDIATE") -> Iterator[None]:
    """One transaction, or in one a savepoint.

    IMMEDIATE takes the write lock at once: nothing that was read can change before the end.
    """
    begin, end, back = f"BEGIN {mode}", "COMMIT", "ROLLBACK"
    if connection.in_transaction:
        # Of savepoints with the same name, the innermost is meant.
        begin, end, back = "SAVEPOINT part", "RELEASE part", "ROLLBACK TO part; RELEASE part"
    connection.execute(begin)
    try:
        yield
        connection.execute(end)
    except BaseException:
        if connection.in_transaction:
            for statement in back.split("; "):
                connection.execute(statement)
        raise


@contextmanager
def reading_only(connection: sqlite3.Connection) -> Iterator[None]:
    """Within it, the connection prepares statements that read tables, and no other."""

    def authorize(action: int, table: str | None, *_: str | None) -> int:
        # json_each declares its columns when it is first used, which SQLite asks about as if it updated its
        # catalogue. No statement can: sqlite_master may not be modified.
        declares = action == sqlite3.SQLITE_UPDATE and table == "sqlite_master"
        return sqlite3.SQLITE_OK if action in _READING or declares else sqlite3.SQLITE_DENY

    connection.set_authorizer(authorize)
    try:
        yield
    finally:
        connection.set_authorizer(None)


@contextmanager
def limited(connection: sqlite3.Connection, expired: Callable[[], bool]) -> Iterator[None]:
    """Within it, a statement is interrupted once `expired()` says so."""
    connection.set_progress_handler(lambda: int(expired()), 10_000)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


@contextmanager
def file_lock(path: Path) -> Iterator[bool]:
    """Whether this process got the lock on `path`, which is made if it is not there and left where it is.

    Raises:
        RetryableError: the file cannot be made.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RetryableError(f"lock {path}: {error.strerror}", reason="cannot_open") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)  # the lock with it


def classified(error: sqlite3.Error | OverflowError, doing: str) -> RetryableError | PermanentError:
    """What `error`, met while `doing` something, means to a sender."""
    code = _primary_code(error)
    message = f"{doing}: {error}"
    if isinstance(error, OverflowError) or code in _PERMANENT:
        return PermanentError(message, reason="rejected_by_database")
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError | sqlite3.NotSupportedError):
        return PermanentError(message, reason="rejected_by_database")
    if "no such table" in str(error) or "has no column" in str(error):
        return SchemaError(f"{message}: `collector database migrate` brings the tables up to date")
    return RetryableError(message, reason=_REASONS.get(code, "database"))


def is_busy(error: sqlite3.Error | OverflowError) -> bool:
    """Whether the connection is as good as before and only somebody else was writing."""
    return _primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _primary_code(error: BaseException) -> int:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else -1
