"""Hypothesis strategies for cost records: every field, at its bounds, and the rules that make a record valid."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from hypothesis import strategies as st

from collector.cost.amount import SCALE
from collector.cost.currency import CURRENCIES
from collector.cost.protobuf import from_proto, to_proto
from collector.cost.record import (
    AllocationElement,
    Amounts,
    Charge,
    ChargeCategory,
    ChargeClass,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    Subject,
    SubjectKind,
)
from collector.proto.cost.v1.cost_service_pb2 import ExportCostsServiceRequest

_NOW: Final = 1_790_000_000 * 10**9  # as `otlp_strategies.NOW_UNIX_NANO`
UNIT: Final = Decimal(1).scaleb(-SCALE)
AMOUNT_MAX: Final = 10**38 - 1  # units

amounts = st.one_of(st.integers(-AMOUNT_MAX, AMOUNT_MAX), st.integers(-(10**6), 10**6)).map(
    lambda units: Decimal(f"{units}E-{SCALE}")
)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
maps = st.dictionaries(texts, texts, max_size=3)
ids = st.binary(min_size=16, max_size=16)
_KINDS: Final = st.sampled_from(SubjectKind)


@st.composite
def periods(draw: st.DrawFn) -> Period:
    """Any period that is not empty."""
    start = draw(st.integers(0, 2**64 - 2))
    return Period(start, draw(st.integers(start + 1, 2**64 - 1)))


@st.composite
def charges(draw: st.DrawFn) -> Charge:
    """A charge with any of its columns."""
    return Charge(
        **_texts(draw, Charge),
        charge_period=draw(periods()),
        billing_period=draw(periods()),
        billing_currency=draw(st.sampled_from(sorted(CURRENCIES))),
        charge_category=draw(st.sampled_from(ChargeCategory)),
        charge_class=draw(st.sampled_from(ChargeClass)),
        list_unit_price=draw(st.none() | amounts),
        contracted_unit_price=draw(st.none() | amounts),
        pricing_currency_list_unit_price=draw(st.none() | amounts),
        pricing_currency_contracted_unit_price=draw(st.none() | amounts),
        sku_price_details=draw(maps),
        tags=draw(maps),
        columns=draw(maps),
    )


@st.composite
def subjects(draw: st.DrawFn, kinds: st.SearchStrategy[SubjectKind] = _KINDS) -> Subject:
    """A subject with any of its fields."""
    return Subject(
        **_texts(draw, Subject),
        kind=draw(kinds),
        trace_id=draw(st.just(b"") | ids),
        span_id=draw(st.just(b"") | st.binary(min_size=8, max_size=8)),
        labels=draw(maps),
    )


@st.composite
def elements(draw: st.DrawFn) -> AllocationElement:
    """An element of an allocation."""
    quantity = draw(st.none() | amounts)
    return AllocationElement(
        ratio=Decimal(draw(st.integers(0, 10**SCALE))) * UNIT,
        usage_unit=draw(texts) if quantity is None else draw(texts.filter(bool)),
        usage_quantity=quantity,
    )


@st.composite
def records(draw: st.DrawFn) -> CostAttributionRecord:
    """A valid record with any of its fields."""
    level = draw(st.sampled_from(Level))
    charge = draw(charges())
    source = draw(st.sampled_from(CostSource))
    names = [
        "pricing_quantity",
        "consumed_quantity",
        "commitment_discount_quantity",
        "pricing_currency_effective_cost",
    ]
    numbers: dict[str, Any] = {name: draw(st.none() | amounts) for name in names}
    if source is not CostSource.UNPRICED:
        costs = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")
        numbers |= {name: draw(amounts) for name in costs}
    kinds = [kind for kind in SubjectKind if kind or level is Level.ORIGIN]
    corrects = st.just(b"") if charge.charge_class is ChargeClass.NONE else st.just(b"") | ids
    return CostAttributionRecord(
        record_id=draw(ids),
        origin_id=draw(ids),
        level=level,
        charge=charge,
        amounts=Amounts(**numbers),
        source=source,
        subject=draw(subjects(st.sampled_from(kinds))),
        parent_record_id=b"" if level is Level.ORIGIN else draw(ids),
        corrects_record_id=draw(corrects),
        revision=draw(st.integers(0, 2**32 - 1)),
        allocated_method_id=draw(texts),
        allocated_elements=tuple(draw(st.lists(elements(), max_size=3))),
        rule_id=draw(texts),
        rule_version=draw(st.integers(0, 2**32 - 1)),
        recorded_unix_nano=draw(st.integers(0, 2**64 - 1)),
    )


def _texts(draw: st.DrawFn, cls: type[Charge] | type[Subject]) -> dict[str, str]:
    """Draw all fields of a class that are texts."""
    names = [
        name for name, field in cls.__dataclass_fields__.items() if str(field.type) == "str" and field.init
    ]
    return {name: draw(texts) for name in names if name != "billing_currency"}


@st.composite
def cost_requests(draw: st.DrawFn, *, valid: bool) -> Any:
    """Requests of costs. `valid`: `wire.scan` takes every record and changes nothing."""
    request = ExportCostsServiceRequest()
    for record in draw(st.lists(recent_records(), max_size=2)):
        message = request.records.add()
        message.CopyFrom(to_proto(record))
        if not valid and draw(st.booleans()):
            _spoil(draw, message)
    return request


@st.composite
def recent_records(draw: st.DrawFn) -> CostAttributionRecord:
    """Records as a store takes them: of a time that is near, texts without NUL characters."""
    record = draw(records())
    start = _NOW + draw(st.integers(-(10**9), 10**9)) * 10**6 + draw(st.integers(0, 999))
    period = Period(start, start + draw(st.integers(1, 10**15)))
    message = to_proto(replace(record, charge=replace(record.charge, charge_period=period)))
    _without_nul(message)
    return from_proto(message)


def _without_nul(message: Any) -> None:
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            setattr(message, field.name, value.replace("\0", "0"))
        elif field.message_type is None:
            continue
        elif field.message_type.GetOptions().map_entry:
            pairs = [(key.replace("\0", "0"), text.replace("\0", "0")) for key, text in value.items()]
            value.clear()
            value.update(pairs)
        else:
            for part in value if field.is_repeated else [value]:
                _without_nul(part)


def _spoil(draw: st.DrawFn, message: Any) -> None:
    """Make a record invalid, or at least odd."""
    field = draw(
        st.sampled_from([f for f in message.DESCRIPTOR.fields if not f.is_repeated and not f.message_type])
    )
    if field.type == field.TYPE_STRING:
        setattr(message, field.name, draw(st.sampled_from(["NaN", "1e3", "+1", "1.", "\0", "XXX", "9" * 40])))
    elif field.type == field.TYPE_BYTES:
        setattr(message, field.name, draw(st.binary(max_size=20)))
    else:
        setattr(message, field.name, draw(st.integers(0, 2**31 - 1)))
