"""Stores for tests: each by name, and what the contract suite does with any of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from collector.cost.identity import identify
from collector.model.signal import Signal
from collector.storage.decode import decode
from collector.storage.encoding import payload_encoder
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.rows import Encoded
from collector.storage.store import Store, store_for
from collector.storage.tables import COST_ORIGINS, RESOURCES, SERIES
from tests.support.postgres import refresh_continuous_aggregates
from tests.support.samples import attribute

# Every store that the contract suite is run against. For each there is a fixture `<name>_url`: an empty database.
STORES = ("sqlite", "memory", "postgresql", "timescaledb", "timescaledb_apache")
# Those whose content outlives the `Store` object, and that several objects can share.
LASTING_STORES = tuple(name for name in STORES if name != "memory")

_EXAMPLE = "test.example"
_examples = itertools.count(1)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'folder' / 'telemetry.db'}"


@pytest.fixture
def memory_url() -> str:
    """Memory."""
    return "sqlite://"


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest) -> str:
    """An empty database of every kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=LASTING_STORES)
def lasting_store_url(request: pytest.FixtureRequest) -> str:
    """The same, without memory."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def empty_store(store_url: str) -> Iterator[Store]:
    """An open store without tables."""
    with closing(store_for(store_url)) as store:
        store.open()
        yield store


@pytest.fixture
def store(empty_store: Store) -> Store:
    """An open store, migrated and empty."""
    empty_store.migrate()
    return empty_store


@pytest.fixture
def refresh_rollups() -> Callable[[Store], None]:
    """Brings roll-ups up to date where they are not computed when read."""

    def refresh(store: Store) -> None:
        """Nothing to do for views; continuous aggregates have a job for it, which is not waited for."""
        if isinstance(store, PostgresqlStore):
            refresh_continuous_aggregates(store)

    return refresh


def assert_balanced(store: Store) -> None:
    """Every parent is the sum of its parts, to the last digit."""
    if store.schema_status().usable:
        assert store.query("SELECT * FROM cost_balance").rows == []


def put(store: Store, signal: Signal, *messages: Any) -> Encoded:
    """Write `messages` as the first batch of a queue of their own."""
    encoded = payload_encoder(signal).encode([message.SerializeToString() for message in messages])
    assert store.write(encoded, queue_id=uuid4(), start=0, end=1)
    return encoded


def read_back(store: Store, signal: Signal, **window: int) -> Any:
    """What the store holds, as OTLP."""
    read = store.read(signal, **window)
    return decode(signal, read.facts, read.dimensions)


def marked(signal: Signal, request: Any) -> tuple[Any, int]:
    """A copy of `request` whose resources (or records) have a mark that no other call gave, and its number."""
    example = next(_examples)
    copy = type(request)()
    copy.CopyFrom(request)
    if signal is Signal.COSTS:
        for index, record in enumerate(copy.records):
            record.rule_id = f"{_EXAMPLE} {example}"
            record.origin_id = identify(_EXAMPLE, [example, index])  # nobody's revision, and once
            record.record_id = identify(_EXAMPLE, [example, -index - 1])
        return copy, example
    for envelope in getattr(copy, copy.DESCRIPTOR.fields[0].name):
        envelope.resource.attributes.append(attribute(_EXAMPLE, example))
    return copy, example


def read_marked(store: Store, signal: Signal, example: int) -> Any:
    """What the store holds of the request that `marked` made."""
    read = store.read(signal)
    if signal is Signal.COSTS:
        of = COST_ORIGINS.index("rule_id")
        mine = f"{_EXAMPLE} {example}"
        return decode(
            signal, {t: [row for row in rows if row[of] == mine] for t, rows in read.facts.items()}, {}
        )
    mark = f'"{_EXAMPLE}":{example}'
    resources = {
        key
        for key, row in read.dimensions.get(RESOURCES, {}).items()
        if mark in row[RESOURCES.index("attributes")]
    }
    series = read.dimensions.get(SERIES, {})
    facts = {}
    for table, rows in read.facts.items():
        if signal is Signal.METRICS:
            of = SERIES.index("resource_id")
            facts[table] = [row for row in rows if series[row[1]][of] in resources]
        else:
            of = table.index("resource_id")
            facts[table] = [row for row in rows if row[of] in resources]
    return decode(signal, facts, read.dimensions)
