"""Questions about costs, on every store: exact sums, by any dimension, against an earlier period."""

from __future__ import annotations

import dataclasses
import io
import json
from contextlib import closing
from decimal import Decimal

import pytest
from click.testing import CliRunner

from collector.cli.database.group import command
from collector.cost.cost_entry import entry_of, read_cost_entries
from collector.cost.protobuf import encode_request
from collector.model.signal import Signal
from collector.query.client import QueryClient
from collector.query.costs import DIMENSIONS
from collector.query.results import as_json
from collector.storage.store import Store, open_store
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, hours, ledger
from tests.support.fake_clock import FakeClock
from tests.support.stores import put

S = 10**9
DAY = 24 * HOUR
BATCHES = (
    *hours(3),
    ledger("order", start=NOW_UNIX_NANO - HOUR, billing_currency="EUR"),
    ledger(start=NOW_UNIX_NANO - 7 * DAY - HOUR),
)


@pytest.fixture
def ask(store: Store) -> QueryClient:
    """Three hours of `cart`, one of `order` in euros, and one of `cart` a week earlier."""
    for batch in BATCHES:
        put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(batch)))
    return QueryClient(store, clock=FakeClock(unix_nano=NOW_UNIX_NANO))


def test_costs_are_summed_exactly_and_by_currency(ask: QueryClient) -> None:
    """Without any dimension, one line for each currency."""
    found = {cost.billing_currency: cost for cost in ask.costs("-1d")}
    assert {currency: cost.effective_cost for currency, cost in found.items()} == {
        "USD": Decimal(3),
        "EUR": Decimal(1),
    }
    assert (found["USD"].records, found["USD"].unpriced) == (12, 3)


def test_costs_are_grouped_by_what_is_asked_for(ask: QueryClient) -> None:
    """Dearest first; nobody's is a group as well."""
    found = ask.costs("-1d", group_by=["tenant", "subject"], where={"currency": "USD"})
    assert [(cost.labels["tenant"], cost.labels["subject"], cost.effective_cost) for cost in found] == [
        (None, "idle", Decimal("2.000000000000000001")),
        ("a", "request_group", Decimal("0.999999999999999996")),
        ("b", "request_group", Decimal("0.000000000000000003")),
        (None, "unspecified", None),
    ]


def test_every_dimension_can_be_grouped_by(ask: QueryClient) -> None:
    """And the sum is the same; each group is found again by its value."""
    for dimension in [*DIMENSIONS, "label:tier", "tag:env", "tag:'; DROP"]:
        found = ask.costs("-1d", group_by=[dimension], where={"currency": "USD"})
        assert sum((cost.effective_cost or Decimal(0) for cost in found), Decimal(0)) == 3
        value = found[0].labels[dimension] or ""
        again = ask.costs("-1d", where={dimension: value, "currency": "USD"})
        assert [one.effective_cost for one in again] == [found[0].effective_cost]


def test_tags_are_a_dimension(ask: QueryClient) -> None:
    """By key."""
    assert {cost.labels["tag:env"] for cost in ask.costs("-1d", group_by=["tag:env"])} == {"prod"}
    assert {cost.labels["tag:none"] for cost in ask.costs("-1d", group_by=["tag:none"])} == {None}


def test_costs_over_time(ask: QueryClient) -> None:
    """Steps are UTC's, oldest first."""
    first = (NOW_UNIX_NANO - 3 * HOUR) // HOUR * HOUR
    for step, times in (
        ("hour", [first, first + HOUR, first + 2 * HOUR]),
        ("day", [NOW_UNIX_NANO // DAY * DAY]),
        ("month", [NOW_UNIX_NANO // DAY * DAY - 20 * DAY]),
    ):
        found = ask.costs("-1d", where={"currency": "USD"}, step=step)
        assert [cost.time_unix_nano for cost in found] == times
        assert sum((cost.effective_cost or Decimal(0) for cost in found), Decimal(0)) == 3


def test_windows_are_half_open(ask: QueryClient) -> None:
    """By the beginning of the charge period."""
    start = (NOW_UNIX_NANO - 2 * HOUR) // S
    [cost] = ask.costs(start, start + 3600, where={"currency": "USD"})
    assert cost.effective_cost == 1
    assert ask.costs(start + 1, start + 3600) == []


def test_changes_against_the_period_before(ask: QueryClient) -> None:
    """Largest first, new ones and gone ones included, currencies apart."""
    changes = ask.cost_changes("-1d", group_by=["service"], previous_start="-8d")
    assert [
        (change.labels["service"], change.billing_currency, change.difference) for change in changes[:2]
    ] == [
        (None, "USD", Decimal("1.333333333333333334")),
        (None, "EUR", Decimal("0.666666666666666667")),
    ]
    gone = ask.cost_changes("-6d", "-5d", previous_start="-8d")
    assert {change.cost for change in gone} == {Decimal(0)}
    assert sum(change.difference for change in gone) == -1


def test_what_is_asked_wrongly_is_said(ask: QueryClient) -> None:
    """With what there is."""
    with pytest.raises(ValueError, match="'colour' is not a dimension of costs: expected service"):
        ask.costs(group_by=["colour"])
    with pytest.raises(ValueError, match="'week' is not a step"):
        ask.costs(step="week")
    with pytest.raises(ValueError, match="'price' is not a cost"):
        ask.cost_changes(cost="price")


def test_json_has_amounts_as_text(ask: QueryClient) -> None:
    """All digits of them."""
    [cost] = ask.costs("-1d", where={"tenant": "b", "currency": "USD"})
    assert as_json(cost)["effective_cost"] == "0.000000000000000003"


def test_historical_costs_have_the_keys_of_cost_entries(ask: QueryClient) -> None:
    """Newest first, epoch seconds accepted, at most so many."""
    entries = ask.query_historical_costs(
        start_time=NOW_UNIX_NANO / 1e9 - 86_400, end_time=NOW_UNIX_NANO / 1e9
    )
    assert len(entries) == 12
    assert [entry["timestamp"] for entry in entries] == sorted(
        (e["timestamp"] for e in entries), reverse=True
    )
    assert set(entries[0]) == {
        "entry_id", "timestamp", "resource_id", "category", "amount", "currency", "region", "tags", "description",
        "billing_period",
    }  # fmt: skip
    assert {entry["billing_period"] for entry in entries} == {"hourly"}
    assert {entry["region"] for entry in entries} == {"eu-1"}
    assert {entry["category"] for entry in entries} == {"compute"}
    assert len(bytes.fromhex(entries[0]["entry_id"])) == 16
    assert len(ask.query_historical_costs(limit=5)) == 5
    assert ask.query_historical_costs(category="gpu") == []
    assert len(ask.query_historical_costs(category="compute", limit=4)) == 4
    assert {entry["currency"] for entry in ask.query_historical_costs(resource_id="node-order")} == {"EUR"}
    with pytest.raises(ValueError, match="not a category"):
        ask.query_historical_costs(category="coffee")


def test_an_entry_has_the_category_that_its_export_has(ask: QueryClient, store: Store) -> None:
    """Asked for or exported, and imported with a category that FOCUS has no word for."""
    theirs = {
        "entry_id": "e1", "timestamp": NOW_UNIX_NANO / S, "resource_id": "warehouse", "category": "snowflake_compute",
        "amount": 12.5, "currency": "USD", "region": "eu", "tags": {}, "description": "", "billing_period": "hourly",
    }  # fmt: skip
    imported = list(read_cost_entries(io.BytesIO(json.dumps([theirs]).encode()), "theirs.json").records())
    records = [*(record for batch in BATCHES for record in batch), *imported]
    put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(imported)))
    exported = {
        record.record_id.hex(): entry_of(record)["category"] for record in records if record.amounts.is_priced
    }
    asked = {entry["entry_id"]: entry["category"] for entry in ask.query_historical_costs(limit=None)}
    assert asked
    assert asked == {key: exported[key] for key in asked}
    assert "snowflake_compute" in asked.values()


def test_the_command_line_shows_costs(lasting_store_url: str) -> None:
    """As a table with all digits, as JSON, and as changes."""
    with closing(open_store(lasting_store_url)) as store:
        store.migrate()
        put(store, Signal.COSTS, Signal.COSTS.request_type().FromString(encode_request(ledger())))
    start = f"{NOW_UNIX_NANO // S}"
    base = ["query", "costs", "--connection-string", lasting_store_url, "--start", start]
    run = CliRunner().invoke(
        command, [*base, "--group-by", "tenant", "--step", "day", "--where", "currency=USD"]
    )
    assert run.exit_code == 0, run.output
    assert "0.666666666666666667" in run.stdout
    assert "unpriced" in run.stdout
    as_list = CliRunner().invoke(command, [*base, "--format", "json"])
    assert '"0.333333333333333333"' in as_list.stdout
    changed = CliRunner().invoke(command, [*base, "--changes", "--format", "csv"])
    assert changed.exit_code == 0, changed.output
    assert "0.666666666666666667" in changed.stdout
    # As `collector cost` says it, and the same question.
    also = [("--from" if word == "--start" else word) for word in base]
    until = CliRunner().invoke(command, [*also, "--to", f"{NOW_UNIX_NANO // S + 1}", "--format", "json"])
    assert until.stdout == as_list.stdout
    before = CliRunner().invoke(command, [*also, "--to", start, "--format", "json"])
    assert before.exit_code == 2
    assert "the window is empty" in before.stderr
    wrong = CliRunner().invoke(command, [*base, "--group-by", "colour"])
    assert wrong.exit_code == 2
    assert "not a dimension" in wrong.stderr


def test_cost_results_are_frozen(ask: QueryClient) -> None:
    """As all results."""
    [cost, *_] = ask.costs()
    with pytest.raises(dataclasses.FrozenInstanceError):
        cost.records = 0  # type: ignore[misc]
