"""What a policy says about costs. The same costs give the same evaluation; nothing is stopped, and nothing dropped.

FinOpsGuard's meaning: a budget is violated by a cost *above* it, an expression that is true is a violation, and
`on_violation` says what a violation is. With both a budget and an expression, FinOpsGuard ignores the expression; here it
says when the budget applies, unless `compat: finopsguard` asks for the old meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from collector.cost.amount import (
    LARGEST,
    ZERO,
    AmountError,
    amount_text,
    divide_rounded,
    multiply_rounded,
    proportion,
    subtract,
)
from collector.cost.policy.condition import holding
from collector.cost.policy.period import is_rolling
from collector.cost.policy.policy import BudgetStatus, Policy, PolicyError, Severity, Status, Threshold, Value
from collector.cost.record import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Stored costs in the scope of a policy, in one currency, for its period up to now."""

    cost: Decimal
    currency: str  # "": there are none
    period: Period
    until_unix_nano: int
    previous_period: Decimal | None = None
    idle: Decimal | None = None
    records: int = 0
    unpriced: int = 0  # of these; they are in no sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a policy says about costs, and why. `reasons`: the first is what decided."""

    policy_id: str
    policy_name: str = ""
    status: Status
    reasons: tuple[str, ...]
    severity: Severity | None = None  # None: nothing is reached
    violation_details: Mapping[str, Value]
    budget: Decimal | None = None
    budget_status: BudgetStatus | None = None
    thresholds_reached: tuple[Threshold, ...] = ()
    forecast: Decimal | None = None  # of the whole period; None: there is nothing to expect

    @property
    def reason(self) -> str:
        """What decided."""
        return self.reasons[0]


def evaluate(policy: Policy, costs: Costs, context: Mapping[str, Value] | None = None) -> Evaluation:
    """Evaluate a policy.

    Args:
        policy: What may be.
        costs: What is.
        context: What an expression may ask for besides costs: environment, service, team, resources, …

    Raises:
        PolicyError: the policy is about another currency than the costs; they cannot be compared.
    """
    if policy.currency and costs.currency and policy.currency != costs.currency:
        raise PolicyError(
            f"the policy is in {policy.currency}, the costs are in {costs.currency}", "currency"
        )
    if not policy.enabled:
        return Evaluation(
            policy_id=policy.id,
            policy_name=policy.name,
            status=Status.PASS,
            reasons=("disabled",),
            violation_details={},
        )
    expected = None if is_rolling(policy.period) else forecast(costs)
    rules = holding(policy, _fields(costs, expected, context or {}))
    if policy.budget is None:
        status = policy.on_violation if rules is not None else Status.PASS
        reason = "expression is true" if rules is not None else "expression is false"
        details: dict[str, Value] = (
            {} if rules is None else {"failed_rules": rules, "actual_cost": costs.cost}
        )
    else:
        applies = policy.finopsguard or not policy.conditions or rules is not None
        status, reason, details = _against_budget(policy, policy.budget, costs, expected, applies=applies)
    reached = tuple(one for one in policy.thresholds if _reached(one, policy.budget, costs.cost, expected))
    return Evaluation(
        policy_id=policy.id,
        policy_name=policy.name,
        status=status,
        reasons=(reason, *_remarks(policy, costs, reached)),
        severity=_severity(status, reached),
        violation_details=details,
        budget=policy.budget,
        budget_status=None if policy.budget is None else budget_status(costs.cost, policy.budget),
        thresholds_reached=reached,
        forecast=expected,
    )


def overall(statuses: Iterable[Status]) -> Status:
    """Return the worst of them; pass if there is none."""
    return max(statuses, key=lambda status: status.rank, default=Status.PASS)


def forecast(costs: Costs) -> Decimal:
    """Return what the whole period costs if it goes on as it did: a straight line, rounded once, to 18 decimals.

    The largest amount there is if it does not fit one, because the period has hardly begun.
    """
    period = costs.period
    until = min(max(costs.until_unix_nano, period.start_unix_nano + 1), period.end_unix_nano)
    try:
        return proportion(costs.cost, period.length_ns, until - period.start_unix_nano)
    except AmountError:
        return LARGEST.copy_sign(costs.cost)


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


def _against_budget(
    policy: Policy, budget: Decimal, costs: Costs, expected: Decimal | None, *, applies: bool
) -> tuple[Status, str, dict[str, Value]]:
    limit = _money(budget, costs.currency)
    if not applies:
        return Status.PASS, "out of scope: expression is false", {}
    if costs.cost > budget:
        return (
            policy.on_violation,
            f"cost {_money(costs.cost, costs.currency)} is above the budget {limit}",
            {"actual_cost": costs.cost, "budget_limit": budget, "overage": subtract(costs.cost, budget)},
        )
    if policy.forecast and expected is not None and expected > budget:
        # What is only expected blocks nothing.
        return (
            Status.ADVISORY,
            f"forecast {_money(expected, costs.currency)} is above the budget {limit}",
            {
                "actual_cost": costs.cost,
                "forecast_cost": expected,
                "budget_limit": budget,
                "overage": subtract(expected, budget),
            },
        )
    return Status.PASS, f"cost {_money(costs.cost, costs.currency)} is within the budget {limit}", {}


def _reached(threshold: Threshold, budget: Decimal | None, cost: Decimal, expected: Decimal | None) -> bool:
    bound = threshold.bound(budget)
    amount = expected if threshold.forecast else cost
    return bound is not None and amount is not None and amount >= bound


def _severity(status: Status, reached: Sequence[Threshold]) -> Severity | None:
    found = [threshold.severity for threshold in reached]
    if status is not Status.PASS:
        found.append(Severity.CRITICAL if status is Status.BLOCK else Severity.WARNING)
    return max(found, key=lambda severity: severity.rank, default=None)


def _remarks(policy: Policy, costs: Costs, reached: Sequence[Threshold]) -> list[str]:
    remarks = []
    for threshold in reached:
        bound = threshold.bound(policy.budget) or ZERO
        of = "" if threshold.share is None else f" ({amount_text(threshold.share)} of the budget)"
        what = "forecast" if threshold.forecast else "cost"
        remarks.append(f"{what} has reached {_money(bound, costs.currency)}{of}: {threshold.severity.value}")
    if costs.unpriced:
        remarks.append(f"{costs.unpriced} of {costs.records} records have no price and are in no sum")
    return remarks


def _fields(costs: Costs, expected: Decimal | None, given: Mapping[str, Value]) -> dict[str, Value]:
    """What an expression can ask for. FinOpsGuard's name for the cost is understood."""
    fields = dict(given)
    fields |= {"cost": costs.cost, "estimated_monthly_cost": costs.cost, "forecast": expected}
    fields |= {"previous_period": costs.previous_period, "currency": costs.currency or None}
    if costs.records:
        fields["unpriced_ratio"] = _ratio(Decimal(costs.unpriced), Decimal(costs.records))
    if costs.idle is not None and costs.cost:
        fields["idle_ratio"] = _ratio(costs.idle, costs.cost)
    if costs.previous_period:
        fields["growth"] = _ratio(subtract(costs.cost, costs.previous_period), costs.previous_period)
    return fields


def _ratio(part: Decimal, whole: Decimal) -> Decimal:
    try:
        return divide_rounded(part, whole)
    except AmountError:  # of almost nothing
        return LARGEST if (part < 0) == (whole < 0) else LARGEST.copy_negate()


def _money(amount: Decimal, currency: str) -> str:
    return f"{amount_text(amount)} {currency}".rstrip()
