"""Records that come bit by bit: whatever is there, what counts adds up."""

from __future__ import annotations

import random
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.accounting.book import leaves
from collector.cost.amount import total
from collector.cost.record import CostAttributionRecord, Level
from collector.cost.whole import whole
from tests.support.cost_samples import HOUR, NOW_UNIX_NANO, ledger

RECORDS = [
    *ledger("a"),
    *ledger("b"),
    *ledger("a", start=NOW_UNIX_NANO - HOUR),
]


def _cost(records: list[CostAttributionRecord]) -> Decimal:
    return total(record.amounts.effective_cost or Decimal(0) for record in records)


@settings(max_examples=200)
@given(st.sets(st.integers(0, len(RECORDS) - 1)), st.integers(0, 2**32))
def test_what_is_whole_costs_what_the_charges_that_are_here_cost(places: set[int], seed: int) -> None:
    """Each once, in an order that is not that of arrival; the rest is counted."""
    there = [RECORDS[place] for place in sorted(places)]
    shuffled = list(there)
    random.Random(seed).shuffle(shuffled)
    found = whole(shuffled)
    assert found.records == whole(there).records
    assert len(found.records) + found.waiting == len(there)
    origins = {r.origin_id for r in there if r.level is Level.ORIGIN}
    counted = list(leaves(found.records))
    assert _cost([r for r in counted if r.origin_id in origins]) == _cost(
        [r for r in there if r.level is Level.ORIGIN]
    )
    for origin in {r.origin_id for r in there} - origins:
        # Parts without their charge: of the samples, pod and idle are one half each, and so are both tenants.
        ratios = [
            element.ratio
            for r in whole(r for r in there if r.origin_id == origin).records
            if r.parent_record_id not in {other.record_id for other in there}
            for element in r.allocated_elements
        ]
        assert not ratios or total(ratios) == 1


@given(st.randoms(use_true_random=False))
def test_nothing_waits_when_everything_is_here(random: random.Random) -> None:
    """In any order."""
    shuffled = list(RECORDS)
    random.shuffle(shuffled)
    found = whole(shuffled)
    assert found.waiting == 0
    assert {record.record_id for record in found.records} == {record.record_id for record in RECORDS}
