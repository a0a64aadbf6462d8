"""The price book: what a unit of something costs, from which day on, and for which attributes.

    prices:
      - {id: m5-xlarge, match: {host.type: m5.xlarge}, unit: Hours, list: "0.192", effective_from: 2026-01-01}
      - {id: m5-xlarge, list: "0.188", effective_from: 2026-07-01}          # the same thing from then on
      - {id: sonnet-in, match: {gen_ai.response.model: "claude-sonnet-4*"}, meter: input, unit: 1000000 Tokens, list: "3.00"}
      - {id: sonnet-out, match: {same: sonnet-in}, meter: output, unit: 1000000 Tokens, list: "15.00"}

An entry holds until its `effective_to`, or until the next entry of its id begins. Of several prices that match, the
first in the file is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from collector.config.diagnostics import did_you_mean
from collector.config.option import Invalid, option
from collector.cost.amount import AmountError, checked
from collector.cost.calendar import day_start
from collector.cost.currency import check_currency
from collector.cost.match import Attributes, Globs
from collector.cost.units import Unit

SAME: Final = "same"
_FOREVER: Final = 2**64
_DEFAULTS: Final[dict[str, tuple[str, ...]]] = {"service_category": ("Other",), "charge_category": ("usage",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceConfig:
    """A price from a day on. A later entry of the same id may leave out what does not change."""

    id: str = option(doc="Its name, for rules and as FOCUS SkuPriceId.", example="node-m5-xlarge")
    match: Mapping[str, str] = option(
        default_factory=dict,
        doc="Attributes that a thing must have: globs by key; `same: id` means what another price matches.",
    )
    unit: str | None = option(
        None, doc="What is priced (FOCUS UnitFormat): Hours, GiB-Hours, 1000000 Tokens."
    )
    meter: str = option(
        "", doc="Which quantity of a rule it is for: input, output, requests (FOCUS SkuMeter)."
    )
    list_unit_price: Decimal = option(doc="Price of one unit.", aliases=("list",), example='"0.192"')
    contracted_unit_price: Decimal | None = option(
        None, doc="The negotiated price; the list price if there is none.", aliases=("contracted",)
    )
    currency: str | None = option(None, doc="ISO 4217; the book's currency if it is not given.")
    effective_from: date | None = option(None, doc="First day, in UTC; for ever back if it is not given.")
    effective_to: date | None = option(None, doc="First day on which it no longer holds.")
    split_weights: Mapping[str, Decimal] = option(
        default_factory=dict, doc="Relative price of a unit of each element: {cpu: 9, memory: 1}."
    )
    charge_category: Literal["usage", "credit", "adjustment"] = option(
        "usage", doc="Credits and adjustments may have negative prices."
    )
    sku: str = option("", doc="FOCUS SkuId.")
    provider: str = option("", doc="FOCUS ServiceProviderName and HostProviderName.")
    issuer: str = option("", doc="FOCUS InvoiceIssuerName; the provider if it is not given.")
    account: str = option("", doc="FOCUS BillingAccountId.")
    service_name: str = option("", doc="FOCUS ServiceName.")
    service_category: str = option("Other", doc="FOCUS ServiceCategory.")
    service_subcategory: str = option("", doc="FOCUS ServiceSubcategory.")
    resource_type: str = option("", doc="FOCUS ResourceType.")

    def validate(self) -> Iterator[Invalid]:
        """Check what can be checked without the other prices."""
        if not self.id:
            yield Invalid("id", "must not be empty")
        if self.unit is not None:
            try:
                Unit.parse(self.unit)
            except ValueError as error:
                yield Invalid("unit", str(error))
        if self.currency is not None:
            try:
                check_currency(self.currency)
            except ValueError as error:
                yield Invalid("currency", str(error))
        for key in ("list_unit_price", "contracted_unit_price"):
            price: Decimal | None = getattr(self, key)
            try:
                if price is not None and checked(price) < 0 and self.charge_category == "usage":
                    yield Invalid(key, f"{price} is negative, which only a credit or an adjustment may be")
            except AmountError as error:
                yield Invalid(key, str(error))
        if self.effective_from and self.effective_to and self.effective_from >= self.effective_to:
            yield Invalid("effective_to", f"is not after effective_from, {self.effective_from}")
        for name, weight in self.split_weights.items():
            if weight < 0:
                yield Invalid(f"split_weights.{name}", f"{weight} is negative")
        if SAME in self.match and len(self.match) > 1:
            yield Invalid("match", f"`{SAME}` stands alone: it means all that the other price matches")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price in force: an entry with all that it takes from others. The end is exclusive."""

    config: PriceConfig
    globs: Globs
    unit: Unit
    currency: str
    start_unix_nano: int
    end_unix_nano: int

    @property
    def contracted(self) -> Decimal:
        """What is paid for one unit."""
        given = self.config.contracted_unit_price
        return self.config.list_unit_price if given is None else given


class PriceBook:
    """Prices to be asked for. Made of entries in which `check_prices` finds nothing."""

    def __init__(self, entries: Sequence[PriceConfig], currency: str) -> None:
        self.prices = [price for price in _resolve(entries, currency) if isinstance(price, Price)]
        keys = {key for price in self.prices for key in price.globs.keys}
        self.attributes = tuple(sorted(keys))  # that any price looks at
        self._by_id: dict[str, list[Price]] = {}
        self._by_meter: dict[str, list[Price]] = {}
        for price in self.prices:
            self._by_id.setdefault(price.config.id, []).append(price)
            self._by_meter.setdefault(price.config.meter, []).append(price)

    def named(self, name: str, unix_nano: int) -> Price | None:
        """Return the price with this id at an instant."""
        return next((price for price in self._by_id.get(name, ()) if _holds(price, unix_nano)), None)

    def find(self, meter: str, attributes: Attributes, unix_nano: int) -> Price | None:
        """Return the first price in the file for this meter and these attributes at an instant."""
        return next(
            (
                price
                for price in self._by_meter.get(meter, ())
                if _holds(price, unix_nano) and price.globs.match(attributes)
            ),
            None,
        )


def check_prices(entries: Sequence[PriceConfig], currency: str) -> Iterator[Invalid]:
    """Yield what is wrong between prices; keys begin with `prices[n]`."""
    yield from (item for item in _resolve(entries, currency) if isinstance(item, Invalid))


def _resolve(entries: Sequence[PriceConfig], currency: str) -> Iterator[Price | Invalid]:
    """Put together what entries take from each other, and set ends where the next of an id begins."""
    first: dict[str, PriceConfig] = {}
    for entry in entries:
        first.setdefault(entry.id, entry)
    done: list[tuple[int, Price]] = []
    for index, entry in enumerate(entries):
        at = f"prices[{index}]"
        origin = first[entry.id]
        if origin is not entry:
            yield from _contradictions(entry, origin, at)
            entry = _inherit(entry, origin)
        match = entry.match
        if SAME in match:
            other = first.get(match[SAME])
            if other is None or SAME in other.match:
                hint = (
                    did_you_mean(match[SAME], first)
                    or "it has to be the id of a price with patterns of its own"
                )
                yield Invalid(f"{at}.match", f"same: {match[SAME]!r} is no price to take it from; {hint}")
                continue
            match = other.match
        if entry.unit is None:
            yield Invalid(at, f"price {entry.id!r} needs a unit")
            continue
        price = Price(
            config=entry,
            globs=Globs(match),
            unit=Unit.parse(entry.unit),
            currency=entry.currency or currency,
            start_unix_nano=day_start(entry.effective_from) if entry.effective_from else 0,
            end_unix_nano=day_start(entry.effective_to) if entry.effective_to else _end(entry, entries),
        )
        for place, other_price in done:
            if _same_thing(price, other_price) and _overlap(price, other_price):
                what = (
                    "is a price"
                    if other_price.config.id == entry.id
                    else f"prices what {other_price.config.id!r} prices"
                )
                yield Invalid(
                    f"{at}.effective_from" if entry.effective_from else f"{at}.id",
                    f"{entry.id!r} {what} for days for which prices[{place}] is one already",
                )
                break
        done.append((index, price))
        yield price


def _contradictions(entry: PriceConfig, origin: PriceConfig, at: str) -> Iterator[Invalid]:
    for name in ("match", "meter", "unit", "currency"):
        later = getattr(entry, name)
        if later and later != getattr(origin, name):
            yield Invalid(
                f"{at}.{name}", f"price {entry.id!r} stands for something else already; give it another id"
            )


def _inherit(entry: PriceConfig, origin: PriceConfig) -> PriceConfig:
    """Return a later entry with what it does not say itself. A negotiated price and days are never taken over."""
    said = {"id", "list_unit_price", "contracted_unit_price", "effective_from", "effective_to"}
    silent = {
        item.name: getattr(origin, item.name)
        for item in fields(PriceConfig)
        if item.name not in said
        and getattr(entry, item.name) in ("", None, {}, *_DEFAULTS.get(item.name, ()))
    }
    return replace(entry, **silent)


def _end(entry: PriceConfig, entries: Sequence[PriceConfig]) -> int:
    """Return where the next entry of the same id begins."""
    begin = entry.effective_from or date.min
    later = (other.effective_from for other in entries if other.id == entry.id and other.effective_from)
    return min((day_start(day) for day in later if day > begin), default=_FOREVER)


def _same_thing(left: Price, right: Price) -> bool:
    """Whether a thing with one of the prices has the other, too."""
    if left.config.id == right.config.id:
        return True
    both = (left.config.meter, left.globs, left.unit.kinds) == (
        right.config.meter,
        right.globs,
        right.unit.kinds,
    )
    # Without patterns a price is found by its id alone.
    return both and left.globs != Globs({}) and left.currency == right.currency


def _overlap(left: Price, right: Price) -> bool:
    return left.start_unix_nano < right.end_unix_nano and right.start_unix_nano < left.end_unix_nano


def _holds(price: Price, unix_nano: int) -> bool:
    return price.start_unix_nano <= unix_nano < price.end_unix_nano
