"""Records: what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from collector.cost.protobuf import encode_request, from_proto, read_request, to_proto
from collector.cost.record import (
    Amounts,
    Charge,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    RecordError,
    Subject,
    SubjectKind,
)
from collector.proto.cost.v1.cost_pb2 import CostAttributionRecord as Message
from collector.proto.cost.v1.cost_service_pb2 import ExportCostsServiceRequest

HOUR = Period(1_790_000_000_000_000_000, 1_790_003_600_000_000_000)
CHARGE = Charge(charge_period=HOUR, billing_period=HOUR, billing_currency="USD")
DOLLAR = Decimal(1)
ORIGIN = CostAttributionRecord(
    record_id=b"r" * 16,
    origin_id=b"o" * 16,
    level=Level.ORIGIN,
    charge=CHARGE,
    amounts=Amounts(billed_cost=DOLLAR, effective_cost=DOLLAR, list_cost=DOLLAR, contracted_cost=DOLLAR),
    source=CostSource.PRICE_BOOK,
)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda m: setattr(m, "billed_cost", "1,5"), "billed_cost: '1,5' is not a decimal number"),
        (lambda m: setattr(m, "list_cost", "NaN"), "list_cost: 'NaN' is not a decimal number"),
        (lambda m: setattr(m, "list_cost", "1E3"), "list_cost: '1E3' is not a decimal number"),
        (lambda m: setattr(m, "list_cost", "+1"), "list_cost: '+1' is not a decimal number"),
        (lambda m: setattr(m, "list_cost", "٣"), "list_cost: '٣' is not a decimal number"),
        (lambda m: setattr(m, "list_cost", ""), "list_cost: is absent although billed_cost is there"),
        (
            lambda m: setattr(m, "effective_cost", "0." + "0" * 18 + "1"),
            "effective_cost: '1E-19' has more than 18 decimals",
        ),
        (
            lambda m: setattr(m, "effective_cost", "1" + "0" * 20),
            "effective_cost: '100000000000000000000' has more than 20 digits before the point",
        ),
        (
            lambda m: setattr(m, "billing_currency", "usd"),
            "billing_currency: 'usd' is not an ISO 4217 currency code, write USD",
        ),
        (
            lambda m: setattr(m, "billing_currency", "XBT"),
            "billing_currency: 'XBT' is not an ISO 4217 currency code",
        ),
        (
            lambda m: setattr(m, "charge_period_end_unix_nano", 5),
            "charge_period_end_unix_nano: a period from 1790000000000000000 to 5 has no time in it",
        ),
        (lambda m: setattr(m, "record_id", b"short"), "record_id: is 5 bytes, expected 16"),
        (lambda m: m.ClearField("origin_id"), "origin_id: is 0 bytes, expected 16"),
        (
            lambda m: setattr(m, "parent_record_id", b"p" * 16),
            "parent_record_id: an origin is a part of nothing",
        ),
        (lambda m: setattr(m, "level", 1), "parent_record_id: is 0 bytes, expected 16"),
        (lambda m: setattr(m, "level", 7), "level: 7 is none of 0 ORIGIN, 1 ALLOCATION, 2 REQUEST"),
        (lambda m: setattr(m, "source", 6), "source: a record from source unpriced has costs"),
        (lambda m: setattr(m, "charge_category", 0), "charge_category: 0 is none of 1 USAGE"),
        (lambda m: setattr(m.subject, "span_id", b"s"), "subject.span_id: is 1 bytes, expected 8"),
        (
            lambda m: m.allocated_elements.add(ratio=""),
            "allocated_elements[0].ratio: '' is not a decimal number",
        ),
        (lambda m: m.allocated_elements.add(ratio="2"), "allocated_elements.ratio: 2 is not between 0 and 1"),
        (
            lambda m: setattr(m, "corrects_record_id", b"c" * 16),
            "corrects_record_id: is of a record whose charge_class is not CORRECTION",
        ),
    ],
)
def test_a_record_that_cannot_be_is_refused_with_its_field(
    spoil: Callable[[Any], None], complaint: str
) -> None:
    """The message names the field as the definition does, and what was expected."""
    message = to_proto(ORIGIN)
    spoil(message)
    with pytest.raises(RecordError) as caught:
        from_proto(message)
    assert str(caught.value).startswith(complaint)


def test_a_request_keeps_its_valid_records_and_names_the_others() -> None:
    """One bad record costs no other."""
    request = ExportCostsServiceRequest.FromString(encode_request([ORIGIN, ORIGIN, ORIGIN]))
    request.records[1].billed_cost = "free"
    records, rejected = read_request(request)
    assert records == [ORIGIN, ORIGIN]
    assert [item.index for item in rejected] == [1]
    assert rejected[0].reason.startswith("records[1].billed_cost: 'free' is not a decimal number")


def test_an_amount_with_superfluous_zeros_is_read_and_written_canonically() -> None:
    """`1.50`, `01.5` and `-0` are tolerated from others, and never written."""
    message = to_proto(ORIGIN)
    message.billed_cost, message.list_cost, message.effective_cost = "1.50", "01.5", "-0"
    again = to_proto(from_proto(message))
    assert (again.billed_cost, again.list_cost, again.effective_cost) == ("1.5", "1.5", "0")


def test_unpriced_is_a_state_and_never_zero() -> None:
    """A record without a price has no costs; one from a price has all four."""
    unpriced = replace(ORIGIN, source=CostSource.UNPRICED, amounts=Amounts(pricing_quantity=Decimal(3)))
    message = to_proto(unpriced)
    assert (message.effective_cost, message.pricing_quantity) == ("", "3")
    assert from_proto(message) == unpriced
    with pytest.raises(RecordError, match="source: a record from source price_book has no costs"):
        replace(unpriced, source=CostSource.PRICE_BOOK)


def test_a_part_says_whose_it_is() -> None:
    """Below the origin, nobody is a subject kind of its own: idle, unallocated."""
    with pytest.raises(RecordError, match=r"subject\.kind: a record of level allocation says whose it is"):
        replace(ORIGIN, level=Level.ALLOCATION, parent_record_id=b"p" * 16)


def test_subjects_have_the_same_key_only_if_they_are_equal() -> None:
    """Also where one text ends like the next begins."""
    keys = {
        subject.key
        for subject in (
            Subject(kind=SubjectKind.WORKLOAD, team="ab", tenant="c"),
            Subject(kind=SubjectKind.WORKLOAD, team="a", tenant="bc"),
            Subject(kind=SubjectKind.WORKLOAD, team="abc"),
            Subject(kind=SubjectKind.WORKLOAD, labels={"a": "b", "c": "d"}),
            Subject(kind=SubjectKind.WORKLOAD, labels={"a": "bcd"}),
        )
    }
    assert len(keys) == 5
    assert Subject(labels={"a": "1", "b": "2"}).key == Subject(labels={"b": "2", "a": "1"}).key


def test_an_empty_message_is_refused_and_not_half_a_record() -> None:
    """A client that sends something else under this path hears about its first field."""
    with pytest.raises(RecordError, match=r"billing_period_end_unix_nano|charge_period_end_unix_nano|source"):
        from_proto(Message())
