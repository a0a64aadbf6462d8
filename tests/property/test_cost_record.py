"""Records are the same after a journey over the wire, and ids depend on nothing but what they identify."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from collector.cost.amount import amount_text, parse_amount
from collector.cost.identity import canonical, identify
from collector.cost.protobuf import encode_request, from_proto, read_request, to_proto
from collector.cost.record import CostAttributionRecord
from collector.proto.cost.v1.cost_service_pb2 import ExportCostsServiceRequest
from tests.support.cost_strategies import amounts, maps, records

PARTS = st.lists(st.none() | st.text(max_size=5) | st.binary(max_size=5) | st.integers() | maps, max_size=5)


@given(record=records())
def test_a_record_comes_back_as_it_was(record: CostAttributionRecord) -> None:
    """All fields, at their bounds."""
    assert from_proto(to_proto(record)) == record


@given(left=st.lists(records(), max_size=2), right=st.lists(records(), max_size=2))
def test_requests_joined_are_one_request(
    left: list[CostAttributionRecord], right: list[CostAttributionRecord]
) -> None:
    """Batching records is joining bytes."""
    joined = encode_request(left) + encode_request(right)
    assert joined == encode_request(left + right)
    assert read_request(ExportCostsServiceRequest.FromString(joined)) == (left + right, [])


@given(amount=amounts)
def test_an_amount_has_one_text(amount: Decimal) -> None:
    """Reading gives the same number; writing that gives the same text; nothing is superfluous in it."""
    text = amount_text(amount)
    assert parse_amount(text) == amount
    assert amount_text(parse_amount(text)) == text
    assert "E" not in text
    assert not ("." in text and text.endswith(("0", ".")))
    assert text != "-0"


@given(left=PARTS, right=PARTS)
def test_different_parts_have_different_forms(left: list[str], right: list[str]) -> None:
    """The canonical form is unambiguous, so that an id stands for one thing."""
    same = left == right and [type(part) for part in left] == [type(part) for part in right]
    assert (canonical(left) == canonical(right)) == same
    assert len(identify("a", left)) == 16
    assert identify("a", left) != identify("b", left)
