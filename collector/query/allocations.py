"""Costs as OpenCost sees them (`cost.opencost.allocated`), out of a store, as they are asked for: memory is a few rows."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from collector.cost.opencost.allocated import Allocated, Pairs, Who
from collector.cost.opencost.allocation import AllocationSets
from collector.cost.opencost.query import AllocationQuery
from collector.cost.record import AllocationElement, SubjectKind
from collector.query.costs import charged_during
from collector.query.dialect import statement
from collector.query.reader import Reader
from collector.query.when import Window
from collector.storage.values import parse_json

# Field of `Who`: column of the view.
_TEXTS: Final = {
    "cluster": "k8s_cluster",
    "node": "k8s_node",
    "namespace": "k8s_namespace",
    "workload_kind": "k8s_workload_kind",
    "workload": "k8s_workload",
    "pod": "k8s_pod",
    "container": "k8s_container",
    "service": "service_name",
    "team": "team",
    "environment": "environment",
    "resource_id": "resource_id",
    "resource_name": "resource_name",
    "resource_type": "resource_type",
    "service_category": "service_category",
    "service_name": "focus_service_name",
}
_KINDS: Final = {kind.name.lower(): kind for kind in SubjectKind}
_REMEMBERED_MAX: Final = 50_000


def allocation_sets(reader: Reader, query: AllocationQuery) -> AllocationSets:
    """Put together what a query asks for. Raises cost.opencost.window.QueryError."""
    sets = AllocationSets(query)
    for one in read_allocated(reader, query):
        sets.add(one)
    return sets


def read_allocated(reader: Reader, query: AllocationQuery) -> Iterator[Allocated]:
    """Yield the costs whose charge period begins in the query's window, in no order."""
    conditions = charged_during(reader, Window(query.window.start_unix_nano, query.window.end_unix_nano))
    conditions.add(f"{query.basis} IS NOT NULL")
    # Groups of requests are below OpenCost's grain: whole workloads, and charges that nobody has divided.
    conditions.add("(level = 'allocation' OR (level = 'origin' AND leaf))")
    if query.currency is not None:
        conditions.add("billing_currency = %(currency)s", currency=query.currency)
    text = statement(
        f"SELECT time_unix_nano, billing_currency, {query.basis}, allocated_elements, level, subject_kind, labels,",
        f"tags, {', '.join(_TEXTS.values())}",
        "FROM otlp_cost_records_shown p",
        conditions.where,
    )
    known: dict[tuple[Any, ...], Who] = {}
    with reader.store.stream(text, conditions.parameters) as rows:
        for start, currency, cost, elements, *cells in rows:
            key = tuple(map(_hashable, cells))
            who = known.get(key)
            if who is None:
                if len(known) >= _REMEMBERED_MAX:
                    known.clear()
                who = known[key] = _who(cells)
            yield Allocated(
                start_unix_nano=int(start),
                currency=currency,
                cost=Decimal(cost),
                who=who,
                elements=_elements(elements),
            )


def _who(cells: list[Any]) -> Who:
    level, kind, labels, tags, *texts = cells
    return Who(
        kind=_KINDS.get(kind, SubjectKind.OTHER),
        undivided=level == "origin",
        labels=_pairs(labels),
        tags=_pairs(tags),
        **dict(zip(_TEXTS, (text or "" for text in texts), strict=True)),
    )


def _hashable(cell: Any) -> Any:
    return tuple(sorted(cell.items())) if isinstance(cell, dict) else cell


def _pairs(cell: Any) -> Pairs:
    """A JSON object: text in SQLite, parsed in PostgreSQL."""
    return tuple(sorted(_parsed(cell).items())) if cell else ()


def _elements(cell: Any) -> tuple[AllocationElement, ...]:
    if not cell:
        return ()
    return tuple(
        AllocationElement(
            ratio=Decimal(element["ratio"]),
            usage_unit=element.get("usage_unit", ""),
            usage_quantity=Decimal(element["usage_quantity"]) if element.get("usage_quantity") else None,
        )
        for element in _parsed(cell)
    )


def _parsed(cell: Any) -> Any:
    return parse_json(cell) if isinstance(cell, str) else cell
