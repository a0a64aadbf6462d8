"""Shared costs: divided among the subjects of other rules, equally or by what they cost already."""

from __future__ import annotations

from typing import Any, Final

from collector.cost.amount import to_scaled
from collector.cost.attribution.run import Part, Run
from collector.cost.dimensions import subject_fields
from collector.cost.record import CostAttributionRecord, Level, Subject, SubjectKind
from collector.cost.rules import RuleConfig

_SHARED: Final = Subject(kind=SubjectKind.SHARED)


def divide_shared(run: Run, rule: RuleConfig) -> None:
    """Divide the origins of `rule`. What nobody can be charged with stays with a subject of kind SHARED."""
    if rule.split is None or not rule.split.shared:
        return
    candidates = [
        record
        for name in rule.split.among
        for record in run.by_rule.get(name, ())
        if record.level is Level.ALLOCATION and record.subject.kind is SubjectKind.WORKLOAD
    ]
    for origin in run.shared.get(rule.id, ()):
        parts: dict[bytes, Part] = {}
        for record in candidates:
            # Costs of different currencies cannot be compared.
            if record.charge.billing_currency != origin.charge.billing_currency:
                continue
            subject = reduced(record.subject, rule)
            known = parts.get(subject.key)
            weight = (
                1 if rule.split.method == "even-shared" else _cost(record) + (known.weight if known else 0)
            )
            parts[subject.key] = Part(subject, weight)
        run.divide(rule, origin, list(parts.values()), rest=_SHARED, method=rule.split.method)


def reduced(subject: Subject, rule: RuleConfig) -> Subject:
    """Return the subject with nothing but the dimensions that `rule` attributes to."""
    fields, labels = subject_fields(rule.attribute_to)
    values: dict[str, Any] = {name: getattr(subject, name) for name in fields}
    kept = {name: subject.labels[name] for name in labels if name in subject.labels}
    return Subject(kind=subject.kind, labels=kept, **values)


def _cost(record: CostAttributionRecord) -> int:
    cost = record.amounts.effective_cost
    return max(0, to_scaled(cost)) if cost is not None else 0
