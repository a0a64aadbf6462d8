"""Rules with an `origin`: things that cost as a whole, such as nodes, divided among those that use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from collector.cost.allocation import allocate, elements
from collector.cost.attribution.run import Part, Run
from collector.cost.calendar import SECOND_NS
from collector.cost.charges import priced, unpriced
from collector.cost.dimensions import owner
from collector.cost.findings import FindingKind
from collector.cost.match import Globs
from collector.cost.members import NANO, Whole, gather
from collector.cost.prices import Price
from collector.cost.record import Charge, CostAttributionRecord, CostSource, Level, Subject, SubjectKind
from collector.cost.rules import OriginConfig, RuleConfig, SplitConfig
from collector.cost.units import Unit

WHOLE: Final = "whole"  # the method of what is not divided
_POD: Final = "k8s.pod.uid"
_POD_NAMES: Final = ("k8s.pod.uid", "k8s.pod.name")
_IDLE: Final = Subject(kind=SubjectKind.IDLE)


def attribute_resources(run: Run, rule: RuleConfig) -> None:
    """Add the origins of `rule` and their parts. A shared cost gets its parts later, when others have theirs."""
    if rule.origin is None:
        return
    wholes = gather(rule, run.usage, run.findings)
    charged = 0
    for name in sorted(wholes):
        for record, names in _origins(run, rule, rule.origin, name, wholes[name]):
            charged += 1
            _divide(run, rule, record, name, wholes[name], names)
    if rule.origin.bill:
        for record in _bill_charges(run, rule, set(wholes)):
            charged += 1
            _divide(run, rule, record, record.charge.resource_id, Whole(), ())
    if not charged:
        run.findings.add(rule.id, FindingKind.NOTHING_MATCHED)


def _origins(
    run: Run, rule: RuleConfig, origin: OriginConfig, name: str, whole: Whole
) -> list[tuple[CostAttributionRecord, tuple[str, ...]]]:
    """Return the charges of one thing, each with the elements by which it is divided."""
    names = tuple(rule.split.elements) if rule.split is not None else ()
    if origin.bill:
        found = [record for record in _matching(run, rule, origin) if record.charge.resource_id == name]
        run.divided.update(record.record_id for record in found)
        run.records += found
        return [(record, names) for record in found]
    if not origin.prices:
        base = Fraction(whole.present_ns, SECOND_NS)
        candidates = [run.prices.named(price, run.usage.period.start_unix_nano) for price in origin.price_ids]
        price = next(
            (one for one in candidates if one is not None and one.globs.match(whole.attributes)), None
        )
        return [(_charge(run, rule, price, base, "Hours", name, whole, ""), names)]
    records: list[tuple[CostAttributionRecord, tuple[str, ...]]] = []
    for element, price_id in origin.prices.items():
        price = run.prices.named(price_id, run.usage.period.start_unix_nano)
        if price is not None and not price.globs.match(whole.attributes):
            price = None
        base = Fraction(whole.capacity.get(element, 0), NANO * SECOND_NS)
        unit = rule.split.elements[element].unit if rule.split is not None else "Hours"
        records.append((_charge(run, rule, price, base, unit, name, whole, element), (element,)))
    return records


def _charge(
    run: Run,
    rule: RuleConfig,
    price: Price | None,
    base: Fraction,
    unit: str,
    name: str,
    whole: Whole,
    element: str,
) -> CostAttributionRecord:
    period, scale = run.usage.period, run.config.scale.quantity
    resource = whole.attributes.get("cloud.resource_id") or name
    if price is None:
        run.findings.add(rule.id, FindingKind.UNPRICED, name)
        quantity = Unit.parse(unit).quantity(base)
        charge, amounts = unpriced(
            unit, quantity, period, run.config.currency, resource=resource, meter=element, scale=scale
        )
        return run.origin(rule, charge, amounts, CostSource.UNPRICED, name, element)
    charge, amounts = priced(price, base, period, whole.attributes, resource=resource, scale=scale)
    if element:
        charge = replace(charge, sku_meter=charge.sku_meter or element)
    return run.origin(rule, charge, amounts, CostSource.PRICE_BOOK, name, element)


def _divide(
    run: Run, rule: RuleConfig, record: CostAttributionRecord, name: str, whole: Whole, names: Sequence[str]
) -> None:
    split = rule.split
    if split is None:
        subject = run.dimensions.subject(SubjectKind.WORKLOAD, rule.attribute_to, whole.attributes)
        part = Part(replace(subject, resource_id=name, resource_name=name), 1, member=name)
        run.divide(rule, record, [part], rest=_IDLE, method=WHOLE)
    elif split.shared:
        run.shared.setdefault(rule.id, []).append(record)
    else:
        _divide_among_members(run, rule, split, record, whole, names)


def _divide_among_members(
    run: Run,
    rule: RuleConfig,
    split: SplitConfig,
    record: CostAttributionRecord,
    whole: Whole,
    names: Sequence[str],
) -> None:
    weights: Mapping[str, Decimal] = split.weights
    price = run.prices.named(record.charge.sku_price_id, run.usage.period.start_unix_nano)
    if not weights and price is not None:
        weights = price.config.split_weights
    allocation = allocate(whole, split, names, weights)
    for element in allocation.overcommitted:
        run.findings.add(rule.id, FindingKind.OVERCOMMITTED, f"{record.charge.resource_name} {element}")
    for element in names:
        if element not in whole.capacity and split.elements[element].capacity is not None:
            run.findings.add(
                rule.id, FindingKind.WITHOUT_CAPACITY, f"{record.charge.resource_name} {element}".strip()
            )
    idle = owner(split.idle.removeprefix("to:")) if split.idle.startswith("to:") else _IDLE
    subjects = [
        (_member_subject(run, rule, split, member, whole.members[member].attributes), share, member)
        for member, share in allocation.members.items()
    ]
    subjects.append((idle, allocation.idle, ""))
    details = elements([(subject.key, share) for subject, share, _ in subjects], split)
    parts = [
        Part(subject, share.weight, detail, member)
        for (subject, share, member), detail in zip(subjects, details, strict=True)
    ]
    run.divide(rule, record, parts, rest=idle, method=split.method)


def _member_subject(
    run: Run, rule: RuleConfig, split: SplitConfig, member: str, attributes: Mapping[str, str]
) -> Subject:
    """Return whose part it is: the member itself, with the dimensions that are asked for."""
    if split.member == _POD:
        return run.dimensions.subject(SubjectKind.WORKLOAD, (*rule.attribute_to, *_POD_NAMES), attributes)
    subject = run.dimensions.subject(SubjectKind.WORKLOAD, rule.attribute_to, attributes)
    return replace(subject, resource_id=member, resource_name=member)


def _matching(run: Run, rule: RuleConfig, origin: OriginConfig) -> list[CostAttributionRecord]:
    """Return the charges of the bill that a rule is about and no rule before it has divided."""
    globs = Globs(origin.bill)
    found = []
    for record in run.usage.charges:
        if record.level is not Level.ORIGIN or record.record_id in run.divided:
            continue
        if not globs.match(_columns(record.charge)):
            continue
        if record.charge.charge_period == run.usage.period:
            found.append(record)
    return sorted(found, key=lambda record: record.record_id)


def _bill_charges(run: Run, rule: RuleConfig, seen: set[str]) -> list[CostAttributionRecord]:
    """Return charges of things of which there is no telemetry: all of it is idle."""
    if rule.origin is None:
        return []
    globs = Globs(rule.origin.bill)
    for record in run.usage.charges:
        if record.charge.charge_period != run.usage.period and globs.match(_columns(record.charge)):
            run.findings.add(rule.id, FindingKind.OTHER_PERIOD, record.charge.resource_id)
    left = [record for record in _matching(run, rule, rule.origin) if record.charge.resource_id not in seen]
    run.divided.update(record.record_id for record in left)
    run.records += left
    return left


def _columns(charge: Charge) -> dict[str, str]:
    texts = {
        name: value for name in charge.__dataclass_fields__ if isinstance(value := getattr(charge, name), str)
    }
    return {**charge.columns, **{name: value for name, value in texts.items() if value}}
