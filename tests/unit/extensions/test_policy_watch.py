"""What the daemon says about policies after a turn: once for each change, and never in the way of anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

import pytest

from collector.accounting.policy_book import PolicyBook
from collector.cost.protobuf import encode_request
from collector.extensions.cost_attribution.policies import PolicyWatch
from collector.model.signal import Signal
from collector.pipeline.component import State
from collector.storage.sqlite.store import SqliteStore
from collector.storage.store import Store
from tests.support.components import House, make_house
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, ledger
from tests.support.fake_clock import FakeClock
from tests.support.stores import put

SAID = "A policy says something else than before."


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(SqliteStore(None)) as store:
        store.open()
        store.migrate()
        yield store


def spend(store: Store, service: str, currency: str = "USD") -> None:
    costs = ledger(service, start=NOW_UNIX_NANO - HOUR, billing_currency=currency)
    put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(costs)))


def status(house: House, policy: str) -> float | None:
    labels = {"extension": "cost_attribution", "policy": policy}
    return house.meters.registry.get_sample_value("collector_policy_status", labels)


def test_a_change_is_said_counted_and_kept_once(store: Store) -> None:
    """From pass to advice, over a policy that cannot be evaluated, to one that is gone."""
    house = make_house("cost_attribution", "extension", clock=FakeClock(unix_nano=NOW_UNIX_NANO))
    book = PolicyBook(store, house.settings.clock)
    book.add(['{"id": "a", "budget": 1.5, "thresholds": []}', '{"id": "e", "budget": 1, "currency": "EUR"}'])
    watch = PolicyWatch(house.settings, store, 86_400.0)
    spend(store, "cart")
    assert watch.look(NOW_UNIX_NANO) == (State.OK, "1 policies evaluated, 1 cannot be")
    assert house.log.messages() == ["A policy cannot be evaluated."]
    assert (status(house, "a"), status(house, "e")) == (0, None)
    spend(store, "order")
    assert watch.look(NOW_UNIX_NANO + 1) == (State.OK, "1 policies evaluated, 1 advise, 1 cannot be")
    assert watch.look(NOW_UNIX_NANO + 2) == (State.OK, "1 policies evaluated, 1 advise, 1 cannot be")
    assert house.log.messages("warning") == ["A policy cannot be evaluated.", SAID]
    assert status(house, "a") == 1
    assert [analysis.cost for analysis in book.analyses()] == [Decimal(2), Decimal(1)]
    book.add(['{"id": "a", "budget": 1.5, "on_violation": "block"}'], replace=True)
    book.remove("e")
    assert watch.look(NOW_UNIX_NANO + 3) == (State.OK, "1 policies evaluated, 1 block")
    assert house.log.messages("error") == [SAID]
    book.remove("a")
    assert watch.look(NOW_UNIX_NANO + 4) == (State.OK, "0 policies evaluated")
    assert status(house, "a") is None


def test_a_database_without_tables_for_policies_is_said() -> None:
    """The turn itself was done."""
    house = make_house("cost_attribution", "extension")
    with closing(SqliteStore(None)) as empty:
        watch = PolicyWatch(house.settings, empty, 0.0)
        state, text = watch.look(NOW_UNIX_NANO)
    assert state is State.DEGRADED
    assert "collector database migrate" in text
