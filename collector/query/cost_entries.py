"""Costs as finopsmetrics' `CostEntry` (openfinops/observability/cost_observatory.py): the same keys, 25 categories."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from collector.cost.cost_category import CATEGORIES, category_of
from collector.query.costs import charged_during
from collector.query.dialect import statement
from collector.query.reader import Reader
from collector.query.when import Window
from collector.storage.values import parse_json

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400

_COLUMNS: Final = (
    "record_id, time_unix_nano, coalesce(allocated_resource_id, resource_id, k8s_workload, service_name, ''), "
    "effective_cost, billing_currency, coalesce(region_id, ''), tags, labels, coalesce(charge_description, ''), "
    "coalesce(consumed_unit, pricing_unit, ''), coalesce(sku_meter, ''), coalesce(service_category, ''), columns, "
    "allocated_elements, end_time"
)


def read_cost_entries(
    reader: Reader, window: Window, category: str | None, resource_id: str | None, limit: int | None
) -> list[dict[str, Any]]:
    """Return entries, newest first, at most `limit`.

    Raises:
        ValueError: there is no such category.
    """
    if category is not None and category not in CATEGORIES:
        raise ValueError(f"{category!r} is not a category: expected {', '.join(CATEGORIES)}")
    conditions = charged_during(reader, window)
    conditions.add("effective_cost IS NOT NULL")
    if resource_id is not None:
        conditions.add(
            "coalesce(allocated_resource_id, resource_id, k8s_workload, service_name, '') = %(resource_id)s",
            resource_id=resource_id,
        )
    bound = ""
    if limit is not None and category is None:  # a category is decided here, not there
        bound = "LIMIT %(limit)s"
        conditions.parameters["limit"] = limit
    rows = reader.rows(
        statement(
            f"SELECT {_COLUMNS} FROM costs p",  # noqa: S608 - names of ours
            conditions.where,
            "ORDER BY time_unix_nano DESC, record_id",
            bound,
        ),
        conditions.parameters,
    )
    entries = []
    for entry in _entries(rows):
        if category is None or entry["category"] == category:
            entries.append(entry)
            if len(entries) == limit:
                break
    return entries


def _entries(rows: list[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        record_id, time, resource, amount, currency, region, tags, labels, description, *what = row
        unit, meter, service_category, columns, elements, end = what
        yield {
            "entry_id": str(record_id).replace("-", ""),
            "timestamp": time / 1e9,
            "resource_id": resource,
            "category": category_of(
                columns=_map(columns),
                element_units=_units(elements),
                unit=unit,
                meter=meter,
                description=description,
                service_category=service_category,
            ),
            "amount": float(amount),  # as it is there
            "currency": currency,
            "region": region,
            "tags": {**_map(tags), **_map(labels)},
            "description": description,
            "billing_period": _billing_period(time, end),
        }


def _billing_period(start_unix_nano: int, end: Any) -> str:
    length_s = _seconds(end) - start_unix_nano // 10**9
    return "hourly" if length_s <= _HOUR_S else "daily" if length_s <= _DAY_S else "monthly"


def _seconds(time: Any) -> int:
    """A time of a view: ISO text in SQLite, a datetime in PostgreSQL."""
    at = datetime.fromisoformat(f"{time[:19]}+00:00") if isinstance(time, str) else time
    return int(at.timestamp())


def _map(value: Any) -> dict[str, str]:
    """A map of the view: JSON text in SQLite, a dict in PostgreSQL, or NULL."""
    if value is None:
        return {}
    return dict(parse_json(value)) if isinstance(value, str) else dict(value)


def _units(value: Any) -> list[str]:
    """The units of a view's elements: JSON text in SQLite, a list in PostgreSQL, or NULL."""
    elements = parse_json(value) if isinstance(value, str) else value
    return [element.get("usage_unit", "") for element in elements or ()]
