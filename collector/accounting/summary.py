"""What is in the ledger, added up by who caused it, beside another time. Each cost once: the finest records count.

In one currency if rates are given: each day's costs at the rate of that day, exactly, and what they were beside it. What has no rate stays
in its own currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from collector.cost.exchange import Exchange, RateConfig, converted
from collector.cost.focus.numbers import EXACT
from collector.cost.record import Period
from collector.model.clock import SystemClock
from collector.query.costs import NO_DIMENSIONS, OF_SUBJECT, read_costs
from collector.query.dialect import Dialect
from collector.query.reader import Reader
from collector.query.when import Window
from collector.storage.store import Store

# Who has no name of its own: what a line of nobody's is called instead.
_NOBODY: Final = frozenset({"idle", "shared", "overhead", "unallocated", "other"})
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Who, and what that costs. `keys`: a value for each dimension; `__idle__` and the like where nobody is named."""

    currency: str
    keys: tuple[str, ...]
    cost: Decimal
    unpriced: int  # records of which the price is not known
    original: Mapping[str, Decimal] = field(default_factory=dict)  # what was converted, by its currency
    previous: Decimal | None = None  # None: nothing is compared

    @property
    def change(self) -> Decimal | None:
        """How much more than before."""
        return None if self.previous is None else EXACT.subtract(self.cost, self.previous)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Lines by currency, the most expensive first; costs of different currencies are never added.

    `rates`: those by which costs were converted; `without_rate`: currencies of which a day had none.
    """

    by: tuple[str, ...]
    period: Period
    compared: Period | None
    lines: tuple[Line, ...]
    rates: tuple[RateConfig, ...] = ()
    without_rate: tuple[str, ...] = ()

    def total(self, currency: str) -> Decimal:
        """The sum of a currency's lines."""
        return _total([line.cost for line in self.lines if line.currency == currency])

    def movers(self, count: int = 5) -> list[Line]:
        """Return the lines that changed most."""
        changed = [line for line in self.lines if line.change]
        return sorted(changed, key=lambda line: (-(line.change or _ZERO).copy_abs(), line.keys))[:count]


def previous(period: Period) -> Period:
    """Return the time of the same length just before."""
    return Period(max(0, period.start_unix_nano - period.length_ns), period.start_unix_nano)


def summarize(
    store: Store,
    period: Period,
    by: Sequence[str],
    compared: Period | None = None,
    exchange: Exchange | None = None,
) -> Summary:
    """Add up the charge periods that begin in `period`.

    Raises:
        ValueError: something is no dimension (`query.costs.DIMENSIONS`).
    """
    reader = Reader(store, Dialect(store.dialect == "sqlite"), SystemClock(), None)
    sums = _Sums(reader, by, exchange)
    now = sums.of(period)
    before = sums.of(compared) if compared is not None else {}
    lines = [
        Line(
            currency=key[0],
            keys=key[1:],
            cost=now[key].cost if key in now else _ZERO,
            unpriced=now[key].unpriced if key in now else 0,
            original=now[key].original if key in now else {},
            previous=None if compared is None else before[key].cost if key in before else _ZERO,
        )
        for key in {*now, *before}
    ]
    lines.sort(key=lambda line: (line.currency, -line.cost, line.keys))
    return Summary(
        by=tuple(by),
        period=period,
        compared=compared,
        lines=tuple(lines),
        rates=tuple(sorted(sums.rates, key=lambda rate: (rate.currency, rate.effective_from))),
        without_rate=tuple(sorted(sums.without_rate)),
    )


@dataclass(slots=True)
class _Sum:
    cost: Decimal = _ZERO
    unpriced: int = 0
    original: dict[str, Decimal] = field(default_factory=dict)


class _Sums:
    """Adds up by currency and dimensions, and notes the rates that it needed."""

    def __init__(self, reader: Reader, by: Sequence[str], exchange: Exchange | None) -> None:
        self._reader = reader
        self._by = by
        self._exchange = exchange
        self.rates: set[RateConfig] = set()
        self.without_rate: set[str] = set()

    def of(self, period: Period) -> dict[tuple[str, ...], _Sum]:
        window = Window(period.start_unix_nano, period.end_unix_nano)
        step = None if self._exchange is None else "day"  # on which rates change
        found: dict[tuple[str, ...], _Sum] = {}
        for cost in read_costs(self._reader, window, [*self._by, "subject"], NO_DIMENSIONS, step):
            subject = cost.labels["subject"]
            special = f"__{subject}__" if subject in _NOBODY else ""
            amount, currency = cost.effective_cost or _ZERO, cost.billing_currency
            rate = self._rate(currency, cost.time_unix_nano)
            keys = (cost.labels[name] or (special if _of_subject(name) else "") for name in self._by)
            sum_ = found.setdefault((rate.into if rate else currency, *keys), _Sum())
            if rate is not None:
                sum_.original[currency] = EXACT.add(sum_.original.get(currency, _ZERO), amount)
                amount = converted(amount, rate)
            sum_.cost = EXACT.add(sum_.cost, amount)
            sum_.unpriced += cost.unpriced
        return found

    def _rate(self, currency: str, unix_nano: int | None) -> RateConfig | None:
        if self._exchange is None or unix_nano is None or currency == self._exchange.into:
            return None
        rate = self._exchange.rate(currency, unix_nano)
        if rate is None:
            self.without_rate.add(currency)
        else:
            self.rates.add(rate)
        return rate


def _of_subject(dimension: str) -> bool:
    return dimension in OF_SUBJECT or dimension.startswith("label:")


def _total(amounts: Sequence[Decimal]) -> Decimal:
    sum_ = _ZERO
    for amount in amounts:
        sum_ = EXACT.add(sum_, amount)
    return sum_
