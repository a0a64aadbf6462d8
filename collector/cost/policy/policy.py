"""What a policy is: what stored costs may be, and what is said when they are not. The nouns of this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final, Literal

from collector.cost.amount import LARGEST, AmountError, multiply_rounded

Operator = Literal["==", "!=", ">", ">=", "<", "<=", "in", "not_in", "contains", "starts_with", "ends_with"]
# What a field of a context may be: what JSON has, with exact numbers.
Value = Decimal | str | bool | tuple["Value", ...] | Mapping[str, "Value"] | None


class PolicyError(ValueError):
    """A policy cannot be used. `key`: where, such as `expression.rules[0].value`; the message begins with it."""

    def __init__(self, text: str, key: str = "") -> None:
        super().__init__(f"{key}: {text}" if key else text)
        self.text = text
        self.key = key

    def within(self, place: str) -> PolicyError:
        """The same error of a policy that is itself at `place`."""
        key = f"{place}.{self.key}" if self.key else place
        return PolicyError(self.text, key)


class Status(Enum):
    """What an evaluation says, from best to worst."""

    PASS = "pass"  # noqa: S105  # FinOpsGuard's word
    ADVISORY = "advisory"
    BLOCK = "block"

    @property
    def rank(self) -> int:
        """0 for the best."""
        return list(Status).index(self)


class Severity(Enum):
    """How much a threshold matters, from least to most."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return list(Severity).index(self)


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
class Threshold:
    """Something to be told about on the way: from a `share` of the budget on, or from an `amount` on."""

    share: Decimal | None = None
    amount: Decimal | None = None
    severity: Severity = Severity.INFO
    forecast: bool = False  # what is expected of the whole period is compared, instead of what it has cost

    def bound(self, budget: Decimal | None) -> Decimal | None:
        """The amount from which on it is reached; None: there is none."""
        if self.amount is not None:
            return self.amount
        if budget is None or self.share is None:
            return None
        try:
            return multiply_rounded(budget, self.share)
        except AmountError:  # beyond all costs
            return LARGEST


# OpenFinOps's alert thresholds.
THRESHOLDS: Final = tuple(Threshold(share=Decimal(share)) for share in ("0.5", "0.8", "0.9"))


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
    timezone: str = "UTC"
    scope: Mapping[str, tuple[str, ...]]  # dimension -> any of these values
    basis: str = "effective"
    currency: str = ""  # "": whatever the costs are in
    thresholds: tuple[Threshold, ...] = THRESHOLDS
    forecast: bool = False
    finopsguard: bool = False

    def asks_for(self, *fields: str) -> bool:
        """Whether its expression has one of `fields`."""
        return any(condition.field in fields for condition in self.conditions)
