"""The ledger added up, by dimension, beside another time and in one currency, on every store."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from collector.accounting.attribution import Attribution
from collector.accounting.book import Book
from collector.accounting.summary import summarize
from collector.cost.exchange import Exchange
from collector.cost.record import Level, Period
from collector.storage.store import Store
from tests.contract.test_cost_runs import DAY, HOUR, START, attribute, clock, config, cost, telemetry
from tests.support.cost import billed, cost_config


def test_a_summary_compares_with_the_time_before(store: Store) -> None:
    """Exactly; who has nothing now is there with a negative change; idle has a line."""
    telemetry(store)
    attribute(store)
    hours = [Period(START + hour * HOUR, START + (hour + 1) * HOUR) for hour in range(2)]
    summary = summarize(store, hours[1], ["team", "service"], hours[0])
    records = Book(store).read(hours[1])
    assert summary.total("USD") == cost([r for r in records if r.level is Level.ORIGIN])
    assert ("__idle__", "__idle__") in [line.keys for line in summary.lines]
    assert all(line.change == line.cost - (line.previous or 0) for line in summary.lines)
    assert summary.movers()
    assert any(line.unpriced for line in summarize(store, hours[0], ["service"]).lines)
    with pytest.raises(ValueError, match="'servce' is not a dimension of costs"):
        summarize(store, hours[0], ["servce"])


def test_a_summary_in_one_currency_says_by_which_rates(store: Store) -> None:
    """Each day at its own, exactly; what was charged is beside it; what has no rate stays in its currency.

    The first day 10 EUR and 3 USD at 0.9215, the second 1.000000000000000001 USD at 0.918, before both rates 7 USD.
    """
    day = 24 * HOUR
    days = [Period(number * day, number * day + HOUR) for number in range(START // day - 1, START // day + 2)]
    costs = [
        (days[0], "7", "USD"), (days[1], "10", "EUR"), (days[1], "3", "USD"), (days[1], "500", "JPY"),
        (days[2], "1.000000000000000001", "USD"),
    ]  # fmt: skip
    records = [
        billed("x", amount, period=period, line=line, currency=currency)
        for line, (period, amount, currency) in enumerate(costs)
    ]
    assert Book(store).write(records, Book(store).page())
    rates = cost_config(
        """
        rates:
          - {currency: USD, into: EUR, rate: "0.918", effective_from: 2026-09-22, source: ECB}
          - {currency: USD, into: EUR, rate: "0.9215", effective_from: 2026-09-21, source: ECB}
          - {currency: EUR, into: USD, rate: "1.1", effective_from: 2026-09-01, source: other}
        """
    ).rates
    whole = Period(days[0].start_unix_nano, days[2].end_unix_nano)
    summary = summarize(store, whole, ["resource"], exchange=Exchange("EUR", rates))
    lines = {line.currency: (str(line.cost), dict(line.original)) for line in summary.lines}
    assert lines == {
        "EUR": ("13.682500000000000000918", {"USD": Decimal("4.000000000000000001")}),
        "JPY": ("500", {}),
        "USD": ("7", {}),
    }
    assert [str(rate) for rate in summary.rates] == [
        "1 USD = 0.9215 EUR from 2026-09-21 (ECB)",
        "1 USD = 0.918 EUR from 2026-09-22 (ECB)",
    ]
    assert summary.without_rate == ("JPY", "USD")
    plain = summarize(store, whole, ["resource"])
    assert {line.currency: line.cost for line in plain.lines} == {
        "EUR": 10, "JPY": 500, "USD": Decimal("11.000000000000000001"),
    }  # fmt: skip


def test_what_was_charged_for_is_known_whoever_caused_it(store: Store) -> None:
    """A node's idle part is its own, an imported charge its service's; idle that has an owner is his."""
    telemetry(store)
    owned = [
        replace(rule, split=replace(rule.split, idle="to:team=platform")) if rule.split else rule
        for rule in config().rules
    ]
    list(Attribution(store, replace(config(), rules=tuple(owned)), clock()).run(DAY))
    hour = Period(START, START + HOUR)
    bill = replace(billed("db", "3", period=hour), recorded_unix_nano=START)
    assert Book(store).write([bill], Book(store).page())
    list(Attribution(store, replace(config(), rules=tuple(owned)), clock()).run(DAY))

    def costs(by: str) -> dict[str, Decimal]:
        return {line.keys[0]: line.cost for line in summarize(store, hour, [by]).lines}

    assert costs("resource")["n1"] == 1
    assert costs("resource")["db"] == 3
    assert costs("focus_service")["Compute Engine"] == 3
    teams = costs("team")
    assert teams["platform"] > 0
    assert teams["__unallocated__"] == 3
    assert teams["__idle__"] > 0  # of what pods were given
