"""A cost as OpenCost sees it: of a workload, or of what is idle or shared, in one charge period.

Groups of requests are below OpenCost's grain: what a workload was given counts as the workload's, used or not, and what was
not divided among workloads counts by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from collector.cost.record import AllocationElement, CostAttributionRecord, Level, SubjectKind

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whose a cost is, and of which resource it is a part. Equal ones are the same to every question."""

    kind: SubjectKind = SubjectKind.UNSPECIFIED
    undivided: bool = False  # a charge that no rule has divided
    cluster: str = ""
    node: str = ""
    namespace: str = ""
    workload_kind: str = ""
    workload: str = ""
    pod: str = ""
    container: str = ""
    service: str = ""
    team: str = ""
    environment: str = ""
    labels: Pairs = ()
    # Of the charge.
    tags: Pairs = ()
    resource_id: str = ""
    resource_name: str = ""
    resource_type: str = ""
    service_category: str = ""
    service_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """A cost. `elements`: how its part was found, which says of which resources it is."""

    start_unix_nano: int  # of the charge period
    currency: str
    cost: Decimal
    who: Who
    elements: tuple[AllocationElement, ...] = ()


def allocated(records: Iterable[CostAttributionRecord], basis: str) -> Iterator[Allocated]:
    """The costs of whole charges, each once; records without a cost are left out. `basis`: a field of `Amounts`."""
    listed = [record for record in records if record.level < Level.REQUEST]
    divided = {record.parent_record_id for record in listed}
    for record in listed:
        cost: Decimal | None = getattr(record.amounts, basis)
        if cost is None or record.record_id in divided:
            continue
        yield Allocated(
            start_unix_nano=record.charge.charge_period.start_unix_nano,
            currency=record.charge.billing_currency,
            cost=cost,
            who=_who(record),
            elements=record.allocated_elements,
        )


def _who(record: CostAttributionRecord) -> Who:
    subject, charge = record.subject, record.charge
    return Who(
        kind=subject.kind,
        undivided=record.level is Level.ORIGIN,
        cluster=subject.k8s_cluster,
        node=subject.k8s_node,
        namespace=subject.k8s_namespace,
        workload_kind=subject.k8s_workload_kind,
        workload=subject.k8s_workload,
        pod=subject.k8s_pod,
        container=subject.k8s_container,
        service=subject.service_name,
        team=subject.team,
        environment=subject.environment,
        labels=tuple(sorted(subject.labels.items())),
        tags=tuple(sorted(charge.tags.items())),
        resource_id=charge.resource_id,
        resource_name=charge.resource_name,
        resource_type=charge.resource_type,
        service_category=charge.service_category,
        service_name=charge.service_name,
    )
