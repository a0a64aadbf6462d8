"""Costs put together as OpenCost's allocations: sets of rows, exactly.

Pure: this adds nothing and rounds nothing. With idle costs shown or shared, the totals of a set sum to its costs, to the
last digit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from collector.cost.amount import ZERO, add, from_scaled, to_scaled
from collector.cost.opencost.allocated import Allocated, Who
from collector.cost.opencost.naming import is_shared, name_of, node_of
from collector.cost.opencost.query import AllocationQuery
from collector.cost.opencost.resources import Resources, resources_of
from collector.cost.opencost.window import QueryError, calendar_steps, steps
from collector.cost.record import Period, SubjectKind
from collector.cost.split import split

_REMEMBERED_MAX: Final = 50_000  # subjects whose names are kept


@dataclass(slots=True)
class Allocation:
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
        """All its costs."""
        return add(self.resources.total, self.shared)


class AllocationSets:
    """Takes costs, in any order, and gives the rows of each set. Memory is by rows, not by costs.

    A cost is in the set in which its charge period begins; those that begin outside the window are left out.
    """

    def __init__(self, query: AllocationQuery, *, rows_max: int | None = None) -> None:
        self._query = query
        self._rows_max = rows_max
        self._count = 0
        self._periods = _periods(query)
        self._starts = [period.start_unix_nano for period in self._periods]
        self._sets: list[dict[str, Allocation]] = [{} for _ in self._periods]
        self._currencies: set[str] = set()
        self._names: dict[Who, tuple[str, dict[str, Any]]] = {}

    def add(self, one: Allocated) -> None:
        """Count a cost.

        Raises:
            QueryError: costs are in several currencies and the query names none; there are too many rows.
        """
        query, who = self._query, one.who
        if not query.window.holds(one.start_unix_nano) or query.currency not in (None, one.currency):
            return
        if one.currency not in self._currencies:
            self._currencies.add(one.currency)
            if len(self._currencies) > 1:
                found = ", ".join(sorted(self._currencies))
                raise QueryError("currency", f"the costs are in {found}, which cannot be added up; name one")
        rows = self._sets[bisect_right(self._starts, one.start_unix_nano) - 1]
        known = self._names.get(who)
        if known is None:
            if len(self._names) >= _REMEMBERED_MAX:
                self._names.clear()
            known = self._names[who] = name_of(who, query)
        name, properties = known
        row = rows.get(name)
        if row is None:
            self._count += 1
            if self._rows_max is not None and self._count > self._rows_max:
                raise QueryError("aggregate", f"gives more than {self._rows_max} rows; name fewer properties")
            row = rows[name] = Allocation(
                name, properties, is_idle=who.kind is SubjectKind.IDLE, is_shared=is_shared(who, query)
            )
        elif row.properties is not properties:
            row.properties = {
                key: value for key, value in row.properties.items() if properties.get(key) == value
            }
        found_resources = resources_of(one)
        row.resources.add(found_resources)
        place = (who.cluster, node_of(who) if query.idle_by_node else "")
        row.places.setdefault(place, Resources()).add(found_resources)

    def finish(self) -> Iterator[tuple[Period, list[Allocation]]]:
        """Give each set with its rows by name, idle and shared costs dealt with as the query wants it. Once."""
        for period, rows in zip(self._periods, self._sets, strict=True):
            if self._query.share_idle:
                _share_idle(rows)
            elif not self._query.include_idle:
                rows = {name: row for name, row in rows.items() if not row.is_idle}
            if self._query.share_split is not None:
                _share(rows, self._query.share_split)
            yield period, [rows[name] for name in sorted(rows)]


def _periods(query: AllocationQuery) -> list[Period]:
    if query.accumulate_by is not None:
        return list(calendar_steps(query.window, query.accumulate_by))
    if query.step_s is not None:
        return list(steps(query.window, query.step_s))
    return [query.window]


def _share_idle(rows: dict[str, Allocation]) -> None:
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


def _share(rows: dict[str, Allocation], how: str) -> None:
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
    cost: Decimal, users: Sequence[Allocation], weight: Callable[[Allocation], Decimal]
) -> list[Decimal] | None:
    # What costs less than nothing (a credit) carries nothing.
    weights = [max(0, to_scaled(weight(row))) for row in users]
    parts = split(to_scaled(cost), weights, [row.name.encode() for row in users])
    return None if parts is None else [from_scaled(part) for part in parts]
