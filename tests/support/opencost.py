"""OpenCost's answer from records themselves, to hold beside what comes out of a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from collector.cost.opencost.allocated import Allocated, Who
from collector.cost.opencost.allocation import AllocationSets
from collector.cost.opencost.answer import answer
from collector.cost.opencost.query import AllocationQuery
from collector.cost.record import CostAttributionRecord, Level


def allocation_json(records: Iterable[CostAttributionRecord], query: AllocationQuery) -> bytes:
    """The answer to a query over the records of its window.

    Raises:
        QueryError: the records have several currencies and the query names none; too many sets.
    """
    sets = AllocationSets(query)
    for one in allocated(records, query.basis):
        sets.add(one)
    return b"".join(answer(sets, query))


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
