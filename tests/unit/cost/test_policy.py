"""Policies: FinOpsGuard's JSON unchanged, exact comparisons, reasons."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from collector.cost.calendar import text_of
from collector.cost.policy import (
    BudgetStatus,
    Costs,
    PolicyError,
    Status,
    budget_period,
    budget_status,
    evaluate,
    overall,
    parse_policy,
)
from tests.support.cost import HOUR

MONTH = budget_period("month", HOUR.start_unix_nano)
HALF = MONTH.start_unix_nano + MONTH.length_ns // 2


def costs(cost: str, **others: Any) -> Costs:
    return Costs(cost=Decimal(cost), currency="USD", period=MONTH, until_unix_nano=HALF, **others)


def policy(**keys: Any) -> str:
    return json.dumps({"id": "p", **keys})


def test_a_policy_of_finopsguard_is_accepted_unchanged() -> None:
    """With all that its API writes, times among it."""
    read = parse_policy(
        policy(
            name="No GPUs in dev", description="", budget=None, enabled=True, on_violation="block",
            expression={"rules": [{"field": "environment", "operator": "==", "value": "dev"}], "operator": "and"},
            created_at="2026-01-01T00:00:00Z", updated_at="2026-01-01T00:00:00Z",
        )
    )  # fmt: skip
    assert evaluate(read, costs("1"), {"environment": "dev"}).status is Status.BLOCK
    assert evaluate(read, costs("1"), {"environment": "prod"}).status is Status.PASS
    assert evaluate(read, costs("1")).status is Status.PASS


def test_a_budget_is_violated_by_a_cost_above_it_and_not_by_its_equal() -> None:
    """To the last digit, where a float would see no difference."""
    read = parse_policy('{"id": "p", "budget": 1000.00, "on_violation": "block"}')
    assert evaluate(read, costs("1000")).status is Status.PASS
    above = evaluate(read, costs("1000.000000000000000001"))
    assert (above.status, above.reason) == (Status.BLOCK, "cost is above the budget")
    assert above.violation_details == {
        "actual_cost": "1000.000000000000000001",
        "budget_limit": "1000",
        "overage": "0.000000000000000001",
    }


def test_a_budget_of_many_digits_is_read_exactly() -> None:
    """JSON's numbers are not doubles here."""
    assert parse_policy('{"id": "p", "budget": 0.100000000000000005}').budget == Decimal(
        "0.100000000000000005"
    )


def test_with_both_the_expression_says_when_the_budget_applies() -> None:
    """Or nothing at all, where FinOpsGuard's own meaning is asked for."""
    rules = {"rules": [{"field": "team", "operator": "in", "value": ["a", "b"]}]}
    both = parse_policy(policy(budget=1, expression=rules))
    assert evaluate(both, costs("2"), {"team": "a"}).status is Status.ADVISORY
    assert evaluate(both, costs("2"), {"team": "c"}).status is Status.PASS
    assert evaluate(both, costs("1"), {"team": "a"}).status is Status.PASS
    theirs = parse_policy(policy(budget=1, expression=rules, compat="finopsguard"))
    assert evaluate(theirs, costs("2"), {"team": "c"}).status is Status.ADVISORY


def test_a_forecast_above_the_budget_is_advice() -> None:
    """Half of the month has passed, so the whole costs twice as much; it blocks nothing."""
    read = parse_policy(policy(budget=100, on_violation="block", forecast=True, thresholds=[0.9, 0.5]))
    result = evaluate(read, costs("50.000001"))
    assert (result.status, result.forecast) == (Status.ADVISORY, Decimal("100.000002"))
    assert result.thresholds_reached == (Decimal("0.5"),)
    assert evaluate(read, costs("50")).status is Status.PASS


@pytest.mark.parametrize(
    ("field", "operator", "value", "holds"),
    [
        ("cost", ">", 9, True), ("cost", ">", 10, False), ("cost", ">=", 10, True), ("cost", "<", 10, False),
        ("cost", "<=", 10.0, True), ("cost", "==", 10.0, True), ("cost", "!=", 10, False),
        ("growth", ">=", 0.25, True), ("previous_period", "==", 8, True), ("unpriced_ratio", ">", 0, False),
        ("service", "contains", "CHECK", True), ("service", "starts_with", "check", True),
        ("service", "ends_with", "check", False), ("service", "in", ["pay", "checkout"], True),
        ("service", ">", 1, False), ("unheard_of", "!=", "x", False),
    ],
)  # fmt: skip
def test_an_operator_compares_as_finopsguard_does(
    field: str, operator: str, value: object, holds: bool
) -> None:
    """Numbers as decimals; `contains` without regard to case; what is not known makes nothing true."""
    rules = {"rules": [{"field": field, "operator": operator, "value": value}]}
    read = parse_policy(policy(expression=rules))
    result = evaluate(read, costs("10", previous_period=Decimal(8)), {"service": "checkout"})
    assert (result.status is Status.ADVISORY) == holds


def test_rules_are_joined_by_and_or_or() -> None:
    """As the expression says; the worst of several policies counts."""
    rules = [{"field": "cost", "operator": ">", "value": n} for n in (1, 100)]
    both = parse_policy(policy(expression={"rules": rules, "operator": "and"}))
    either = parse_policy(policy(expression={"rules": rules, "operator": "or"}, on_violation="block"))
    results = [evaluate(one, costs("10")) for one in (both, either)]
    assert [result.status for result in results] == [Status.PASS, Status.BLOCK]
    assert overall(results) is Status.BLOCK
    assert overall([]) is Status.PASS


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "the policy is not JSON"),
        ("[]", "the policy is not a JSON object"),
        ('{"id": "p"}', "budget: a policy needs a budget or an expression"),
        ('{"budget": 1}', "id: a policy needs one"),
        ('{"id": "p", "budget": NaN}', "the policy is not JSON: NaN is not a number that JSON has"),
        ('{"id": "p", "budget": "1"}', "budget: '1' is not a number"),
        ('{"id": "p", "budget": -1}', "budget: -1 is negative"),
        ('{"id": "p", "budget": 1e300}', "budget: '1E\\+300' has more than 20 digits"),
        (
            '{"id": "p", "budget": 1, "on_violation": "explode"}',
            "on_violation: 'explode' is not one of advisory, block",
        ),
        ('{"id": "p", "budget": 1, "period": "hour"}', "period: 'hour' is not one of day, week"),
        ('{"id": "p", "budget": 1, "currency": "USA"}', "currency: 'USA' is not an ISO 4217"),
        ('{"id": "p", "expression": {"rules": []}}', "expression.rules: an expression needs a list of rules"),
        (
            '{"id": "p", "expression": {"rules": [{"field": "x", "operator": "~", "value": 1}]}}',
            r"expression\.rules\[0\]\.operator: '~' is not one of ==",
        ),
    ],
)
def test_a_policy_that_cannot_be_used_names_its_key(text: str, complaint: str) -> None:
    """Before it is kept."""
    with pytest.raises(PolicyError, match=f"^{complaint}"):
        parse_policy(text)


def test_currencies_are_not_compared() -> None:
    """A budget in euros says nothing about dollars."""
    with pytest.raises(PolicyError, match="the policy is in EUR, the costs are in USD"):
        evaluate(parse_policy(policy(budget=1, currency="EUR")), costs("2"))


def test_a_disabled_policy_passes() -> None:
    """Whatever the cost."""
    result = evaluate(parse_policy(policy(budget=1, enabled=False)), costs("2"))
    assert (result.status, result.reason) == (Status.PASS, "disabled")


def test_budgets_have_openfinopss_words() -> None:
    """At their exact bounds."""
    words = [budget_status(Decimal(cost), Decimal(100)) for cost in ("79.99", "80", "90", "100")]
    assert words == list(BudgetStatus)


def test_periods_of_budgets_are_calendar_periods_in_utc() -> None:
    """2026-09-21 is a Monday."""
    bounds = {
        name: tuple(text_of(at)[:10] for at in (period.start_unix_nano, period.end_unix_nano))
        for name in ("day", "week", "month", "quarter", "year")
        for period in [budget_period(name, HOUR.start_unix_nano)]
    }
    assert bounds == {
        "day": ("2026-09-21", "2026-09-22"),
        "week": ("2026-09-21", "2026-09-28"),
        "month": ("2026-09-01", "2026-10-01"),
        "quarter": ("2026-07-01", "2026-10-01"),
        "year": ("2026-01-01", "2027-01-01"),
    }
