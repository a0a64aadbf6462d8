"""OpenCost's allocations out of every store: the same as over the records, in any question."""

from __future__ import annotations

import json
from contextlib import closing
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result

from collector.cli.cost.group import command
from collector.cost.amount import total
from collector.cost.opencost.answer import answer
from collector.cost.opencost.query import AllocationQuery, parse_query
from collector.cost.opencost.window import QueryError
from collector.cost.protobuf import encode_request
from collector.model.signal import Signal
from collector.query.allocations import allocation_sets
from collector.query.client import QueryClient
from collector.query.dialect import Dialect
from collector.query.reader import Reader
from collector.storage.store import Store, open_store
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, hours, ledger
from tests.support.fake_clock import FakeClock
from tests.support.opencost import allocation_json
from tests.support.stores import put

DAYS = 24 * HOUR
RECORDS = [record for records in hours(3) for record in records] + ledger("order", start=NOW_UNIX_NANO - HOUR)
EUROS = ledger("order", start=NOW_UNIX_NANO - 2 * HOUR, billing_currency="EUR", resource_id="node-euro")


@pytest.fixture
def reader(store: Store) -> Reader:
    """Three hours of `cart` and one of `order`."""
    put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(RECORDS)))
    return Reader(store, Dialect(store.dialect == "sqlite"), FakeClock(unix_nano=NOW_UNIX_NANO), None)


def asked(**parameters: str) -> AllocationQuery:
    return parse_query({"window": "2d", **parameters}, NOW_UNIX_NANO)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"aggregate": "namespace,controller"},
        {"aggregate": "team,label:tier", "step": "1h"},
        {"aggregate": "label:env", "accumulateBy": "hour", "basis": "list"},
        {"aggregate": "providerID", "shareIdle": "true", "idleByNode": "true"},
        {"aggregate": "all", "includeIdle": "false", "compat": "opencost"},
    ],
)
def test_an_answer_from_a_store_is_that_over_the_records(reader: Reader, parameters: dict[str, str]) -> None:
    """To the byte."""
    query = asked(**parameters)
    assert b"".join(answer(allocation_sets(reader, query), query)) == allocation_json(RECORDS, query)


def test_totals_are_what_the_costs_sum_to(reader: Reader) -> None:
    """Idle included, whatever is asked; and a workload has what its requests have."""
    client = QueryClient(reader.store, clock=FakeClock(unix_nano=NOW_UNIX_NANO))
    [cost] = client.costs("-2d")
    for aggregate in ("all", "namespace", "controller", "pod", "service", "label:tier", "node"):
        query = asked(aggregate=aggregate)
        [rows] = json.loads(
            b"".join(answer(allocation_sets(reader, query), query)), parse_float=Decimal, parse_int=Decimal
        )["data"]
        assert total(row["totalCost"] for row in rows.values()) == cost.effective_cost == 4
        if aggregate == "controller":
            assert rows["cart"]["cpuCost"] == 3 * Decimal("0.333333333333333333")


def test_currencies_are_not_added_up(reader: Reader) -> None:
    """One has to be named."""
    put(reader.store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(EUROS)))
    with pytest.raises(QueryError, match="currency: the costs are in EUR, USD, which cannot be added up"):
        allocation_sets(reader, asked())
    query = asked(currency="EUR", aggregate="all")
    [rows] = json.loads(b"".join(answer(allocation_sets(reader, query), query)))["data"]
    assert sum(row["totalCost"] for row in rows.values()) == pytest.approx(1)


def test_the_command_prints_the_answer(lasting_store_url: str) -> None:
    """As the API gives it; a wrong parameter is an error of usage."""
    with closing(open_store(lasting_store_url)) as store:
        store.migrate()
        put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(RECORDS)))
    window = "window=1788220800,1790812800"

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(
            command, ["allocation", "--connection-string", lasting_store_url, *arguments]
        )

    done = run(window, "aggregate=namespace", "shareIdle=true")
    assert done.exit_code == 0, done.output
    query = parse_query(
        {"window": window.removeprefix("window="), "aggregate": "namespace", "shareIdle": "true"}, 0
    )
    assert done.stdout_bytes == allocation_json(RECORDS, query) + b"\n"
    brief = json.loads(run(window, "aggregate=namespace", "--summary").stdout)
    assert set(brief["data"]["sets"][0]["allocations"]) == {"shop", "__idle__"}
    for wrong, message in (("aggregate", "write it like window=7d"), ("aggregate=pods", "is pod meant?")):
        done = run(window, wrong)
        assert done.exit_code == 2
        assert message in done.output
