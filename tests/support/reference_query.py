"""What queries should answer, computed in plain Python over lists: slow, simple, and nothing of the package in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LOOKBACK = 300 * 10**9


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of a gauge or sum."""

    stream: str
    time: int
    value: float | int | None
    labels: Mapping[str, Any] = field(default_factory=dict)
    start: int = 0
    delta: bool = False
    monotonic: bool = True


def steps(
    points: Iterable[Point], start: int, end: int, step: int, aggregate: Callable[[Sequence[Point]], float]
) -> list[tuple[int, float]]:
    """The aggregate of each step that has points with a value."""
    cells: dict[int, list[Point]] = {}
    for point in points:
        usable = point.value is not None and not math.isnan(point.value)
        if usable and start <= point.time < end:
            cells.setdefault(start + (point.time - start) // step * step, []).append(point)
    return [(time, aggregate(cells[time])) for time in sorted(cells)]


def values(points: Sequence[Point]) -> list[float]:
    """Their values as doubles."""
    return [float(point.value) for point in points if point.value is not None]


def percentile(points: Sequence[Point], quantile: float) -> float:
    """Linear between the two nearest values, as `statistics.quantiles(method='inclusive')`."""
    ordered = sorted(values(points))
    place = quantile * (len(ordered) - 1)
    low = math.floor(place + 1e-9)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


AGGREGATES: dict[str, Callable[[Sequence[Point]], float]] = {
    "avg": lambda points: math.fsum(values(points)) / len(points),
    "min": lambda points: min(values(points)),
    "max": lambda points: max(values(points)),
    "sum": lambda points: math.fsum(values(points)),
    "count": lambda points: float(len(points)),
    "first": lambda points: values(sorted(points, key=lambda p: p.time))[0],
    "last": lambda points: values(sorted(points, key=lambda p: p.time))[-1],
    "p50": lambda points: percentile(points, 0.5),
    "p90": lambda points: percentile(points, 0.9),
    "p99.9": lambda points: percentile(points, 0.999),
}


def increases(points: Iterable[Point], start: int, end: int, step: int) -> list[tuple[int, float]]:
    """How much counters went up in each step, over all streams."""
    streams: dict[str, list[Point]] = {}
    since = max(1000, start - max(LOOKBACK, step))
    for point in points:
        usable = point.value is not None and not math.isnan(point.value)
        if usable and since <= point.time < end:
            streams.setdefault(point.stream, []).append(point)
    cells: dict[int, float] = {}
    for stream in streams.values():
        before: Point | None = None
        for point in sorted(stream, key=lambda p: p.time):
            if point.time >= start:
                time = start + (point.time - start) // step * step
                cells[time] = cells.get(time, 0.0) + _increase(before, point, since)
            before = point
    return sorted(cells.items())


def _increase(before: Point | None, point: Point, since: int) -> float:
    value = float(point.value or 0)
    if point.delta:
        return value
    from_zero = value if point.start < point.time else 0.0
    if before is None:
        return from_zero if point.start >= since else 0.0
    if point.start != before.start and point.start and before.start:
        return from_zero
    difference = value - float(before.value or 0)
    return value if point.monotonic and difference < 0 else difference


def bucket_quantile(
    bounds: Sequence[float], counts: Sequence[int], low: float, high: float, quantile: float
) -> float:
    """The quantile of explicit buckets between `low` and `high`, values spread evenly in each."""
    edges = [low, *bounds, high]
    wanted, seen = quantile * sum(counts), 0.0
    for place, count in enumerate(counts):
        begin, end = max(edges[place], low), min(edges[place + 1], high)
        if count and seen + count >= wanted:
            return begin + (wanted - seen) / count * (end - begin)
        seen += count
    return high
