"""What the engine says and does beside the worked examples."""

from __future__ import annotations

from decimal import Decimal

from collector.cost.amount import amount_text
from collector.cost.engine import Attribution, Engine
from collector.cost.needs import metered_usage, needs
from collector.cost.record import CostSource, Level, Period, SubjectKind
from collector.cost.usage import RequestGroup, Series, SeriesValue, TokenGroup, WindowUsage
from collector.cost.window import WindowState, window_state
from tests.support.cost import (
    HOUR,
    HOUR_NS,
    NOW,
    aws_pods,
    billed,
    cost_config,
    demo_config,
    effective,
    series,
)


def kinds(result: Attribution) -> set[tuple[str, str, int]]:
    return {(finding.rule_id, finding.kind, finding.count) for finding in result.findings}


def test_a_function_is_billed_by_rounded_time_and_by_call() -> None:
    """Three calls of 0.4, 1.0 and 1.2 ms with 2 GB: 4 ms are billed."""
    config = demo_config()
    usage = metered_usage(needs(config).metered[0])
    call = {"service.name": "resize", "cloud.platform": "aws_lambda", "faas.max_memory": 2 * 10**9}
    for duration_ns in (400_000, 1_000_000, 1_200_000):
        usage.add(call, duration_ns)
    usage.add({"service.name": "resize", "cloud.platform": "aws_lambda"}, 1)
    assert usage.incomplete == 1
    result = Engine(config).attribute(WindowUsage(period=HOUR, metered={"functions": usage.groups()}), NOW)
    parts = {r.charge.sku_meter: r.amounts for r in result.records if r.level is Level.ALLOCATION}
    assert amount_text(parts["memory-time"].pricing_quantity or Decimal()) == "0.008"
    assert amount_text(parts["memory-time"].effective_cost or Decimal()) == "0.0000001333336"
    assert parts["requests"].consumed_quantity == 4
    assert amount_text(parts["requests"].effective_cost or Decimal()) == "0.0000008"


def test_without_a_price_quantities_are_kept_and_costs_are_unknown() -> None:
    """A model that nobody priced, and a node of a type that is not in the book."""
    tokens = [
        TokenGroup({"gen_ai.response.model": "new", "service.name": "s"}, {"input": 5, "reasoning": 2}, 1)
    ]
    here = {"k8s.node.name": "n", "host.type": "m7.large"}
    usage = WindowUsage(
        period=HOUR, tokens={"llm": tokens}, series=dict([series("k8s.node.cpu.allocatable", [(here, 2)])])
    )
    result = Engine(demo_config()).attribute(usage, NOW)
    assert {record.source for record in result.records} == {CostSource.UNPRICED}
    assert {record.amounts.effective_cost for record in result.records} == {None}
    parts = {
        (r.charge.sku_meter, str(r.amounts.consumed_quantity), r.subject.kind)
        for r in result.records
        if r.level
    }
    assert parts == {
        ("input", "5.000000000000", SubjectKind.WORKLOAD),
        ("output", "2.000000000000", SubjectKind.WORKLOAD),
        ("", "1.000000000000", SubjectKind.IDLE),
    }
    assert {("llm", "unpriced", 1), ("k8s-node", "unpriced", 1)} <= kinds(result)


def test_a_rule_that_matches_nothing_says_so() -> None:
    """Every one of them."""
    result = Engine(demo_config()).attribute(WindowUsage(period=HOUR), NOW)
    assert result.records == ()
    assert {finding.rule_id for finding in result.findings if finding.kind == "nothing_matched"} == {
        "k8s-node", "request-share", "llm", "functions",
    }  # fmt: skip


def test_what_is_idle_can_have_an_owner_or_be_spread_evenly() -> None:
    """One pod of half a core on a node with two."""
    base = """
    prices: [{id: node, unit: Hours, list: "1"}]
    rules:
      - id: node
        origin: {price: node, per: k8s.node.name}
        split: {idle: IDLE, elements: {cpu: {usage: cpu, capacity: cpus, unit: Core-Hours}}}
    """
    here = {"k8s.node.name": "n"}
    pods = [
        ({**here, "k8s.pod.uid": pod, "k8s.pod.name": pod}, cores)
        for pod, cores in (("a", "0.5"), ("b", "0.25"))
    ]
    usage = WindowUsage(period=HOUR, series=dict([series("cpu", pods), series("cpus", [(here, 2)])]))
    owned = Engine(cost_config(base.replace("IDLE", "to:team=platform"))).attribute(usage, NOW).records
    idle = next(record for record in owned if record.subject.kind is SubjectKind.IDLE)
    assert (idle.subject.team, idle.amounts.effective_cost) == ("platform", Decimal("0.625"))
    even = Engine(cost_config(base.replace("IDLE", "even"))).attribute(usage, NOW).records
    assert effective(even, Level.ALLOCATION) == {"a": Decimal("0.5625"), "b": Decimal("0.4375")}


def test_a_shared_cost_is_divided_by_what_others_cost_or_equally() -> None:
    """A cluster's fee over teams; without anybody it stays shared, and other currencies are left out."""
    base = """
    prices:
      - {id: fee, unit: Hours, list: "10", currency: CURRENCY}
      - {id: in, match: {gen_ai.response.model: m}, meter: input, unit: Tokens, list: "0.01"}
    rules:
      - id: fee
        origin: {price: fee, per: k8s.cluster.name, presence: up}
        split: {method: METHOD, among: [llm]}
        attribute_to: [team]
      - {id: llm, tokens: {}, attribute_to: [service, team]}
    """
    tokens = [
        TokenGroup(
            {"gen_ai.response.model": "m", "service.name": name, "team.name": team}, {"input": number}, 1
        )
        for name, team, number in (("s1", "red", 1), ("s2", "red", 2), ("s3", "blue", 1))
    ]
    usage = WindowUsage(
        period=HOUR, tokens={"llm": tokens}, series=dict([series("up", [({"k8s.cluster.name": "c"}, 1)])])
    )

    def fees(method: str, currency: str) -> dict[str, Decimal | None]:
        config = cost_config(base.replace("METHOD", method).replace("CURRENCY", currency))
        records = Engine(config).attribute(usage, NOW).records
        return effective([record for record in records if record.rule_id == "fee"], Level.ALLOCATION)

    assert fees("proportional-shared", "USD") == {"red": Decimal("7.5"), "blue": Decimal("2.5")}
    assert fees("even-shared", "USD") == {"red": Decimal(5), "blue": Decimal(5)}
    assert fees("proportional-shared", "EUR") == {"__shared__": Decimal(10)}


def test_a_bill_that_no_rule_divides_is_shown_as_unallocated() -> None:
    """So that the parts sum to the bill in any case; charges of other periods are left alone."""
    config = cost_config(
        """
        rules:
          - id: nodes
            origin: {bill: {service_name: "Compute*"}, per: k8s.node.name}
            split: {elements: {cpu: {usage: cpu, unit: Core-Hours}}}
        """
    )
    other = Period(HOUR.end_unix_nano, HOUR.end_unix_nano + HOUR_NS)
    usage = WindowUsage(
        period=HOUR,
        series=dict([series("cpu", [({"k8s.node.name": "n", "k8s.pod.uid": "p", "k8s.pod.name": "p"}, 1)])]),
        charges=[
            billed("n", "3", line=1),
            billed("gone", "-2", line=2),
            billed("n", "7", line=3, period=other),
        ],
    )
    result = Engine(config).attribute(usage, NOW)
    assert effective(result.records, Level.ALLOCATION) == {"p": 3, "__idle__": -2}
    assert ("nodes", "other_period", 1) in kinds(result)
    nothing = Engine(cost_config("currency: USD")).attribute(usage, NOW)
    assert sorted(r.amounts.effective_cost or 0 for r in nothing.records if r.level) == [-2, 3]
    assert {r.subject.kind for r in nothing.records if r.level} == {SubjectKind.UNALLOCATED}


def test_what_is_odd_about_usage_is_said() -> None:
    """Overcommitted, without capacity, without member, without node, without a part, too many groups."""
    here = {"k8s.node.name": "node-1", "host.type": "m5.xlarge"}
    data = aws_pods() | dict([series("k8s.node.memory.allocatable", [])])
    data[Series.parse("k8s.pod.cpu.time(rate)")] = [
        *data[Series.parse("k8s.pod.cpu.time(rate)")],
        SeriesValue(here, Decimal(1), HOUR_NS),
        SeriesValue({"k8s.pod.uid": "homeless"}, Decimal(1), HOUR_NS),
    ]
    groups = [RequestGroup({"k8s.pod.uid": "gone"}, 1, 3)]
    usage = WindowUsage(period=HOUR, series=data, requests={"request-share": groups})
    found = kinds(Engine(demo_config()).attribute(usage, NOW))
    assert {
        ("k8s-node", "overcommitted", 1),
        ("k8s-node", "without_capacity", 1),
        ("k8s-node", "without_member", 1),
        ("k8s-node", "without_origin", 1),
        ("request-share", "without_part", 3),
    } <= found


def test_requests_are_of_the_workload_that_they_are_a_part_of() -> None:
    """What their spans do not say, as by whose team and in which namespace; what they do say is theirs."""
    pod = {"k8s.node.name": "n", "k8s.pod.uid": "p1"}
    says = {
        "k8s.namespace.name": "shop",
        "k8s.deployment.name": "cart",
        "team.name": "web",
        "app.color": "red",
    }
    asked = series("k8s.container.cpu.request.desired", [({**pod, **says}, 1)])
    groups = [
        RequestGroup({"k8s.pod.uid": "p1", "tenant.id": "a"}, 10**9, 1),
        RequestGroup({"k8s.pod.uid": "p1", "tenant.id": "b", "team.name": "lent"}, 10**9, 1),
    ]
    config = cost_config(
        """
        prices: [{id: node, unit: Hours, list: "1"}]
        rules:
          - id: k8s-node
            origin: {price: node, per: k8s.node.name}
            split:
              elements: {cpu: {request: k8s.container.cpu.request.desired, unit: Core-Hours}}
            attribute_to: [k8s.namespace.name, workload, team, app.color]
          - {id: share, parent: {rule: k8s-node}, basis: spread, group_by: [tenant, team]}
        """
    )
    usage = WindowUsage(period=HOUR, series=dict([asked]), requests={"share": groups})
    parts = [r.subject for r in Engine(config).attribute(usage, NOW).records if r.level is Level.REQUEST]
    assert [(who.tenant, who.team) for who in parts] == [("a", "web"), ("b", "lent")]
    assert {
        (who.kind, who.k8s_namespace, who.k8s_workload, who.k8s_workload_kind, who.labels["app.color"])
        for who in parts
    } == {(SubjectKind.REQUEST_GROUP, "shop", "cart", "deployment", "red")}


def test_groups_beyond_the_bound_are_one_and_nothing_is_lost() -> None:
    """The heaviest keep their own rows."""
    groups = [RequestGroup({"k8s.pod.uid": "p1", "tenant.id": f"t{n}"}, (n + 1) * 10**9, 1) for n in range(5)]
    usage = WindowUsage(period=HOUR, series=aws_pods(), requests={"request-share": groups})
    config = cost_config(
        """
        prices: [{id: node, unit: Hours, list: "1", split_weights: {cpu: 9, memory: 1}}]
        rules:
          - id: k8s-node
            origin: {price: node, per: k8s.node.name}
            split:
              elements: {cpu: {request: k8s.container.cpu.request.desired, unit: Core-Hours}}
          - {id: request-share, parent: {rule: k8s-node}, basis: spread, groups_max: 3, group_by: [tenant]}
        """
    )
    result = Engine(config).attribute(usage, NOW)
    rows = {
        r.subject.tenant or r.subject.kind.name: r.amounts.effective_cost
        for r in result.records
        if r.level == 2
    }
    assert set(rows) == {"t4", "t3", "OTHER"}
    assert ("request-share", "groups_joined", 3) in kinds(result)


def test_a_window_is_open_then_provisional_then_closed() -> None:
    """By lateness, and by the day of the next month on which this one is closed."""
    config = demo_config()
    end = HOUR.end_unix_nano
    assert window_state(HOUR, end, config) is WindowState.OPEN
    assert window_state(HOUR, end + 15 * 60 * 10**9, config) is WindowState.PROVISIONAL
    closing = 1_791_158_400 * 10**9  # 2026-10-05T00:00:00Z
    assert window_state(HOUR, closing - 1, config) is WindowState.PROVISIONAL
    assert window_state(HOUR, closing, config) is WindowState.CLOSED
