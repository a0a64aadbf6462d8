"""Policies and budgets: what stored costs may be. Evaluation says pass, advisory or block; it never drops anything.

FinOpsGuard's policies are accepted unchanged: `budget`, or `expression` with `rules` and `operator`, `on_violation`,
`enabled`. An expression that is true is a violation, and a budget is violated by a cost *above* it, as there. What is
added is optional: `period`, `scope`, `basis`, `currency`, `thresholds`, `forecast`, `compat`.

With both a budget and an expression, FinOpsGuard ignores the expression. Here the expression says when the budget
applies; `compat: finopsguard` keeps the old meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, cast

from collector.cost.amount import ZERO, amount_text, checked, divide_rounded, multiply_rounded, subtract
from collector.cost.calendar import day_of, day_start, next_month
from collector.cost.currency import check_currency
from collector.cost.record import Period

Operator = Literal["==", "!=", ">", ">=", "<", "<=", "in", "contains", "starts_with", "ends_with"]
Value = Decimal | str | bool | tuple["Value", ...] | None

_OPERATORS: Final = ("==", "!=", ">", ">=", "<", "<=", "in", "contains", "starts_with", "ends_with")
_PERIODS: Final = ("day", "week", "month", "quarter", "year")
_BASES: Final = ("effective", "billed")
_THRESHOLDS: Final = (Decimal("0.5"), Decimal("0.8"), Decimal("0.9"))
_RULES_MAX: Final = 100
_TEXT_MAX: Final = 100_000  # characters of a policy


class PolicyError(ValueError):
    """A policy cannot be used. The message begins with the key."""


class Status(Enum):
    """What an evaluation says, from best to worst."""

    PASS = "pass"  # noqa: S105  # FinOpsGuard's word
    ADVISORY = "advisory"
    BLOCK = "block"


class BudgetStatus(Enum):
    """How much of a budget is used up, in OpenFinOps's words."""

    UNDER_BUDGET = "under_budget"
    APPROACHING_LIMIT = "approaching_limit"
    OVER_BUDGET = "over_budget"
    BUDGET_EXHAUSTED = "budget_exhausted"


@dataclass(frozen=True, slots=True)
class Condition:
    """One rule of an expression: `field operator value`."""

    field: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy as it was read. `scope` selects stored costs by dimension; who asks the store applies it."""

    id: str
    name: str = ""
    description: str = ""
    budget: Decimal | None = None
    conditions: tuple[Condition, ...] = ()
    any_condition: bool = False  # `or`
    on_violation: Status = Status.ADVISORY
    enabled: bool = True
    period: str = "month"
    scope: Mapping[str, str]
    basis: str = "effective"
    currency: str = ""
    thresholds: tuple[Decimal, ...] = _THRESHOLDS
    forecast: bool = False
    finopsguard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Stored costs in the scope of a policy, in one currency, for its period up to now."""

    cost: Decimal
    currency: str
    period: Period
    until_unix_nano: int
    previous_period: Decimal | None = None
    unpriced_ratio: Decimal | None = None
    idle_ratio: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a policy says about costs, and why."""

    policy_id: str
    status: Status
    reason: str
    violation_details: Mapping[str, str]
    budget_status: BudgetStatus | None = None
    thresholds_reached: tuple[Decimal, ...] = ()
    forecast: Decimal | None = None


def parse_policy(text: str | bytes) -> Policy:
    """Read a policy as FinOpsGuard's JSON has it. Keys that are not known, such as `created_at`, are left alone.

    Raises:
        PolicyError: it cannot be used; the message names the key.
    """
    if len(text) > _TEXT_MAX:
        raise PolicyError(f"the policy has more than {_TEXT_MAX} characters")
    try:
        data = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"the policy is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise PolicyError("the policy is not a JSON object")
    conditions, any_condition = _expression(data.get("expression"))
    budget = _number(data, "budget")
    if budget is None and not conditions:
        raise PolicyError("budget: a policy needs a budget or an expression")
    if budget is not None and budget < 0:
        raise PolicyError(f"budget: {budget} is negative")
    currency = _text(data, "currency", "")
    if currency:
        try:
            check_currency(currency)
        except ValueError as error:
            raise PolicyError(f"currency: {error}") from None
    name = _text(data, "id", "")
    if not name:
        raise PolicyError("id: a policy needs one")
    return Policy(
        id=name,
        name=_text(data, "name", ""),
        description=_text(data, "description", ""),
        budget=budget,
        conditions=conditions,
        any_condition=any_condition,
        on_violation=Status(_choice(data, "on_violation", ("advisory", "block"), "advisory")),
        enabled=_flag(data, "enabled", default=True),
        period=_choice(data, "period", _PERIODS, "month"),
        scope=_scope(data.get("scope")),
        basis=_choice(data, "basis", _BASES, "effective"),
        currency=currency,
        thresholds=_thresholds(data.get("thresholds")),
        forecast=_flag(data, "forecast", default=False),
        finopsguard=_choice(data, "compat", ("finopsguard", ""), "") == "finopsguard",
    )


def evaluate(policy: Policy, costs: Costs, context: Mapping[str, str] | None = None) -> Evaluation:
    """Evaluate a policy. The same costs give the same evaluation.

    Args:
        policy: What may be.
        costs: What is.
        context: What an expression may ask for besides costs: environment, service, team, …

    Raises:
        PolicyError: the policy is about another currency than the costs; they cannot be compared.
    """
    if policy.currency and policy.currency != costs.currency:
        raise PolicyError(f"currency: the policy is in {policy.currency}, the costs are in {costs.currency}")
    expected = forecast(costs)
    if not policy.enabled:
        return Evaluation(policy_id=policy.id, status=Status.PASS, reason="disabled", violation_details={})
    holds = _holds(policy, _context(costs, expected, context or {}))
    if policy.budget is None:
        status = policy.on_violation if holds else Status.PASS
        reason = "expression is true" if holds else "expression is false"
        details = {"actual_cost": amount_text(costs.cost)} if holds else {}
        return Evaluation(
            policy_id=policy.id, status=status, reason=reason, violation_details=details, forecast=expected
        )
    applies = policy.finopsguard or not policy.conditions or holds
    status, reason, violated = _against_budget(policy, policy.budget, costs.cost, expected, applies=applies)
    return Evaluation(
        policy_id=policy.id,
        status=status,
        reason=reason,
        violation_details={
            "actual_cost": amount_text(violated),
            "budget_limit": amount_text(policy.budget),
            "overage": amount_text(subtract(violated, policy.budget)),
        }
        if status is not Status.PASS
        else {},
        budget_status=budget_status(costs.cost, policy.budget),
        thresholds_reached=tuple(
            share for share in policy.thresholds if costs.cost >= multiply_rounded(policy.budget, share)
        ),
        forecast=expected,
    )


def overall(evaluations: Sequence[Evaluation]) -> Status:
    """Return the worst of them; pass if there is none."""
    order = list(Status)
    return max((evaluation.status for evaluation in evaluations), key=order.index, default=Status.PASS)


def forecast(costs: Costs) -> Decimal:
    """Return what the whole period costs if it goes on as it did: rounded to 18 decimals, half to even."""
    elapsed = min(max(costs.until_unix_nano, costs.period.start_unix_nano + 1), costs.period.end_unix_nano)
    passed = Decimal(elapsed - costs.period.start_unix_nano)
    return multiply_rounded(costs.cost, divide_rounded(Decimal(costs.period.length_ns), passed))


def budget_status(cost: Decimal, budget: Decimal) -> BudgetStatus:
    """Return how much of a budget is used up: from 80 % approaching, from 90 % over, from 100 % exhausted."""
    for share, status in (
        (Decimal(1), BudgetStatus.BUDGET_EXHAUSTED),
        (Decimal("0.9"), BudgetStatus.OVER_BUDGET),
        (Decimal("0.8"), BudgetStatus.APPROACHING_LIMIT),
    ):
        if cost >= multiply_rounded(budget, share):
            return status
    return BudgetStatus.UNDER_BUDGET


def budget_period(name: str, unix_nano: int) -> Period:
    """Return the day, week (from Monday), month, quarter or year in UTC that an instant is in."""
    day = day_of(unix_nano)
    match name:
        case "day":
            first, after = day, day + timedelta(days=1)
        case "week":
            first = day - timedelta(days=day.weekday())
            after = first + timedelta(days=7)
        case "month":
            first, after = day.replace(day=1), next_month(day)
        case "quarter":
            first = date(day.year, day.month - (day.month - 1) % 3, 1)
            after = next_month(next_month(next_month(first)))
        case "year":
            first, after = date(day.year, 1, 1), date(day.year + 1, 1, 1)
        case _:
            raise PolicyError(f"period: {name!r} is not one of {', '.join(_PERIODS)}")
    return Period(day_start(first), day_start(after))


def _against_budget(
    policy: Policy, budget: Decimal, cost: Decimal, expected: Decimal, *, applies: bool
) -> tuple[Status, str, Decimal]:
    if not applies:
        return Status.PASS, "out of scope: expression is false", cost
    if cost > budget:
        return policy.on_violation, "cost is above the budget", cost
    if policy.forecast and expected > budget:
        return Status.ADVISORY, "forecast is above the budget", expected
    return Status.PASS, "within the budget", cost


def _context(costs: Costs, expected: Decimal, given: Mapping[str, str]) -> dict[str, Value]:
    values: dict[str, Value] = dict(given)
    values |= {"cost": costs.cost, "estimated_monthly_cost": costs.cost, "forecast": expected}
    values |= {"previous_period": costs.previous_period, "unpriced_ratio": costs.unpriced_ratio}
    values["idle_ratio"] = costs.idle_ratio
    if costs.previous_period:
        change = subtract(costs.cost, costs.previous_period)
        values["growth"] = divide_rounded(change, costs.previous_period)
    return values


def _holds(policy: Policy, context: Mapping[str, Value]) -> bool:
    if not policy.conditions:
        return False
    found = [_true(condition, context) for condition in policy.conditions]
    return any(found) if policy.any_condition else all(found)


def _true(condition: Condition, context: Mapping[str, Value]) -> bool:
    """Whether a condition holds; what is not known makes none hold."""
    left, right = context.get(condition.field), condition.value
    if left is None:
        return False
    match condition.operator:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "in":
            return isinstance(right, tuple) and left in right
        case "contains":
            return str(right).lower() in str(left).lower()
        case "starts_with":
            return str(left).startswith(str(right))
        case "ends_with":
            return str(left).endswith(str(right))
    if not isinstance(left, Decimal) or not isinstance(right, Decimal):
        return False
    ordered = {">": left > right, ">=": left >= right, "<": left < right, "<=": left <= right}
    return ordered[condition.operator]


def _expression(data: object) -> tuple[tuple[Condition, ...], bool]:
    if data is None:
        return (), False
    if not isinstance(data, dict) or not isinstance(rules := data.get("rules"), list) or not rules:
        raise PolicyError("expression.rules: an expression needs a list of rules")
    if len(rules) > _RULES_MAX:
        raise PolicyError(f"expression.rules: more than {_RULES_MAX}")
    conditions = []
    for index, rule in enumerate(rules):
        at = f"expression.rules[{index}]"
        if not isinstance(rule, dict) or "value" not in rule:
            raise PolicyError(f"{at}: a rule has field, operator and value")
        operator = _choice(rule, "operator", _OPERATORS, "", at)
        field = _text(rule, "field", "", at)
        if not field:
            raise PolicyError(f"{at}.field: a rule needs one")
        conditions.append(Condition(field, cast("Operator", operator), _value(rule["value"], f"{at}.value")))
    return tuple(conditions), _choice(data, "operator", ("and", "or"), "and", "expression") == "or"


def _value(data: object, at: str) -> Value:
    if isinstance(data, list):
        return tuple(_value(item, at) for item in data)
    if data is None or isinstance(data, str | bool):
        return data
    if isinstance(data, Decimal):
        return _amount(data, at)
    raise PolicyError(f"{at}: {data!r} is not a number, a text or a list of them")


def _amount(value: Decimal, at: str) -> Decimal:
    try:
        return checked(value)
    except ValueError as error:
        raise PolicyError(f"{at}: {error}") from None


def _number(data: Mapping[str, Any], key: str) -> Decimal | None:
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, Decimal):
        raise PolicyError(f"{key}: {value!r} is not a number")
    return _amount(value, key)


def _text(data: Mapping[str, Any], key: str, default: str, at: str = "") -> str:
    value = data.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise PolicyError(f"{at}.{key}: {value!r} is not a text".lstrip("."))
    return value


def _flag(data: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = data.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise PolicyError(f"{key}: {value!r} is not true or false")
    return value


def _choice(data: Mapping[str, Any], key: str, allowed: Sequence[str], default: str, at: str = "") -> str:
    value = _text(data, key, default, at)
    if value not in allowed:
        listed = ", ".join(word for word in allowed if word)
        raise PolicyError(f"{at}.{key}: {value!r} is not one of {listed}".lstrip("."))
    return value


def _scope(data: object) -> dict[str, str]:
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise PolicyError("scope: is a mapping of dimensions to texts")
    return dict(data)


def _thresholds(data: object) -> tuple[Decimal, ...]:
    if data is None:
        return _THRESHOLDS
    if not isinstance(data, list) or not all(isinstance(share, Decimal) and share > ZERO for share in data):
        raise PolicyError("thresholds: is a list of shares of the budget, such as 0.8")
    return tuple(sorted(_amount(share, "thresholds") for share in data))


def _no_constant(name: str) -> Decimal:
    raise ValueError(f"{name} is not a number that JSON has")
