"""Costs by any dimension, over time, and against an earlier period. Exact sums, never across currencies.

Asked is the view `costs`, which has every cost once, as finely as it is known, and not the roll-ups, which may be half
an hour behind a window that was computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from collector.cost.amount import ZERO
from collector.query.dialect import Conditions, statement
from collector.query.reader import Reader
from collector.query.results import Cost, CostChange
from collector.query.when import TIME_MAX, Window, unix_nano

Where: TypeAlias = Mapping[str, str | tuple[str, ...]]
NO_DIMENSIONS: Final[Mapping[str, str]] = MappingProxyType({})
COSTS: Final = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")

# What people ask by: the column of the view.
DIMENSIONS: Final[Mapping[str, str]] = {
    "service": "service_name",
    "service_namespace": "service_namespace",
    "environment": "environment",
    "team": "team",
    "tenant": "tenant",
    "cluster": "k8s_cluster",
    "node": "k8s_node",
    "namespace": "k8s_namespace",
    "workload_kind": "k8s_workload_kind",
    "workload": "k8s_workload",
    "pod": "k8s_pod",
    "container": "k8s_container",
    "operation": "operation",
    "subject": "subject_kind",
    "level": "level",
    "source": "source",
    "category": "service_category",
    "subcategory": "service_subcategory",
    "charge_category": "charge_category",
    "charge_class": "charge_class",
    "focus_service": "focus_service_name",
    "provider": "service_provider_name",
    "account": "billing_account_id",
    "sub_account": "sub_account_id",
    "invoice": "invoice_id",
    "region": "region_id",
    "resource": "resource_id",
    "resource_type": "resource_type",
    "sku": "sku_id",
    "meter": "sku_meter",
    "unit": "pricing_unit",
    "rule": "rule_id",
    "currency": "billing_currency",
}
# Those of who caused a cost; the others are of what was charged for, which is known whoever caused it.
OF_SUBJECT: Final = frozenset(
    ("service", "service_namespace", "environment", "team", "tenant", "cluster", "node", "namespace", "workload_kind",
     "workload", "pod", "container", "operation")
)  # fmt: skip
# A map of the view by the prefix of a dimension: the subject's labels, the charge's tags.
_MAPS: Final = {"label": "labels", "tag": "tags"}
_STEPS: Final = {"hour": 13, "day": 10, "month": 7}  # characters of an ISO time that say which
_REST: Final = "0000-01-01T00:00:00Z"


def read_costs(
    reader: Reader, window: Window, group_by: Sequence[str], where: Where, step: str | None
) -> list[Cost]:
    """Return sums by group, currency and step: the earliest step first, in it the dearest group.

    `where`: dimensions, and the value, or one of several values, that they have to have.
    """
    conditions = charged_during(reader, window)
    columns = [_dimension(reader, name, conditions, f"group_{place}") for place, name in enumerate(group_by)]
    for place, (name, value) in enumerate(where.items()):
        column = _dimension(reader, name, conditions, f"where_{place}")
        values = (value,) if isinstance(value, str) else value
        given = {f"value_{place}_{at}": one for at, one in enumerate(values)}
        conditions.add(f"coalesce({column}, '') IN ({', '.join(f'%({name})s' for name in given)})", **given)
    bucket = _bucket(reader, step)
    total = "decimal_sum" if reader.dialect.sqlite else "sum"
    keys = [f"{column} AS key_{place}" for place, column in enumerate(columns)]
    rows = reader.rows(
        statement(
            f"SELECT {', '.join([*keys, 'billing_currency', f'{bucket} AS step', *(f'{total}({cost})' for cost in COSTS)])},",
            "count(*), count(*) - count(effective_cost)",
            "FROM costs p",
            conditions.where,
            f"GROUP BY {', '.join(map(str, range(1, len(keys) + 3)))}",
        ),
        conditions.parameters,
    )
    costs = [_cost(reader, group_by, row) for row in rows]
    return sorted(costs, key=_dearest)


def compare_costs(
    reader: Reader,
    window: Window,
    previous: Window,
    group_by: Sequence[str],
    where: Where,
    cost: str,
) -> list[CostChange]:
    """Return the change of every group that has a cost in either period, the largest first."""
    if cost not in COSTS:
        raise ValueError(f"{cost!r} is not a cost: expected {', '.join(COSTS)}")

    def by_group(period: Window) -> dict[tuple[Any, ...], Decimal]:
        found = read_costs(reader, period, group_by, where, None)
        return {(*one.labels.values(), one.billing_currency): getattr(one, cost) or ZERO for one in found}

    now, before = by_group(window), by_group(previous)
    changes = [
        CostChange(
            labels=dict(zip(group_by, group, strict=False)),
            billing_currency=group[-1],
            cost=now.get(group, ZERO),
            previous=before.get(group, ZERO),
        )
        for group in {**now, **before}
    ]
    return sorted(changes, key=lambda change: (-change.difference.copy_abs(), _texts(change.labels)))


def charged_during(reader: Reader, window: Window) -> Conditions:
    """Keep the rows of a view of costs whose charge period begins in `window`."""
    conditions = Conditions([], {})
    for sign, name, bound in ((">=", "start", window.start_unix_nano), ("<", "end", window.end_unix_nano)):
        if bound in (0, TIME_MAX):
            continue
        conditions.add(f"time_unix_nano {sign} %({name})s", **{name: bound})
        if not reader.dialect.sqlite:  # the exact time leaves out no chunks
            near = "<=" if sign == "<" else sign
            conditions.add(f"time {near} %({name}_us)s", **{f"{name}_us": reader.dialect.time(bound // 1000)})
    return conditions


def check_dimension(name: str) -> None:
    """Do nothing if costs have such a dimension.

    Raises:
        ValueError: they have none.
    """
    prefix, colon, _ = name.partition(":")
    if name not in DIMENSIONS and (not colon or prefix not in _MAPS):
        known = ", ".join([*DIMENSIONS, *(f"{prefix}:KEY" for prefix in _MAPS)])
        raise ValueError(f"{name!r} is not a dimension of costs: expected {known}")


def _dimension(reader: Reader, name: str, conditions: Conditions, parameter: str) -> str:
    """The expression for a dimension; a key that somebody chose becomes a parameter."""
    if name in DIMENSIONS:
        return DIMENSIONS[name]
    check_dimension(name)
    prefix, _, key = name.partition(":")
    conditions.parameters[parameter] = key
    if reader.dialect.sqlite:
        return f"(SELECT value FROM json_each({_MAPS[prefix]}) WHERE key = %({parameter})s)"  # noqa: S608 - names of ours
    return f"({_MAPS[prefix]} ->> %({parameter})s::text)"


def _bucket(reader: Reader, step: str | None) -> str:
    if step is None:
        return "NULL"
    if step not in _STEPS:
        raise ValueError(f"{step!r} is not a step of costs: expected {', '.join(_STEPS)}")
    if reader.dialect.sqlite:
        return f"substr(time, 1, {_STEPS[step]})"
    return f"date_trunc('{step}', time, 'UTC')"


def _cost(reader: Reader, group_by: Sequence[str], row: tuple[Any, ...]) -> Cost:
    keys, (currency, step, *rest) = row[: len(group_by)], row[len(group_by) :]
    *sums, records, unpriced = rest
    time = None
    if isinstance(step, str):
        time = unix_nano(step + _REST[len(step) :], reader.clock)
    elif step is not None:
        time = reader.dialect.from_time(step) * 1000
    return Cost(
        labels=dict(zip(group_by, keys, strict=True)),
        billing_currency=currency,
        time_unix_nano=time,
        **{name: None if value is None else Decimal(value) for name, value in zip(COSTS, sums, strict=True)},
        records=records,
        unpriced=unpriced,
    )


def _dearest(cost: Cost) -> tuple[Any, ...]:
    amount = cost.effective_cost
    return (
        cost.time_unix_nano or 0,
        cost.billing_currency,
        amount is None,
        -(amount or ZERO),
        _texts(cost.labels),
    )


def _texts(labels: Mapping[str, str | None]) -> list[str]:
    return [value or "" for value in labels.values()]
