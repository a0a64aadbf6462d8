"""Histograms and summaries over time: what was counted in each step, and quantiles of it.

Buckets are added up here and not in the database, since bounds and scales may differ from point to point.
A delta point counts in the step it lies in. Of a cumulative stream, the difference to the point before does,
under the same rules for resets as in `number_range`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from collector.query.aggregation import Aggregation, Over
from collector.query.dialect import Dialect, during, from_float, from_uint64, statement
from collector.query.distribution import Distribution
from collector.query.number_range import Steps, with_lookback
from collector.query.reader import Reader
from collector.query.results import Sample, Stream
from collector.storage.store import QueryError

_COLUMNS: Final = "p.series_id, p.time, p.time_nanos, p.start_time_unix_nano, p.count, p.sum"
_LIMITS: Final = ("p.min", "p.max")
_EXPONENTIAL: Final = ("p.scale", "p.zero_threshold", "p.zero_count")
_POSITIVE: Final = ("p.positive_offset", "p.positive_bucket_counts")
_NEGATIVE: Final = ("p.negative_offset", "p.negative_bucket_counts")
_LAYOUTS: Final = {
    "histogram": ("otlp_histogram_points", (*_LIMITS, "p.explicit_bounds", "p.bucket_counts")),
    "exponential_histogram": (
        "otlp_exponential_histogram_points",
        (*_LIMITS, *_EXPONENTIAL, *_POSITIVE, *_NEGATIVE),
    ),
    "summary": ("otlp_summary_points", ("NULL", "NULL")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a point, or the difference of two, says was counted."""

    count: int
    sum: float | None
    min: float | None = None
    max: float | None = None
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()  # between `bounds`
    scale: int | None = None
    zero_threshold: float = 0.0
    zero_count: int = 0
    positive: Mapping[int, int]  # count by index, at `scale`
    negative: Mapping[int, int]

    def minus(self, before: Counted) -> Counted | None:
        """What was counted since `before` in the same stream; None if that cannot be: there was a reset."""
        if self.bounds != before.bounds or len(self.buckets) != len(before.buckets):
            return None
        now = self
        if self.scale is not None and before.scale is not None:
            # A histogram that outgrows its buckets halves their number: compare at the coarser scale.
            scale = min(self.scale, before.scale)
            now, before = self._at_scale(scale), before._at_scale(scale)
        difference = replace(
            now,
            count=now.count - before.count,
            sum=None if now.sum is None or before.sum is None else now.sum - before.sum,
            buckets=tuple(a - b for a, b in zip(now.buckets, before.buckets, strict=True)),
            zero_count=now.zero_count - before.zero_count,
            positive=_difference(now.positive, before.positive),
            negative=_difference(now.negative, before.negative),
        )
        counts = (
            difference.count,
            difference.zero_count,
            *difference.buckets,
            *difference.positive.values(),
            *difference.negative.values(),
        )
        return None if min(counts) < 0 else difference

    def _at_scale(self, scale: int) -> Counted:
        shift = (self.scale or 0) - scale
        if not shift:
            return self
        return replace(
            self, scale=scale, positive=_merged(self.positive, shift), negative=_merged(self.negative, shift)
        )

    def add_to(self, distribution: Distribution) -> None:
        """Add it all to `distribution`."""
        if not self.count:
            return
        distribution.count += self.count
        if self.sum is None:
            distribution.sum_known = False
        else:
            distribution.sum += self.sum
        if self.min is None or self.max is None:
            distribution.limits_known = False
        else:
            distribution.min = min(distribution.min, self.min)
            distribution.max = max(distribution.max, self.max)
        if self.scale is None:
            # Without buckets there is one, of everything.
            distribution.add_explicit(self.bounds, self.buckets or (self.count,))
        else:
            zero = distribution.zero
            zero[self.zero_threshold] = zero.get(self.zero_threshold, 0) + self.zero_count
            distribution.add_exponential(self.scale, 1, self.positive)
            distribution.add_exponential(self.scale, -1, self.negative)


@dataclass(frozen=True, slots=True)
class _Point:
    series_id: int
    time_unix_nano: int
    start_time_unix_nano: int
    counted: Counted


@dataclass(slots=True)
class _Step:
    distribution: Distribution
    cumulative: bool = False  # min and max of its points are not those of the step


def histogram_samples(
    reader: Reader,
    name: str,
    steps: Steps,
    aggregation: Aggregation,
    streams: Iterable[Stream],
    group_of: Mapping[int, int],
) -> dict[int, list[Sample]]:
    """Return the samples of each group of `streams`, which are of one type.

    Raises:
        QueryError: points of this type cannot be aggregated that way.
    """
    by_id = {stream.series_id: stream for stream in streams}
    if not by_id:
        return {}
    kind = next(iter(by_id.values())).type
    _refuse_meaningless(name, kind, aggregation)
    found: dict[int, dict[int, _Step]] = {}
    for series_id, time_unix_nano, counted in _increments(
        _read(reader, name, kind, steps, by_id), by_id, steps
    ):
        in_group = found.setdefault(group_of[series_id], {})
        number = (time_unix_nano // 1000 - steps.origin_us) // steps.step_us
        step = in_group.setdefault(number, _Step(Distribution()))
        step.cumulative = step.cumulative or by_id[series_id].temporality != "delta"
        counted.add_to(step.distribution)
    return {group: list(_samples(in_group, steps, aggregation)) for group, in_group in sorted(found.items())}


def _refuse_meaningless(name: str, kind: str, aggregation: Aggregation) -> None:
    if aggregation.over in (Over.FIRST, Over.LAST):
        raise QueryError(
            f"{name} is a {kind}: it has no {aggregation.over.value} value; ask for avg or a percentile"
        )
    if kind == "summary" and aggregation.over in (Over.MIN, Over.MAX, Over.PERCENTILE):
        raise QueryError(
            f"{name} is a summary: quantiles that a client computed cannot be added up; ask for avg, count,"
            " sum, rate or increase, or read its points"
        )


def _read(reader: Reader, name: str, kind: str, steps: Steps, by_id: Mapping[int, Stream]) -> list[_Point]:
    dialect = reader.dialect
    table, layout = _LAYOUTS[kind]
    conditions = during(dialect, with_lookback(steps))
    conditions.add("p.metric = %(metric)s", metric=name)
    conditions.add(dialect.among("p.series_id", "ids"), ids=dialect.integers(list(by_id)))
    conditions.add("(coalesce(p.flags, 0) & 1) = 0")  # "no recorded value"
    text = statement(f"SELECT {_COLUMNS}, {', '.join(layout)} FROM {table} p", conditions.where)  # noqa: S608 - ours
    points = [_point(dialect, kind, row) for row in reader.rows(text, conditions.parameters)]
    return sorted(points, key=lambda p: (by_id[p.series_id].stream_id, p.time_unix_nano, p.series_id))


def _point(dialect: Dialect, kind: str, row: tuple[Any, ...]) -> _Point:
    series_id, time, nanos, start, count, total, low, high, *layout = row
    at = dialect.from_time(time) * 1000 + (nanos or 0)
    counted = Counted(
        count=from_uint64(count) or 0,
        sum=from_float(total),
        min=from_float(low),
        max=from_float(high),
        positive={},
        negative={},
    )
    if kind == "histogram":
        bounds, buckets = layout
        counted = replace(counted, bounds=dialect.from_floats(bounds), buckets=dialect.from_integers(buckets))
    elif kind == "exponential_histogram":
        scale, threshold, zero_count, positive_offset, positive, negative_offset, negative = layout
        counted = replace(
            counted,
            scale=scale,
            zero_threshold=float(threshold),
            zero_count=from_uint64(zero_count) or 0,
            positive=dict(enumerate(dialect.from_integers(positive), positive_offset or 0)),
            negative=dict(enumerate(dialect.from_integers(negative), negative_offset or 0)),
        )
    return _Point(series_id, at, from_uint64(start) or 0, counted)


def _increments(
    points: Iterable[_Point], by_id: Mapping[int, Stream], steps: Steps
) -> Iterator[tuple[int, int, Counted]]:
    """Yield series, time and what was counted, for the points in the window."""
    begin, since = steps.window.start_unix_nano, with_lookback(steps).start_unix_nano
    for _, stream_points in groupby(points, key=lambda point: by_id[point.series_id].stream_id):
        before: _Point | None = None
        for point in stream_points:
            if by_id[point.series_id].temporality == "delta":
                counted: Counted | None = point.counted
            else:
                counted = _since(before, point, since)
            before = point
            if counted is not None and point.time_unix_nano >= begin:
                yield point.series_id, point.time_unix_nano, counted


def _since(before: _Point | None, point: _Point, since_unix_nano: int) -> Counted | None:
    began = point.start_time_unix_nano
    from_zero = point.counted if began < point.time_unix_nano else None
    if before is None:
        return from_zero if began >= since_unix_nano else None
    if began != before.start_time_unix_nano and began and before.start_time_unix_nano:
        return from_zero
    return point.counted.minus(before.counted) or point.counted


def _samples(in_group: Mapping[int, _Step], steps: Steps, aggregation: Aggregation) -> Iterator[Sample]:
    for number, step in sorted(in_group.items()):
        start_us = steps.origin_us + number * steps.step_us
        value = _value(step, aggregation, steps.length_s(start_us))
        if value is not None:
            yield Sample(start_us * 1000, value)


def _value(step: _Step, aggregation: Aggregation, length_s: float) -> float | None:
    distribution = step.distribution
    match aggregation.over:
        case Over.COUNT | Over.INCREASE:
            return float(distribution.count)
        case Over.RATE:
            return distribution.count / length_s
        case Over.SUM:
            return distribution.sum if distribution.sum_known else None
        case Over.AVG:
            known = distribution.sum_known and distribution.count
            return distribution.sum / distribution.count if known else None
        case Over.MIN | Over.MAX:
            smallest = aggregation.over is Over.MIN
            if not step.cumulative and distribution.limits_known and distribution.count:
                return distribution.min if smallest else distribution.max
            return distribution.quantile(0 if smallest else 1)
        case _:
            return distribution.quantile(aggregation.quantile)


def _difference(now: Mapping[int, int], before: Mapping[int, int]) -> dict[int, int]:
    return {index: now.get(index, 0) - before.get(index, 0) for index in now.keys() | before.keys()}


def _merged(counts: Mapping[int, int], shift: int) -> dict[int, int]:
    merged: dict[int, int] = {}
    for index, count in counts.items():
        merged[index >> shift] = merged.get(index >> shift, 0) + count
    return merged
