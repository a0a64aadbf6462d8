"""`Connections`: the few connections of one store, opened when needed and closed when idle.

Hundreds of sidecars share a database, each with one or two of these. So that a pooler in transaction mode can
stand in between, nothing is ever set for a session: no prepared statements, no SET but SET LOCAL, no
session-level locks. `psycopg_pool` is not used because it connects in threads of its own, where the reason of a
failure ("password authentication failed") ends in a log, and the caller learns only of a timeout.
"""

from __future__ import annotations

import contextlib
import math
import re
import select
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from collector.model.clock import Clock
from collector.model.errors import RetryableError
from collector.storage.postgresql.errors import connect_error

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
_T = TypeVar("_T")

_CLOSED: Final = "the store is closed"

# A peer that vanished is noticed within a minute, also in the middle of a COPY. libpq's names, ms and s.
_NETWORK: Final[Mapping[str, Any]] = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class _PatientConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits for the server only while `given_up` gives no reason not to.

    A server's own timeouts end what it works on. They say nothing to us when what stands in between (a pooler,
    a load balancer) has forgotten us but still acknowledges our packets: TCP would wait for ever.
    """

    given_up: Callable[[], str | None] | None = None

    def wait(self, gen: PQGen[_T], *args: Any, **kwargs: Any) -> _T:
        """See psycopg. Raises `OperationalError` when it is given up; the connection is closed then."""
        try:
            return super().wait(gen if self.given_up is None else self._bounded(gen), *args, **kwargs)
        except ValueError as error:
            # psycopg expects one answer at the end of a COPY; a pooler that lost its server gives two.
            self.pgconn.finish()
            raise psycopg.OperationalError("the connection was lost in the middle of an answer") from error

    def _bounded(self, gen: PQGen[_T]) -> PQGen[_T]:
        """Drive `gen` as psycopg does: it says what to wait for, and is told whether that came about."""
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and self.given_up is not None and (why := self.given_up()):
                    self.pgconn.finish()
                    raise psycopg.OperationalError(why)
                wanted = gen.send(ready)
        except StopIteration as end:
            result: _T = end.value
            return result


@dataclass(slots=True)
class _Idle:
    connection: _PatientConnection
    since: float


class Connections:
    """A bounded set of connections. Thread-safe.

    `on_open` is called whenever a connection was made: what was remembered about the database may not hold of
    the one behind it. `on_change` gets the numbers of idle and busy connections.
    """

    def __init__(
        self,
        address: str,
        *,
        clock: Clock,
        connections_max: int,
        connect_timeout_s: float,
        idle_s: float,
        application_name: str,
        on_open: Callable[[], None],
        on_change: Callable[[int, int], None] = lambda idle, busy: None,
    ) -> None:
        # Its own scheme is how people say that they want TimescaleDB; libpq does not know it.
        self._address = re.sub("^timescaledb://", "postgresql://", address)
        self._clock = clock
        self._connect_timeout_s = connect_timeout_s
        self._idle_s = idle_s
        self._application_name = application_name
        self._on_open = on_open
        self._on_change = on_change
        self._connections_max = connections_max
        self._slots = threading.BoundedSemaphore(connections_max)
        # An attempt to connect and a statement each have their own timeouts; this is for both of another thread's.
        self._wait_s = connect_timeout_s + 30.0
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []
        self._busy = 0
        self._closed = False

    def parameters(self) -> dict[str, Any]:
        """What the connections are made with; what the address says comes first.

        Raises:
            ValueError: the address is not a connection string.
        """
        try:
            given = conninfo.conninfo_to_dict(self._address)
        except psycopg.ProgrammingError:
            # libpq's message quotes what it did not understand, which may be the password.
            raise ValueError(
                "the connection string is neither a URL like postgresql://user@host/database nor key=value pairs"
            ) from None
        defaults = {
            **_NETWORK,
            # libpq counts whole seconds and takes 1 for 2.
            "connect_timeout": max(2, round(self._connect_timeout_s)),
            "application_name": self._application_name,
        }
        return {
            **defaults,
            **{key: value for key, value in given.items() if value},
            "client_encoding": "UTF8",
        }

    def connect(self) -> _PatientConnection:
        """Open a connection that is not one of the set.

        Raises:
            RetryableError: it could not be opened; the message is the server's or the network's.
        """
        try:
            connection = _PatientConnection.connect(
                **self.parameters(), autocommit=True, prepare_threshold=None
            )
        except ValueError as error:
            raise RetryableError(str(error), reason="connection_string") from None
        except psycopg.Error as error:
            raise connect_error(error) from error
        # Notices would be printed or logged once per row by a chatty server; errors are what counts.
        connection.add_notice_handler(lambda diagnostic: None)
        return connection

    @contextlib.contextmanager
    def connection(self, patience_s: float | None = None, *, beyond: bool = False) -> Iterator[Connection]:
        """Lend a connection, in autocommit mode. It must not be kept.

        Args:
            patience_s: How long the server may take to answer while it is lent, from now; None: for ever.
            beyond: One more than there may be: for who asks for others while he has it, and would wait for himself.

        Raises:
            RetryableError: none could be opened, or none became free in time.
        """
        with contextlib.nullcontext() if beyond else self._slot():
            connection = self._take()
            self.extend(connection, math.inf if patience_s is None else patience_s)
            try:
                yield connection
            finally:
                connection.given_up = None
                self._give_back(connection)

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=self._wait_s):
            raise RetryableError("all connections are in use", reason="connections_busy")
        try:
            yield
        finally:
            self._slots.release()

    def extend(self, connection: Connection, patience_s: float) -> None:
        """Give the server so long again, from now, for a connection that is lent."""
        if isinstance(connection, _PatientConnection):
            deadline = self._clock.monotonic() + patience_s

            def given_up() -> str | None:
                if self._closed:
                    return _CLOSED
                return "the server did not answer in time" if self._clock.monotonic() > deadline else None

            connection.given_up = given_up

    def open(self) -> None:
        """Allow connections again after `close`."""
        with self._lock:
            self._closed = False

    def close(self) -> None:
        """Close what is idle now, and the rest when it is given back. Who waits for the server waits no more."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for one in idle:
            one.connection.close()
        self._report()

    def close_idle(self) -> None:
        """Close what has not been used for long."""
        deadline = self._clock.monotonic() - self._idle_s
        with self._lock:
            old = [one for one in self._idle if one.since <= deadline]
            self._idle = [one for one in self._idle if one.since > deadline]
        for one in old:
            one.connection.close()
        self._report()

    def _take(self) -> _PatientConnection:
        while True:
            with self._lock:
                if self._closed:
                    raise RetryableError(_CLOSED, reason="closed")
                one = self._idle.pop() if self._idle else None
            if one is None:
                connection = self.connect()
                self._on_open()
                break
            if _alive(one.connection):
                connection = one.connection
                break
            one.connection.close()
        with self._lock:
            self._busy += 1
        self._report()
        return connection

    def _give_back(self, connection: _PatientConnection) -> None:
        keep = not connection.closed and connection.info.transaction_status is TransactionStatus.IDLE
        with self._lock:
            self._busy -= 1
            keep = keep and not self._closed and len(self._idle) + self._busy < self._connections_max
            if keep:
                self._idle.append(_Idle(connection, self._clock.monotonic()))
        if not keep:
            connection.close()
        self.close_idle()

    def _report(self) -> None:
        with self._lock:
            idle, busy = len(self._idle), self._busy
        self._on_change(idle, busy)


def _alive(connection: Connection) -> bool:
    """Whether an idle connection still is one, without asking the server.

    A server that ended has closed its side, or sent its last words: either way there is something to read.
    """
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
