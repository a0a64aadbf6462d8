"""How policies, analyses and verdicts look as JSON: FinOpsGuard's fields where it has them, ours beside them.

Amounts are numbers with all their digits (`cost.policy.document.json_text`), times RFC 3339 in UTC.
"""

from __future__ import annotations

from typing import Any

from collector.accounting.policies import Outcome
from collector.accounting.policy_book import Analysis, StoredPolicy
from collector.cost.policy.policy import Status
from collector.query.when import iso


def policy_form(stored: StoredPolicy) -> dict[str, Any]:
    """A line of a list of policies."""
    policy = stored.policy
    return {
        "id": policy.id,
        "name": policy.name,
        "description": policy.description or None,
        "enabled": policy.enabled,
        "on_violation": policy.on_violation,
        "has_budget": policy.budget is not None,
        "has_rules": bool(policy.conditions),
        "budget": policy.budget,
        "currency": policy.currency or None,
        "period": policy.period,
        "timezone": policy.timezone,
        "scope": dict(policy.scope),
        "created_at": iso(stored.created_unix_nano),
        "updated_at": iso(stored.updated_unix_nano),
    }


def analysis_form(analysis: Analysis) -> dict[str, Any]:
    """All of an analysis."""
    return {
        "analysis_id": analysis.analysis_id,
        "time": iso(analysis.time_unix_nano),
        "policy_id": analysis.policy_id,
        "policy_name": analysis.policy_name,
        "policy_status": analysis.status,
        "severity": analysis.severity,
        "reasons": analysis.reasons,
        "currency": analysis.billing_currency or None,
        "cost": analysis.cost,
        "forecast": analysis.forecast,
        "budget": analysis.budget,
        "budget_status": analysis.budget_status,
        "period": {"start": iso(analysis.period.start_unix_nano), "end": iso(analysis.period.end_unix_nano)},
        "scope": analysis.scope,
        "basis": analysis.basis,
        "mode": analysis.mode or None,
        "violation_details": analysis.violation_details or None,
        "input": analysis.input,
    }


def verdict_form(outcome: Outcome, policy_id: str | None) -> dict[str, Any]:
    """The answer to "may this be?", in FinOpsGuard's shape: of the one policy that was asked for, or of all.

    Of one, `status` is `fail` if it is violated; of all, if one blocks. What could not be evaluated has not passed.
    """
    blocking = [_violation(one) for one in outcome.analyses if one.status is Status.BLOCK]
    advisory = [_violation(one) for one in outcome.analyses if one.status is Status.ADVISORY]
    errors = [{"policy_id": one.policy_id, "reason": one.reason} for one in outcome.failures]
    if errors:
        first, others = outcome.failures[0], len(errors) - 1
        more = f" (and {others} more)" if others else ""
        failed, name = True, first.policy_id if policy_id else "multiple_policies"
        reason = f"Policy evaluation error: {first.policy_id}: {first.reason}{more}"
    elif policy_id is not None:
        failed, name = outcome.status is not Status.PASS, policy_id
        reason = outcome.analyses[0].reasons[0] if outcome.analyses else f"Policy {policy_id} not found"
    elif blocking or advisory:
        failed, name = bool(blocking), "multiple_policies"
        reason = (
            f"Blocking policy violations: {len(blocking)}"
            if blocking
            else f"Advisory violations: {len(advisory)}"
        )
    else:
        failed, name, reason = False, "all_policies", "All policies satisfied"
    return {
        "status": "fail" if failed else "pass",
        "policy_id": name,
        "reason": reason,
        "overall_status": outcome.status,
        "blocking_violations": blocking,
        "advisory_violations": advisory,
        "passed_policies": [one.policy_id for one in outcome.analyses if one.status is Status.PASS],
        "errors": errors,
        "evaluations": [analysis_form(one) for one in outcome.analyses],
    }


def _violation(analysis: Analysis) -> dict[str, Any]:
    return {
        "policy_id": analysis.policy_id,
        "policy_name": analysis.policy_name,
        "reason": analysis.reasons[0],
        "violation_details": analysis.violation_details,
    }
