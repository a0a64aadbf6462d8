"""What the rules share while one window is worked on, and the one way in which a record is divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.cost.config import CostConfig
from collector.cost.dimensions import Dimensions
from collector.cost.findings import Findings
from collector.cost.identity import Part as IdentityPart
from collector.cost.parts import split_amounts
from collector.cost.prices import PriceBook
from collector.cost.record import (
    AllocationElement,
    Amounts,
    Charge,
    CostAttributionRecord,
    CostSource,
    Subject,
)
from collector.cost.rows import origin_row, part_row
from collector.cost.rules import RuleConfig
from collector.cost.usage import WindowUsage


@dataclass(frozen=True, slots=True)
class Part:
    """Who gets a part of a record, and how large it is beside the others."""

    subject: Subject
    weight: int
    elements: tuple[AllocationElement, ...] = ()
    member: str = ""


@dataclass(slots=True)
class Run:
    """One window. Rules add to it in the order of the file, those that need others' parts last."""

    config: CostConfig
    usage: WindowUsage
    recorded_unix_nano: int
    prices: PriceBook
    dimensions: Dimensions
    ledger: bytes = b""  # whose run this is: see `rows`
    findings: Findings = field(default_factory=Findings)
    records: list[CostAttributionRecord] = field(default_factory=list)
    by_rule: dict[str, list[CostAttributionRecord]] = field(default_factory=dict)  # parts
    by_member: dict[tuple[str, str], list[CostAttributionRecord]] = field(
        default_factory=dict
    )  # rule, member
    shared: dict[str, list[CostAttributionRecord]] = field(
        default_factory=dict
    )  # by rule: origins, divided last
    divided: set[bytes] = field(default_factory=set)  # charges of a bill that a rule has divided

    def origin(
        self, rule: RuleConfig, charge: Charge, amounts: Amounts, source: CostSource, *identity: IdentityPart
    ) -> CostAttributionRecord:
        """Add the record of a charge that `rule` makes."""
        record = origin_row(
            charge=charge,
            amounts=amounts,
            source=source,
            identity=(rule.id, *identity),
            rule_id=rule.id,
            rule_version=rule.version,
            recorded_unix_nano=self.recorded_unix_nano,
            ledger=self.ledger,
        )
        self.records.append(record)
        return record

    def divide(
        self,
        rule: RuleConfig,
        parent: CostAttributionRecord,
        parts: Sequence[Part],
        *,
        rest: Subject,
        method: str,
        amounts: Sequence[Amounts] | None = None,
    ) -> None:
        """Divide `parent` by weight. Who has none gets no record; if nobody has any, everything is `rest`'s.

        Args:
            rule: Who divides.
            parent: What is divided.
            parts: Each subject once.
            rest: Who has it if nobody has a weight.
            method: FOCUS AllocatedMethodId; README.md says what each means.
            amounts: The amounts of each part, where they are known and sum to the parent's.
        """
        keys = [part.subject.key for part in parts]
        if amounts is None:
            weights = [part.weight for part in parts]
            amounts = split_amounts(parent.charge, parent.amounts, weights, keys, self.config.scale.quantity)
        if amounts is None:
            parts, amounts, keys = [Part(rest, 1)], [parent.amounts], [b""]
        for _, part, amount in sorted(zip(keys, parts, amounts, strict=True), key=lambda item: item[0]):
            if not part.weight:
                continue
            row = part_row(
                parent,
                subject=part.subject,
                amounts=amount,
                rule_id=rule.id,
                rule_version=rule.version,
                method_id=method,
                elements=part.elements,
                ledger=self.ledger,
            )
            self.records.append(row)
            self.by_rule.setdefault(rule.id, []).append(row)
            if part.member:
                self.by_member.setdefault((rule.id, part.member), []).append(row)
