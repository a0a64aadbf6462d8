"""`PolicyBook`: the policies in a store, as somebody wrote them, and the analyses: what was said, when, and why.

Everything else in the policies' rows is read from their documents, for SQL. A document changes by somebody's hand only; to
switch a policy on or off changes that one field of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from collector.accounting.errors import AccountingError
from collector.cost.amount import amount_text
from collector.cost.policy.document import json_text, with_fields
from collector.cost.policy.policy import BudgetStatus, Policy, PolicyError, Severity, Status, Value
from collector.cost.policy.read import json_value, parse_policy, value_of
from collector.cost.record import Period
from collector.model.clock import Clock
from collector.query.costs import check_dimension
from collector.storage.store import Change, SchemaError, Store
from collector.storage.tables import ANALYSES, POLICIES, Kind, Table

KEPT_S: Final = 397 * 86_400.0  # 13 months, as the option `retention.analyses`
_MIGRATION: Final = "policies"  # its name in every dialect
_ANALYSES: Final = uuid5(NAMESPACE_URL, "collector:analyses")
_AFTER: Final = (
    "(time_unix_nano < %(after_time)s OR (time_unix_nano = %(after_time)s AND (policy_id > %(after_policy)s"
    " OR (policy_id = %(after_policy)s AND analysis_id > %(after_id)s))))"
)
_AT_ONCE: Final = 500  # statements of one transaction


class PolicyExistsError(AccountingError):
    """There is a policy of that id already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """A policy in the store, and its JSON."""

    policy: Policy
    document: str
    created_unix_nano: int
    updated_unix_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """An evaluation that is kept: which policy, of which costs, and what it said."""

    policy_id: str
    time_unix_nano: int
    status: Status
    severity: Severity | None
    mode: str  # "": as the policy says
    period: Period
    scope: Mapping[str, Value]
    basis: str
    billing_currency: str  # "": there are no costs
    cost: Decimal
    forecast: Decimal | None
    budget: Decimal | None
    budget_status: BudgetStatus | None
    reasons: tuple[str, ...]
    violation_details: Mapping[str, Value]
    input: Mapping[str, Value]
    document: str
    policy_name: str = ""

    @property
    def analysis_id(self) -> str:
        """The same for the same evaluation at the same instant."""
        figures = json_text([self.input, self.status, self.reasons, self.document])
        return str(uuid5(_ANALYSES, f"{self.policy_id}\n{self.time_unix_nano}\n{self.mode}\n{figures}"))

    def says_the_same_as(self, other: Analysis) -> bool:
        """Whether nothing has changed but the time, and what follows from it: the forecast."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("status", "severity", "mode", "period", "billing_currency", "cost", "document")
        )


class PolicyBook:
    """The policies and analyses in an open store. `keep_s`: analyses older than that go when new ones come; 0: never."""

    def __init__(self, store: Store, clock: Clock, *, keep_s: float = KEPT_S) -> None:
        self._store = store
        self._clock = clock
        self._keep_s = keep_s
        self._ready = False

    def add(self, documents: Sequence[str], *, replace: bool = False) -> list[StoredPolicy]:
        """Keep policies: all of them, or none.

        Args:
            documents: Each one's JSON.
            replace: Take the place of policies with the same ids.

        Raises:
            PolicyError: one cannot be used.
            PolicyExistsError: there is one with its id, and `replace` is not set.
        """
        now = self._clock.unix_nano()
        policies = [check_document(document) for document in documents]
        twice = next(
            (one.id for at, one in enumerate(policies) if one.id in {p.id for p in policies[:at]}), None
        )
        if twice is not None:
            raise PolicyError(f"{twice!r} is there twice", "id")
        self._require_tables()
        ids = {"policy_id", "created_unix_nano"}
        updates = ", ".join(f"{name} = excluded.{name}" for name in POLICIES.column_names if name not in ids)
        conflict = f"(policy_id) DO UPDATE SET {updates}" if replace else "DO NOTHING"
        changes = [
            Change(f"{_insert(POLICIES)} ON CONFLICT {conflict}", _policy_row(policy, document, now))
            for policy, document in zip(policies, documents, strict=True)
        ]
        if not self._store.change(changes):
            there = [policy.id for policy in policies if self.get(policy.id) is not None]
            raise PolicyExistsError(f"there are policies already with these ids: {', '.join(there)}")
        return [found for policy in policies if (found := self.get(policy.id)) is not None]

    def replace(self, policy_id: str, document: str) -> StoredPolicy | None:
        """Put `document` in place of a policy, which keeps its id; None: there is none.

        Raises:
            PolicyError: it cannot be used.
        """
        document = with_fields(document, id=policy_id)
        policy = check_document(document)
        row = _policy_row(policy, document, self._clock.unix_nano())
        return self._update(policy_id, row, "")

    def enable(self, policy_id: str, *, enabled: bool) -> StoredPolicy | None:
        """Switch a policy on or off; None: there is none."""
        while (found := self.get(policy_id)) is not None:
            document = with_fields(found.document, enabled=enabled)
            if document == found.document and found.policy.enabled == enabled:
                return found
            row = _policy_row(parse_policy(document), document, self._clock.unix_nano())
            # Somebody else may have replaced it since.
            changed = self._update(policy_id, {**row, "before": found.document}, "AND document = %(before)s")
            if changed is not None:
                return changed
        return None

    def remove(self, policy_id: str) -> bool:
        """Forget a policy. Its analyses stay; False: there is none."""
        self._require_tables()
        statement = "DELETE FROM otlp_policies WHERE policy_id = %(policy_id)s"
        return self._store.change([Change(statement, {"policy_id": policy_id})])

    def get(self, policy_id: str) -> StoredPolicy | None:
        """Return one policy."""
        found = self._policies("WHERE policy_id = %(policy_id)s", {"policy_id": policy_id})
        return found[0] if found else None

    def policies(self, *, enabled_only: bool = False) -> list[StoredPolicy]:
        """Return all of them, by id."""
        return self._policies("WHERE enabled" if enabled_only else "", {})

    def record(self, analyses: Sequence[Analysis], *, changes_only: bool = False) -> list[Analysis]:
        """Keep analyses, and delete those that are too old; return what was kept.

        `changes_only`: leave out those that say the same as the last one of their policy.
        """
        self._require_tables()
        if changes_only:
            analyses = [one for one in analyses if not self._repeats(one)]
        statement = f"{_insert(ANALYSES)} ON CONFLICT DO NOTHING"
        changes = [Change(statement, _analysis_row(one), required=False) for one in analyses]
        if analyses and self._keep_s:
            before = self._clock.unix_nano() - round(self._keep_s * 1e9)
            changes.append(
                Change(
                    "DELETE FROM otlp_analyses WHERE time_unix_nano < %(before)s",
                    {"before": before},
                    required=False,
                )
            )
        for at in range(0, len(changes), _AT_ONCE):
            self._store.change(changes[at : at + _AT_ONCE])
        return list(analyses)

    def analyses(
        self,
        *,
        policy_id: str | None = None,
        status: Status | None = None,
        start_unix_nano: int = 0,
        before_unix_nano: int = 2**63 - 1,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Analysis]:
        """Return what was said, the newest first; `after`: only what comes after the analysis of that id.

        Raises:
            AccountingError: there is no such analysis.
        """
        self._require_tables()
        conditions = ["time_unix_nano >= %(start)s", "time_unix_nano < %(before)s"]
        params: dict[str, Any] = {"start": start_unix_nano, "before": before_unix_nano, "limit": limit}
        if policy_id is not None:
            conditions.append("policy_id = %(policy_id)s")
            params["policy_id"] = policy_id
        if status is not None:
            conditions.append("status = %(status)s")
            params["status"] = status.value
        if after is not None:
            conditions.append(_AFTER)
            params |= self._place(after)
        rows = self._store.query(
            f"SELECT {', '.join(ANALYSES.column_names)} FROM otlp_analyses WHERE {' AND '.join(conditions)} "  # noqa: S608 - ours
            "ORDER BY time_unix_nano DESC, policy_id, analysis_id LIMIT %(limit)s",
            params,
        ).rows
        return [_analysis(row) for row in rows]

    def delete_analyses(self, before_unix_nano: int) -> int:
        """Delete what was said before an instant; return how many."""
        self._require_tables()
        [(count,)] = self._store.query(
            "SELECT count(*) FROM otlp_analyses WHERE time_unix_nano < %(before)s",
            {"before": before_unix_nano},
        ).rows
        statement = "DELETE FROM otlp_analyses WHERE time_unix_nano < %(before)s"
        self._store.change([Change(statement, {"before": before_unix_nano}, required=False)])
        return int(count)

    def _place(self, analysis_id: str) -> dict[str, Any]:
        rows = self._store.query(
            "SELECT time_unix_nano, policy_id FROM otlp_analyses WHERE analysis_id = %(id)s",
            {"id": analysis_id},
        ).rows
        if not rows:
            raise AccountingError(f"there is no analysis {analysis_id!r}")
        return {"after_time": rows[0][0], "after_policy": rows[0][1], "after_id": analysis_id}

    def _repeats(self, analysis: Analysis) -> bool:
        last = self.analyses(policy_id=analysis.policy_id, limit=1)
        return bool(last) and analysis.says_the_same_as(last[0])

    def _update(self, policy_id: str, row: Mapping[str, Any], condition: str) -> StoredPolicy | None:
        self._require_tables()
        names = [name for name in POLICIES.column_names if name not in ("policy_id", "created_unix_nano")]
        sets = ", ".join(f"{name} = %({name})s" for name in names)
        statement = f"UPDATE otlp_policies SET {sets} WHERE policy_id = %(policy_id)s {condition}"  # noqa: S608 - ours
        return self.get(policy_id) if self._store.change([Change(statement, row)]) else None

    def _policies(self, where: str, params: Mapping[str, Any]) -> list[StoredPolicy]:
        self._require_tables()
        rows = self._store.query(
            f"SELECT policy_id, document, created_unix_nano, updated_unix_nano FROM otlp_policies {where} ORDER BY policy_id",  # noqa: S608 - ours
            params,
        ).rows
        return [_stored(*row) for row in rows]

    def _require_tables(self) -> None:
        if not self._ready:
            status = self._store.schema_status()
            if not status.current or any(migration.name == _MIGRATION for migration in status.pending):
                raise SchemaError(
                    "the database has no tables for policies yet: run 'collector database migrate'"
                )
            self._ready = True


def _stored(policy_id: str, document: str, created: int, updated: int) -> StoredPolicy:
    try:
        policy = parse_policy(document)
    except PolicyError as error:  # a newer version may accept more
        raise AccountingError(f"policy {policy_id!r} cannot be read by this version: {error}") from None
    return StoredPolicy(
        policy=policy, document=document, created_unix_nano=created, updated_unix_nano=updated
    )


def check_document(document: str) -> Policy:
    """Return the policy that a document is, if it can be kept and evaluated.

    Raises:
        PolicyError: it cannot.
    """
    policy = parse_policy(document)
    for name in policy.scope:
        try:
            check_dimension(name)
        except ValueError as error:
            raise PolicyError(str(error), f"scope.{name}") from None
    return policy


def _insert(table: Table) -> str:
    places = ", ".join(f"%({name})s" for name in table.column_names)
    return f"INSERT INTO {table.name} ({', '.join(table.column_names)}) VALUES ({places})"  # noqa: S608 - ours


def _policy_row(policy: Policy, document: str, now_unix_nano: int) -> dict[str, Any]:
    return {
        "policy_id": policy.id,
        "name": policy.name,
        "description": policy.description or None,
        "enabled": policy.enabled,
        "on_violation": policy.on_violation.value,
        "budget": _amount(policy.budget),
        "currency": policy.currency or None,
        "period": policy.period,
        "timezone": policy.timezone,
        "scope": _json(policy.scope),
        "document": document,
        "created_unix_nano": now_unix_nano,
        "updated_unix_nano": now_unix_nano,
    }


def _analysis_row(analysis: Analysis) -> dict[str, Any]:
    return {
        "analysis_id": analysis.analysis_id,
        "policy_id": analysis.policy_id,
        "time_unix_nano": analysis.time_unix_nano,
        "status": analysis.status.value,
        "severity": None if analysis.severity is None else analysis.severity.value,
        "mode": analysis.mode or None,
        "period_start_unix_nano": analysis.period.start_unix_nano,
        "period_end_unix_nano": analysis.period.end_unix_nano,
        "scope": _json(analysis.scope),
        "basis": analysis.basis,
        "billing_currency": analysis.billing_currency or None,
        "cost": _amount(analysis.cost),
        "forecast": _amount(analysis.forecast),
        "budget": _amount(analysis.budget),
        "budget_status": None if analysis.budget_status is None else analysis.budget_status.value,
        "reasons": json_text(analysis.reasons),
        "violation_details": _json(analysis.violation_details),
        "input": json_text(analysis.input),
        "document": analysis.document,
    }


def _analysis(row: tuple[Any, ...]) -> Analysis:
    values: dict[str, Any] = {}
    for column, value in zip(ANALYSES.columns, row, strict=True):
        if value is not None and column.kind is Kind.NUMERIC:
            value = Decimal(amount_text(Decimal(value)))
        elif value is not None and column.kind is Kind.JSON and column.name != "document":
            value = value_of(json_value(value, column.name))
        values[column.name] = value
    severity, budget_status = values["severity"], values["budget_status"]
    return Analysis(
        policy_id=values["policy_id"],
        policy_name=str(json_value(values["document"], "the policy").get("name") or ""),
        time_unix_nano=values["time_unix_nano"],
        status=Status(values["status"]),
        severity=None if severity is None else Severity(severity),
        mode=values["mode"] or "",
        period=Period(values["period_start_unix_nano"], values["period_end_unix_nano"]),
        scope=values["scope"] or {},
        basis=values["basis"],
        billing_currency=values["billing_currency"] or "",
        cost=values["cost"],
        forecast=values["forecast"],
        budget=values["budget"],
        budget_status=None if budget_status is None else BudgetStatus(budget_status),
        reasons=tuple(values["reasons"]),
        violation_details=values["violation_details"] or {},
        input=values["input"],
        document=values["document"],
    )


def _json(value: Mapping[str, Any]) -> str | None:
    return json_text(value) if value else None


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else amount_text(value)
