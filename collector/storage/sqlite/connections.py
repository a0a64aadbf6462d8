"""`Connections`: those of one store. One connection writes, and each query reads on one of its own."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from collector.model.errors import RetryableError
from collector.storage.sqlite.connection import classified, connect, is_busy
from collector.storage.store import SchemaError


class Connections:
    """Thread-safe. With `path` None there is one connection, to a database in memory that ends with it.

    `on_open` is called whenever the writing connection was opened: what was remembered about the database may not
    hold of the one behind it.
    """

    def __init__(self, path: Path | None, *, busy_timeout_s: float, on_open: Callable[[], None]) -> None:
        self.path = path
        self.lock = threading.Lock()  # of the writing connection
        self.writer: sqlite3.Connection | None = None
        self._busy_timeout_s = busy_timeout_s
        self._on_open = on_open
        self._inode: int | None = None
        self._closed = False

    def open(self) -> None:
        """Allow connections again after `close`."""
        self._closed = False

    def close(self) -> None:
        """Allow no more. Waits for what is being written."""
        self._closed = True
        with self.lock:
            self.disconnect()

    def disconnect(self) -> None:
        """Close the writing connection, in the middle of its use; the next one opens it again."""
        if self.writer is not None:
            self.writer.close()
        self.writer = None

    @contextmanager
    def writing(self, doing: str, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """The writing connection, for one at a time. Opened again when the last use broke it.

        Raises:
            SchemaError: there is no file, and it is not to be made (`create`).
            RetryableError, PermanentError: see `classified`; also when the store is closed.
        """
        with self.lock:
            self._require_open()
            try:
                yield self._connected(create)
            except (sqlite3.Error, OverflowError) as error:
                # Only a lock held by somebody else says nothing against the connection. Memory has no other.
                if self.path is not None and not is_busy(error):
                    self.disconnect()
                raise classified(error, f"{doing} {self.path or 'in memory'}") from error

    @contextmanager
    def reading(self, doing: str) -> Iterator[sqlite3.Connection]:
        """A connection for reading, of its own; in memory there is only the writing one. Raises as `writing`."""
        if self.path is None:
            with self.writing(doing) as connection:
                yield connection
            return
        self._require_open()
        self.require_file()
        try:
            with closing(connect(self.path, create=False, busy_timeout_s=self._busy_timeout_s)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise classified(error, f"{doing} {self.path}") from error

    def require_file(self) -> None:
        """Raise SchemaError if the file is not there."""
        if self.path is not None and not self.path.exists():
            raise SchemaError(f"there is no file {self.path.absolute()}: `collector database init` makes it")

    def _require_open(self) -> None:
        if self._closed:
            raise RetryableError("the store is closed", reason="closed")

    def _connected(self, create: bool) -> sqlite3.Connection:
        if self.writer is not None and self._replaced():
            self.disconnect()
        if self.writer is None:
            if not create:
                self.require_file()
            self.writer = connect(
                self.path, create=create or self.path is None, busy_timeout_s=self._busy_timeout_s
            )
            self._inode = None if self.path is None else self.path.stat().st_ino
            self._on_open()
        return self.writer

    def _replaced(self) -> bool:
        """Whether the file that is open is no longer the one at `path`: what is written to it would be gone."""
        if self.path is None:
            return False
        try:
            return self.path.stat().st_ino != self._inode
        except OSError:
            return True
