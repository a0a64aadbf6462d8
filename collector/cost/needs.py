"""What has to be read from the store so that the engine can work: nothing else is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from collector.cost.config import CostConfig
from collector.cost.dimensions import Dimensions
from collector.cost.llm import TokenUsage, attributes_of
from collector.cost.metered import MeteredUsage, Quantity
from collector.cost.prices import PriceBook
from collector.cost.rules import MatchConfig, RuleConfig
from collector.cost.usage import Series

_NANOSECONDS = 10**9


@dataclass(frozen=True, slots=True)
class SpanNeed:
    """Spans that a rule is about. `keys` make its groups; `attributes` have to be read of each span, too."""

    rule: RuleConfig
    match: MatchConfig
    keys: tuple[str, ...]
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """All of it. Requests are weighed (`selftime`, or in SQL); tokens and quantities are streamed through sums."""

    series: tuple[Series, ...]
    requests: tuple[SpanNeed, ...]
    tokens: tuple[SpanNeed, ...]
    metered: tuple[SpanNeed, ...]


def needs(config: CostConfig) -> Needs:
    """Return what the rules of `config` ask for."""
    dimensions = Dimensions(config.dimensions)
    prices = PriceBook(config.prices, config.currency)
    series: dict[Series, None] = {}
    found: dict[str, list[SpanNeed]] = {"requests": [], "tokens": [], "metered": []}
    for rule in config.rules:
        for text in _series(rule):
            series[Series.parse(text)] = None
        subject = dimensions.attributes_of(rule.attribute_to)
        if rule.parent is not None:
            keys = _unique(rule.parent.join, *dimensions.attributes_of(rule.group_by))
            weighed = (rule.weight.removeprefix("sum:"),) if rule.weight.startswith("sum:") else ()
            found["requests"].append(SpanNeed(rule, rule.match, keys, weighed))
        elif rule.tokens is not None:
            keys = _unique(*subject, *prices.attributes)
            found["tokens"].append(SpanNeed(rule, rule.match, keys, attributes_of(config.dialects)))
        elif rule.quantities:
            keys = _unique(*subject, *prices.attributes, "cloud.region")
            counted = (name for text in rule.quantities.values() for name in Quantity.parse(text).attributes)
            found["metered"].append(SpanNeed(rule, rule.match, keys, _unique(*counted)))
    return Needs(tuple(series), *(tuple(found[name]) for name in ("requests", "tokens", "metered")))


def token_usage(config: CostConfig, need: SpanNeed) -> TokenUsage:
    """Return the sums of a rule with `tokens`, to be given its spans one at a time."""
    tokens = need.rule.tokens
    if tokens is None:
        raise ValueError(f"rule {need.rule.id!r} is not about tokens")
    return TokenUsage(
        config.dialects,
        need.keys,
        input_includes_cache=tokens.input_includes_cache,
        reported_cost=tokens.reported_cost == "prefer",
    )


def metered_usage(need: SpanNeed) -> MeteredUsage:
    """Return the sums of a rule with `quantities`, to be given its spans one at a time."""
    quantities = {meter: Quantity.parse(text) for meter, text in need.rule.quantities.items()}
    return MeteredUsage(quantities, need.keys, round(need.rule.granularity * _NANOSECONDS))


def _series(rule: RuleConfig) -> list[str]:
    elements = rule.split.elements.values() if rule.split is not None else ()
    texts = [text for element in elements for text in (element.usage, element.request, element.capacity)]
    if rule.origin is not None:
        texts.append(rule.origin.presence)
    return [text for text in texts if text is not None]


def _unique(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
