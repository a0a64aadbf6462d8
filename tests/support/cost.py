"""Cost configurations and usage, written short."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from collector.config.load import load
from collector.config.sources import Surroundings
from collector.cost.config import CostConfig, load_costs
from collector.cost.record import (
    Amounts,
    Charge,
    CostAttributionRecord,
    CostSource,
    Level,
    Period,
    SubjectKind,
)
from collector.cost.rows import origin_row
from collector.cost.usage import Series, SeriesValue
from tests.support.daemon import ROOT

HOUR_NS: Final = 3600 * 10**9
HOUR: Final = Period(1_790_002_800_000_000_000, 1_790_002_800_000_000_000 + HOUR_NS)  # 2026-09-21T15:00:00Z
GIB: Final = 2**30
NOW: Final = HOUR.end_unix_nano + 10**9

DEMO: Final = (str(ROOT / "config/prices/demo.yaml"), str(ROOT / "config/cost/kubernetes-and-llm.yaml"))

CPU: Final = ("k8s.pod.cpu.time(rate)", "k8s.container.cpu.request.desired", "k8s.node.cpu.allocatable")
MEMORY: Final = (
    "k8s.pod.memory.working_set(avg)",
    "k8s.container.memory.request.desired",
    "k8s.node.memory.allocatable",
)


def demo_config(*sets: str) -> CostConfig:
    """The configuration that the repository shows, with changes."""
    return load_costs(load(DEMO, sets, Surroundings({})))


def cost_config(text: str) -> CostConfig:
    """The section `cost`, written as YAML."""
    body = textwrap.indent(textwrap.dedent(text), "  ")
    return load_costs(load([f"yaml:\ncost:\n{body}"], (), Surroundings({})))


def series(
    text: str, rows: Iterable[tuple[Mapping[str, str], str | int]]
) -> tuple[Series, list[SeriesValue]]:
    """Values of a metric that were there all hour."""
    return Series.parse(text), [
        SeriesValue(attributes, Decimal(value), HOUR_NS) for attributes, value in rows
    ]


def aws_pods(node: str = "node-1") -> dict[Series, Sequence[SeriesValue]]:
    """The example that AWS publishes of its split cost allocation: an m5.xlarge with four pods, for one hour.

    Two namespaces; reserved and used cores 1/0.1, 1/1.9, 1/0.5, 1/0.5, and GB 4/3, 4/6, 2/2, 2/2.
    """
    pods = {
        "p1": ("ns1", "1", "0.1", 4, 3), "p2": ("ns1", "1", "1.9", 4, 6),
        "p3": ("ns2", "1", "0.5", 2, 2), "p4": ("ns2", "1", "0.5", 2, 2),
    }  # fmt: skip
    here = {"k8s.node.name": node, "host.type": "m5.xlarge"}
    who = {
        pod: {"k8s.pod.uid": pod, "k8s.pod.name": pod, "k8s.namespace.name": row[0], **here}
        for pod, row in pods.items()
    }
    return dict(
        (
            series(CPU[0], ((who[pod], row[2]) for pod, row in pods.items())),
            series(CPU[1], ((who[pod], row[1]) for pod, row in pods.items())),
            series(CPU[2], ((here, 4),)),
            series(MEMORY[0], ((who[pod], row[4] * GIB) for pod, row in pods.items())),
            series(MEMORY[1], ((who[pod], row[3] * GIB) for pod, row in pods.items())),
            series(MEMORY[2], ((here, 16 * GIB),)),
        )
    )


def billed(
    resource: str, cost: str, *, period: Period = HOUR, line: int = 1, currency: str = "USD"
) -> CostAttributionRecord:
    """A line of a bill."""
    amount = Decimal(cost)
    charge = Charge(
        charge_period=period,
        billing_period=period,
        billing_currency=currency,
        service_name="Compute Engine",
        resource_id=resource,
        resource_name=resource,
        invoice_id="2026-09",
    )
    amounts = Amounts(billed_cost=amount, effective_cost=amount, list_cost=amount, contracted_cost=amount)
    return origin_row(charge=charge, amounts=amounts, source=CostSource.INVOICE, identity=("bill", line))


def effective(records: Iterable[CostAttributionRecord], level: Level) -> dict[str, Decimal | None]:
    """Effective cost by who has it: pod, tenant or service; `__idle__` and the like by kind."""
    found: dict[str, Decimal | None] = {}
    for record in records:
        if record.level is level:
            subject = record.subject
            name = (
                subject.tenant
                or subject.k8s_pod
                or subject.service_name
                or subject.team
                or subject.resource_id
            )
            if subject.kind not in {SubjectKind.WORKLOAD, SubjectKind.REQUEST_GROUP}:
                name = f"__{subject.kind.name.lower()}__"
            assert name not in found
            found[name] = record.amounts.effective_cost
    return found
