"""Rules with a `parent`: what a workload was given, divided among the groups of its requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from collector.cost.attribution.run import Part, Run
from collector.cost.calendar import SECOND_NS
from collector.cost.config import CORE_TIME
from collector.cost.findings import FindingKind
from collector.cost.record import CostAttributionRecord, Subject, SubjectKind
from collector.cost.rules import RuleConfig
from collector.cost.units import Unit
from collector.cost.usage import RequestGroup

_IDLE: Final = Subject(kind=SubjectKind.IDLE)
_OTHER: Final = Subject(kind=SubjectKind.OTHER)


def divide_among_requests(run: Run, rule: RuleConfig) -> None:
    """Divide the parts of the parent rule of which there are requests; the others stay whole."""
    if rule.parent is None:
        return
    groups = run.usage.requests.get(rule.id, ())
    if not groups:
        run.findings.add(rule.id, FindingKind.NOTHING_MATCHED)
    by_member: dict[str, list[RequestGroup]] = {}
    for group in groups:
        by_member.setdefault(group.attributes.get(rule.parent.join, ""), []).append(group)
    for member in sorted(by_member):
        parents = run.by_member.get((rule.parent.rule, member), [])
        if not parents:
            run.findings.add(
                rule.id, FindingKind.WITHOUT_PART, member, sum(group.spans for group in by_member[member])
            )
            continue
        given = max((_core_ns(record) for record in parents), default=0)
        of_subject: dict[bytes, list[Part]] = {}
        for parent in parents:
            parts = of_subject.get(parent.subject.key)
            if parts is None:
                parts = of_subject[parent.subject.key] = _parts(run, rule, by_member[member], parent.subject)
                if rule.basis == "measured":
                    weight = sum(part.weight for part in parts)
                    parts.append(Part(_IDLE, max(0, given - weight)))
            run.divide(
                rule, parent, parts, rest=_IDLE, method=f"{rule.weight.partition(':')[0]}-{rule.basis}"
            )


def _parts(run: Run, rule: RuleConfig, groups: Sequence[RequestGroup], within: Subject) -> list[Part]:
    """Return a part of `within` for each subject; those that weigh least are one, if there are too many."""
    found: dict[bytes, Part] = {}
    for group in groups:
        subject = _subject(run, rule, group, within)
        known = found.get(subject.key)
        found[subject.key] = Part(subject, group.weight + (known.weight if known else 0))
    most = rule.spans_max + 1 if rule.spans_max else rule.groups_max
    if len(found) <= most:
        return list(found.values())
    other = found.pop(_OTHER.key, Part(_OTHER, 0))
    ordered = sorted(found.items(), key=lambda item: (-item[1].weight, item[0]))
    kept, joined = ordered[: most - 1], ordered[most - 1 :]
    run.findings.add(rule.id, FindingKind.GROUPS_JOINED, "", len(joined))
    weight = other.weight + sum(part.weight for _, part in joined)
    return [*(part for _, part in kept), Part(_OTHER, weight)]


def _subject(run: Run, rule: RuleConfig, group: RequestGroup, within: Subject) -> Subject:
    if group.is_rest:
        return _OTHER
    if not group.span_id:
        return run.dimensions.subject(SubjectKind.REQUEST_GROUP, rule.group_by, group.attributes, within)
    subject = run.dimensions.subject(SubjectKind.SPAN, rule.group_by, group.attributes, within)
    return replace(subject, trace_id=group.trace_id, span_id=group.span_id)


def _core_ns(record: CostAttributionRecord) -> int:
    """Return the core-nanoseconds that a part was given."""
    for element in record.allocated_elements:
        if element.usage_quantity is not None:
            unit = Unit.parse(element.usage_unit)
            if unit.kinds == CORE_TIME:
                return round(Fraction(element.usage_quantity) * unit.size * SECOND_NS)
    return 0
