"""What `collector demo` shows of what was stored: services, the slowest trace, a metric over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

from collector.cli.database.trace_questions import tree_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.tree import Tree

    from collector.query.client import QueryClient
    from collector.storage.store import Store

_BARS: Final = "▁▂▃▄▅▆▇█"


def services(store: Store) -> Table:
    """A line per service: requests, errors, and how long they took."""
    table = Table(title="Services", title_justify="left")
    table.add_column("service")
    for name in ("requests", "errors", "p50 ms", "p95 ms", "max ms"):
        table.add_column(name, justify="right")
    rows = store.query(
        "SELECT service_name, sum(requests), sum(errors), max(p50_ms), max(p95_ms), max(max_ms)"
        " FROM services_hourly GROUP BY service_name ORDER BY service_name"
    ).rows
    for service, requests, errors, *milliseconds in rows:
        table.add_row(service, str(requests), str(errors), *(f"{value:.1f}" for value in milliseconds))
    return table


def slowest_trace(query: QueryClient) -> Tree | str:
    """The slowest trace, as a tree of its spans."""
    for summary in query.slowest_traces(limit=1):
        trace = query.trace(summary.trace_id)
        if trace is not None:
            return tree_of(trace)
    return "No traces."


def metric_over_time(query: QueryClient, metric: str) -> Table:
    """A counter's rate, second by second, as a line of bars for each product."""
    table = Table(title=f"{metric} per second, by product", title_justify="left")
    table.add_column("product")
    table.add_column("over time")
    table.add_column("total", justify="right")
    totals = {
        line.labels["product"]: line.samples[0].value
        for line in query.range(
            metric, start="-10m", step=None, aggregation="increase", group_by=("product",)
        )
    }
    for line in query.range(metric, start="-10m", step="1s", aggregation="rate", group_by=("product",)):
        product = line.labels["product"]
        values = [sample.value for sample in line.samples]
        table.add_row(str(product), _bars(values), f"{totals.get(product, 0):.2f} {line.unit}")
    return table


def _bars(values: Sequence[float]) -> str:
    top = max(values, default=0) or 1
    return "".join(_BARS[min(int(value / top * len(_BARS)), len(_BARS) - 1)] for value in values)
