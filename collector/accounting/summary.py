"""What is in the ledger, added up by who caused it, beside another time. Each cost once: the finest records count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from collector.cost.amount import add, subtract, total
from collector.cost.record import Period, SubjectKind
from collector.query.dialect import Dialect, statement
from collector.storage.store import Store

# What people group by -> the column of the view `costs`.
DIMENSIONS: Final[Mapping[str, str]] = {
    "service": "service_name", "team": "team", "tenant": "tenant", "environment": "environment",
    "namespace": "k8s_namespace", "workload": "k8s_workload", "pod": "k8s_pod", "node": "k8s_node",
    "cluster": "k8s_cluster", "operation": "operation", "provider": "service_provider_name",
    "category": "service_category", "bought": "focus_service_name", "resource": "resource_id", "rule": "rule_id",
}  # fmt: skip
_KINDS: Final = {
    kind.value: f"__{kind.name.lower()}__"
    for kind in SubjectKind
    if kind
    not in {SubjectKind.WORKLOAD, SubjectKind.REQUEST_GROUP, SubjectKind.SPAN, SubjectKind.UNSPECIFIED}
}
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Who, and what that costs. `keys`: a value for each dimension, or `__idle__` and the like for all of them."""

    currency: str
    keys: tuple[str, ...]
    cost: Decimal
    unpriced: int  # records of which the price is not known
    previous: Decimal | None = None  # None: nothing is compared

    @property
    def change(self) -> Decimal | None:
        """How much more than before."""
        return None if self.previous is None else subtract(self.cost, self.previous)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Lines by currency, the most expensive first; costs of different currencies are never added."""

    by: tuple[str, ...]
    period: Period
    compared: Period | None
    lines: tuple[Line, ...]

    def total(self, currency: str) -> Decimal:
        """The sum of a currency's lines."""
        return total(line.cost for line in self.lines if line.currency == currency)

    def movers(self, count: int = 5) -> list[Line]:
        """Return the lines that changed most."""
        changed = [line for line in self.lines if line.change]
        return sorted(changed, key=lambda line: (-(line.change or _ZERO).copy_abs(), line.keys))[:count]


def previous(period: Period) -> Period:
    """Return the time of the same length just before."""
    return Period(max(0, period.start_unix_nano - period.length_ns), period.start_unix_nano)


def summarize(store: Store, period: Period, by: Sequence[str], compared: Period | None = None) -> Summary:
    """Add up the charge periods that begin in `period`.

    Raises:
        ValueError: something is no dimension.
    """
    for name in by:
        if name not in DIMENSIONS:
            raise ValueError(f"{name!r} is no dimension: there are {', '.join(DIMENSIONS)}")
    now = _sums(store, period, by)
    before = _sums(store, compared, by) if compared is not None else {}
    lines = [
        Line(
            currency=key[0],
            keys=key[1:],
            cost=now.get(key, (_ZERO, 0))[0],
            unpriced=now.get(key, (_ZERO, 0))[1],
            previous=None if compared is None else before.get(key, (_ZERO, 0))[0],
        )
        for key in {*now, *before}
    ]
    lines.sort(key=lambda line: (line.currency, -line.cost, line.keys))
    return Summary(by=tuple(by), period=period, compared=compared, lines=tuple(lines))


def _sums(store: Store, period: Period, by: Sequence[str]) -> dict[tuple[str, ...], tuple[Decimal, int]]:
    dialect = Dialect(store.dialect == "sqlite")
    columns = ", ".join(DIMENSIONS[name] for name in by)
    kind = "subject_kind"
    text = statement(
        f"SELECT billing_currency, {kind}, {columns}, {_sum(dialect)}, count(*) - count(effective_cost)",
        f"FROM costs WHERE {_during(dialect)}",
        f"GROUP BY billing_currency, {kind}, {columns}",
    )
    bounds: dict[str, Any] = {
        "start": period.start_unix_nano if dialect.sqlite else dialect.time(period.start_unix_nano // 1000),
        "end": period.end_unix_nano if dialect.sqlite else dialect.time(period.end_unix_nano // 1000),
    }
    found: dict[tuple[str, ...], tuple[Decimal, int]] = {}
    for currency, kind_value, *keys, cost, unpriced in store.query(text, bounds).rows:
        special = _special(kind_value)
        names = tuple(special or ("" if key is None else str(key)) for key in keys)
        known = found.get((currency, *names), (_ZERO, 0))
        amount = _ZERO if cost is None else Decimal(str(cost))
        found[(currency, *names)] = (add(known[0], amount), known[1] + int(unpriced))
    return found


def _special(kind: Any) -> str:
    """What a row of nobody is called; a view shows the kind as a number or as a word."""
    if isinstance(kind, int):
        return _KINDS.get(kind, "")
    name = f"__{str(kind).lower()}__"
    return name if name in _KINDS.values() else ""


def _sum(dialect: Dialect) -> str:
    return "decimal_sum(effective_cost)" if dialect.sqlite else "sum(effective_cost)"


def _during(dialect: Dialect) -> str:
    column = "time_unix_nano" if dialect.sqlite else "time"
    return f"{column} >= %(start)s AND {column} < %(end)s"
