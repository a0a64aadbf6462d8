"""The attribution engine: usage of one window and rules -> records of all three levels that add up.

Pure and deterministic: the same usage, in whatever order, gives the same records, byte for byte. What it returns has
been checked (`balance`); if sums did not add up it would raise, and return nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from collector.cost.attribution.requests import divide_among_requests
from collector.cost.attribution.resources import attribute_resources
from collector.cost.attribution.run import Part, Run
from collector.cost.attribution.shared import divide_shared
from collector.cost.attribution.spans import attribute_quantities, attribute_tokens
from collector.cost.balance import check_balance
from collector.cost.config import CostConfig
from collector.cost.dimensions import Dimensions
from collector.cost.findings import Finding, FindingKind
from collector.cost.prices import PriceBook
from collector.cost.record import CostAttributionRecord, Level, Subject, SubjectKind
from collector.cost.rules import RuleConfig
from collector.cost.usage import WindowUsage

UNALLOCATED: Final = "unallocated"  # the method of a bill's charges that no rule divides
_NOBODY: Final = Subject(kind=SubjectKind.UNALLOCATED)


@dataclass(frozen=True, slots=True)
class Attribution:
    """The records of one window, by level and id, and what there is to say about them."""

    records: tuple[CostAttributionRecord, ...]
    findings: tuple[Finding, ...]


class Engine:
    """Price book and rules, made ready once for any number of windows. `ledger`: whose, for the ids (`rows`)."""

    def __init__(self, config: CostConfig, ledger: bytes = b"") -> None:
        self._ledger = ledger
        self._config = config
        self._prices = PriceBook(config.prices, config.currency)
        self._dimensions = Dimensions(config.dimensions)

    def attribute(self, usage: WindowUsage, recorded_unix_nano: int) -> Attribution:
        """Attribute one window.

        Args:
            usage: What is known of it.
            recorded_unix_nano: What the records say about when they were made; it is in no id.

        Raises:
            ImbalanceError: an error of ours; nothing may be stored.
            AmountError: a cost does not fit 38 digits, or 20 before the point.
        """
        run = Run(self._config, usage, recorded_unix_nano, self._prices, self._dimensions, self._ledger)
        for rule in self._config.rules:
            if rule.origin is not None:
                attribute_resources(run, rule)
            elif rule.tokens is not None:
                attribute_tokens(run, rule)
            elif rule.quantities:
                attribute_quantities(run, rule)
        for rule in self._config.rules:
            divide_shared(run, rule)
        for rule in self._config.rules:
            divide_among_requests(run, rule)
        _leave_unallocated(run)
        records = sorted(run.records, key=lambda record: (record.level, record.record_id))
        check_balance(records)
        return Attribution(tuple(records), run.findings.listed())


def _leave_unallocated(run: Run) -> None:
    """Show the charges of a bill that no rule divides, so that the parts sum to the bill in any case."""
    nobody = RuleConfig(id=UNALLOCATED)
    for record in run.usage.charges:
        if record.level is Level.ORIGIN and record.record_id not in run.divided:
            if record.charge.charge_period != run.usage.period:
                continue
            run.records.append(record)
            run.divide(nobody, record, [Part(_NOBODY, 1)], rest=_NOBODY, method=UNALLOCATED)
            run.findings.add(UNALLOCATED, FindingKind.WITHOUT_RULE, record.charge.service_name)
