"""A queue whose last writer left a session behind, in the middle of a COPY."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import psycopg
import pytest

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.storage.encode import encode
from collector.storage.postgresql import claim
from collector.storage.postgresql.store import PostgresqlStore
from tests.support import samples

QUEUE = uuid4()
ENCODED = encode(Signal.LOGS, [samples.logs()])


@pytest.fixture
def store(postgresql_url: str) -> Iterator[PostgresqlStore]:
    """A migrated store."""
    with closing(PostgresqlStore(postgresql_url)) as store:
        store.migrate()
        yield store


@contextmanager
def left_behind(store: PostgresqlStore, url: str) -> Iterator[psycopg.Connection]:
    """A session that has written the queue's position, and waits for the rest of a COPY."""
    connection = psycopg.connect(url)
    claim.claim_queue(connection, store.options.schema, QUEUE, {"statement_timeout": "30s"})
    connection.execute(
        "INSERT INTO telemetry.otlp_positions (queue_id, position, updated_at) VALUES (%s, 1, now())",
        (QUEUE,),
    )
    connection.execute("CREATE TEMPORARY TABLE rows (number integer)")
    cursor = connection.cursor()
    copy = cursor.copy("COPY rows FROM STDIN")
    copy.__enter__().write("1\n")
    try:
        yield connection
    finally:
        connection.pgconn.finish()  # as a process ends that is killed


def test_a_session_that_was_left_behind_is_ended(
    store: PostgresqlStore, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had written goes with it; the next attempt writes the batch."""
    monkeypatch.setattr(claim, "_LEFT_BEHIND_AFTER_S", 0.0)
    with left_behind(store, postgresql_url):
        with pytest.raises(RetryableError) as caught:
            store.write(ENCODED, queue_id=QUEUE, start=0, end=1)
        assert caught.value.reason == "left_behind"
        assert _written(store)
    assert store.position(QUEUE) == 1
    assert store.read(Signal.LOGS).items == ENCODED.items


def test_a_session_that_may_still_write_is_left_alone(store: PostgresqlStore, postgresql_url: str) -> None:
    """It has its time; nobody waits for it meanwhile."""
    with left_behind(store, postgresql_url) as connection:
        with pytest.raises(RetryableError) as caught:
            store.write(ENCODED, queue_id=QUEUE, start=0, end=1)
        assert caught.value.reason == "position"
        assert store.write(ENCODED, queue_id=uuid4(), start=0, end=1)
        with psycopg.connect(postgresql_url) as administrator:
            alive = administrator.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (connection.info.backend_pid,)
            ).fetchone()
        assert alive == (1,)


def _written(store: PostgresqlStore) -> bool:
    """The server takes a moment to end a session."""
    for _ in range(100):
        try:
            return store.write(ENCODED, queue_id=QUEUE, start=0, end=1)
        except RetryableError:
            continue
    return False
