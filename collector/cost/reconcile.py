"""Reconciliation: estimates from the price book against a bill, the difference shown and given to whom it belongs.

Charges of both sides meet by charge period, currency and the columns in `match`. Then:

* both there: the difference is an adjustment of each estimate, divided down to the requests by the shares that the
  estimate had (its *frozen* weights);
* only the estimate: it is reversed, in the same way;
* only the bill: its charge is taken over, with a part that is unallocated.

Afterwards estimates, adjustments and what was taken over sum to the bill, in every cost column, to its last digit.
The bill's other charges do not become records: they would be counted twice.

A bill says nothing about what others charge for: estimates of providers that are not in it stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from collector.cost.amount import ZERO, divide_rounded, subtract, to_scaled, total
from collector.cost.balance import check_balance
from collector.cost.parts import split_amounts
from collector.cost.record import (
    COSTS,
    Amounts,
    Charge,
    ChargeCategory,
    CostAttributionRecord,
    CostSource,
    Level,
    Subject,
    SubjectKind,
)
from collector.cost.rows import origin_row, part_row

DEFAULT_MATCH: Final = ("resource_id",)
_UNALLOCATED: Final = Subject(kind=SubjectKind.UNALLOCATED)
_METHOD: Final = "unallocated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """One line of the report: charges that met, or that found no counterpart. Costs are effective costs."""

    key: Mapping[str, str]
    currency: str
    estimates: int  # charges
    bills: int
    estimated: Decimal
    actual: Decimal

    @property
    def delta(self) -> Decimal:
        """What the estimate was short of, or too much by if negative."""
        return subtract(self.actual, self.estimated)

    @property
    def coverage(self) -> Decimal | None:
        """The part of the bill that was estimated; None without a bill."""
        return divide_rounded(self.estimated, self.actual) if self.actual else None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Records to be added to the ledger, and the report, by key."""

    records: tuple[CostAttributionRecord, ...]
    report: tuple[Reconciled, ...]


@dataclass(slots=True)
class _Pair:
    estimates: list[CostAttributionRecord]
    bills: list[CostAttributionRecord]


def reconcile(
    estimated: Iterable[CostAttributionRecord],
    billed: Iterable[CostAttributionRecord],
    *,
    match: Sequence[str] = DEFAULT_MATCH,
    recorded_unix_nano: int,
) -> Reconciliation:
    """Return what makes estimates sum to a bill.

    Args:
        estimated: The ledger's records of all levels that hold, of the periods that the bill covers.
        billed: The bill's charges.
        match: Columns (fields of `Charge`) in which both sides have to be equal.
        recorded_unix_nano: What the new records say about when they were made.

    Raises:
        ImbalanceError: an error of ours; nothing may be stored.
        ValueError: a column in `match` is none.
    """
    if unknown := [name for name in match if name not in Charge.__dataclass_fields__]:
        raise ValueError(f"{unknown[0]!r} is no column of a charge")
    parts: dict[bytes, list[CostAttributionRecord]] = {}
    pairs: dict[tuple[str, ...], _Pair] = {}
    bills = list(billed)
    for record in _concerned(list(estimated), bills, match):
        if record.level is Level.ORIGIN:
            pairs.setdefault(_key(record.charge, match), _Pair([], [])).estimates.append(record)
        elif not record.corrects_record_id:
            parts.setdefault(record.parent_record_id, []).append(record)
    for record in bills:
        pairs.setdefault(_key(record.charge, match), _Pair([], [])).bills.append(record)
    records: list[CostAttributionRecord] = []
    report = []
    for key in sorted(pairs):
        pair = pairs[key]
        report.append(_line(dict(zip(("", "", "", *match), key, strict=True)), pair))
        if pair.estimates:
            records += _adjustments(pair, parts, recorded_unix_nano)
        else:
            records += _taken_over(pair.bills)
    check_balance(records)
    ordered = sorted(records, key=lambda record: (record.level, record.record_id))
    return Reconciliation(tuple(ordered), tuple(report))


def settled(
    stored: Iterable[CostAttributionRecord], billed: Sequence[CostAttributionRecord]
) -> set[CostAttributionRecord]:
    """Return of stored records those that reconciling with an earlier bill of the same providers made."""
    listed = list(stored)
    providers = {name for bill in billed for name in _providers(bill.charge)}
    adjusted = {record.origin_id for record in listed if record.source is CostSource.RECONCILED}
    taken_over = {
        record.origin_id
        for record in listed
        if record.source is CostSource.INVOICE
        and record.allocated_method_id == _METHOD
        and not record.rule_id
    }
    return {
        record
        for record in listed
        if record.origin_id in adjusted | taken_over
        and (not providers or not (own := _providers(record.charge)) or own & providers)
    }


def _concerned(
    estimated: Sequence[CostAttributionRecord], bills: Sequence[CostAttributionRecord], match: Sequence[str]
) -> Iterable[CostAttributionRecord]:
    """Yield what a bill is about: of its providers, of nobody's, or of a thing that it names."""
    providers = {name for bill in bills for name in _providers(bill.charge)}
    things = {_key(bill.charge, match) for bill in bills if any(getattr(bill.charge, name) for name in match)}
    foreign = set()
    for record in estimated:
        if record.level is Level.ORIGIN:
            own = _providers(record.charge)
            if providers and own and not own & providers and _key(record.charge, match) not in things:
                foreign.add(record.origin_id)
    yield from (record for record in estimated if record.origin_id not in foreign)


def _providers(charge: Charge) -> set[str]:
    """Return the names, in small letters, by which a charge's provider may be known."""
    names = (charge.service_provider_name, charge.invoice_issuer_name)
    return {name.casefold() for name in names if name}


def _adjustments(
    pair: _Pair, parts: Mapping[bytes, Sequence[CostAttributionRecord]], recorded_unix_nano: int
) -> Iterable[CostAttributionRecord]:
    """Yield the difference as adjustments of the estimates, and of everything that they were divided into."""
    delta = Amounts(**{name: subtract(_sum(pair.bills, name), _sum(pair.estimates, name)) for name in COSTS})
    if not any(getattr(delta, name) for name in COSTS):
        return
    bills = sorted(pair.bills, key=lambda record: record.record_id)
    whole = [record for record in pair.estimates if not record.corrects_record_id] or pair.estimates
    estimates = sorted(whole, key=lambda record: record.record_id)
    for estimate, amounts in zip(estimates, _by_frozen_weights(estimates, delta), strict=True):
        charge = replace(
            estimate.charge,
            charge_category=ChargeCategory.ADJUSTMENT,
            charge_description=f"Difference to the bill: {estimate.charge.charge_description}".rstrip(": "),
            charge_frequency="Usage-Based",
            # An adjustment is of the cost in the billing currency: it has neither a quantity nor a price.
            pricing_currency="",
            pricing_currency_list_unit_price=None,
            pricing_currency_contracted_unit_price=None,
            list_unit_price=None,
            contracted_unit_price=None,
            pricing_unit="",
            pricing_category="",
            consumed_unit="",
            commitment_discount_unit="",
            sku_price_id="",
            sku_price_details={},
            invoice_id=bills[0].charge.invoice_id if bills else estimate.charge.invoice_id,
        )
        row = origin_row(
            charge=charge,
            amounts=amounts,
            source=CostSource.RECONCILED,
            identity=("reconcile", estimate.origin_id),
            rule_id=estimate.rule_id,
            rule_version=estimate.rule_version,
            recorded_unix_nano=recorded_unix_nano,
        )
        yield row
        yield from _divided(row, estimate, parts)


def _divided(
    row: CostAttributionRecord,
    like: CostAttributionRecord,
    parts: Mapping[bytes, Sequence[CostAttributionRecord]],
) -> Iterable[CostAttributionRecord]:
    """Yield the parts of `row`: of the subjects and in the shares that `like` was divided into."""
    models = sorted(parts.get(like.record_id, ()), key=lambda part: part.subject.key + part.rule_id.encode())
    if not models and row.level is Level.ORIGIN:
        yield part_row(
            row,
            subject=_UNALLOCATED,
            amounts=row.amounts,
            rule_id=row.rule_id,
            rule_version=row.rule_version,
            method_id=_METHOD,
        )
    for model, amounts in zip(models, _by_frozen_weights(models, row.amounts), strict=True) if models else ():
        part = part_row(
            row,
            subject=model.subject,
            amounts=amounts,
            rule_id=model.rule_id,
            rule_version=model.rule_version,
            method_id=model.allocated_method_id,
            elements=model.allocated_elements,
        )
        yield part
        yield from _divided(part, model, parts)


def _taken_over(bills: Sequence[CostAttributionRecord]) -> Iterable[CostAttributionRecord]:
    """Yield charges that nobody has estimated, each with an unallocated part."""
    for bill in bills:
        yield bill
        yield part_row(
            bill, subject=_UNALLOCATED, amounts=bill.amounts, rule_id="", rule_version=0, method_id=_METHOD
        )


def _by_frozen_weights(models: Sequence[CostAttributionRecord], amounts: Amounts) -> list[Amounts]:
    """Divide `amounts` as the models share in what they are: by cost, else by quantity, else equally."""
    keys = [model.subject.key + model.record_id for model in models]
    for name in ("effective_cost", "consumed_quantity"):
        values = [abs(to_scaled(getattr(model.amounts, name) or ZERO)) for model in models]
        if any(values):
            break
    else:
        values = [1] * len(models)
    found = split_amounts(models[0].charge, amounts, values, keys)
    if found is None:
        raise ValueError("nobody has a weight")
    return found


def _sum(records: Iterable[CostAttributionRecord], name: str) -> Decimal:
    return total(getattr(record.amounts, name) or ZERO for record in records)


def _key(charge: Charge, match: Sequence[str]) -> tuple[str, ...]:
    period = charge.charge_period
    return (
        charge.billing_currency,
        f"{period.start_unix_nano:020}",
        f"{period.end_unix_nano:020}",
        *(str(getattr(charge, name)) for name in match),
    )


def _line(key: Mapping[str, str], pair: _Pair) -> Reconciled:
    one = (pair.estimates or pair.bills)[0]
    return Reconciled(
        key={name: value for name, value in key.items() if name},
        currency=one.charge.billing_currency,
        estimates=len(pair.estimates),
        bills=len(pair.bills),
        estimated=_sum(pair.estimates, "effective_cost"),
        actual=_sum(pair.bills, "effective_cost"),
    )
