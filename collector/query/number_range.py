"""Gauges and sums over time, aggregated in the database: one line per group, one value per step.

A point lies in the step that its time lies in; steps are counted from the start of the range. Points without a
recorded value and NaN are left out, since they say nothing that could be averaged.

`increase` is how much a counter went up. It knows each sum's temporality (OpenTelemetry, "Metrics Data Model"):

* delta: the points in the step, added up;
* cumulative: for each point, its difference to the one before it in the same stream, even where that lies
  before the start of the range. A start time that changed, or a monotonic sum that fell, is a reset: the
  counter began again at 0, and the whole value counts. So does a stream's first point when it says that it
  began in the range; otherwise nobody knows when that increase was, and it counts as 0. A start time equal to
  the point's own says that the true start is unknown: 0 as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from collector.query.aggregation import Aggregation, Over
from collector.query.dialect import Dialect, during, pair_list, statement
from collector.query.reader import Reader
from collector.query.results import Sample
from collector.query.when import Window

# How far before a range the point is looked for that its first point is compared to: five exports of an SDK
# with its default interval of one minute.
LOOKBACK_NANO: Final = 300 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A window cut into steps. All in whole microseconds, which is what databases count in."""

    window: Window
    step_us: int

    @property
    def origin_us(self) -> int:
        """Where the first step begins, in microseconds since 1970."""
        return self.window.start_unix_nano // 1000

    def length_s(self, start_us: int) -> float:
        """Seconds that the step beginning at `start_us` covers: the last one may be cut off by the end."""
        return min(self.step_us, self.window.end_unix_nano // 1000 - start_us) / 1e6


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the points come from: `where` keeps the metric's in the window; `grouped`: those that have a group."""

    dialect: Dialect
    where: str
    grouped: bool

    def points(self, columns: str = "", joins: str = "") -> str:
        """A SELECT of `bucket, grp, v`, and of further `columns`."""
        value = f"coalesce({self.dialect.number('p.value')}, CAST(p.value_int AS double precision))"
        return statement(
            f"SELECT {self.dialect.bucket('p.time')} AS bucket, {'g.grp' if self.grouped else '0'} AS grp,",
            f"{value} AS v{columns} FROM otlp_number_points p",
            # CROSS, because SQLite takes it as an order: each point once, not all points for each group.
            "CROSS JOIN groups g" if self.grouped else "",
            joins,
            self.where,
            "AND g.series_id = p.series_id" if self.grouped else "",
        )


def number_samples(
    reader: Reader, name: str, steps: Steps, aggregation: Aggregation, group_of: Mapping[int, int] | None
) -> dict[int, list[Sample]]:
    """Return the samples of each group. `group_of`: series and their groups; None: all are group 0."""
    dialect = reader.dialect
    counted = aggregation.over in (Over.RATE, Over.INCREASE)
    window = with_lookback(steps) if counted else steps.window
    conditions = during(dialect, window)
    conditions.add("p.metric = %(metric)s", metric=name)
    parameters: dict[str, Any] = {
        **conditions.parameters,
        **dialect.steps(steps.origin_us, steps.step_us),
        "millionths": aggregation.millionths,
        "since_unix_nano": window.start_unix_nano,
        "groups": pair_list(group_of or {}),
    }
    grouped = group_of is not None
    text = statement(
        # Materialised, so that SQLite makes an index on it instead of reading it again for every point.
        f"WITH groups AS MATERIALIZED {dialect.pairs('groups')}" if grouped else "",
        _statement(_Source(dialect, conditions.where, grouped), aggregation.over),
    )
    samples: dict[int, list[Sample]] = {}
    for bucket, group, *values in reader.rows(text, parameters):
        start_us = dialect.from_bucket(bucket, steps.origin_us, steps.step_us)
        value = _value(aggregation, values)
        if aggregation.over is Over.RATE:
            value /= steps.length_s(start_us)
        samples.setdefault(group, []).append(Sample(start_us * 1000, value))
    return samples


def _statement(source: _Source, over: Over) -> str:
    match over:
        case Over.AVG | Over.MIN | Over.MAX | Over.SUM | Over.COUNT:
            return _simple(source, over)
        case Over.FIRST | Over.LAST:
            return _end(source, over)
        case Over.PERCENTILE:
            return _percentile(source)
        case Over.RATE | Over.INCREASE:
            return _increase(source)
        case never:
            assert_never(never)


def with_lookback(steps: Steps) -> Window:
    """The window, and as much before it as the first difference may need."""
    lookback = max(LOOKBACK_NANO, steps.step_us * 1000)
    # Never 0: that would mean "no bound", and the statement has one.
    return Window(max(1000, steps.window.start_unix_nano - lookback), steps.window.end_unix_nano)


def _value(aggregation: Aggregation, values: Sequence[Any]) -> float:
    if aggregation.over is Over.AVG:
        return _float(values[0]) / int(values[1])
    if aggregation.over is not Over.PERCENTILE:
        return _float(values[0])
    count, low, high = int(values[0]), float(values[1]), values[2]
    fraction = aggregation.millionths * (count - 1) % 1_000_000 / 1_000_000
    # Asked first: infinity minus infinity is nothing.
    if not fraction or low == high:
        return low
    return low + fraction * (float(high) - low)


def _float(value: Any) -> float:
    # SQLite says NULL for what is not a number, such as infinity minus infinity.
    return float("nan") if value is None else float(value)


def _simple(source: _Source, over: Over) -> str:
    # Not avg(v): PostgreSQL's computes the variance on the way and fails where its square overflows.
    value = "sum(v), count(v)" if over is Over.AVG else f"{over.value}(v)"
    return statement(
        f"SELECT bucket, grp, {value} FROM (",  # noqa: S608 - a name of ours
        source.points(),
        ") AS points WHERE v IS NOT NULL GROUP BY bucket, grp ORDER BY bucket, grp",
    )


def _end(source: _Source, over: Over) -> str:
    way = "" if over is Over.FIRST else " DESC"
    return statement(
        "SELECT bucket, grp, v FROM (SELECT bucket, grp, v, row_number() OVER (PARTITION BY bucket, grp",
        f"ORDER BY time{way}, nanos{way}, series_id{way}) AS place FROM (",
        source.points(", p.time, coalesce(p.time_nanos, 0) AS nanos, p.series_id"),
        ") AS points WHERE v IS NOT NULL) AS ranked WHERE place = 1 ORDER BY bucket, grp",
    )


def _percentile(source: _Source) -> str:
    # The two values around the place that the percentile falls on; `_value` interpolates, as
    # percentile_cont does. Written out because SQLite has no such function.
    place = "(%(millionths)s * (n - 1)) / 1000000"
    return statement(
        "SELECT bucket, grp, max(n),",
        f"max(CASE WHEN place = 1 + {place} THEN v END), max(CASE WHEN place = 2 + {place} THEN v END)",
        "FROM (SELECT bucket, grp, v, row_number() OVER (PARTITION BY bucket, grp ORDER BY v) AS place,",
        "count(*) OVER (PARTITION BY bucket, grp) AS n FROM (",
        source.points(),
        ") AS points WHERE v IS NOT NULL) AS ranked GROUP BY bucket, grp ORDER BY bucket, grp",
    )


def _increase(source: _Source) -> str:
    at = f"({source.dialect.microseconds('time')} * 1000 + nanos)"
    return statement(
        "SELECT bucket, grp, sum(CASE",
        "WHEN temporality = 1 THEN v",
        f"WHEN previous IS NULL THEN CASE WHEN began >= %(since_unix_nano)s AND began < {at} THEN v ELSE 0 END",
        "WHEN began <> previous_began AND began <> 0 AND previous_began <> 0",
        f"THEN CASE WHEN began < {at} THEN v ELSE 0 END",
        "WHEN monotonic AND v < previous THEN v",
        "ELSE v - previous END)",
        "FROM (SELECT bucket, grp, v, time, nanos, began, temporality, monotonic,",
        "lag(v) OVER stream AS previous, lag(began) OVER stream AS previous_began FROM (",
        source.points(
            ", p.time, coalesce(p.time_nanos, 0) AS nanos, p.series_id, s.stream_id, s.temporality, s.monotonic"
            ", coalesce(p.start_time_unix_nano, 0) AS began",
            "JOIN otlp_series s ON s.series_id = p.series_id",
        ),
        ") AS points WHERE v IS NOT NULL",
        "WINDOW stream AS (PARTITION BY stream_id ORDER BY time, nanos, series_id)) AS differences",
        f"WHERE time >= {'%(origin)s' if source.dialect.sqlite else '%(origin)s::timestamptz'}",
        "GROUP BY bucket, grp ORDER BY bucket, grp",
    )
