"""What is in the ledger, added up by who caused it, beside another time. Each cost once: the finest records count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from collector.cost.amount import add, subtract, total
from collector.cost.record import Period
from collector.model.clock import SystemClock
from collector.query.costs import NO_DIMENSIONS, read_costs
from collector.query.dialect import Dialect
from collector.query.reader import Reader
from collector.query.when import Window
from collector.storage.store import Store

# Who has no name of its own: what a line of nobody's is called instead.
_NOBODY: Final = frozenset({"idle", "shared", "overhead", "unallocated", "other"})
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Who, and what that costs. `keys`: a value for each dimension, or `__idle__` and the like for all of them."""

    currency: str
    keys: tuple[str, ...]
    cost: Decimal
    unpriced: int  # records of which the price is not known
    previous: Decimal | None = None  # None: nothing is compared

    @property
    def change(self) -> Decimal | None:
        """How much more than before."""
        return None if self.previous is None else subtract(self.cost, self.previous)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Lines by currency, the most expensive first; costs of different currencies are never added."""

    by: tuple[str, ...]
    period: Period
    compared: Period | None
    lines: tuple[Line, ...]

    def total(self, currency: str) -> Decimal:
        """The sum of a currency's lines."""
        return total(line.cost for line in self.lines if line.currency == currency)

    def movers(self, count: int = 5) -> list[Line]:
        """Return the lines that changed most."""
        changed = [line for line in self.lines if line.change]
        return sorted(changed, key=lambda line: (-(line.change or _ZERO).copy_abs(), line.keys))[:count]


def previous(period: Period) -> Period:
    """Return the time of the same length just before."""
    return Period(max(0, period.start_unix_nano - period.length_ns), period.start_unix_nano)


def summarize(store: Store, period: Period, by: Sequence[str], compared: Period | None = None) -> Summary:
    """Add up the charge periods that begin in `period`.

    Raises:
        ValueError: something is no dimension (`query.costs.DIMENSIONS`).
    """
    reader = Reader(store, Dialect(store.dialect == "sqlite"), SystemClock(), None)
    now = _sums(reader, period, by)
    before = _sums(reader, compared, by) if compared is not None else {}
    lines = [
        Line(
            currency=key[0],
            keys=key[1:],
            cost=now.get(key, (_ZERO, 0))[0],
            unpriced=now.get(key, (_ZERO, 0))[1],
            previous=None if compared is None else before.get(key, (_ZERO, 0))[0],
        )
        for key in {*now, *before}
    ]
    lines.sort(key=lambda line: (line.currency, -line.cost, line.keys))
    return Summary(by=tuple(by), period=period, compared=compared, lines=tuple(lines))


def _sums(reader: Reader, period: Period, by: Sequence[str]) -> dict[tuple[str, ...], tuple[Decimal, int]]:
    window = Window(period.start_unix_nano, period.end_unix_nano)
    found: dict[tuple[str, ...], tuple[Decimal, int]] = {}
    for cost in read_costs(reader, window, [*by, "subject"], NO_DIMENSIONS, None):
        subject = cost.labels["subject"]
        special = f"__{subject}__" if subject in _NOBODY else ""
        key = (cost.billing_currency, *(special or cost.labels[name] or "" for name in by))
        known = found.get(key, (_ZERO, 0))
        found[key] = (add(known[0], cost.effective_cost or _ZERO), known[1] + cost.unpriced)
    return found
