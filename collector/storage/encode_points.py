"""Metric points to rows: one function per type of metric, in the column order of its table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from collector.storage.parts import exemplars_text
from collector.storage.rows import Row, signed64
from collector.storage.tables import (
    EXPONENTIAL_HISTOGRAM_POINTS,
    HISTOGRAM_POINTS,
    NUMBER_POINTS,
    SUMMARY_POINTS,
    Table,
)


def number_point(metric: str, series_id: int, point: Any) -> Row:
    """A row of `otlp_number_points`."""
    time, nanos = divmod(point.time_unix_nano, 1000)
    start = point.start_time_unix_nano
    kind = point.WhichOneof("value")
    return (
        metric,
        series_id,
        time,
        nanos or None,
        signed64(start) if start else None,
        point.as_double if kind == "as_double" else None,
        point.as_int if kind == "as_int" else None,
        point.flags or None,
        exemplars_text(point.exemplars) if point.exemplars else None,
    )


def histogram_point(metric: str, series_id: int, point: Any) -> Row:
    """A row of `otlp_histogram_points`."""
    time, nanos = divmod(point.time_unix_nano, 1000)
    start = point.start_time_unix_nano
    return (
        metric,
        series_id,
        time,
        nanos or None,
        signed64(start) if start else None,
        signed64(point.count),
        *_sum_min_max(point),
        _counts(point.bucket_counts),
        tuple(point.explicit_bounds) or None,
        point.flags or None,
        exemplars_text(point.exemplars) if point.exemplars else None,
    )


def exponential_histogram_point(metric: str, series_id: int, point: Any) -> Row:
    """A row of `otlp_exponential_histogram_points`."""
    time, nanos = divmod(point.time_unix_nano, 1000)
    start = point.start_time_unix_nano
    return (
        metric,
        series_id,
        time,
        nanos or None,
        signed64(start) if start else None,
        signed64(point.count),
        *_sum_min_max(point),
        point.scale,
        signed64(point.zero_count),
        point.zero_threshold,
        *_buckets(point, "positive"),
        *_buckets(point, "negative"),
        point.flags or None,
        exemplars_text(point.exemplars) if point.exemplars else None,
    )


def summary_point(metric: str, series_id: int, point: Any) -> Row:
    """A row of `otlp_summary_points`."""
    time, nanos = divmod(point.time_unix_nano, 1000)
    start = point.start_time_unix_nano
    quantiles = point.quantile_values
    return (
        metric,
        series_id,
        time,
        nanos or None,
        signed64(start) if start else None,
        signed64(point.count),
        point.sum,
        tuple([value.quantile for value in quantiles]) or None,
        tuple([value.value for value in quantiles]) or None,
        point.flags or None,
    )


# By the name of the field in `Metric.data`, which is also what `otlp_series.type` says.
POINT_ENCODERS: Final[dict[str, tuple[Table, Callable[[str, int, Any], Row]]]] = {
    "gauge": (NUMBER_POINTS, number_point),
    "sum": (NUMBER_POINTS, number_point),
    "histogram": (HISTOGRAM_POINTS, histogram_point),
    "exponential_histogram": (EXPONENTIAL_HISTOGRAM_POINTS, exponential_histogram_point),
    "summary": (SUMMARY_POINTS, summary_point),
}

# Those of them that have an aggregation temporality.
TEMPORAL: Final = frozenset({"sum", "histogram", "exponential_histogram"})


def _sum_min_max(point: Any) -> tuple[float | None, float | None, float | None]:
    return (
        point.sum if point.HasField("sum") else None,
        point.min if point.HasField("min") else None,
        point.max if point.HasField("max") else None,
    )


def _buckets(point: Any, side: str) -> tuple[int | None, tuple[int, ...] | None]:
    if not point.HasField(side):
        return None, None
    buckets = getattr(point, side)
    return buckets.offset, _counts(buckets.bucket_counts)


def _counts(counts: Any) -> tuple[int, ...] | None:
    return tuple([signed64(count) for count in counts]) or None
