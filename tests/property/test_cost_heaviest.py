"""Single requests: those that weigh most are kept, and nothing is lost of the others, in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cost.engine import Engine
from collector.cost.heaviest import Heaviest
from collector.cost.record import Level, SubjectKind
from collector.cost.usage import RequestGroup, WindowUsage
from tests.support.cost import HOUR, NOW, aws_pods, cost_config

REQUESTS = st.lists(
    st.tuples(st.sampled_from("pq"), st.integers(0, 3), st.binary(min_size=24, max_size=24)),
    max_size=20,
    unique_by=lambda request: request[2],
)


def summary(requests: Sequence[tuple[str, int, bytes]], most: int) -> tuple[object, object]:
    heaviest = Heaviest(most)
    for part, weight, ids in requests:
        heaviest.add(part, ids, weight, 1, (part,))
    kept = [(part, request.weight, b"".join(request.ids)) for part, request in heaviest.requests()]
    return kept, list(heaviest.rest())


@settings(max_examples=200)
@given(requests=REQUESTS, most=st.integers(1, 5), seed=st.randoms())
def test_the_heaviest_are_kept_and_the_rest_is_their_sum(
    requests: list[tuple[str, int, bytes]], most: int, seed: object
) -> None:
    """Recomputed by sorting."""
    shuffled = list(requests)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    kept, rest = [], []
    for part in "pq":
        ordered = sorted((r for r in requests if r[0] == part), key=lambda r: (-r[1], r[2]))
        kept += ordered[:most]
        if left := ordered[most:]:
            rest.append((part, sum(r[1] for r in left), len(left)))
    assert summary(requests, most) == summary(shuffled, most) == (kept, rest)


def test_single_requests_have_records_of_their_own_and_sum_to_their_part() -> None:
    """Of a pod with three requests the two that weigh most, and what is left."""
    config = cost_config(
        """
        prices:
          - {id: node, unit: Hours, list: "1.00", split_weights: {cpu: 9, memory: 1}}
        rules:
          - id: nodes
            origin: {per: k8s.node.name, price: node}
            split:
              elements:
                cpu: {usage: k8s.pod.cpu.time(rate), capacity: k8s.node.cpu.allocatable, unit: Core-Hours}
          - {id: requests, parent: {rule: nodes}, basis: spread, group_by: [tenant], spans_max: 2}
        """
    )
    pod = {"k8s.pod.uid": "p1"}
    groups = [
        RequestGroup({**pod, "tenant.id": "a"}, 50, 1, b"t" * 16, b"1" * 8),
        RequestGroup({**pod, "tenant.id": "a"}, 30, 1, b"t" * 16, b"2" * 8),
        RequestGroup(pod, 20, 7, is_rest=True),
    ]
    usage = WindowUsage(period=HOUR, series=aws_pods(), requests={"requests": groups})
    records = Engine(config).attribute(usage, NOW).records
    [whole] = [r for r in records if r.level is Level.ALLOCATION and r.subject.k8s_pod_uid == "p1"]
    parts = [r for r in records if r.level is Level.REQUEST]
    assert whole.amounts.effective_cost
    assert {
        (r.subject.kind, r.subject.tenant, r.subject.span_id): (r.amounts.effective_cost or 0)
        / whole.amounts.effective_cost
        for r in parts
    } == {
        (SubjectKind.SPAN, "a", b"1" * 8): Decimal("0.5"),
        (SubjectKind.SPAN, "a", b"2" * 8): Decimal("0.3"),
        (SubjectKind.OTHER, "", b""): Decimal("0.2"),
    }
