"""Who uses how much of what: series of one window, put together by origin (a node) and member (a pod)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from collector.cost.amount import to_scaled_rounded
from collector.cost.findings import FindingKind, Findings
from collector.cost.match import Attributes, Globs
from collector.cost.rules import OriginConfig, RuleConfig, SplitConfig
from collector.cost.usage import Series, SeriesValue, WindowUsage

NANO: Final = 10**9


@dataclass(slots=True)
class Member:
    """One that shares in an origin. Amounts are in base units (cores, bytes) × 10^-9 × nanoseconds."""

    attributes: dict[str, str] = field(default_factory=dict)
    usage: dict[str, int] = field(default_factory=dict)
    request: dict[str, int] = field(default_factory=dict)

    def allocated(self, element: str, method: str) -> int:
        """Return how much of an element it is given."""
        if method == "usage":
            return self.usage.get(element, 0)
        if method == "request":
            return self.request.get(element, 0)
        return max(self.usage.get(element, 0), self.request.get(element, 0))


@dataclass(slots=True)
class Whole:
    """One origin: what there is of it, for how long, and who shares in it."""

    attributes: dict[str, str] = field(default_factory=dict)
    capacity: dict[str, int] = field(default_factory=dict)
    present_ns: int = 0
    members: dict[str, Member] = field(default_factory=dict)


def gather(rule: RuleConfig, usage: WindowUsage, findings: Findings) -> dict[str, Whole]:
    """Return the origins of a rule that were there in the window, by the value of `per`."""
    origin, split = rule.origin, rule.split
    if origin is None:
        return {}
    wholes: dict[str, Whole] = {}
    globs = Globs(rule.match.attributes)
    _add_presence(origin, split, usage, wholes, globs)
    if split is not None and not split.shared:
        _add_members(rule, origin, split, usage, wholes, globs, findings)
    return wholes


def _add_presence(
    origin: OriginConfig,
    split: SplitConfig | None,
    usage: WindowUsage,
    wholes: dict[str, Whole],
    globs: Globs,
) -> None:
    """Find what is there: by the metric that shows it, and by what there is of each element."""
    if origin.presence is not None:
        for value in usage.series.get(Series.parse(origin.presence), ()):
            _present(origin, value, wholes, globs)
    for name, element in split.elements.items() if split is not None else ():
        if element.capacity is None:
            continue
        for value in usage.series.get(Series.parse(element.capacity), ()):
            whole = _present(origin, value, wholes, globs)
            if whole is not None:
                whole.capacity[name] = whole.capacity.get(name, 0) + _amount(value)


def _present(
    origin: OriginConfig, value: SeriesValue, wholes: dict[str, Whole], globs: Globs
) -> Whole | None:
    name = value.attributes.get(origin.per, "")
    if not name or not globs.match(value.attributes):
        return None
    whole = wholes.setdefault(name, Whole())
    whole.present_ns = max(whole.present_ns, value.observed_ns)
    _merge(whole.attributes, value.attributes)
    return whole


def _add_members(
    rule: RuleConfig,
    origin: OriginConfig,
    split: SplitConfig,
    usage: WindowUsage,
    wholes: dict[str, Whole],
    globs: Globs,
    findings: Findings,
) -> None:
    """Add up what each member uses and asks for. A series without the origin takes it from another of its member."""
    found: list[tuple[str, str, SeriesValue]] = []  # element, column, series
    homes: dict[str, str] = {}
    for name, element in split.elements.items():
        for column, text in (("usage", element.usage), ("request", element.request)):
            for value in usage.series.get(Series.parse(text), ()) if text is not None else ():
                found.append((name, column, value))
                member_id, home = value.attributes.get(split.member, ""), value.attributes.get(origin.per, "")
                if member_id and home:
                    homes[member_id] = min(home, homes.get(member_id, home))
    lost: set[str] = set()
    for name, column, value in found:
        member_id = value.attributes.get(split.member, "")
        if not member_id:
            findings.add(rule.id, FindingKind.WITHOUT_MEMBER)
            continue
        home = value.attributes.get(origin.per, "") or homes.get(member_id, "")
        if home not in wholes:
            if not home:
                findings.add(rule.id, FindingKind.WITHOUT_ORIGIN)
                continue
            if rule.match.attributes and not globs.match(value.attributes):
                continue  # of an origin that the rule is not about
            # Without a capacity, its members show that it is there.
            wholes[home] = Whole(attributes={origin.per: home})
            lost.add(home)
        whole = wholes[home]
        if home in lost:
            whole.present_ns = max(whole.present_ns, value.observed_ns)
        member = whole.members.setdefault(member_id, Member())
        amounts: dict[str, int] = getattr(member, column)
        amounts[name] = amounts.get(name, 0) + _amount(value)
        _merge(member.attributes, value.attributes)


def _amount(value: SeriesValue) -> int:
    return max(0, to_scaled_rounded(value.value, 9)) * value.observed_ns


def _merge(known: dict[str, str], new: Attributes) -> None:
    """Add attributes; where two series disagree, whatever their order, the smaller text stays."""
    for key, value in new.items():
        if key not in known or value < known[key]:
            known[key] = value
