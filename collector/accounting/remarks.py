"""What a person may want to mend after a run: each thing once, with the place of its rule and a remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.cost.findings import FindingKind

if TYPE_CHECKING:
    from collector.accounting.attribution import WindowReport
    from collector.cost.rules import RuleConfig

_NOTHING: Final = FindingKind.NOTHING_MATCHED.value
_REMEDIES: Final[Mapping[str, str]] = {
    _NOTHING: "see whether its metrics and attributes are those that are stored (collector database query)",
    "unpriced": "add a price that matches, or mend the `match` of one",
    "without_origin": "series need the attribute in `per`",
    "without_member": "series need the attribute in `member`",
    "without_capacity": "store the metric in `capacity`",
    "without_part": "is `join` the attribute by which the parent's parts are told apart?",
    "groups_joined": "group by less, or raise groups_max",
    "cache_counted_twice": "the emitter's cost is too high: reported_cost: ignore",
    "without_rule": "add a rule with origin.bill for them",
    "other_period": "the bill's grain is another than `window`",
    "quantity_incomplete": "spans lack an attribute that a quantity is made of, or it is no whole number",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing. `place`: file, line and column of the rule, if it is in a file; `count`: how often."""

    place: str
    rule_id: str
    kind: str
    subject: str
    message: str
    count: int

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        about = f" {self.subject!r}" if self.subject else ""
        times = f" ({self.count} times)" if self.count > 1 and self.kind != _NOTHING else ""
        remedy = f"; {_REMEDIES[self.kind]}" if self.kind in _REMEDIES else ""
        return f"{place}rule {self.rule_id!r}{about}: {self.message}{times}{remedy}"


def remarks(reports: Sequence[WindowReport], rules: Sequence[RuleConfig]) -> list[Remark]:
    """Return what the windows of a run have to say. A rule that matched in one of them, matched."""
    places = {rule.id: str(rule.place) for rule in rules if rule.place is not None}
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for report in reports:
        for finding in report.findings:
            counts[finding.rule_id, finding.kind, finding.subject, finding.message] += finding.count
        for oddity in report.oddities:
            counts[oddity.rule_id, oddity.what, "", oddity.what.replace("_", " ")] += oddity.spans
    return [
        Remark(
            place=places.get(rule, ""), rule_id=rule, kind=kind, subject=subject, message=message, count=count
        )
        for (rule, kind, subject, message), count in sorted(counts.items())
        if kind != _NOTHING or count >= len(reports)
    ]
