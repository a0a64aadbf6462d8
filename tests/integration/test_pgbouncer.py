"""Through a transaction pooler: a session belongs to nobody for longer than a transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any
from uuid import UUID

import psycopg
import pytest

from collector.model.errors import RetryableError
from collector.model.signal import OPENTELEMETRY, Signal
from collector.storage.encoding import payload_encoder
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.rows import Encoded
from tests.support import samples
from tests.support.eventually import eventually
from tests.support.pgbouncer import PgBouncer, pgbouncer

_SERVERS = 2
_WRITERS = 8
_BATCHES = 15


@pytest.fixture(params=("postgresql", "timescaledb"))
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of each edition in turn."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def pooler(url: str) -> Iterator[PgBouncer]:
    """A pooler that has far fewer connections to the database than there are writers."""
    with pgbouncer(url, servers=_SERVERS) as running:
        yield running


def _encode(signal: Signal) -> Encoded:
    return payload_encoder(signal).encode([samples.sample(signal).SerializeToString()])


class _Writers:
    """Stores that write at the same time, each its own queue, and go on after whatever may pass."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.progress = [0] * _WRITERS
        self.failures: list[str] = []
        self.errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(_WRITERS)]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def signal(number: int) -> Signal:
        return OPENTELEMETRY[number % len(OPENTELEMETRY)]

    @staticmethod
    def queue_id(number: int) -> UUID:
        return UUID(int=number + 1)

    def _run(self, number: int) -> None:
        encoded = _encode(self.signal(number))
        try:
            with closing(PostgresqlStore.from_url(self._url)) as store:
                while (position := self.progress[number]) < _BATCHES:
                    try:
                        store.write(encoded, queue_id=self.queue_id(number), start=position, end=position + 1)
                        self.progress[number] += 1
                    except RetryableError as error:
                        self.failures.append(error.reason)
                        threading.Event().wait(0.05)
                        self._look(store, number)
        except BaseException as error:  # noqa: BLE001  for the main thread to judge
            self.errors.append(error)

    def _look(self, store: PostgresqlStore, number: int) -> None:
        try:
            self.progress[number] = store.position(self.queue_id(number)) or 0
        except RetryableError as error:
            self.failures.append(error.reason)

    def finish(self) -> None:
        for thread in self._threads:
            thread.join(60)
        assert self.errors == []
        assert self.progress == [_BATCHES] * _WRITERS


def _all_is_there_once(url: str) -> None:
    with closing(PostgresqlStore.from_url(url)) as store:
        for signal in OPENTELEMETRY:
            writers = sum(_Writers.signal(number) is signal for number in range(_WRITERS))
            assert store.read(signal).items == _encode(signal).items * _BATCHES * writers
        assert [store.position(_Writers.queue_id(number)) for number in range(_WRITERS)] == [
            _BATCHES
        ] * _WRITERS


def test_many_stores_write_through_few_connections(pooler: PgBouncer, url: str) -> None:
    """From empty tables on; positions are right, and the server is left without a trace of any of them."""
    with closing(PostgresqlStore.from_url(pooler.url)) as store:
        store.migrate()
        writers = _Writers(pooler.url)
        sessions = 0
        with psycopg.connect(url, autocommit=True) as watcher:
            while min(writers.progress) < _BATCHES and not writers.errors:
                row = watcher.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
                ).fetchone()
                sessions = max(sessions, row[0] if row else 0)
                threading.Event().wait(0.02)
        writers.finish()
        assert writers.failures == []
        assert 1 <= sessions <= _SERVERS
        store.query("SELECT * FROM logs", timeout_s=5, rows_max=3)
        store.maintain(now_unix_nano=samples.NOW_UNIX_NANO)
        store.stats()
        assert all(step.ok for step in store.check())
    _all_is_there_once(url)
    _nothing_is_left(pooler)


def _nothing_is_left(pooler: PgBouncer) -> None:
    """Neither of the pooler's sessions has settings, statements, or locks of those who wrote through it."""
    with ExitStack() as stack:
        for _ in range(_SERVERS):
            connection = stack.enter_context(psycopg.connect(pooler.url, prepare_threshold=None))
            row = connection.execute(
                """
                SELECT
                    (SELECT count(*) FROM pg_prepared_statements),
                    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
                    (SELECT count(*) FROM pg_settings WHERE source = 'session' AND name IN
                        ('statement_timeout', 'lock_timeout', 'search_path', 'transaction_read_only',
                         'synchronous_commit', 'cursor_tuple_fraction'))
                """
            ).fetchone()
            assert row == (0, 0, 0)


@pytest.mark.parametrize("what", ["pooler", "sessions"])
def test_what_breaks_under_load_loses_and_repeats_nothing(what: str, pooler: PgBouncer, url: str) -> None:
    """The pooler is killed and comes back; or it stays, and the server ends the sessions behind it."""
    with closing(PostgresqlStore.from_url(pooler.url)) as store:
        store.migrate()
    writers = _Writers(pooler.url)
    for share in (5, 2):
        eventually(lambda share=share: min(writers.progress) >= _BATCHES // share)  # type: ignore[misc]
        _break(what, pooler, url)
    writers.finish()
    assert set(writers.failures) <= {"connection", "shutdown", "connections_busy", "server_error"}
    _all_is_there_once(url)


def _break(what: str, pooler: PgBouncer, url: str) -> None:
    if what == "pooler":
        pooler.stop()
        threading.Event().wait(0.1)
        pooler.start()
        return
    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("operation", ["write", "position"])
def test_an_idle_connection_that_the_pooler_closed_is_noticed(pooler: PgBouncer, operation: str) -> None:
    """A restart of the pooler between two batches costs neither of them an attempt."""
    encoded = _encode(Signal.LOGS)
    queue_id = UUID(int=1)
    with closing(PostgresqlStore.from_url(pooler.url)) as store:
        store.migrate()
        store.write(encoded, queue_id=queue_id, start=0, end=1)
        pooler.stop()
        pooler.start()
        operations: dict[str, Callable[[], Any]] = {
            "write": lambda: store.write(encoded, queue_id=queue_id, start=1, end=2),
            "position": lambda: store.position(queue_id),
        }
        assert operations[operation]() == 1
