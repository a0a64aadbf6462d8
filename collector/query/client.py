"""`connect`: the way to what is stored, for programs.

    with connect("sqlite:///telemetry.db") as query:
        for line in query.range("http.server.active_requests", start="-1h", step="1m"):
            ...

Results are frozen dataclasses (`results`). Times are `datetime` with a zone, epoch seconds, ISO 8601 text, or
relative to now like `-1h`; windows are half open. Labels are found on the point, span or record itself or on its
resource. Lists of single items begin with the newest, and `limit` keeps the newest.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from collector.model.clock import Clock, SystemClock
from collector.model.signal import OPENTELEMETRY, Signal
from collector.query.aggregation import Aggregation, Over
from collector.query.attributes import NO_ATTRIBUTES, Labels
from collector.query.cost_entries import read_cost_entries
from collector.query.costs import NO_DIMENSIONS, Where, compare_costs, read_costs
from collector.query.dialect import Dialect, during, statement
from collector.query.logs import read_logs, severity_number
from collector.query.points import (
    EXPONENTIAL_HISTOGRAMS,
    HISTOGRAMS,
    NUMBERS,
    SUMMARIES,
    latest_points,
    read_cluster_points,
    read_points,
)
from collector.query.ranges import GroupBy, read_range, steps_of
from collector.query.reader import Reader
from collector.query.results import (
    Cost,
    CostChange,
    HistogramPoint,
    LogRecord,
    Metric,
    MetricPoint,
    Point,
    Range,
    Sample,
    Service,
    Span,
    SummaryPoint,
    TraceSummary,
)
from collector.query.series import read_metrics
from collector.query.spans import read_spans, read_trace_spans, slowest_traces, status_code, trace_id_bytes
from collector.query.trace import Trace, build_trace
from collector.query.when import Length, When, Window, nanoseconds, unix_nano
from collector.storage.store import Store, store_for
from collector.storage.tables import SIGNAL_OF, Table

LIMIT: Final = 1000


def connect(
    url: str, *, clock: Clock | None = None, timeout_s: float | None = None, retention_days: float = 90
) -> QueryClient:
    """Open the store that `url` names: `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://…`.

    Args:
        url: Which store.
        clock: What "now" is; the system's clock.
        timeout_s: How long one query may take; None: as long as it takes.
        retention_days: What `cleanup_old_data` keeps if it is not told otherwise.

    Raises:
        ValueError: nothing is known under this scheme.
        RetryableError, PermanentError: it cannot be opened now, or ever (`Store.open`).
    """
    chosen = clock or SystemClock()
    store = store_for(url, clock=chosen)
    store.open()
    return QueryClient(store, clock=chosen, timeout_s=timeout_s, retention_days=retention_days)


class QueryClient:
    """Questions to an open store. May be used by several threads; closing it closes the store."""

    def __init__(
        self, store: Store, *, clock: Clock, timeout_s: float | None = None, retention_days: float = 90
    ) -> None:
        self._store = store
        self._retention_days = retention_days
        self._reader = Reader(store, Dialect(store.dialect == "sqlite"), clock, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store. Safe twice."""
        self._store.close()

    # --- metrics ------------------------------------------------------------------------------------------

    def metric_names(self, prefix: str = "") -> list[Metric]:
        """Return which metrics there are, in order of name; those that begin with `prefix`."""
        return read_metrics(self._reader, prefix)

    def metrics(
        self,
        name: str,
        start: When | None = None,
        end: When | None = None,
        labels: Labels = NO_ATTRIBUTES,
        limit: int | None = LIMIT,
    ) -> list[MetricPoint]:
        """Return points of a gauge or a sum."""
        points = read_points(self._reader, NUMBERS, name, self._reader.window(start, end), labels, limit)
        return [point for point in points if isinstance(point, MetricPoint)]

    def histograms(
        self,
        name: str,
        start: When | None = None,
        end: When | None = None,
        labels: Labels = NO_ATTRIBUTES,
        limit: int | None = LIMIT,
    ) -> list[HistogramPoint]:
        """Return points of a histogram, with explicit bounds or exponential."""
        window = self._reader.window(start, end)
        points = [
            point
            for kind in (HISTOGRAMS, EXPONENTIAL_HISTOGRAMS)
            for point in read_points(self._reader, kind, name, window, labels, limit)
            if isinstance(point, HistogramPoint)
        ]
        return sorted(points, key=lambda point: -point.time_unix_nano)[:limit]

    def summaries(
        self,
        name: str,
        start: When | None = None,
        end: When | None = None,
        labels: Labels = NO_ATTRIBUTES,
        limit: int | None = LIMIT,
    ) -> list[SummaryPoint]:
        """Return points of a summary."""
        points = read_points(self._reader, SUMMARIES, name, self._reader.window(start, end), labels, limit)
        return [point for point in points if isinstance(point, SummaryPoint)]

    def latest(self, name: str, labels: Labels = NO_ATTRIBUTES) -> list[Point]:
        """Return the newest point of every stream of a metric of any type, by service and attributes."""
        return latest_points(self._reader, name, labels)

    def range(
        self,
        name: str,
        start: When = "-1h",
        end: When = "now",
        step: Length | None = "1m",
        aggregation: str = "avg",
        labels: Labels = NO_ATTRIBUTES,
        group_by: GroupBy = (),
    ) -> list[Range]:
        """Return a metric over time: one line per group, oldest sample first.

        Args:
            name: The metric.
            start: Where the first step begins.
            end: Where the last step ends, at the latest.
            step: Its length; None: one step for everything.
            aggregation: `avg`, `min`, `max`, `sum`, `count`, `first`, `last`, `p50`…`p99.9` of the points'
                values; `increase` and `rate` (per second) of counters. Of histograms: of what was counted.
            labels: Which series.
            group_by: One line for each combination of these labels' values; `"series"`: one per stream.
                Different types or units are always different lines.

        Raises:
            ValueError: an argument cannot be read.
            QueryError: this aggregation makes no sense for the metric's type.
        """
        steps = steps_of(self._reader.window(start, end), step)
        return read_range(self._reader, name, steps, Aggregation.parse(aggregation), labels, group_by)

    def quantile(
        self,
        name: str,
        quantile: float,
        start: When = "-1h",
        end: When = "now",
        labels: Labels = NO_ATTRIBUTES,
        group_by: GroupBy = (),
    ) -> list[Range]:
        """Return one quantile (0 to 1) over the whole window; of a histogram, computed from its buckets."""
        if not 0 <= quantile <= 1:
            raise ValueError(f"{quantile} is not a quantile: expected a number from 0 to 1")
        steps = steps_of(self._reader.window(start, end), None)
        aggregation = Aggregation(Over.PERCENTILE, round(quantile * 1_000_000))
        return read_range(self._reader, name, steps, aggregation, labels, group_by)

    # --- traces -------------------------------------------------------------------------------------------

    def spans(
        self,
        service: str | None = None,
        name: str | None = None,
        start: When | None = None,
        end: When | None = None,
        min_duration: Length | None = None,
        status: str | None = None,
        attributes: Labels = NO_ATTRIBUTES,
        limit: int | None = LIMIT,
    ) -> list[Span]:
        """Return spans that start in the window. `status`: `unset`, `ok` or `error`."""
        return read_spans(
            self._reader,
            self._reader.window(start, end),
            service=service,
            name=name,
            duration_nano_min=None if min_duration is None else nanoseconds(min_duration),
            status=None if status is None else status_code(status),
            attributes=attributes,
            limit=limit,
        )

    def trace(self, trace_id: str, start: When | None = None, end: When | None = None) -> Trace | None:
        """Return a whole trace as a tree; None if nothing of it is stored.

        `start` and `end` are not needed; knowing about when it was makes it quicker to find in a big database.
        """
        value = trace_id_bytes(trace_id)
        spans = read_trace_spans(self._reader, value, self._reader.window(start, end))
        return build_trace(value.hex(), spans) if spans else None

    def slowest_traces(
        self,
        start: When | None = "-1h",
        end: When | None = None,
        service: str | None = None,
        limit: int = 10,
    ) -> list[TraceSummary]:
        """Return the longest traces, longest first; those in which `service` took part."""
        return slowest_traces(self._reader, self._reader.window(start, end), service=service, limit=limit)

    # --- logs and services ----------------------------------------------------------------------------------

    def logs(
        self,
        service: str | None = None,
        severity: str | int | None = None,
        start: When | None = None,
        end: When | None = None,
        text: str | None = None,
        event_name: str | None = None,
        trace_id: str | None = None,
        attributes: Labels = NO_ATTRIBUTES,
        limit: int | None = LIMIT,
    ) -> list[LogRecord]:
        """Return log records. `severity`: at least `warn`, say; `text`: what the body contains, to the letter."""
        return read_logs(
            self._reader,
            self._reader.window(start, end),
            service=service,
            severity_min=None if severity is None else severity_number(severity),
            text=text,
            event_name=event_name,
            trace_id=trace_id,
            attributes=attributes,
            limit=limit,
        )

    def items(self, start: When | None = None, end: When | None = None) -> dict[Signal, int]:
        """Return how many items of each signal lie in the window."""
        conditions = during(self._reader.dialect, self._reader.window(start, end))
        counts = dict.fromkeys(Signal, 0)
        stored = {entry.table for entry in self._store.stats()} if self._behind() else SIGNAL_OF.keys()
        for table, signal in SIGNAL_OF.items():
            if table not in stored:
                continue
            text = statement(f"SELECT count(*) FROM {table} p", conditions.where)  # noqa: S608 - of ours
            counts[signal] += self._reader.rows(text, conditions.parameters)[0][0]
        return counts

    def _behind(self) -> bool:
        """Whether the schema lacks tables that this program knows."""
        status = self._store.schema_status()
        return status.current < status.expected

    def services(self) -> list[Service]:
        """Return every service that has sent something, by name."""
        rows = self._reader.rows(
            "SELECT service_name, service_namespace, instances, resources FROM services", {}
        )
        return [
            Service(service_name=name, service_namespace=namespace, instances=instances, resources=resources)
            for name, namespace, instances, resources in sorted(rows)
        ]

    # --- costs ----------------------------------------------------------------------------------------------

    def costs(
        self,
        start: When | None = "-30d",
        end: When | None = None,
        group_by: Sequence[str] = (),
        where: Where = NO_DIMENSIONS,
        step: str | None = None,
    ) -> list[Cost]:
        """Return what was charged for in periods that begin in the window: every cost once, exactly, by currency.

        Args:
            start: Where the window begins.
            end: Where it ends.
            group_by: One result for each combination of these dimensions' values: `service`, `team`, `tenant`,
                `environment`, `namespace`, `workload`, `category`, … (`costs.DIMENSIONS`), `label:KEY`, `tag:KEY`.
            where: Only costs with these values of dimensions, or one of a tuple of values; "": without one.
            step: `hour`, `day` or `month` (UTC): one result for each.

        Raises:
            ValueError: an argument is none of these.
        """
        return read_costs(self._reader, self._reader.window(start, end), group_by, where, step)

    def cost_changes(
        self,
        start: When = "-7d",
        end: When = "now",
        group_by: Sequence[str] = ("service",),
        where: Where = NO_DIMENSIONS,
        previous_start: When | None = None,
        cost: str = "effective_cost",
        limit: int | None = LIMIT,
    ) -> list[CostChange]:
        """Return what changed against an earlier period of the same length, the largest changes first.

        `previous_start`: where that period begins; None: it ends where this one begins.
        """
        window = self._reader.window(start, end)
        length = window.end_unix_nano - window.start_unix_nano
        if previous_start is None:
            before = window.start_unix_nano - length
        else:
            before = unix_nano(previous_start, self._reader.clock)
        if before < 0:
            raise ValueError("the period before would begin before 1970")
        previous = Window(before, before + length)
        return compare_costs(self._reader, window, previous, group_by, where, cost)[:limit]

    # --- by the names and arguments that OpenFinOps and its metrics storage have ------------------------------

    def query_historical_metrics(
        self,
        start_time: When | None = None,
        end_time: When | None = None,
        cluster_id: str | None = None,
        limit: int | None = LIMIT,
    ) -> list[MetricPoint]:
        """Return points of all gauges and sums, newest first; those of one cluster, if `cluster_id` is given.

        A point belongs to a cluster by `cluster_id`, `k8s.cluster.name`, `k8s.cluster.uid` or `cluster`.
        """
        return read_cluster_points(self._reader, self._reader.window(start_time, end_time), cluster_id, limit)

    def query_historical_costs(
        self,
        start_time: When | None = None,
        end_time: When | None = None,
        category: str | None = None,
        resource_id: str | None = None,
        limit: int | None = LIMIT,
    ) -> list[dict[str, Any]]:
        """Return costs as finopsmetrics' `CostEntry` has them, newest first: every cost once, what is unpriced left out.

        `amount` is a float there, which may not say the last digits; `costs` is exact.
        """
        window = self._reader.window(start_time, end_time)
        return read_cost_entries(self._reader, window, category, resource_id, limit)

    def query_metrics(
        self,
        metric_name: str,
        start_time: When | None = None,
        end_time: When | None = None,
        labels: Labels = NO_ATTRIBUTES,
        limit: int | None = LIMIT,
    ) -> list[MetricPoint]:
        """`metrics`, by its other name."""
        return self.metrics(metric_name, start_time, end_time, labels, limit)

    def query_latest(self, metric_name: str, labels: Labels = NO_ATTRIBUTES) -> Point | None:
        """Return the newest of the points that `latest` returns; None if there are none."""
        return max(self.latest(metric_name, labels), key=lambda point: point.time_unix_nano, default=None)

    def query_range(
        self,
        metric_name: str,
        start_time: When,
        end_time: When,
        step: Length,
        aggregation: str = "avg",
        labels: Labels = NO_ATTRIBUTES,
    ) -> list[Sample]:
        """Return `range` as one line of samples.

        Raises:
            ValueError: the metric has points of several types or units, which one line cannot mix.
        """
        lines = self.range(metric_name, start_time, end_time, step, aggregation, labels)
        if len(lines) > 1:
            kinds = ", ".join(f"{line.type} in {line.unit or 'no unit'}" for line in lines)
            raise ValueError(f"{metric_name} is several metrics ({kinds}): use range, which keeps them apart")
        return list(lines[0].samples) if lines else []

    def cleanup_old_data(self, retention_days: float | None = None) -> dict[str, int]:
        """Delete older traces, metrics and logs, but no costs; return the number of rows deleted per table."""
        days = self._retention_days if retention_days is None else retention_days
        if days < 0:
            raise ValueError(f"retention_days is {days}: it cannot be negative")
        ages_s: dict[Signal | Table, float] = dict.fromkeys(OPENTELEMETRY, days * 86_400.0)
        return self._store.apply_retention(ages_s, now_unix_nano=self._reader.clock.unix_nano())
