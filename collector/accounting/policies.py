"""Policies, evaluated on the costs in a store: exact sums of the period so far, in the scope of each, in one currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from collector.accounting.policy_book import Analysis, StoredPolicy
from collector.cost.amount import ZERO, add
from collector.cost.policy.evaluate import Costs, evaluate, overall
from collector.cost.policy.period import period_before, policy_period
from collector.cost.policy.policy import Policy, PolicyError, Status, Value
from collector.model.clock import Clock
from collector.query.costs import read_costs
from collector.query.dialect import Dialect
from collector.query.reader import Reader
from collector.query.when import Window
from collector.storage.store import QueryError, Store

# What who asks may want a violation to be, in FinOpsGuard's words.
MODES: Final[Mapping[str, Status]] = {"advisory": Status.ADVISORY, "blocking": Status.BLOCK}


@dataclass(frozen=True, slots=True)
class Failure:
    """A policy that could not be evaluated, and why. Nothing is said about its costs."""

    policy_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of several policies."""

    analyses: tuple[Analysis, ...]
    failures: tuple[Failure, ...]

    @property
    def status(self) -> Status:
        """The worst that one of them says."""
        return overall(one.status for one in self.analyses)


class PolicyEvaluator:
    """Evaluates over an open store. `timeout_s`: how long all questions of one call may take together."""

    def __init__(self, store: Store, clock: Clock, *, timeout_s: float | None = None) -> None:
        self._store = store
        self._dialect = Dialect(store.dialect == "sqlite")
        self._clock = clock
        self._timeout_s = timeout_s

    def evaluate(
        self,
        policies: Sequence[StoredPolicy],
        at_unix_nano: int,
        *,
        context: Mapping[str, Value] | None = None,
        mode: str = "",
    ) -> Outcome:
        """Evaluate policies on what they cost up to an instant. One that cannot be evaluated keeps no other from it.

        Args:
            policies: Which.
            at_unix_nano: The end of what is looked at, and what decides over the period.
            context: What expressions may ask for besides costs and the scope.
            mode: `advisory` or `blocking`: what a violation shall be, whatever the policy says.

        Raises:
            QueryError: a question took too long.
            RetryableError: the database is away.
        """
        end = None if self._timeout_s is None else self._clock.monotonic() + self._timeout_s
        analyses, failures = [], []
        for stored in policies:
            try:
                analyses.append(self._analysis(stored, at_unix_nano, context or {}, mode, end))
            except PolicyError as error:
                failures.append(Failure(stored.policy.id, str(error)))
        return Outcome(tuple(analyses), tuple(failures))

    def _analysis(
        self, stored: StoredPolicy, at: int, context: Mapping[str, Value], mode: str, end: float | None
    ) -> Analysis:
        policy = stored.policy
        if mode:
            policy = replace(policy, on_violation=MODES[mode])
        costs = self._costs(policy, at, end)
        single: dict[str, Value] = {
            name: values[0] for name, values in policy.scope.items() if len(values) == 1
        }
        found = evaluate(policy, costs, {**single, **context})
        return Analysis(
            policy_id=policy.id,
            policy_name=policy.name,
            time_unix_nano=at,
            status=found.status,
            severity=found.severity,
            mode=mode,
            period=costs.period,
            scope=dict(policy.scope),
            basis=policy.basis,
            billing_currency=costs.currency,
            cost=costs.cost,
            forecast=found.forecast,
            budget=found.budget,
            budget_status=found.budget_status,
            reasons=found.reasons,
            violation_details=found.violation_details,
            input={
                "cost": costs.cost,
                "previous_period": costs.previous_period,
                "idle": costs.idle,
                "records": Decimal(costs.records),
                "unpriced": Decimal(costs.unpriced),
                **({"context": dict(context)} if context else {}),
            },
            document=stored.document,
        )

    def _costs(self, policy: Policy, at: int, end: float | None) -> Costs:
        period = policy_period(policy.period, policy.timezone, at)
        so_far = self._sums(policy, period.start_unix_nano, min(at, period.end_unix_nano), end)
        before = None
        if policy.asks_for("previous_period", "growth"):
            earlier = period_before(policy.period, policy.timezone, period)
            before = self._sums(policy, earlier.start_unix_nano, earlier.end_unix_nano, end)
        currencies = sorted({*so_far.by_currency, *(before.by_currency if before else ())})
        if len(currencies) > 1:
            raise PolicyError(
                f"the costs in scope are in {' and '.join(currencies)}, which cannot be added:"
                " choose one by scope.currency",
                "currency",
            )
        currency = currencies[0] if currencies else policy.currency
        return Costs(
            cost=so_far.by_currency.get(currency, ZERO),
            currency=currency,
            period=period,
            until_unix_nano=at,
            previous_period=None if before is None else before.by_currency.get(currency, ZERO),
            idle=so_far.idle,
            records=so_far.records,
            unpriced=so_far.unpriced,
        )

    def _sums(self, policy: Policy, start: int, until: int, end: float | None) -> _Sums:
        sums = _Sums({})
        if until <= start:
            return sums
        reader = Reader(self._store, self._dialect, self._clock, self._left(end))
        for one in read_costs(reader, Window(start, until), ["subject"], policy.scope, None):
            amount = (one.effective_cost if policy.basis == "effective" else one.billed_cost) or ZERO
            known = sums.by_currency.get(one.billing_currency, ZERO)
            sums.by_currency[one.billing_currency] = add(known, amount)
            sums.records += one.records
            sums.unpriced += one.unpriced
            if one.labels["subject"] == "idle":
                sums.idle = add(sums.idle, amount)
        return sums

    def _left(self, end: float | None) -> float | None:
        if end is None:
            return None
        left = end - self._clock.monotonic()
        if left <= 0:
            raise QueryError(f"policies took longer than {self._timeout_s:g} s")
        return left


@dataclass(slots=True)
class _Sums:
    """What there is in a stretch of time."""

    by_currency: dict[str, Decimal]
    records: int = 0
    unpriced: int = 0
    idle: Decimal = ZERO
