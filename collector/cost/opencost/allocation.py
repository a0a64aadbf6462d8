"""OpenCost's allocation answer from records: the same names and envelope, with exact numbers.

A pure function: the caller brings the records of the window, this adds nothing and rounds nothing unless asked. With
idle costs shown or shared, the totals of a set sum to the records' costs, to the last digit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from collector.cost.amount import ZERO, add, amount_text, from_scaled, to_scaled
from collector.cost.opencost.query import AllocationQuery
from collector.cost.opencost.resources import RESOURCES, Resources, resources_of
from collector.cost.opencost.window import QueryError, calendar_steps, steps
from collector.cost.record import CostAttributionRecord, Level, Period, Subject, SubjectKind
from collector.cost.split import split

IDLE: Final = "__idle__"
SHARED: Final = "__shared__"
UNALLOCATED: Final = "__unallocated__"

_SECOND_NS: Final = 1_000_000_000
_SHARED_KINDS: Final = frozenset((SubjectKind.SHARED, SubjectKind.OVERHEAD))
# OpenCost's default labels of its alias properties.
_ALIASES: Final = {"department": "department", "owner": "owner", "product": "app"}
_KINDS: Final = {
    "deployment": "deployment",
    "statefulset": "statefulset",
    "daemonset": "daemonset",
    "job": "job",
}
_FIVE_PLACES: Final = Decimal("0.00001")  # OpenCost's answers have five decimals
_ROUNDING: Final = Context(prec=80, rounding=ROUND_HALF_UP)


@dataclass(slots=True)
class _Allocation:
    """A row of the answer. `idle`: what its costs have of shared idle costs, by resource."""

    name: str
    properties: dict[str, Any]
    resources: Resources = field(default_factory=Resources)
    idle: dict[str, Decimal] = field(default_factory=dict)
    shared: Decimal = ZERO
    is_idle: bool = False
    is_shared: bool = False
    places: dict[tuple[str, str], Resources] = field(default_factory=dict)  # by cluster and node, for idle

    @property
    def total(self) -> Decimal:
        return add(self.resources.total, self.shared)


def allocation_json(records: Iterable[CostAttributionRecord], query: AllocationQuery) -> bytes:
    """The answer to a query: `{"code":200,"status":"success","data":[{name: allocation}, …]}`, one map for each set.

    A record is in the set in which its charge period begins; those that begin outside the window are left out, and
    so are records without a cost. Of a record and its parts the finest are counted.

    Raises:
        QueryError: the records have several currencies and the query names none; too many sets.
    """
    chosen = _chosen(records, query)
    sets = _sets(query)
    by_set: list[list[CostAttributionRecord]] = [[] for _ in sets]
    index = 0
    for record in sorted(chosen, key=lambda r: (r.charge.charge_period.start_unix_nano, r.record_id)):
        while not sets[index].holds(record.charge.charge_period.start_unix_nano):
            index += 1
        by_set[index].append(record)
    data = [_set(members, period, query) for period, members in zip(sets, by_set, strict=True)]
    return _encode({"code": 200, "status": "success", "data": data}, query.rounded).encode()


def _chosen(records: Iterable[CostAttributionRecord], query: AllocationQuery) -> list[CostAttributionRecord]:
    inside = [
        record
        for record in records
        if query.window.holds(record.charge.charge_period.start_unix_nano)
        and (query.currency is None or record.charge.billing_currency == query.currency)
    ]
    parents = {record.parent_record_id for record in inside if record.parent_record_id}
    leaves = [r for r in inside if r.record_id not in parents and r.amounts.is_priced]
    currencies = sorted({record.charge.billing_currency for record in leaves})
    if len(currencies) > 1:
        raise QueryError(
            "currency", f"the costs are in {', '.join(currencies)}, which cannot be added up; name one"
        )
    return leaves


def _sets(query: AllocationQuery) -> list[Period]:
    if query.accumulate_by is not None:
        return list(calendar_steps(query.window, query.accumulate_by))
    if query.step_s is not None:
        return list(steps(query.window, query.step_s))
    return [query.window]


def _set(records: list[CostAttributionRecord], period: Period, query: AllocationQuery) -> dict[str, Any]:
    rows: dict[str, _Allocation] = {}
    for record in records:
        name, properties = _name(record, query)
        row = rows.get(name)
        if row is None:
            row = rows[name] = _Allocation(
                name,
                properties,
                is_idle=record.subject.kind is SubjectKind.IDLE,
                is_shared=_is_shared(record, query),
            )
        else:
            row.properties = {
                key: value for key, value in row.properties.items() if properties.get(key) == value
            }
        cost = getattr(record.amounts, query.basis)
        found = resources_of(record, cost)
        row.resources.add(found)
        place = (record.subject.k8s_cluster, _node(record) if query.idle_by_node else "")
        row.places.setdefault(place, Resources()).add(found)
    if query.share_idle:
        _share_idle(rows)
    elif not query.include_idle:
        rows = {name: row for name, row in rows.items() if not row.is_idle}
    if query.share_split is not None:
        _share(rows, query.share_split)
    return {name: _json_of(rows[name], period) for name in sorted(rows)}


def _is_shared(record: CostAttributionRecord, query: AllocationQuery) -> bool:
    subject = record.subject
    if subject.kind is SubjectKind.IDLE:
        return False
    labels = {*subject.labels.items(), *record.charge.tags.items()}
    return (
        subject.kind in _SHARED_KINDS
        or subject.k8s_namespace in query.share_namespaces
        or not query.share_labels.isdisjoint(labels)
    )


def _share_idle(rows: dict[str, _Allocation]) -> None:
    """Give idle costs to what ran in the same place, by its cost of the same resource; else of anything; else keep."""
    for idle in [row for row in rows.values() if row.is_idle]:
        left = Resources()
        for place, resources in idle.places.items():
            users = [row for row in rows.values() if not row.is_idle and place in row.places]
            for resource, cost in resources.costs.items():
                parts = _weighted(cost, users, lambda row: row.places[place].costs.get(resource, ZERO))  # noqa: B023  # called at once
                parts = parts or _weighted(cost, users, lambda row: row.places[place].total)  # noqa: B023  # likewise
                if parts is None:
                    left.add(Resources({resource: cost}))
                    continue
                for row, part in zip(users, parts, strict=True):
                    row.idle[resource] = add(row.idle.get(resource, ZERO), part)
                    row.resources.add(Resources({resource: part}))
        idle.resources = left
        if not left.costs:
            del rows[idle.name]


def _share(rows: dict[str, _Allocation], how: str) -> None:
    """Give shared costs to all others but idle, evenly or by their costs; keep them if there is nobody."""
    users = [row for row in rows.values() if not row.is_idle and not row.is_shared]
    for shared in [row for row in rows.values() if row.is_shared]:
        cost = shared.total
        parts = None if how == "even" else _weighted(cost, users, lambda row: row.resources.total)
        parts = parts or _weighted(cost, users, lambda _row: Decimal(1))
        if parts is None:
            continue
        for row, part in zip(users, parts, strict=True):
            row.shared = add(row.shared, part)
        del rows[shared.name]


def _weighted(
    cost: Decimal, users: Sequence[_Allocation], weight: Callable[[_Allocation], Decimal]
) -> list[Decimal] | None:
    # What costs less than nothing (a credit) carries nothing.
    weights = [max(0, to_scaled(weight(row))) for row in users]
    parts = split(to_scaled(cost), weights, [row.name.encode() for row in users])
    return None if parts is None else [from_scaled(part) for part in parts]


def _name(record: CostAttributionRecord, query: AllocationQuery) -> tuple[str, dict[str, Any]]:
    subject = record.subject
    if subject.kind is SubjectKind.IDLE:
        place = [subject.k8s_cluster, *([_node(record)] if query.idle_by_node else [])]
        return "/".join((*filter(None, place), IDLE)), {"cluster": subject.k8s_cluster}
    if _is_shared(record, query):
        return SHARED, {}
    properties = _properties(record)
    if not query.aggregate:
        return "all", properties
    values = [_value(name, record, properties) or UNALLOCATED for name in query.aggregate]
    return "/".join(values), properties


def _node(record: CostAttributionRecord) -> str:
    return record.subject.k8s_node or record.charge.resource_name or record.charge.resource_id


def _value(name: str, record: CostAttributionRecord, properties: Mapping[str, Any]) -> str:
    subject = record.subject
    labels = {**record.charge.tags, **subject.labels}
    kind, _, key = name.partition(":")
    match kind:
        case "label":
            return labels.get(key, "")
        case "annotation":
            return ""
        case "service":
            return subject.service_name
        case "team":
            return subject.team or labels.get("team", "")
        case "environment":
            return subject.environment or labels.get("env", "")
        case "deployment" | "statefulset" | "daemonset" | "job":
            return subject.k8s_workload if subject.k8s_workload_kind.casefold() == _KINDS[kind] else ""
        case "department" | "owner" | "product":
            return labels.get(_ALIASES[kind], "")
        case _:
            return str(properties.get(kind, ""))


def _properties(record: CostAttributionRecord) -> dict[str, Any]:
    subject: Subject = record.subject
    properties: dict[str, Any] = {
        "cluster": subject.k8s_cluster,
        "node": _node(record) if record.level is not Level.ORIGIN or subject.k8s_node else "",
        "container": subject.k8s_container,
        "controller": subject.k8s_workload,
        "controllerKind": subject.k8s_workload_kind.lower(),
        "namespace": subject.k8s_namespace,
        "pod": subject.k8s_pod,
        "services": [subject.service_name] if subject.service_name else [],
        "providerID": record.charge.resource_id,
        "labels": dict(sorted(subject.labels.items())),
    }
    return {key: value for key, value in properties.items() if value}


def _json_of(row: _Allocation, period: Period) -> dict[str, Any]:
    minutes = _ratio(period.length_ns, 60 * _SECOND_NS)
    hours = _ratio(period.length_ns, 3600 * _SECOND_NS)
    start, end = _time(period.start_unix_nano), _time(period.end_unix_nano)
    costs = {name: row.resources.costs.get(name, ZERO) for name in RESOURCES}
    used = {name: row.resources.hours.get(name, ZERO) for name in RESOURCES}
    return {
        "name": row.name,
        "properties": row.properties,
        "window": {"start": start, "end": end},
        "start": start,
        "end": end,
        "minutes": minutes,
        "cpuCores": _DIVIDING.divide(used["cpu"], hours),
        "cpuCoreRequestAverage": None,
        "cpuCoreUsageAverage": None,
        "cpuCoreHours": used["cpu"],
        "cpuCost": costs["cpu"],
        "cpuCostAdjustment": ZERO,
        "cpuCostIdle": row.idle.get("cpu", ZERO),
        "cpuEfficiency": None,
        "gpuCount": _DIVIDING.divide(used["gpu"], hours),
        "gpuRequestAverage": None,
        "gpuUsageAverage": None,
        "gpuHours": used["gpu"],
        "gpuCost": costs["gpu"],
        "gpuCostAdjustment": ZERO,
        "gpuCostIdle": row.idle.get("gpu", ZERO),
        "gpuEfficiency": None,
        "networkTransferBytes": None,
        "networkReceiveBytes": None,
        "networkCost": costs["network"],
        "networkCrossZoneCost": ZERO,
        "networkCrossRegionCost": ZERO,
        "networkInternetCost": ZERO,
        "networkCostAdjustment": ZERO,
        "loadBalancerCost": costs["loadBalancer"],
        "loadBalancerCostAdjustment": ZERO,
        "pvBytes": None,
        "pvByteHours": None,
        "pvCost": costs["pv"],
        "pvs": None,
        "pvCostAdjustment": ZERO,
        "ramBytes": _DIVIDING.divide(used["ram"], hours),
        "ramByteRequestAverage": None,
        "ramByteUsageAverage": None,
        "ramByteHours": used["ram"],
        "ramCost": costs["ram"],
        "ramCostAdjustment": ZERO,
        "ramCostIdle": row.idle.get("ram", ZERO),
        "ramEfficiency": None,
        "externalCost": costs["external"],
        "sharedCost": row.shared,
        "totalCost": row.total,
        "totalEfficiency": None,
        "rawAllocationOnly": None,
        "proportionalAssetResourceCosts": {},
        "lbAllocations": None,
        "sharedCostBreakdown": {},
    }


_DIVIDING: Final = Context(prec=30)


def _ratio(units: int, unit: int) -> Decimal:
    return _DIVIDING.divide(Decimal(units), Decimal(unit))


def _time(unix_nano: int) -> str:
    return datetime.fromtimestamp(unix_nano // _SECOND_NS, UTC).isoformat().replace("+00:00", "Z")


def _encode(value: Any, rounded: bool) -> str:
    """JSON, with decimals as numbers in full."""
    match value:
        case Decimal():
            return amount_text(value.quantize(_FIVE_PLACES, context=_ROUNDING) if rounded else value)
        case dict():
            return (
                "{"
                + ",".join(
                    f"{json.dumps(k, ensure_ascii=False)}:{_encode(v, rounded)}" for k, v in value.items()
                )
                + "}"
            )
        case list():
            return "[" + ",".join(_encode(item, rounded) for item in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
