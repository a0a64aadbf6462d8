"""The options of cost attribution: the section `cost`, with everything that can be checked before a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from collector.config.decode import InvalidValue, decode
from collector.config.diagnostics import ConfigError, Problem, did_you_mean
from collector.config.load import Source
from collector.config.option import Invalid, option
from collector.config.types import Duration
from collector.cost.calendar import DAY_NS, SECOND_NS
from collector.cost.currency import check_currency
from collector.cost.dimensions import DEFAULT_DIMENSIONS
from collector.cost.exchange import RateConfig, check_rates
from collector.cost.llm import DEFAULT_DIALECTS, METERS, DialectConfig
from collector.cost.metered import DURATION, Quantity
from collector.cost.prices import PriceConfig, check_prices
from collector.cost.record import Charge
from collector.cost.rules import OriginConfig, RuleConfig, SplitConfig
from collector.cost.units import TIME, Unit

CORE_TIME: tuple[str, ...] = ("Core", TIME)
TOKENS: tuple[str, ...] = ("Token",)
_COLUMNS = frozenset(item.name for item in fields(Charge) if item.type == "str")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleConfig:
    """Decimals of what is divided."""

    quantity: int = option(
        12, doc="Of a quantity; fewer where the price has more than 6.", minimum=0, maximum=18
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseConfig:
    """When a month is closed, after which it gets corrections only."""

    day_of_month: int = option(
        5, doc="The day of the next month on which it is, at 00:00 UTC.", minimum=1, maximum=28
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostConfig:
    """Price book and rules."""

    currency: str = option("USD", doc="ISO 4217 currency of prices that do not say another.")
    window: Duration = option(Duration(3600), doc="Length of a charge period; it divides a day.")
    lateness: Duration = option(
        Duration(900), doc="How long after its end a window waits for late telemetry."
    )
    span_lookback: Duration = option(
        Duration(3600),
        doc="How long before a window a trace may have begun that runs into it, for self times: what a longer one "
        "takes after that is idle.",
    )
    close: CloseConfig = option(CloseConfig(), doc="When a month is closed.")
    scale: ScaleConfig = option(ScaleConfig(), doc="Decimals of what is divided.")
    dimensions: Mapping[str, tuple[str, ...]] = option(
        default_factory=dict,
        doc="Dimension -> attributes, of which the first that is there counts; added to the built-in ones.",
    )
    dialects: tuple[DialectConfig, ...] = option(
        DEFAULT_DIALECTS,
        doc="How libraries write tokens and costs of language models; instead of the built-in table.",
    )
    prices: tuple[PriceConfig, ...] = option((), doc="The price book.")
    rates: tuple[RateConfig, ...] = option((), doc="Rates of exchange, for reports in one currency.")
    rules: tuple[RuleConfig, ...] = option((), doc="What is attributed, and how.")

    @property
    def window_ns(self) -> int:
        """The length of a window in nanoseconds."""
        return round(self.window * SECOND_NS)

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        try:
            check_currency(self.currency)
        except ValueError as error:
            yield Invalid("currency", str(error))
        if not self.window_ns or DAY_NS % self.window_ns:
            yield Invalid("window", f"{self.window} does not divide a day, on whose beginning prices change")
        for name, attributes in self.dimensions.items():
            if not attributes:
                yield Invalid(f"dimensions.{name}", "needs an attribute to be read from")
        yield from check_prices(self.prices, self.currency)
        yield from check_rates(self.rates)
        yield from self._check_rules()

    def _check_rules(self) -> Iterator[Invalid]:
        rules = {rule.id: rule for rule in self.rules}
        seen: dict[str, int] = {}
        for index, rule in enumerate(self.rules):
            at = f"rules[{index}]"
            if rule.id in seen:
                yield Invalid(f"{at}.id", f"rules[{seen[rule.id]}] is called {rule.id!r} already")
            seen[rule.id] = index
            if rule.origin is not None:
                yield from self._check_origin(rule.origin, rule.split, at)
            if rule.split is not None:
                for place, name in enumerate(rule.split.among):
                    if (
                        name not in rules
                        or name == rule.id
                        or rules[name].parent is not None
                        or _is_shared(rules[name])
                    ):
                        hint = did_you_mean(name, [other for other in rules if other != rule.id])
                        yield Invalid(
                            f"{at}.split.among[{place}]", f"{name!r} is no rule that has subjects; {hint}"
                        )
            if rule.parent is not None:
                yield from _check_parent(rule, rules, at)
            yield from self._check_meters(rule, at)
            for key in ("attribute_to", "group_by"):
                yield from _check_names(
                    getattr(rule, key), f"{at}.{key}", {*DEFAULT_DIMENSIONS, *self.dimensions}
                )

    def _check_meters(self, rule: RuleConfig, at: str) -> Iterator[Invalid]:
        """Check that what is counted and what it is priced by have a time in them both, or neither."""
        timed = dict.fromkeys(METERS, False) if rule.tokens is not None else {}
        for meter, text in rule.quantities.items():
            try:
                timed[meter] = DURATION in Quantity.parse(text).terms
            except ValueError:
                continue  # reported by the rule
        others = {meter for other in self.rules for meter in other.quantities}
        for index, price in enumerate(self.prices):
            if price.unit is None or price.meter not in timed:
                continue
            try:
                kinds = Unit.parse(price.unit).kinds
            except ValueError:
                continue  # reported at the unit itself
            has_time = TIME in kinds
            if rule.tokens is not None and price.meter not in others and kinds != TOKENS:
                yield Invalid(
                    f"prices[{index}].unit",
                    f"price {price.id!r} is for {price.unit}, and {price.meter} of rule {rule.id!r} is counted in Tokens",
                )
            elif has_time != timed[price.meter]:
                where = f"{at}.quantities.{price.meter}" if rule.quantities else f"{at}.tokens"
                what = (
                    "has no time in it, and what is counted has"
                    if not has_time
                    else "has a time in it, and what is counted has none"
                )
                yield Invalid(where, f"price {price.id!r} is for {price.unit}, which {what}")

    def _check_origin(self, origin: OriginConfig, split: SplitConfig | None, at: str) -> Iterator[Invalid]:
        prices: dict[str, PriceConfig] = {}
        for price in self.prices:
            prices.setdefault(price.id, price)
        named = [(f"{at}.origin.price", name, "") for name in origin.price_ids]
        named += [(f"{at}.origin.prices.{key}", name, key) for key, name in origin.prices.items()]
        for where, name, element in named:
            if name not in prices:
                yield Invalid(where, f"there is no price {name!r}; {did_you_mean(name, prices)}".rstrip("; "))
                continue
            unit = prices[name].unit
            expected = (
                split.elements[element].unit if element and split and element in split.elements else "Hours"
            )
            if unit is not None and not _same_kinds(unit, expected):
                yield Invalid(
                    where, f"price {name!r} is for {unit}, and what is charged is measured in {expected}"
                )
            weights = split.weights if split is not None and split.weights else prices[name].split_weights
            if split is not None and len(split.elements) > 1 and not element:
                missing = [key for key in split.elements if key not in weights]
                if missing and not split.shared:
                    yield Invalid(
                        where, f"neither price {name!r} nor the split has a weight for {', '.join(missing)}"
                    )
        if origin.bill and split is not None and len(split.elements) > 1:
            missing = [key for key in split.elements if key not in split.weights]
            if missing:
                yield Invalid(
                    f"{at}.split",
                    f"a bill's charge has no weights, so split.weights needs {', '.join(missing)}",
                )
        for column in origin.bill:
            if column not in _COLUMNS and column == column.lower():
                yield Invalid(
                    f"{at}.origin.bill.{column}", f"{column!r} is no column; {did_you_mean(column, _COLUMNS)}"
                )
        if not origin.bill and (split is None or split.shared) and origin.presence is None:
            yield Invalid(f"{at}.origin", "needs presence: without elements, no metric says that it is there")


def load_costs(source: Source) -> CostConfig:
    """Return the section `cost` of a configuration that `collector.config.load` has read.

    Raises:
        ConfigError: with every problem, each at its place.
    """
    problems = list(source.problems)
    if source.root is None:
        raise ConfigError(problems)
    entry = source.root.entries.get("cost")
    if entry is None:
        problems.append(
            Problem(
                message="there is no section cost", place=source.root.place, label="it needs prices and rules"
            )
        )
        raise ConfigError(problems)
    config = decode(entry.value, CostConfig, path="cost", place=entry.key, problems=problems)
    if isinstance(config, InvalidValue) or any(problem.severity == "error" for problem in problems):
        raise ConfigError(problems)
    return config


def _check_parent(rule: RuleConfig, rules: Mapping[str, RuleConfig], at: str) -> Iterator[Invalid]:
    if rule.parent is None:
        return
    parent = rules.get(rule.parent.rule)
    if parent is None or parent.origin is None or _is_shared(parent):
        hint = did_you_mean(
            rule.parent.rule, [name for name, other in rules.items() if other.origin is not None]
        )
        yield Invalid(
            f"{at}.parent.rule",
            f"{rule.parent.rule!r} is no rule that divides an origin; {hint}".rstrip("; "),
        )
        return
    member = parent.split.member if parent.split is not None else parent.origin.per
    if rule.parent.join != member:
        yield Invalid(f"{at}.parent.join", f"the parts of {parent.id!r} are told apart by {member!r}")
    units = [element.unit for element in parent.split.elements.values()] if parent.split is not None else []
    if rule.basis == "measured" and not any(Unit.parse(unit).kinds == CORE_TIME for unit in units):
        yield Invalid(f"{at}.basis", f"rule {parent.id!r} gives nobody Core-Hours to measure against: spread")


def _check_names(names: Sequence[str], at: str, dimensions: set[str]) -> Iterator[Invalid]:
    """A word without a point is a dimension, and may be misspelt; anything else is an attribute."""
    for place, name in enumerate(names):
        if name not in dimensions and "." not in name:
            known = f"dimensions are {', '.join(sorted(dimensions))}"
            yield Invalid(
                f"{at}[{place}]", f"there is no dimension {name!r}; {did_you_mean(name, dimensions) or known}"
            )


def _is_shared(rule: RuleConfig) -> bool:
    return rule.split is not None and rule.split.shared


def _same_kinds(left: str, right: str) -> bool:
    try:
        return Unit.parse(left).kinds == Unit.parse(right).kinds
    except ValueError:
        return True  # reported at the unit itself
