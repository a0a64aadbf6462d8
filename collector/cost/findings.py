"""What a run has to say besides its records. Nothing is left out in silence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum


class FindingKind(Enum):
    """What was found; the values are stable words for metrics and tests."""

    NOTHING_MATCHED = "nothing_matched"
    UNPRICED = "unpriced"
    WITHOUT_ORIGIN = "without_origin"
    WITHOUT_MEMBER = "without_member"
    WITHOUT_CAPACITY = "without_capacity"
    OVERCOMMITTED = "overcommitted"
    WITHOUT_PART = "without_part"
    GROUPS_JOINED = "groups_joined"
    CACHE_COUNTED_TWICE = "cache_counted_twice"
    WITHOUT_RULE = "without_rule"
    OTHER_PERIOD = "other_period"


_TEXTS = {
    FindingKind.NOTHING_MATCHED: "the rule matched nothing",
    FindingKind.UNPRICED: "no price matches; quantities are recorded, costs are unknown",
    FindingKind.WITHOUT_ORIGIN: "series do not say which origin they belong to",
    FindingKind.WITHOUT_MEMBER: "series do not say which member they belong to",
    FindingKind.WITHOUT_CAPACITY: "the capacity is unknown; what is idle cannot be told",
    FindingKind.OVERCOMMITTED: "more is allocated than there is; all shrink alike",
    FindingKind.WITHOUT_PART: "requests of something that has no cost to divide",
    FindingKind.GROUPS_JOINED: "groups beyond groups_max became one",
    FindingKind.CACHE_COUNTED_TWICE: "the reported cost is what counting cached tokens twice gives",
    FindingKind.WITHOUT_RULE: "no rule divides these charges; they are unallocated",
    FindingKind.OTHER_PERIOD: "charges of another period than this window are left alone",
}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that a person may want to mend: how often, and of what, as far as that is one thing."""

    rule_id: str
    kind: str
    subject: str
    count: int
    message: str


class Findings:
    """Collects findings, and adds up equal ones."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, FindingKind, str]] = Counter()

    def add(self, rule_id: str, kind: FindingKind, subject: str = "", count: int = 1) -> None:
        """Count something."""
        if count:
            self._counts[rule_id, kind, subject] += count

    def listed(self) -> tuple[Finding, ...]:
        """Return them in a stable order."""
        return tuple(
            sorted(
                Finding(rule_id, kind.value, subject, count, _TEXTS[kind])
                for (rule_id, kind, subject), count in self._counts.items()
            )
        )
