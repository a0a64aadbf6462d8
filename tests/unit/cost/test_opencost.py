"""OpenCost's allocation answer: parameters, names, and sums that are the records'."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from collector.cost.amount import total
from collector.cost.opencost.query import AllocationQuery, parse_query
from collector.cost.opencost.window import QueryError, calendar_steps, parse_window, steps
from collector.cost.record import CostAttributionRecord, Level, Period, Subject, SubjectKind
from tests.support.ledger import HOUR, IDLE, NODE, PODS, SECOND, costs, ledger, node, origin, part
from tests.support.opencost import allocation_json

NOW = int(datetime(2026, 9, 16, 13, 45, 30, tzinfo=UTC).timestamp()) * SECOND  # a Wednesday
DAY = 86_400 * SECOND


def nano(*time: int) -> int:
    return int(datetime(*time, tzinfo=UTC).timestamp()) * SECOND  # type: ignore[arg-type, misc]  # year, month, day are given


def ask(records: list[CostAttributionRecord], **parameters: str) -> list[dict[str, Any]]:
    query = parse_query({"window": "1789430400,1789434000", **parameters}, NOW)
    answer = json.loads(allocation_json(records, query), parse_float=Decimal, parse_int=Decimal)
    assert (answer["code"], answer["status"]) == (200, "success")
    return answer["data"]  # type: ignore[no-any-return]  # JSON


def sum_of(data: list[dict[str, Any]]) -> Decimal:
    return total(allocation["totalCost"] for rows in data for allocation in rows.values())


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("today", (2026, 9, 16), (2026, 9, 17)),
        ("yesterday", (2026, 9, 15), (2026, 9, 16)),
        ("week", (2026, 9, 13), (2026, 9, 16, 13, 45, 30)),
        ("lastweek", (2026, 9, 6), (2026, 9, 13)),
        ("month", (2026, 9, 1), (2026, 9, 16, 13, 45, 30)),
        ("lastmonth", (2026, 8, 1), (2026, 9, 1)),
        ("45m", (2026, 9, 16, 13, 1), (2026, 9, 16, 13, 46)),
        ("24h", (2026, 9, 15, 14), (2026, 9, 16, 14)),
        ("7d", (2026, 9, 10), (2026, 9, 17)),
        ("1w", (2026, 9, 10), (2026, 9, 17)),
        ("45m offset 15m", (2026, 9, 16, 12, 45, 30), (2026, 9, 16, 13, 30, 30)),
        ("2026-04-01T00:00:00Z,2026-04-03T00:00:00Z", (2026, 4, 1), (2026, 4, 3)),
        ("2026-04-01T02:00:00+02:00,2026-04-03T00:00:00Z", (2026, 4, 1), (2026, 4, 3)),
        ("1775001600,1775174400", (2026, 4, 1), (2026, 4, 3)),
        ("1775001600-1775174400", (2026, 4, 1), (2026, 4, 3)),
    ],
)
def test_a_window_is_a_period(text: str, start: tuple[int, ...], end: tuple[int, ...]) -> None:
    """All forms that OpenCost documents, in UTC."""
    assert parse_window(text, NOW) == Period(nano(*start), nano(*end))


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "7", "0d", "7y", "-7d", "2026-04-03T00:00:00Z,2026-04-01T00:00:00Z", "2,1", "999999w", "2026-13-01T00:00:00Z,2026-13-02T00:00:00Z"]
)  # fmt: skip
def test_what_is_no_window_says_what_is(text: str) -> None:
    """With all forms."""
    with pytest.raises(QueryError, match=r"^window: .* is not a period of time; it may be today, yesterday"):
        parse_window(text, NOW)


def test_steps_cover_the_window() -> None:
    """The last may be shorter; the calendar's begin where hours, days, weeks and months do."""
    window = Period(nano(2026, 9, 10, 6), nano(2026, 10, 3))
    assert [p.start_unix_nano for p in steps(window, 7 * 86400)] == [
        window.start_unix_nano + i * 7 * DAY for i in range(4)
    ]
    for unit, count in (("hour", 18 + 22 * 24), ("day", 23), ("week", 4), ("month", 2)):
        periods = list(calendar_steps(window, unit))
        assert len(periods) == count
        assert [p.start_unix_nano for p in periods[1:]] == [p.end_unix_nano for p in periods[:-1]]
        assert (periods[0].start_unix_nano, periods[-1].end_unix_nano) == (
            window.start_unix_nano,
            window.end_unix_nano,
        )
    with pytest.raises(QueryError, match="step: gives more than 10000 sets"):
        list(steps(window, 60))


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({}, "window: is required, for instance window=7d"),
        ({"window": "1d", "agregate": "pod"}, "agregate: is not a parameter; is aggregate meant?"),
        ({"window": "1d", "aggregate": "pods"}, "aggregate: 'pods' is not a property; is pod meant?"),
        ({"window": "1d", "step": "fast"}, "step: 'fast' is not a length of time like 1h or 1d"),
        ({"window": "1d", "accumulate": "maybe"}, "accumulate: 'maybe' is neither true nor false"),
        (
            {"window": "1d", "accumulateBy": "year"},
            "accumulateBy: 'year' is none of hour, day, week, month, all",
        ),
        ({"window": "1d", "shareIdle": "even"}, "shareIdle: 'even' is none of true, weighted, false"),
        ({"window": "1d", "shareLabels": "team"}, "shareLabels: 'team' is not of the form key:value"),
        ({"window": "1d", "shareSplit": "odd"}, "shareSplit: 'odd' is none of weighted, even"),
        ({"window": "1d", "filter": "x"}, "filter: is not offered; aggregate, and filter the answer"),
        ({"window": "1d", "compat": "kubecost"}, "compat: 'kubecost' is none of opencost"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict[str, str], complaint: str) -> None:
    """With what it may be."""
    with pytest.raises(QueryError) as caught:
        parse_query(parameters, NOW)
    assert str(caught.value) == complaint


def test_parameters_without_effect_are_taken() -> None:
    """A dashboard that sends them gets its answer."""
    assert isinstance(parse_query({"window": "1d", "resolution": "1m"}, NOW), AllocationQuery)


def test_an_allocation_has_opencosts_fields() -> None:
    """By resource, with hours, in full precision."""
    (rows,) = ask(node(), aggregate="pod")
    assert set(rows) == {*PODS, "__idle__"}
    pod = rows["p1"]
    assert pod["cpuCost"] == Decimal(PODS["p1"][1])
    assert pod["ramCost"] == Decimal(PODS["p1"][2])
    assert pod["totalCost"] == Decimal(PODS["p1"][0])
    assert (pod["cpuCoreHours"], pod["cpuCores"]) == (Decimal("1.9"), Decimal("1.9"))
    assert (pod["ramByteHours"], pod["ramBytes"], pod["minutes"]) == (6 * 2**30, 6 * 2**30, 60)
    assert pod["properties"] == {
        "cluster": "prod",
        "node": "i-0123",
        "controller": "checkout",
        "controllerKind": "deployment",
        "namespace": "shop",
        "pod": "p1",
        "services": ["checkout"],
        "providerID": "i-0123",
        "labels": {"app": "checkout"},
    }
    assert pod["window"] == {"start": "2026-09-15T00:00:00Z", "end": "2026-09-15T01:00:00Z"}
    assert (pod["start"], pod["cpuCostAdjustment"], pod["cpuEfficiency"]) == ("2026-09-15T00:00:00Z", 0, None)


AGGREGATES = ["", "all", "cluster", "namespace", "controller", "controllerKind", "pod", "providerID", "service", "deployment",
              "job", "team", "product", "label:app", "annotation:x", "namespace,pod"]  # fmt: skip


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize(
    "more", [{}, {"shareIdle": "true"}, {"idleByNode": "true", "shareIdle": "weighted"}, {"shareNamespaces": "shop", "shareSplit": "even"},
             {"shareLabels": "app:checkout"}, {"basis": "list"}, {"accumulate": "true"}]
)  # fmt: skip
def test_totals_sum_to_the_records(aggregate: str, more: dict[str, str]) -> None:
    """Whatever is asked, but hiding idle."""
    records = ledger()
    whole = [record for record in records if record.level is Level.ORIGIN]
    field = "list_cost" if more.get("basis") == "list" else "effective_cost"
    assert sum_of(ask(records, aggregate=aggregate, **more)) == total(
        getattr(r.amounts, field) for r in whole
    )


def test_idle_can_be_shown_hidden_and_shared() -> None:
    """Shown by default; shared by the cost of each resource, with cpuCostIdle saying how much of it is idle."""
    assert ask(node(), aggregate="namespace")[0].keys() == {"shop", "__idle__"}
    (hidden,) = ask(node(), aggregate="namespace", includeIdle="false")
    assert hidden["shop"]["totalCost"] == 1 - Decimal(IDLE)
    records = node()
    whole = records[0]
    idle = Subject(kind=SubjectKind.IDLE, k8s_cluster="prod")
    records[-1] = part(whole, IDLE, idle, *records[1].allocated_elements, level=Level.ALLOCATION)
    (shared,) = ask(records, aggregate="pod", shareIdle="true")
    assert shared.keys() == set(PODS)
    assert sum_of([shared]) == 1
    assert total(row["cpuCostIdle"] + row["ramCostIdle"] for row in shared.values()) == Decimal(IDLE)
    assert shared["p2"]["cpuCostIdle"] > shared["p1"]["cpuCostIdle"] == shared["p3"]["cpuCostIdle"]


def test_idle_that_nobody_can_carry_stays() -> None:
    """In another cluster than everything that ran."""
    assert ask(node(), aggregate="pod", shareIdle="true")[0]["__idle__"]["totalCost"] == Decimal(IDLE)


def test_shared_costs_have_a_row_or_are_split() -> None:
    """By weight or evenly; idle takes none of them."""
    records = node()
    records[2] = replace(records[2], subject=Subject(kind=SubjectKind.SHARED))
    cost = records[2].amounts.effective_cost
    assert ask(records, aggregate="pod")[0]["__shared__"]["totalCost"] == cost
    (even,) = ask(records, aggregate="pod", shareSplit="even")
    assert "__shared__" not in even
    shares = [even[pod]["sharedCost"] for pod in ("p1", "p3", "p4")]
    assert total(shares) == cost
    assert max(shares) - min(shares) <= Decimal("1E-18")
    (weighted,) = ask(records, aggregate="pod", shareSplit="weighted")
    assert weighted["p1"]["sharedCost"] > weighted["p3"]["sharedCost"] == weighted["p4"]["sharedCost"]


def test_steps_are_sets() -> None:
    """One map for each step, empty where nothing was spent; a charge is in the set in which it begins."""
    later = Period(HOUR.start_unix_nano + 2 * DAY, HOUR.end_unix_nano + 2 * DAY)
    records = [
        *node(),
        origin("later", replace(NODE, charge_period=later), costs("5", quantity="5", consumed="5")),
    ]
    window = {"window": "2026-09-15T00:00:00Z,2026-09-18T00:00:00Z", "aggregate": "all"}
    daily = ask(records, **window, step="1d")
    assert [set_.get("all", {}).get("totalCost", 0) for set_ in daily] == [1 - Decimal(IDLE), 0, 5]
    assert daily[2]["all"]["minutes"] == 1440
    (whole,) = ask(records, **window, step="1d", accumulate="true")
    assert sum_of([whole]) == 6
    assert len(ask(records, **window, accumulateBy="day")) == 3
    assert ask(records, window="2026-09-16T00:00:00Z,2026-09-17T00:00:00Z") == [{}]


def test_several_currencies_are_not_added_up() -> None:
    """One has to be named."""
    records = [
        *node(),
        origin("eur", replace(NODE, billing_currency="EUR"), costs("1", quantity="1", consumed="1")),
    ]
    with pytest.raises(
        QueryError, match="currency: the costs are in EUR, USD, which cannot be added up; name one"
    ):
        ask(records)
    assert sum_of(ask(records, currency="EUR")) == 1


def test_opencosts_five_decimals_are_there_for_who_wants_them() -> None:
    """Half away from zero, as theirs; the sum is then only about right."""
    (rows,) = ask(node(), aggregate="pod", compat="opencost")
    assert rows["p1"]["totalCost"] == Decimal("0.21821")
    assert rows["p2"]["totalCost"] == Decimal("0.38383")


def test_requests_take_the_place_of_their_pod() -> None:
    """The finest parts are counted, never two levels of the same money."""
    records = node()
    pod = records[1]
    amount = pod.amounts.effective_cost
    assert amount is not None
    for tenant, share in (("a", amount / 2), ("b", amount - amount / 2)):
        subject = replace(pod.subject, kind=SubjectKind.REQUEST_GROUP, tenant=tenant)
        records.append(part(pod, str(share), subject, level=Level.REQUEST))
    assert sum_of(ask(records)) == 1
    assert sum_of(ask(records, aggregate="pod")) == 1
