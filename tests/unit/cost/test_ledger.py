"""The ledger beside its properties: telemetry that is gone, prices that come late."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from collector.cost.amount import total
from collector.cost.config import CostConfig
from collector.cost.engine import Engine
from collector.cost.ledger import correct
from collector.cost.record import CostSource, Level, Period, SubjectKind
from collector.cost.usage import RequestGroup, TokenGroup, WindowUsage
from tests.support.cost import HOUR, NOW, aws_pods, cost_config, demo_config

OPEN_MONTH = Period(1_790_812_800 * 10**9, 1_793_491_200 * 10**9)


def test_requests_whose_telemetry_is_gone_keep_what_they_were_given() -> None:
    """Spans are kept for less long than costs; the difference of their pod goes to nobody, and again."""
    groups = [RequestGroup({"k8s.pod.uid": "p1", "tenant.id": tenant}, 10**12, 1) for tenant in ("a", "b")]
    usage = WindowUsage(period=HOUR, series=aws_pods(), requests={"request-share": groups})
    stored = list(Engine(demo_config()).attribute(usage, NOW).records)
    before = {r.record_id: r.amounts for r in stored if r.level is Level.REQUEST}
    for price, pod in (("2.00", "0.436420722134"), ("3.00", "0.654631083201")):
        computed = Engine(_repriced(price)).attribute(replace(usage, requests={}), NOW).records
        change = correct(stored, computed, billing_period=OPEN_MONTH, recorded_unix_nano=NOW)
        stored += change.insert
        requests = [r for r in stored if r.level is Level.REQUEST]
        assert total(r.amounts.effective_cost or Decimal(0) for r in requests) == Decimal(pod)
        new = [r for r in requests if r.record_id not in before]
        assert {r.subject.kind for r in new} == {SubjectKind.UNALLOCATED}
    assert {r.record_id: r.amounts for r in stored if r.record_id in before} == before


def test_a_price_that_comes_after_the_close_is_a_correction() -> None:
    """What was unpriced is priced by a new row; the old one stays as it was."""
    text = "rules: [{id: llm, tokens: {}}]"
    priced = (
        "prices: [{id: p, match: {gen_ai.response.model: m}, meter: input, unit: Tokens, list: '2'}]\n" + text
    )
    usage = WindowUsage(
        period=HOUR, tokens={"llm": [TokenGroup({"gen_ai.response.model": "m"}, {"input": 3}, 1)]}
    )
    stored = Engine(cost_config(text)).attribute(usage, NOW).records
    computed = Engine(cost_config(priced)).attribute(usage, NOW).records
    change = correct(stored, computed, billing_period=OPEN_MONTH, recorded_unix_nano=NOW)
    assert {record.source for record in stored} == {CostSource.UNPRICED}
    assert {(r.source, r.amounts.effective_cost, r.corrects_record_id) for r in change.insert} == {
        (CostSource.PRICE_BOOK, Decimal(6), record.record_id) for record in stored
    }
    again = correct([*stored, *change.insert], computed, billing_period=OPEN_MONTH, recorded_unix_nano=NOW)
    assert again.insert == ()


def _repriced(price: str) -> CostConfig:
    config = demo_config()
    first = replace(config.prices[0], list_unit_price=Decimal(price))
    return replace(config, prices=(first, *config.prices[1:]))
