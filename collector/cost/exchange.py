"""Rates of exchange, dated, for reports in one currency. The ledger is never converted: what was charged stays as it was.

```yaml
cost:
  rates:
    - {currency: USD, into: EUR, rate: "0.9215", effective_from: 2026-09-01, source: ECB}
    - {currency: USD, into: EUR, rate: "0.9180", effective_from: 2026-09-02, source: ECB}
```

A rate holds from its day on, until the next one of the same two currencies. The other direction is a rate of its own: its reciprocal would
have to be rounded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from collector.config.option import Invalid, option
from collector.cost.amount import AmountError, amount_text, checked
from collector.cost.calendar import day_of
from collector.cost.currency import check_currency
from collector.cost.focus.numbers import EXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class RateConfig:
    """How much of one currency a unit of another is, from a day on."""

    currency: str = option(doc="ISO 4217 currency of which this is the rate.", example="USD")
    into: str = option(doc="ISO 4217 currency in which it is said.", example="EUR")
    rate: Decimal = option(doc="How much of `into` one unit of `currency` is.", example='"0.9215"')
    effective_from: date = option(doc="First day, in UTC.", example="2026-09-01")
    source: str = option(doc="Whose rate it is; reports say it.", example="ECB")

    def validate(self) -> Iterator[Invalid]:
        """Check what can be checked without the other rates."""
        for key in ("currency", "into"):
            try:
                check_currency(getattr(self, key))
            except ValueError as error:
                yield Invalid(key, str(error))
        if self.currency == self.into:
            yield Invalid("into", f"is {self.currency}, too")
        try:
            if checked(self.rate) <= 0:
                yield Invalid("rate", f"{self.rate} is not more than 0")
        except AmountError as error:
            yield Invalid("rate", str(error))
        if not self.source:
            yield Invalid("source", "must not be empty: a report says whose rate it used")

    def __str__(self) -> str:
        return f"1 {self.currency} = {amount_text(self.rate)} {self.into} from {self.effective_from} ({self.source})"


def check_rates(rates: Sequence[RateConfig]) -> Iterator[Invalid]:
    """Find days that have two rates."""
    seen: dict[tuple[str, str, date], int] = {}
    for place, rate in enumerate(rates):
        first = seen.setdefault((rate.currency, rate.into, rate.effective_from), place)
        if first != place:
            yield Invalid(
                f"rates[{place}].effective_from",
                f"rates[{first}] is from {rate.currency} to {rate.into} from that day on, too",
            )


class Exchange:
    """Into one currency, by a table of rates."""

    def __init__(self, into: str, rates: Sequence[RateConfig]) -> None:
        """Raise ValueError if `into` is no currency."""
        check_currency(into)
        self.into: Final = into
        self._rates: dict[str, list[RateConfig]] = {}
        for rate in sorted(rates, key=lambda rate: rate.effective_from):
            if rate.into == into:
                self._rates.setdefault(rate.currency, []).append(rate)

    def rate(self, currency: str, unix_nano: int) -> RateConfig | None:
        """Return the rate of a currency at an instant; None if there is none."""
        rates = self._rates.get(currency, [])
        place = bisect_right(rates, day_of(unix_nano), key=lambda rate: rate.effective_from)
        return rates[place - 1] if place else None


def converted(amount: Decimal, rate: RateConfig) -> Decimal:
    """Return `amount` at `rate`, exactly: with as many decimals as both have."""
    return EXACT.multiply(amount, rate.rate)
