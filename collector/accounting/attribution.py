"""`Attribution`: the engine, run over stored telemetry window by window; what comes out is kept in the ledger.

A window is attributed when it has ended. Until its lateness is over it is open, until its month is closed provisional:
computing it again then revises it (`revisions`). Running twice changes nothing, since what is written follows from what
is stored and what is computed, and from nothing else. A run revises and corrects what runs made in this ledger, and
nothing that was received or imported, whatever rules that names. One transaction a window: a run that ends in the middle has done
whole windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from collector.accounting.book import Book, leaves
from collector.accounting.revisions import correct, revise
from collector.accounting.usage import Oddity, UsageReader
from collector.cost.amount import add
from collector.cost.calendar import month_of, windows
from collector.cost.config import CostConfig
from collector.cost.engine import Engine
from collector.cost.findings import Finding
from collector.cost.record import (
    AMOUNTS,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    SubjectKind,
)
from collector.cost.rows import made_by
from collector.cost.window import WindowState, window_state
from collector.model.clock import Clock
from collector.query.dialect import Dialect
from collector.query.reader import Reader
from collector.storage.store import Store

PURPOSE: Final = "cost-attribution"  # of the lock that one of many holds
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the window costs in one currency, effective, and where that is: the last four sum to the first."""

    currency: str
    origin: Decimal = _ZERO
    attributed: Decimal = _ZERO
    idle: Decimal = _ZERO
    shared: Decimal = _ZERO  # shared costs and overhead that nobody was given
    unallocated: Decimal = _ZERO

    @property
    def balances(self) -> bool:
        """Whether they do."""
        parts = _ZERO
        for part in (self.attributed, self.idle, self.shared, self.unallocated):
            parts = add(parts, part)
        return parts == self.origin


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReport:
    """What became of one window."""

    period: Period
    state: WindowState
    records: int  # that attribution holds of it
    unpriced: int  # charges of which the price is not known
    written: int  # records stored now, or on a dry run that would be
    totals: tuple[Totals, ...]
    findings: tuple[Finding, ...]
    oddities: tuple[Oddity, ...]


class Attribution:
    """Runs over an open store."""

    def __init__(self, store: Store, config: CostConfig, clock: Clock) -> None:
        self._book = Book(store)
        self._config = config
        self._clock = clock
        self._rules = frozenset(rule.id for rule in config.rules)
        self._engine: Engine | None = None  # made when it is known whose ledger it is
        dialect = Dialect(store.dialect == "sqlite")
        self._usage = UsageReader(Reader(store, dialect, clock, None), config)

    def windows(self, period: Period) -> list[Period]:
        """Return the windows that touch `period` and have ended."""
        now = self._clock.unix_nano()
        return [window for window in windows(period, self._config.window_ns) if window.end_unix_nano <= now]

    def run(self, period: Period, *, dry_run: bool = False) -> Iterator[WindowReport]:
        """Attribute the windows of `period`, one after the other, oldest first.

        Raises:
            AccountingError: a window cannot be attributed; those before it are.
            ImbalanceError: an error of ours; nothing of the window is stored.
            QueryError, RetryableError: of the store.
        """
        for window in self.windows(period):
            yield self._attribute(window, dry_run=dry_run)

    def _attribute(self, period: Period, *, dry_run: bool) -> WindowReport:
        ledger = self._book.ledger()
        if self._engine is None:
            self._engine = Engine(self._config, ledger)
        engine = self._engine
        for page in self._book.pages():
            now = self._clock.unix_nano()
            state = window_state(period, now, self._config)
            stored = [record for record in self._book.read(period) if record.charge.charge_period == period]
            made = [record for record in stored if made_by(record, ledger)]
            charges = divisible(stored, made)
            usage, oddities = self._usage.read(period, charges)
            attribution = engine.attribute(usage, now)
            ours = [*charges, *self._of_rules(made, charges)]
            if state is WindowState.CLOSED:
                rows = correct(
                    ours,
                    attribution.records,
                    billing_period=month_of(now),
                    recorded_unix_nano=now,
                    ledger=ledger,
                )
            else:
                rows = revise(ours, attribution.records, ledger=ledger)
            if not rows or dry_run or self._book.write(rows, page):
                return WindowReport(
                    period=period,
                    state=state,
                    records=len(attribution.records),
                    unpriced=sum(
                        record.source is CostSource.UNPRICED and record.level is Level.ORIGIN
                        for record in attribution.records
                    ),
                    written=len(rows),
                    totals=totals(attribution.records),
                    findings=attribution.findings,
                    oddities=oddities,
                )
        raise AssertionError("pages end with an error")

    def _of_rules(
        self, made: Sequence[CostAttributionRecord], charges: Sequence[CostAttributionRecord]
    ) -> list[CostAttributionRecord]:
        """Return of what runs have made what this one makes again: there may be runs with other rules."""
        origins = {charge.origin_id for charge in charges}
        origins |= {
            record.origin_id
            for record in made
            if record.level is Level.ORIGIN and record.rule_id in self._rules
        }
        return [record for record in made if record.origin_id in origins]


def divisible(
    stored: Sequence[CostAttributionRecord], made: Sequence[CostAttributionRecord]
) -> list[CostAttributionRecord]:
    """Return the charges that rules may divide: those of a bill that have something and that nobody else has divided.

    Args:
        stored: What is stored of the window.
        made: What runs have made of it.
    """
    ours = {record.record_id for record in made}
    divided = {
        record.origin_id
        for record in stored
        if record.level is not Level.ORIGIN and record.record_id not in ours
    }
    return [
        record
        for record in stored
        if record.level is Level.ORIGIN
        and record.record_id not in ours
        and not record.rule_id
        and not record.corrects_record_id
        and record.origin_id not in divided
        and any(getattr(record.amounts, name) for name in AMOUNTS)
    ]


def totals(records: Sequence[CostAttributionRecord]) -> tuple[Totals, ...]:
    """Add up by currency, finest records for the parts and origins for the whole."""
    found: dict[str, dict[str, Decimal]] = {}
    for record in records:
        if record.level is Level.ORIGIN and record.amounts.effective_cost is not None:
            _add(found, record, "origin")
    for record in leaves(records):
        if record.amounts.effective_cost is not None:
            match record.subject.kind:
                case SubjectKind.IDLE:
                    _add(found, record, "idle")
                case SubjectKind.SHARED | SubjectKind.OVERHEAD:
                    _add(found, record, "shared")
                case SubjectKind.UNALLOCATED | SubjectKind.UNSPECIFIED:
                    _add(found, record, "unallocated")
                case _:
                    _add(found, record, "attributed")
    return tuple(Totals(currency=currency, **found[currency]) for currency in sorted(found))


def _add(found: dict[str, dict[str, Decimal]], record: CostAttributionRecord, column: str) -> None:
    sums = found.setdefault(record.charge.billing_currency, {})
    sums[column] = add(sums.get(column, _ZERO), record.amounts.effective_cost or _ZERO)
