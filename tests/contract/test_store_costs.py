"""The ledger, on every store: each record once, of revisions the highest, every cost counted once, all adds up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from typing import Any
from uuid import uuid4

import pytest

from collector.cost.identity import identify
from collector.cost.protobuf import encode_request
from collector.cost.record import ChargeClass, CostAttributionRecord, Level, Period
from collector.model.signal import Signal
from collector.query.client import QueryClient
from collector.storage.balance import count_unbalanced
from collector.storage.decode_costs import cost_records
from collector.storage.encoding import payload_encoder
from collector.storage.postgresql import schema as postgresql_schema
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.sqlite import schema as sqlite_schema
from collector.storage.store import SchemaError, Store, open_store
from collector.storage.tables import COST_ALLOCATIONS, COST_ORIGINS, COST_REQUESTS, Table
from tests.support import samples
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, amounts, hours, ledger
from tests.support.fake_clock import FakeClock
from tests.support.stores import assert_balanced, put

DAY_S = 86_400.0


def write(store: Store, records: Iterable[CostAttributionRecord]) -> None:
    encoded = payload_encoder(Signal.COSTS).encode([encode_request(records)])
    assert store.write(encoded, queue_id=uuid4(), start=0, end=1)


def stored(store: Store) -> dict[bytes, CostAttributionRecord]:
    records = cost_records(store.read(Signal.COSTS))
    by_id = {record.record_id: record for record in records}
    assert len(by_id) == len(records)
    return by_id


def by_id(records: Iterable[CostAttributionRecord]) -> dict[bytes, CostAttributionRecord]:
    return {record.record_id: record for record in records}


def total(store: Store, view: str, column: str = "effective_cost", where: str = "true") -> Decimal | None:
    """An exact sum."""
    function = "decimal_sum" if store.dialect == "sqlite" else "sum"
    [[value]] = store.query(f"SELECT {function}({column}) FROM {view} WHERE {where}").rows
    return None if value is None else Decimal(value)


# --- once ---------------------------------------------------------------------------------------------------


def test_a_record_is_stored_once_whoever_sends_it(store: Store) -> None:
    """In one batch, in two, from two queues."""
    write(store, [*ledger(), *ledger()])
    write(store, ledger())
    write(store, reversed(ledger()))
    assert stored(store) == by_id(ledger())


def test_the_first_content_of_an_id_stays(store: Store) -> None:
    """Ids say what a record is: another content under one is another program's mistake."""
    write(store, ledger())
    write(store, [replace(ledger()[0], rule_id="another")])
    assert stored(store) == by_id(ledger())


def test_two_writers_at_once_store_everything_once(lasting_store_url: str) -> None:
    """Each takes its turn."""
    with closing(open_store(lasting_store_url)) as store, closing(open_store(lasting_store_url)) as other:
        store.migrate()
        batches = list(hours(4))

        def write_all(one: Store) -> None:
            for batch in batches:
                write(one, batch)

        threads = [threading.Thread(target=write_all, args=(one,)) for one in (store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stored(store) == by_id(record for batch in batches for record in batch)


# --- revisions ----------------------------------------------------------------------------------------------


def test_the_highest_revision_holds_in_whatever_order_they_come(store: Store) -> None:
    """A late one of lower number changes nothing; what was replaced does not come back."""
    orders = list(permutations(range(3)))
    for number, order in enumerate(orders):
        for revision in (*order, *order):
            write(store, ledger(f"service {number}", revision=revision))
    assert stored(store) == by_id(
        record for number in range(len(orders)) for record in ledger(f"service {number}", revision=2)
    )


def test_revisions_in_one_batch_are_sorted_out(store: Store) -> None:
    """As if they had come one after the other."""
    write(store, [*ledger(revision=1), *ledger(revision=2), *ledger(revision=0)])
    assert stored(store) == by_id(ledger(revision=2))


def test_a_revision_of_a_level_replaces_the_finer_ones(store: Store) -> None:
    """Requests of an allocation that holds no longer would add up to nothing."""
    write(store, ledger())
    revised = [
        replace(record, revision=1, record_id=identify("revised", [record.record_id]))
        for record in ledger()
        if record.level is Level.ALLOCATION
    ]
    write(store, revised)
    kept = [record for record in ledger() if record.level is Level.ORIGIN]
    assert stored(store) == by_id([*kept, *revised])
    assert total(store, "costs") == 1


def test_a_revision_of_the_finest_level_leaves_the_others(store: Store) -> None:
    """Late spans change how an allocation is split, not the allocation."""
    write(store, ledger())
    coarse = [record for record in ledger() if record.level < Level.REQUEST]
    pod = coarse[1]
    one = replace(
        ledger()[3],
        revision=1,
        record_id=identify("all of it", [pod.record_id]),
        amounts=pod.amounts,
    )
    write(store, [one])
    assert stored(store) == by_id([*coarse, one])


def test_a_revision_without_parts_leaves_its_parent_unrefined(store: Store) -> None:
    """Money does not vanish from `costs` with the parts that it had."""
    write(store, ledger())
    origin, pod, idle, *_ = ledger()
    # In the next revision it is the idle part that was split.
    other = replace(
        ledger()[3],
        revision=1,
        record_id=identify("of idle", []),
        parent_record_id=idle.record_id,
        amounts=idle.amounts,
    )
    write(store, [other])
    assert total(store, "costs") == 1
    assert total(store, "costs", where="level = 'allocation'") == pod.amounts.effective_cost
    assert origin.amounts.effective_cost == 1


def test_windows_and_origins_do_not_touch_each_other(store: Store) -> None:
    """A revision is of one origin in one window."""
    for batch in hours(3):
        write(store, batch)
    write(store, ledger("other", start=NOW_UNIX_NANO - HOUR))
    write(store, ledger(start=NOW_UNIX_NANO - 2 * HOUR, revision=5))
    expected = [
        *ledger(start=NOW_UNIX_NANO - 3 * HOUR),
        *ledger(start=NOW_UNIX_NANO - 2 * HOUR, revision=5),
        *ledger(start=NOW_UNIX_NANO - HOUR),
        *ledger("other", start=NOW_UNIX_NANO - HOUR),
    ]
    assert stored(store) == by_id(expected)


def test_a_correction_stands_beside_what_it_corrects(store: Store) -> None:
    """A closed window is not revised: the difference is added, in the billing period that is open."""
    write(store, ledger(revision=3))
    origin = ledger(revision=3)[0]
    next_month = Period(
        origin.charge.billing_period.end_unix_nano,
        origin.charge.billing_period.end_unix_nano + 30 * 24 * HOUR,
    )
    correction = replace(
        origin,
        record_id=identify("correction", []),
        revision=0,
        charge=replace(origin.charge, charge_class=ChargeClass.CORRECTION, billing_period=next_month),
        amounts=amounts("-0.1", "0"),
        corrects_record_id=origin.record_id,
    )
    write(store, [correction])
    assert stored(store) == by_id([*ledger(revision=3), correction])
    assert total(store, "costs") == Decimal("0.9")


# --- views --------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(store: Store) -> Store:
    """Three hours, one revised, parts before their parents."""
    for batch in hours(3):
        write(store, batch[3:])
        write(store, batch[:3])
    write(store, ledger(start=NOW_UNIX_NANO - HOUR, revision=1))
    return store


def test_costs_has_every_cost_once(filled: Store) -> None:
    """What a person gets who adds it up: the bill. The levels each come to the same or, refined in part, to less."""
    assert total(filled, "costs") == 3
    assert total(filled, "cost_origins") == 3
    assert total(filled, "cost_allocations") == 3
    assert total(filled, "cost_requests") == Decimal("0.999999999999999999")
    rows = filled.query("SELECT level, count(*) FROM costs GROUP BY level ORDER BY level").rows
    assert rows == [("allocation", 3), ("origin", 3), ("request", 6)]


def test_roll_ups_have_every_cost_once(filled: Store, refresh_rollups: Callable[[Store], None]) -> None:
    """Before and after they were refreshed, and after a window changed again."""
    for view in ("costs_hourly", "costs_daily"):
        assert total(filled, view) == 3
    refresh_rollups(filled)
    for view in ("costs_hourly", "costs_daily"):
        assert total(filled, view) == 3
        assert total(filled, view, "records") == 12
        assert total(filled, view, "unpriced") == 3
        assert total(filled, view, where="subject_kind = 'idle'") == Decimal("2.000000000000000001")
    # Once refreshed, what changed waits for the next time.
    write(filled, ledger(start=NOW_UNIX_NANO - 2 * HOUR, revision=7))
    refresh_rollups(filled)
    for view in ("costs_hourly", "costs_daily"):
        assert total(filled, view) == 3
        assert total(filled, view, "records") == 12


def test_costs_shows_what_a_record_says(store: Store) -> None:
    """In words; FOCUS's service under another name than the service that caused the cost."""
    write(store, ledger())
    [row] = store.query("SELECT * FROM costs WHERE tenant = 'a'").rows
    shown: dict[str, Any] = dict(zip(store.query("SELECT * FROM costs LIMIT 1").columns, row, strict=True))
    assert {
        name: shown[name]
        for name in (
            "level",
            "service_name",
            "focus_service_name",
            "subject_kind",
            "charge_category",
            "source",
        )
    } == {
        "level": "request",
        "service_name": "cart",
        "focus_service_name": "Machines",
        "subject_kind": "request_group",
        "charge_category": "usage",
        "source": "price_book",
    }
    assert Decimal(shown["effective_cost"]) == Decimal("0.333333333333333332")
    assert "000000" not in str(shown["list_unit_price"])
    assert shown["charge_class"] is None
    assert shown["time_unix_nano"] == NOW_UNIX_NANO


def test_when_the_finest_level_is_too_old_the_next_is_shown(filled: Store) -> None:
    """Levels are kept for different times; no cost disappears from `costs`, nor appears twice."""
    later = NOW_UNIX_NANO + int(400 * DAY_S * 1e9)
    for table, left in ((COST_REQUESTS, "allocation"), (COST_ALLOCATIONS, "origin")):
        ages: dict[Signal | Table, float] = {table: 100 * DAY_S}
        assert filled.apply_retention(ages, now_unix_nano=later, dry_run=True)[table.name] == 6
        assert filled.apply_retention(ages, now_unix_nano=later) == {table.name: 6}
        assert total(filled, "costs") == 3
        assert left in {level for (level,) in filled.query("SELECT level FROM costs").rows}
    keep: dict[Signal | Table, float] = {COST_ORIGINS: 500 * DAY_S}
    assert filled.apply_retention(keep, now_unix_nano=later) == {COST_ORIGINS.name: 0}


# --- balance ------------------------------------------------------------------------------------------------


@pytest.mark.unbalanced
def test_what_does_not_add_up_is_shown_by_amount(store: Store) -> None:
    """Parents that are not the sum of their parts; nothing else."""
    records = ledger()
    records[2] = replace(records[2], amounts=amounts("0.666666666666666666", "0.666666666666666667"))
    write(store, records)
    rows = store.query("SELECT level, amount, difference, missing FROM cost_balance ORDER BY amount").rows
    assert [(level, amount, Decimal(gap), bool(missing)) for level, amount, gap, missing in rows] == [
        ("origin", name, Decimal("1E-18"), False)
        for name in ("billed_cost", "contracted_cost", "effective_cost", "list_cost")
    ]
    balance = count_unbalanced(store, now_unix_nano=NOW_UNIX_NANO + HOUR)
    assert balance.unbalanced == 4
    later = NOW_UNIX_NANO + 50 * 24 * HOUR
    assert count_unbalanced(store, now_unix_nano=later).unbalanced == 0, "it looks at what may still change"


@pytest.mark.unbalanced
def test_parts_without_their_whole_do_not_add_up(store: Store) -> None:
    """Nor is money that is known counted as nothing."""
    write(store, ledger()[3:5])
    rows = store.query("SELECT DISTINCT level, whole, missing FROM cost_balance").rows
    assert [(level, whole, bool(missing)) for level, whole, missing in rows] == [("allocation", None, True)]
    write(store, ledger())
    assert_balanced(store)


def test_what_is_not_priced_balances(store: Store) -> None:
    """Parts of what has no price have none."""
    origin = ledger()[-1]
    part = replace(
        origin,
        level=Level.ALLOCATION,
        record_id=identify("part", []),
        parent_record_id=origin.record_id,
        subject=ledger()[1].subject,
    )
    write(store, [origin, part])
    [[level, cost]] = store.query("SELECT level, effective_cost FROM costs").rows
    assert (level, cost) == ("allocation", None)


# --- schemas one version apart ------------------------------------------------------------------------------


def test_a_schema_without_costs_takes_telemetry_and_makes_costs_wait(
    lasting_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sidecars roll one by one: the new program on the tables of the version before, then migrated."""
    dialects = {dialect: dialect.known() for dialect in (sqlite_schema, postgresql_schema)}

    def program(*, costs: bool) -> None:
        for dialect, every in dialects.items():
            at = [migration.name for migration in every].index("costs")
            monkeypatch.setattr(dialect, "known", lambda known=every[: at + costs]: known)

    program(costs=False)
    with closing(open_store(lasting_store_url)) as old:
        old.migrate()
    program(costs=True)

    with closing(open_store(lasting_store_url)) as store:
        assert store.schema_status().usable
        put(store, Signal.LOGS, samples.logs())
        with pytest.raises(SchemaError, match="migrate"):
            write(store, ledger())
        put(store, Signal.TRACES, samples.traces())
        assert COST_ORIGINS.name not in {entry.table for entry in store.stats()}
        assert [step for step in store.check() if not step.ok] == []
        ages: dict[Signal | Table, float] = {Signal.COSTS: DAY_S, Signal.TRACES: 10_000 * DAY_S}
        assert COST_ORIGINS.name not in store.apply_retention(ages, now_unix_nano=NOW_UNIX_NANO)
        if isinstance(store, PostgresqlStore):
            store.maintain(now_unix_nano=NOW_UNIX_NANO)
        ask = QueryClient(store, clock=FakeClock(unix_nano=NOW_UNIX_NANO))
        assert ask.items()[Signal.COSTS] == 0

        assert [migration.name for migration in store.migrate()] == ["costs"]
        write(store, ledger())
        assert stored(store) == by_id(ledger())
