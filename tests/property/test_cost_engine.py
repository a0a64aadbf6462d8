"""The engine's promises for all usage: sums are exact, order means nothing, a replay is the same, currencies stay apart."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cost.amount import total
from collector.cost.balance import check_balance
from collector.cost.config import CostConfig
from collector.cost.engine import Attribution, Engine
from collector.cost.protobuf import encode_request
from collector.cost.record import AMOUNTS, CostAttributionRecord, CostSource, Level
from collector.cost.usage import (
    MeteredGroup,
    RequestGroup,
    Series,
    SeriesValue,
    TokenGroup,
    WindowUsage,
)
from tests.support.cost import CPU, HOUR, HOUR_NS, MEMORY, NOW, billed, cost_config

Draw = st.DrawFn
QUANTITY: Final = st.integers(0, 10**13).map(lambda units: Decimal(units).scaleb(-9)) | st.just(Decimal(0))
PRICE: Final = st.integers(0, 10**10).map(lambda units: Decimal(units).scaleb(-6))
TEXT: Final = st.sampled_from(["a", "b", "c"])


def config(idle: str, basis: str, price: Decimal, currency: str = "USD") -> CostConfig:
    """Rules of every kind over one price book."""
    return cost_config(
        f"""
        currency: {currency}
        prices:
          - {{id: node, unit: Hours, list: "{price:f}", contracted: "{price / 2:f}", split_weights: {{cpu: 9, memory: 1}}}}
          - {{id: euro, unit: Hours, list: "0.7", currency: EUR}}
          - {{id: in, match: {{gen_ai.response.model: a}}, meter: input, unit: 1000000 Tokens, list: "{price:f}"}}
          - {{id: time, match: {{cloud.platform: a}}, meter: time, unit: GB-Seconds, list: "0.0000166667"}}
        rules:
          - id: node
            origin: {{price: node, per: k8s.node.name}}
            split:
              idle: {idle}
              elements:
                cpu: {{usage: {CPU[0]}, request: {CPU[1]}, capacity: {CPU[2]}, unit: Core-Hours}}
                memory: {{usage: {MEMORY[0]}, request: {MEMORY[1]}, capacity: {MEMORY[2]}, unit: GiB-Hours}}
            attribute_to: [team, k8s.namespace.name]
          - id: cluster
            origin: {{price: euro, per: k8s.cluster.name, presence: cluster.up}}
            split: {{method: proportional-shared, among: [node, tokens]}}
            attribute_to: [team]
          - {{id: bill, origin: {{bill: {{service_name: "Compute*"}}, per: k8s.node.name}}, split: {{method: even, elements: {{cpu: {{usage: {CPU[0]}, unit: Core-Hours}}}}}}}}
          - {{id: requests, parent: {{rule: node}}, basis: {basis}, groups_max: 2}}
          - {{id: tokens, tokens: {{}}, attribute_to: [team]}}
          - {{id: calls, quantities: {{time: faas.max_memory * duration}}, attribute_to: [team]}}
        """
    )


@st.composite
def usages(draw: Draw) -> WindowUsage:
    """Usage of some nodes and pods, requests, calls and charges; most of it incomplete in some way."""
    nodes = draw(st.lists(st.sampled_from(["n1", "n2", "n3"]), unique=True, max_size=3))
    pods = draw(st.integers(0, 6))
    homes = {f"pod-{number}": draw(st.sampled_from(["n1", "n2", "n3"])) for number in range(pods)}
    found: dict[Series, list[SeriesValue]] = {}
    for texts in (CPU, MEMORY):
        for text in texts[:2]:
            found[Series.parse(text)] = [
                SeriesValue(
                    {
                        "k8s.node.name": home,
                        "k8s.pod.uid": pod,
                        "k8s.namespace.name": draw(TEXT),
                        "team.name": draw(TEXT),
                    },
                    draw(QUANTITY),
                    draw(st.integers(0, HOUR_NS)),
                )
                for pod, home in homes.items()
                if draw(st.booleans())
            ]
        found[Series.parse(texts[2])] = [
            SeriesValue({"k8s.node.name": node}, draw(QUANTITY), draw(st.integers(0, HOUR_NS)))
            for node in nodes
            if draw(st.booleans())
        ]
    found[Series.parse("cluster.up")] = [SeriesValue({"k8s.cluster.name": "c"}, Decimal(1), HOUR_NS)]
    return WindowUsage(
        period=HOUR,
        series=found,
        requests={
            "requests": [
                RequestGroup(
                    {
                        "k8s.pod.uid": draw(st.sampled_from([*homes, "gone"])),
                        "tenant.id": draw(TEXT),
                        "x": str(number),
                    },
                    draw(st.integers(0, 2 * HOUR_NS)),
                    1,
                )
                for number in range(draw(st.integers(0, 6)))
            ]
        },
        tokens={
            "tokens": [
                TokenGroup(
                    {"gen_ai.response.model": draw(TEXT), "team.name": draw(TEXT)},
                    {"input": draw(st.integers(0, 10**9)), "output": draw(st.integers(0, 10**6))},
                    1,
                    reported,
                    "" if reported is None else draw(st.sampled_from(["USD", "EUR"])),
                    CostSource.PRICE_BOOK if reported is None else CostSource.REPORTED_BY_CLIENT,
                )
                for reported in draw(st.lists(st.none() | PRICE, max_size=4))
            ]
        },
        metered={
            "calls": [
                MeteredGroup(
                    {"cloud.platform": draw(TEXT), "team.name": draw(TEXT)},
                    {"time": draw(st.integers(0, 10**20))},
                    1,
                )
                for _ in range(draw(st.integers(0, 3)))
            ]
        },
        charges=[
            billed(draw(st.sampled_from(["n1", "n2", "other"])), f"{draw(PRICE) - 5000:f}", line=line)
            for line in range(draw(st.integers(0, 3)))
        ],
    )


CONFIGS: Final = st.builds(
    config,
    st.sampled_from(["keep", "weighted", "even", "to:team=platform"]),
    st.sampled_from(["measured", "spread"]),
    PRICE,
)


@settings(max_examples=150)
@given(config_=CONFIGS, usage=usages())
def test_parts_sum_to_their_whole_in_every_column_and_currency(
    config_: CostConfig, usage: WindowUsage
) -> None:
    """Recomputed here, not by the engine's own check: by origin, level and column; and nothing is left undivided."""
    records = Engine(config_).attribute(usage, NOW).records
    by_id = {record.record_id: record for record in records}
    assert len(by_id) == len(records)
    for level in (Level.ORIGIN, Level.ALLOCATION):
        parts: dict[bytes, list[CostAttributionRecord]] = {}
        for record in records:
            if record.level == level + 1:
                parts.setdefault(record.parent_record_id, []).append(record)
        if level is Level.ORIGIN:
            assert set(parts) == {record.record_id for record in records if record.level is Level.ORIGIN}
        for parent_id, children in parts.items():
            whole = by_id[parent_id]
            assert {child.charge.billing_currency for child in children} == {whole.charge.billing_currency}
            for column in AMOUNTS:
                expected = getattr(whole.amounts, column)
                values = [getattr(child.amounts, column) for child in children]
                assert values == [None] * len(values) if expected is None else total(values) == expected
    charges = [record.amounts.effective_cost for record in usage.charges]
    given_ = [
        record.amounts.effective_cost
        for record in records
        if record.source is CostSource.INVOICE and record.level == 1
    ]
    assert total(cost for cost in given_ if cost is not None) == total(
        cost for cost in charges if cost is not None
    )


@settings(max_examples=80)
@given(config_=CONFIGS, usage=usages(), seed=st.integers())
def test_the_order_of_usage_means_nothing_and_a_replay_is_the_same(
    config_: CostConfig, usage: WindowUsage, seed: int
) -> None:
    """Byte for byte, findings included."""
    once, twice = Engine(config_).attribute(usage, NOW), Engine(config_).attribute(usage, NOW)
    shuffled = Engine(config_).attribute(_shuffled(usage, random.Random(seed)), NOW)
    assert _bytes(once) == _bytes(twice) == _bytes(shuffled)
    assert once.findings == shuffled.findings


@settings(max_examples=40)
@given(usage=usages(), price=PRICE)
def test_a_price_in_another_currency_changes_no_share(usage: WindowUsage, price: Decimal) -> None:
    """The same numbers in euros: currencies are never compared nor added."""
    dollars = Engine(config("keep", "measured", price)).attribute(usage, NOW)
    yens = Engine(config("keep", "measured", price, "JPY")).attribute(usage, NOW)

    def amounts(result: Attribution, rules: set[str]) -> list[Any]:
        kept = [record for record in result.records if record.rule_id in rules]
        return sorted((record.subject.key, record.level, str(record.amounts)) for record in kept)

    assert amounts(dollars, {"node", "requests", "bill"}) == amounts(yens, {"node", "requests", "bill"})


def test_a_hundred_thousand_pods_share_one_node() -> None:
    """Once, at that size."""
    rng = random.Random(20260101)
    rows = [
        SeriesValue(
            {"k8s.node.name": "n1", "k8s.pod.uid": f"pod-{number}"},
            Decimal(rng.randrange(10**9)).scaleb(-9),
            HOUR_NS,
        )
        for number in range(100_000)
    ]
    usage = WindowUsage(
        period=HOUR,
        series={
            Series.parse(CPU[0]): rows,
            Series.parse(CPU[2]): [SeriesValue({"k8s.node.name": "n1"}, Decimal(60_000), HOUR_NS)],
        },
    )
    records = Engine(config("keep", "measured", Decimal("1234.567891"))).attribute(usage, NOW).records
    check_balance(records)
    assert len(records) > 100_000


def _shuffled(usage: WindowUsage, rng: random.Random) -> WindowUsage:
    def mixed(groups: Mapping[Any, Sequence[Any]]) -> dict[Any, list[Any]]:
        items = [(key, rng.sample(list(rows), len(rows))) for key, rows in groups.items()]
        return dict(rng.sample(items, len(items)))

    return replace(
        usage,
        series=mixed(usage.series),
        requests=mixed(usage.requests),
        tokens=mixed(usage.tokens),
        metered=mixed(usage.metered),
        charges=rng.sample(list(usage.charges), len(usage.charges)),
    )


def _bytes(result: Attribution) -> bytes:
    return encode_request(result.records)
