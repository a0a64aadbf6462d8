"""Policies after a turn of attribution: evaluated on what is stored now; what has changed is kept, logged and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.accounting.errors import AccountingError
from collector.accounting.policies import PolicyEvaluator
from collector.accounting.policy_book import PolicyBook
from collector.cost.policy.policy import Severity, Status
from collector.model.errors import TelemetryError
from collector.pipeline.component import Settings, State
from collector.storage.store import QueryError

if TYPE_CHECKING:
    from collector.accounting.policy_book import Analysis
    from collector.storage.store import Store

# All of them together; the next turn is another try.
_TIMEOUT_S: Final = 300.0
_FAILED: Final = "failed"


class PolicyWatch:
    """Evaluates every policy that is enabled. An evaluation is said, and stops nothing."""

    def __init__(self, settings: Settings, store: Store, keep_analyses_s: float) -> None:
        self._settings = settings
        self._book = PolicyBook(store, settings.clock, keep_s=keep_analyses_s)
        self._evaluator = PolicyEvaluator(store, settings.clock, timeout_s=_TIMEOUT_S)
        self._said: dict[str, tuple[Status, Severity | None] | str] = {}

    def look(self, now_unix_nano: int) -> tuple[State, str]:
        """Evaluate; return how that went, for /healthz."""
        try:
            outcome = self._evaluator.evaluate(self._book.policies(enabled_only=True), now_unix_nano)
            self._book.record(outcome.analyses, changes_only=True)
        except (TelemetryError, QueryError, AccountingError) as error:
            return State.DEGRADED, f"policies are not evaluated: {error}"
        said: dict[str, tuple[Status, Severity | None] | str] = {}
        for analysis in outcome.analyses:
            self._count(analysis.status.value)
            self._status(analysis.policy_id, analysis.status.rank)
            said[analysis.policy_id] = (analysis.status, analysis.severity)
            if said[analysis.policy_id] != self._said.get(analysis.policy_id, (Status.PASS, None)):
                self._log(analysis)
        for failure in outcome.failures:
            self._count(_FAILED)
            self._forget(failure.policy_id)  # nothing is known of it
            said[failure.policy_id] = failure.reason
            if said[failure.policy_id] != self._said.get(failure.policy_id):
                self._settings.log.warning(
                    "A policy cannot be evaluated.", policy=failure.policy_id, why=failure.reason
                )
        for policy_id in self._said.keys() - said.keys():
            self._forget(policy_id)
        self._said = said
        blocking = sum(one.status is Status.BLOCK for one in outcome.analyses)
        advisory = sum(one.status is Status.ADVISORY for one in outcome.analyses)
        text = f"{len(outcome.analyses)} policies evaluated"
        text += f", {blocking} block" if blocking else ""
        text += f", {advisory} advise" if advisory else ""
        text += f", {len(outcome.failures)} cannot be" if outcome.failures else ""
        return State.OK, text

    def _log(self, analysis: Analysis) -> None:
        log = self._settings.log
        say = {Status.PASS: log.info, Status.ADVISORY: log.warning, Status.BLOCK: log.error}[analysis.status]
        say(
            "A policy says something else than before.",
            policy=analysis.policy_id,
            verdict=analysis.status.value,
            severity=analysis.severity.value if analysis.severity else None,
            reasons=list(analysis.reasons),
        )

    def _count(self, verdict: str) -> None:
        self._settings.meters.policy_evaluations.labels(str(self._settings.id), verdict).inc()

    def _status(self, policy_id: str, rank: int) -> None:
        self._settings.meters.policy_status.labels(str(self._settings.id), policy_id).set(rank)

    def _forget(self, policy_id: str) -> None:
        said = self._said.get(policy_id)
        if said is not None and not isinstance(said, str):
            self._settings.meters.policy_status.remove(str(self._settings.id), policy_id)
