"""`pool.max_size: 1`: one connection is enough for everything, and more is waited for and not held against each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from collector.model.signal import Signal
from collector.storage.encoding import payload_encoder
from collector.storage.postgresql.options import DAY_S, StoreOptions
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.store import Change
from collector.storage.tables import POSITIONS
from tests.contract.test_cost_runs import attribute, telemetry
from tests.support import samples
from tests.support.eventually import eventually
from tests.support.stores import assert_balanced

# Who waits for a connection in vain says so 30 s after the timeout for connecting.
ONE = StoreOptions(connections_max=1, connect_timeout_s=2.0, retention_s={Signal.LOGS: 365 * DAY_S})
NOW = samples.NOW_UNIX_NANO


@pytest.fixture(params=["postgresql", "timescaledb"])
def store(request: pytest.FixtureRequest) -> Iterator[PostgresqlStore]:
    """One with one connection, migrated and empty."""
    with closing(PostgresqlStore(request.getfixturevalue(f"{request.param}_url"), ONE)) as store:
        store.open()
        store.migrate()
        yield store


def _do_everything(store: PostgresqlStore) -> None:
    assert store.migrate() == store.migrate(dry_run=True) == []
    assert store.schema_status().usable
    store.arrival()
    queue = uuid4()
    for position, signal in enumerate(Signal):
        encoded = payload_encoder(signal).encode([samples.sample(signal).SerializeToString()])
        assert store.write(encoded, queue_id=queue, start=position, end=position + 1)
        assert store.position(queue) == position + 1
        encoded = payload_encoder(signal).encode([samples.sample(signal, "other").SerializeToString()])
        with store.parts(queue_id=uuid4(), start=0, end=1) as write:
            assert write is not None
            write(encoded)
        assert store.read(signal).items
    assert store.query("SELECT 1").rows == [(1,)]
    with store.stream("SELECT 1", {}) as rows:
        assert list(rows) == [(1,)]
    assert store.change([Change(f"DELETE FROM {POSITIONS.name}", {})])
    assert store.stats()
    store.retention_s()
    store.maintain(now_unix_nano=NOW)
    store.apply_retention({Signal.TRACES: DAY_S}, now_unix_nano=NOW)
    assert all(step.ok for step in store.check())


def _sessions(store: PostgresqlStore) -> int:
    """How many connections the server sees."""
    [[count]] = store.query(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'collector'"
    ).rows
    assert isinstance(count, int)
    return count


def test_a_store_does_everything_with_one_connection(store: PostgresqlStore) -> None:
    """No operation asks for another one while it has one."""
    _do_everything(store)


def test_who_holds_a_lock_works_on_with_one_connection(store: PostgresqlStore) -> None:
    """The lock has one of its own, and when it is given back no more are kept than there may be."""
    assert _sessions(store) == 1
    with store.exclusive("attribution") as alone:
        assert alone
        _do_everything(store)
        assert _sessions(store) == 2
    eventually(lambda: _sessions(store) == 1, what="the end of the lock's session")
    with store.exclusive("attribution") as alone:
        assert alone


def test_costs_are_attributed_with_one_connection(store: PostgresqlStore) -> None:
    """As the daemon and `collector cost attribute` do it."""
    telemetry(store)
    with store.exclusive("attribution") as alone:
        assert alone
        assert sum(report.written for report in attribute(store))
    assert_balanced(store)
