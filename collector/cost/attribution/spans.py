"""Rules with `tokens` or `quantities`: spans that are priced by what is counted of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeVar

from collector.cost.amount import total
from collector.cost.attribution.run import Part, Run
from collector.cost.calendar import month_of
from collector.cost.charges import priced, unpriced
from collector.cost.findings import FindingKind
from collector.cost.llm import METERS, MODEL, PROVIDER
from collector.cost.match import Attributes
from collector.cost.metered import DURATION, NANO, Quantity
from collector.cost.prices import Price
from collector.cost.record import Amounts, Charge, CostSource, Subject, SubjectKind
from collector.cost.rules import RuleConfig
from collector.cost.usage import MeteredGroup, TokenGroup

METERED: Final = "metered"  # by what was counted of each
REPORTED: Final = "reported"  # by what each said that it cost
_REST: Final = Subject(kind=SubjectKind.UNALLOCATED)
_NEAR: Final = Decimal("0.01")
_APART: Final = Decimal("1.05")

G = TypeVar("G", TokenGroup, MeteredGroup)


def attribute_quantities(run: Run, rule: RuleConfig) -> None:
    """Price what was counted of spans, meter by meter."""
    groups = run.usage.metered.get(rule.id, ())
    if not groups:
        run.findings.add(rule.id, FindingKind.NOTHING_MATCHED)
    for attributes, alike in _by_charge(run, groups, ("cloud.region",)):
        for meter, text in rule.quantities.items():
            metered = [(group, group.quantities.get(meter, 0)) for group in alike]
            price = run.prices.find(meter, attributes, run.usage.period.start_unix_nano)
            unit = "Seconds" if DURATION in Quantity.parse(text).terms else "Units"
            _charge(run, rule, _Meter(meter, price, unit, NANO), attributes, metered)


def attribute_tokens(run: Run, rule: RuleConfig) -> None:
    """Price calls of language models: by what they say that they cost, else by their tokens."""
    groups = run.usage.tokens.get(rule.id, ())
    if not groups:
        run.findings.add(rule.id, FindingKind.NOTHING_MATCHED)
    silent = [group for group in groups if group.reported_cost is None]
    for attributes, alike in _by_charge(run, silent, (PROVIDER, MODEL)):
        prices = _token_prices(run, attributes)
        # Reasoning without a price of its own is output, as providers bill it.
        joined = {"output": ("output", "reasoning")} if prices["reasoning"] is None else {}
        for meter in METERS[:-1] if joined else METERS:
            names = joined.get(meter, (meter,))
            counted = [(group, sum(group.tokens.get(name, 0) for name in names)) for group in alike]
            _charge(run, rule, _Meter(meter, prices[meter], "Tokens", 1), attributes, counted)
    speaking = [group for group in groups if group.reported_cost is not None]
    for attributes, alike in _by_charge(run, speaking, (PROVIDER, MODEL)):
        for currency, source in sorted({(group.currency, group.source) for group in alike}):
            same = [group for group in alike if (group.currency, group.source) == (currency, source)]
            _reported(run, rule, attributes, same)


@dataclass(frozen=True, slots=True)
class _Meter:
    name: str
    price: Price | None
    unit: str  # where there is no price
    fine: int  # in how many parts a base unit is counted


def _charge(
    run: Run,
    rule: RuleConfig,
    meter: _Meter,
    attributes: Attributes,
    metered: Sequence[tuple[MeteredGroup | TokenGroup, int]],
) -> None:
    """Add the origin of one meter, and its parts by subject. Nothing counted is no charge."""
    counted = sum(amount for _, amount in metered)
    if not counted:
        return
    period, scale = run.usage.period, run.config.scale.quantity
    base = Fraction(counted, meter.fine)
    if meter.price is None:
        run.findings.add(rule.id, FindingKind.UNPRICED, f"{attributes.get(MODEL, '')} {meter.name}".strip())
        charge, amounts = unpriced(
            meter.unit, base, period, run.config.currency, resource="", meter=meter.name, scale=scale
        )
        source = CostSource.UNPRICED
    else:
        charge, amounts = priced(meter.price, base, period, attributes, resource="", scale=scale)
        source = CostSource.PRICE_BOOK
    origin = run.origin(rule, charge, amounts, source, meter.name, attributes)
    run.divide(rule, origin, _parts(run, rule, metered), rest=_REST, method=METERED)


def _parts(
    run: Run, rule: RuleConfig, metered: Iterable[tuple[MeteredGroup | TokenGroup, int]]
) -> list[Part]:
    parts: dict[bytes, Part] = {}
    for group, amount in metered:
        subject = run.dimensions.subject(SubjectKind.WORKLOAD, rule.attribute_to, group.attributes)
        known = parts.get(subject.key)
        parts[subject.key] = Part(subject, amount + (known.weight if known else 0))
    return list(parts.values())


def _token_prices(run: Run, attributes: Attributes) -> dict[str, Price | None]:
    return {meter: run.prices.find(meter, attributes, run.usage.period.start_unix_nano) for meter in METERS}


def _reported(run: Run, rule: RuleConfig, attributes: Attributes, groups: Sequence[TokenGroup]) -> None:
    """Add what calls said that they cost: the parts are given, the origin is their sum."""
    first = groups[0]
    subjects: dict[bytes, Subject] = {}
    costs: dict[bytes, list[Decimal]] = {}
    tokens: dict[bytes, int] = {}
    for group in groups:
        subject = run.dimensions.subject(SubjectKind.WORKLOAD, rule.attribute_to, group.attributes)
        subjects[subject.key] = subject
        costs.setdefault(subject.key, []).append(group.reported_cost or Decimal(0))
        tokens[subject.key] = tokens.get(subject.key, 0) + sum(group.tokens.values())
    amounts = [_given(total(costs[key]), tokens[key]) for key in subjects]
    reported = total(cost for listed in costs.values() for cost in listed)
    _check_cache(run, rule, attributes, groups, reported)
    provider, model = attributes.get(PROVIDER, ""), attributes.get(MODEL, "")
    charge = Charge(
        charge_period=run.usage.period,
        billing_period=month_of(run.usage.period.start_unix_nano),
        billing_currency=first.currency,
        charge_description=f"Calls of {model or 'a language model'}, as reported",
        charge_frequency="Usage-Based",
        consumed_unit="Tokens",
        service_provider_name=provider,
        host_provider_name=provider,
        invoice_issuer_name=provider,
        service_category="AI and Machine Learning",
        service_subcategory="Generative AI",
        service_name=model,
    )
    whole = _given(reported, sum(tokens.values()))
    origin = run.origin(
        rule, charge, whole, first.source, REPORTED, first.currency, first.source.name, attributes
    )
    parts = [Part(subject, 1) for subject in subjects.values()]
    run.divide(rule, origin, parts, rest=_REST, method=REPORTED, amounts=amounts)


def _given(cost: Decimal, tokens: int) -> Amounts:
    return Amounts(
        billed_cost=cost,
        effective_cost=cost,
        list_cost=cost,
        contracted_cost=cost,
        consumed_quantity=Decimal(tokens),
    )


def _check_cache(
    run: Run, rule: RuleConfig, attributes: Attributes, groups: Sequence[TokenGroup], reported: Decimal
) -> None:
    """Find reported costs that are what one gets by pricing cached tokens as input, too."""
    right = twice = Fraction(0)
    prices = _token_prices(run, attributes)
    for group in groups:
        for meter, tokens in group.tokens.items():
            price = prices[meter] or (prices["output"] if meter == "reasoning" else None)
            if price is None or price.currency != group.currency:
                return
            right += Fraction(price.contracted) * price.unit.quantity(Fraction(tokens))
            fresh = prices["input"]
            if meter in {"cache_read", "cache_write"} and fresh is not None:
                twice += Fraction(fresh.contracted) * fresh.unit.quantity(Fraction(tokens))
    wrong = right + twice
    if wrong > right * Fraction(_APART) and abs(Fraction(reported) - wrong) <= wrong * Fraction(_NEAR):
        spans = sum(group.spans for group in groups)
        run.findings.add(rule.id, FindingKind.CACHE_COUNTED_TWICE, attributes.get(MODEL, ""), spans)


def _by_charge(run: Run, groups: Sequence[G], names: tuple[str, ...]) -> list[tuple[Attributes, list[G]]]:
    """Put together the groups that are one charge: what prices look at, and `names`, are the same."""
    wanted = {*names, *run.prices.attributes}
    found: dict[tuple[tuple[str, str], ...], list[G]] = {}
    for group in groups:
        key = tuple(
            sorted((name, value) for name, value in group.attributes.items() if name in wanted and value)
        )
        found.setdefault(key, []).append(group)
    return [(dict(key), found[key]) for key in sorted(found)]
