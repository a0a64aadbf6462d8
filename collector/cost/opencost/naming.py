"""What an allocation is called, and its properties (OpenCost specification, "Allocation")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from collector.cost.opencost.allocated import Who
from collector.cost.opencost.query import AllocationQuery
from collector.cost.record import SubjectKind

IDLE: Final = "__idle__"
SHARED: Final = "__shared__"
UNALLOCATED: Final = "__unallocated__"

_SHARED_KINDS: Final = frozenset((SubjectKind.SHARED, SubjectKind.OVERHEAD))
# OpenCost's default labels of its alias properties.
_ALIASES: Final = {"department": "department", "owner": "owner", "product": "app"}


def name_of(who: Who, query: AllocationQuery) -> tuple[str, dict[str, Any]]:
    """The name by which a query tells it from others, and its properties."""
    if who.kind is SubjectKind.IDLE:
        place = [who.cluster, *([node_of(who)] if query.idle_by_node else [])]
        return "/".join((*filter(None, place), IDLE)), {"cluster": who.cluster}
    if is_shared(who, query):
        return SHARED, {}
    properties = _properties(who)
    if not query.aggregate:
        return "all", properties
    return "/".join(_value(name, who, properties) or UNALLOCATED for name in query.aggregate), properties


def is_shared(who: Who, query: AllocationQuery) -> bool:
    """Whether it is everybody's: by itself, or because the query says so of its namespace or one of its labels."""
    if who.kind is SubjectKind.IDLE:
        return False
    return (
        who.kind in _SHARED_KINDS
        or who.namespace in query.share_namespaces
        or not query.share_labels.isdisjoint((*who.labels, *who.tags))
    )


def node_of(who: Who) -> str:
    """The node, by the best name there is."""
    return who.node or who.resource_name or who.resource_id


def _value(name: str, who: Who, properties: Mapping[str, Any]) -> str:
    labels = {**dict(who.tags), **dict(who.labels)}
    kind, _, key = name.partition(":")
    match kind:
        case "label":
            return labels.get(key, "")
        case "annotation":
            return ""
        case "service":
            return who.service
        case "team":
            return who.team or labels.get("team", "")
        case "environment":
            return who.environment or labels.get("env", "")
        case "deployment" | "statefulset" | "daemonset" | "job":
            return who.workload if who.workload_kind.casefold() == kind else ""
        case "department" | "owner" | "product":
            return labels.get(_ALIASES[kind], "")
        case _:
            return str(properties.get(kind, ""))


def _properties(who: Who) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "cluster": who.cluster,
        "node": node_of(who) if not who.undivided or who.node else "",
        "container": who.container,
        "controller": who.workload,
        "controllerKind": who.workload_kind.lower(),
        "namespace": who.namespace,
        "pod": who.pod,
        "services": [who.service] if who.service else [],
        "providerID": who.resource_id,
        "labels": dict(who.labels),
    }
    return {key: value for key, value in properties.items() if value}
