"""A cost as OpenCost sees it: of a workload, or of what is idle or shared, in one charge period.

Groups of requests are below OpenCost's grain: what a workload was given counts as the workload's, used or not, and what was
not divided among workloads counts by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from collector.cost.record import AllocationElement, SubjectKind

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
