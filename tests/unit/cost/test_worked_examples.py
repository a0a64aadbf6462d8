"""Worked examples with published or hand-made inputs, to the digit."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from collector.cost.amount import ZERO, amount_text, total
from collector.cost.config import CostConfig
from collector.cost.engine import Attribution, Engine
from collector.cost.needs import needs, token_usage
from collector.cost.record import CostSource, Level
from collector.cost.usage import RequestGroup, WindowUsage
from tests.support.cost import (
    CPU,
    GIB,
    HOUR,
    MEMORY,
    NOW,
    aws_pods,
    billed,
    cost_config,
    demo_config,
    effective,
    series,
)

SECOND_NS = 10**9


def amounts(**units: int) -> dict[str, Decimal]:
    """Amounts given in units of 1E-12."""
    return {name: Decimal(value).scaleb(-12) for name, value in units.items()}


def attributed(config: CostConfig, **usage: Any) -> Attribution:
    return Engine(config).attribute(WindowUsage(period=HOUR, **usage), NOW)


def test_a_a_nodes_hour_among_four_pods_with_idle_kept() -> None:
    """AWS's published inputs. What AWS prints sums to $1.01; this sums to $1."""
    result = attributed(demo_config(), series=aws_pods())
    costs = effective(result.records, Level.ALLOCATION)
    assert costs == amounts(
        p1=218210361067, p2=383830455259, p3=179748822606, p4=179748822606, __idle__=38461538462
    )
    assert total(cost for cost in costs.values() if cost is not None) == 1
    first = next(record for record in result.records if record.subject.k8s_pod == "p1")
    assert [
        (amount_text(item.ratio), item.usage_unit, amount_text(item.usage_quantity or ZERO))
        for item in first.allocated_elements
    ] == [("0.141287284144", "Core-Hours", "1"), ("0.076923076923", "GiB-Hours", "4")]
    ratios = [item.ratio for record in result.records for item in record.allocated_elements]
    assert total(ratios) == 1
    assert {record.charge.resource_id for record in result.records} == {"node-1"}


def test_a_a_nodes_hour_among_four_pods_with_idle_spread() -> None:
    """The same with what is idle spread by weight."""
    result = attributed(_idle("weighted"), series=aws_pods())
    costs = effective(result.records, Level.ALLOCATION)
    assert costs == amounts(p1=229199372057, p2=400313971743, p3=185243328100, p4=185243328100)


def test_c_a_pods_part_among_its_requests() -> None:
    """Self times 200 s, 75 s and 25 s of a pod that was given one core for an hour."""
    weights = {"a": 200, "b": 75, "c": 25}
    groups = [
        RequestGroup({"k8s.pod.uid": "p1", "tenant.id": tenant}, seconds * SECOND_NS, 1)
        for tenant, seconds in weights.items()
    ]
    for basis, expected in (
        ("measured", amounts(a=12733298448, b=4774986918, c=1591662306, __idle__=210099424385)),
        ("spread", amounts(a=152799581371, b=57299843014, c=19099947672)),
    ):
        result = attributed(_idle("weighted", basis), series=aws_pods(), requests={"request-share": groups})
        assert effective(result.records, Level.REQUEST) == expected
        assert total(expected.values()) == amounts(p1=229199372057)["p1"]


def _llm(config: CostConfig, attributes: Mapping[str, object]) -> Attribution:
    usage = token_usage(config, needs(config).tokens[0])
    assert usage.add(attributes)
    return attributed(config, tokens={"llm": usage.groups()})


def test_b_cached_tokens_are_counted_once() -> None:
    """130 213 input tokens, of which 128 955 were read from the cache and 1 253 written to it."""
    result = _llm(
        demo_config(),
        {
            "gen_ai.provider.name": "anthropic",
            "gen_ai.response.model": "claude-sonnet-4-20250514",
            "gen_ai.usage.input_tokens": 130213,
            "gen_ai.usage.cache_read.input_tokens": 128955,
            "gen_ai.usage.cache_creation.input_tokens": 1253,
            "service.name": "chat",
        },
    )
    parts = [record for record in result.records if record.level is Level.ALLOCATION]
    assert {
        record.charge.sku_meter: amount_text(record.amounts.effective_cost or ZERO) for record in parts
    } == {
        "input": "0.000015",
        "cache_read": "0.0386865",
        "cache_write": "0.00469875",
    }
    assert _sum(result) == Decimal("0.04340025")


def test_b2_cached_tokens_are_counted_once_with_output() -> None:
    """25 978 input tokens, 24 540 of them cached; the naive result would be 0.0390840."""
    config = cost_config(
        """
        prices:
          - {id: in, match: {gen_ai.response.model: m}, meter: input, unit: Tokens, list: "0.0000015"}
          - {id: read, match: {same: in}, meter: cache_read, unit: Tokens, list: "0.00000015"}
          - {id: out, match: {same: in}, meter: output, unit: Tokens, list: "0.000009"}
        rules: [{id: llm, tokens: {}}]
        """
    )
    call = {
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 25978,
        "gen_ai.usage.cache_read.input_tokens": 24540,
        "gen_ai.usage.output_tokens": 13,
    }
    assert _sum(_llm(config, call)) == Decimal("0.005955")
    naive = Decimal(25978) * Decimal("0.0000015") + 13 * Decimal("0.000009")
    assert naive == Decimal("0.0390840")


def test_b2_a_client_that_counts_the_cache_twice_is_found() -> None:
    """Its cost is recorded as what it is, reported by a client, and the run says what is wrong with it."""
    config = demo_config()
    result = _llm(
        config,
        {
            "gen_ai.provider.name": "anthropic",
            "gen_ai.response.model": "claude-sonnet-4-20250514",
            "gen_ai.usage.input_tokens": 130213,
            "gen_ai.usage.cache_read.input_tokens": 128955,
            "gen_ai.usage.cache_creation.input_tokens": 1253,
            "gen_ai.usage.cost": 0.43402425,
        },
    )
    assert _sum(result) == Decimal("0.43402425")
    assert {record.source for record in result.records} == {CostSource.REPORTED_BY_CLIENT}
    assert [finding.kind for finding in result.findings if finding.rule_id == "llm"] == [
        "cache_counted_twice"
    ]


def test_d_a_nodes_bill_is_divided_by_the_ratio_of_base_prices() -> None:
    """OpenCost's appendix: base prices 30, 30 and 10 of a node that costs 35 are 15, 15 and 5."""
    config = cost_config(
        """
        rules:
          - id: node
            origin: {bill: {service_name: Compute*}, per: k8s.node.name}
            split:
              weights: {cpu: 30, memory: 30, gpu: 10}
              elements:
                cpu: {usage: cpu, capacity: cpus, unit: Core-Hours}
                memory: {usage: ram, capacity: rams, unit: GiB-Hours}
                gpu: {request: gpu, capacity: gpus, unit: GPU-Hours}
        """
    )
    here = {"k8s.node.name": "n"}
    usage = [
        series("cpu", [({**here, "k8s.pod.uid": "c", "k8s.pod.name": "c"}, 1)]),
        series("ram", [({**here, "k8s.pod.uid": "m", "k8s.pod.name": "m"}, GIB)]),
        series("gpu", [({**here, "k8s.pod.uid": "g", "k8s.pod.name": "g"}, 1)]),
        series("cpus", [(here, 1)]),
        series("rams", [(here, GIB)]),
        series("gpus", [(here, 1)]),
    ]
    result = attributed(config, series=dict(usage), charges=[billed("n", "35")])
    assert effective(result.records, Level.ALLOCATION) == {"c": 15, "m": 15, "g": 5}
    assert result.findings == ()


def test_e_half_a_node_is_idle() -> None:
    """A node of 10 USD with 4 cores and 16 GiB, both worth half; two pods with 1 core and 4 GiB each."""
    config = cost_config(
        """
        prices: [{id: node, unit: Hours, list: "10", split_weights: {cpu: 4, memory: 1}}]
        rules:
          - id: node
            origin: {price: node, per: k8s.node.name}
            split:
              method: request
              elements:
                cpu: {request: cpu, capacity: cpus, unit: Core-Hours}
                memory: {request: ram, capacity: rams, unit: GiB-Hours}
        """
    )
    here = {"k8s.node.name": "n"}
    pods = [{**here, "k8s.pod.uid": pod, "k8s.pod.name": pod} for pod in ("one", "two")]
    usage = [
        series("cpu", [(pod, 1) for pod in pods]),
        series("ram", [(pod, 4 * GIB) for pod in pods]),
        series("cpus", [(here, 4)]),
        series("rams", [(here, 16 * GIB)]),
    ]
    result = attributed(config, series=dict(usage))
    assert effective(result.records, Level.ALLOCATION) == {
        "one": Decimal("2.5"),
        "two": Decimal("2.5"),
        "__idle__": Decimal(5),
    }


def test_f_a_node_by_its_cores_and_memory() -> None:
    """OpenCost's default prices: 4 cores and 16 GiB for an hour."""
    text = f"""
    prices:
      - {{id: core, unit: Core-Hours, list: "0.031611"}}
      - {{id: ram, unit: GiB-Hours, list: "0.004237"}}
    rules:
      - id: node
        origin: {{prices: {{cpu: core, memory: ram}}, per: k8s.node.name}}
        split:
          elements:
            cpu: {{usage: {CPU[0]}, request: {CPU[1]}, capacity: {CPU[2]}, unit: Core-Hours}}
            memory: {{usage: {MEMORY[0]}, request: {MEMORY[1]}, capacity: {MEMORY[2]}, unit: GiB-Hours}}
    """
    result = attributed(cost_config(text), series=aws_pods())
    assert _sum(result, Level.ORIGIN) == Decimal("0.194236")
    assert _sum(result) == Decimal("0.194236")
    assert {
        (r.charge.sku_meter, amount_text(r.amounts.pricing_quantity or ZERO))
        for r in result.records
        if not r.level
    } == {
        ("cpu", "4"),
        ("memory", "16"),
    }


def test_four_core_hours_in_three_are_exact_as_quantities_and_as_costs() -> None:
    """Every part is price × quantity, and both columns add up: the quantity is divided, the cost multiplied out."""
    text = """
    scale: {quantity: 9}
    prices: [{id: core, unit: Core-Hours, list: "0.031611"}]
    rules:
      - id: node
        origin: {prices: {cpu: core}, per: k8s.node.name}
        split: {elements: {cpu: {usage: cpu, capacity: cpus, unit: Core-Hours}}, idle: weighted}
    """
    here = {"k8s.node.name": "n"}
    pods = [{**here, "k8s.pod.uid": pod, "k8s.pod.name": pod} for pod in ("a", "b", "c")]
    usage = [series("cpu", [(pod, 1) for pod in pods]), series("cpus", [(here, 4)])]
    result = attributed(cost_config(text), series=dict(usage))
    parts = {r.subject.k8s_pod: r.amounts for r in result.records if r.level is Level.ALLOCATION}
    assert {pod: amount_text(part.pricing_quantity or ZERO) for pod, part in parts.items()} == {
        "a": "1.333333334",
        "b": "1.333333333",
        "c": "1.333333333",
    }
    assert {pod: amount_text(part.list_cost or ZERO) for pod, part in parts.items()} == {
        "a": "0.042148000021074",
        "b": "0.042147999989463",
        "c": "0.042147999989463",
    }


def _sum(result: Attribution, level: Level = Level.ALLOCATION) -> Decimal:
    costs = (record.amounts.effective_cost for record in result.records if record.level is level)
    return total(cost for cost in costs if cost is not None)


def _idle(idle: str, basis: str = "measured") -> CostConfig:
    """The demo's rules for nodes and requests, with another treatment of what is idle."""
    return cost_config(
        f"""
        prices:
          - {{id: node, match: {{host.type: m5.xlarge}}, unit: Hours, list: "1.00", split_weights: {{cpu: 9, memory: 1}}}}
        rules:
          - id: k8s-node
            origin: {{price: node, per: k8s.node.name}}
            split:
              idle: {idle}
              elements:
                cpu: {{usage: {CPU[0]}, request: {CPU[1]}, capacity: {CPU[2]}, unit: Core-Hours}}
                memory: {{usage: {MEMORY[0]}, request: {MEMORY[1]}, capacity: {MEMORY[2]}, unit: GiB-Hours}}
          - {{id: request-share, parent: {{rule: k8s-node}}, basis: {basis}}}
        """
    )
