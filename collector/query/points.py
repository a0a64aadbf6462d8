"""Single points of metrics, newest first, and the latest of every stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from collector.query.attributes import Labels, parse
from collector.query.dialect import (
    Conditions,
    Dialect,
    during,
    from_float,
    from_uint64,
    statement,
)
from collector.query.reader import Reader
from collector.query.results import HistogramPoint, MetricPoint, Point, Stream, SummaryPoint
from collector.query.series import find_series, find_series_anywhere, read_series
from collector.query.when import TIME_MAX, Window
from collector.storage.tables import (
    EXPONENTIAL_HISTOGRAM_POINTS,
    HISTOGRAM_POINTS,
    NUMBER_POINTS,
    SUMMARY_POINTS,
    Table,
)

_DAY: Final = 86_400 * 10**9
# How far back `latest` looks, further each time, until every stream has answered. Streams that are alive
# answer the first, which reads the newest chunk only.
_LOOKBACKS: Final = (_DAY // 24, _DAY, 30 * _DAY, TIME_MAX)
# What a cluster is called: by our predecessor, and by OpenTelemetry's semantic conventions.
CLUSTER_LABELS: Final = ("cluster_id", "k8s.cluster.name", "k8s.cluster.uid", "cluster")


@dataclass(frozen=True, slots=True)
class Kind:
    """One table of points and how its rows become results. The first five columns are the same for all."""

    table: Table
    types: tuple[str, ...]
    columns: tuple[str, ...]
    make: Callable[[Dialect, Sequence[Any], Stream, int, int | None], Point]

    @property
    def select(self) -> str:
        """The columns `rows_to_points` expects, from fact `p`."""
        return ", ".join(
            f"p.{column}"
            for column in ("series_id", "time", "time_nanos", "start_time_unix_nano", *self.columns)
        )


def _number(_: Dialect, row: Sequence[Any], stream: Stream, time: int, start: int | None) -> MetricPoint:
    value, value_int, flags, exemplars = row
    return MetricPoint(
        time_unix_nano=time,
        value=from_float(value) if value_int is None else value_int,
        start_time_unix_nano=start,
        flags=flags or 0,
        exemplars=tuple(parse(exemplars) or ()),
        stream=stream,
    )


def _histogram(
    dialect: Dialect, row: Sequence[Any], stream: Stream, time: int, start: int | None
) -> HistogramPoint:
    count, total, low, high, flags, exemplars, bucket_counts, bounds = row
    return HistogramPoint(
        time_unix_nano=time,
        count=from_uint64(count) or 0,
        sum=from_float(total),
        min=from_float(low),
        max=from_float(high),
        bucket_counts=dialect.from_integers(bucket_counts),
        explicit_bounds=dialect.from_floats(bounds),
        start_time_unix_nano=start,
        flags=flags or 0,
        exemplars=tuple(parse(exemplars) or ()),
        stream=stream,
    )


def _exponential(
    dialect: Dialect, row: Sequence[Any], stream: Stream, time: int, start: int | None
) -> HistogramPoint:
    count, total, low, high, flags, exemplars, scale, zero_count, zero_threshold = row[:9]
    positive_offset, positive, negative_offset, negative = row[9:]
    return HistogramPoint(
        time_unix_nano=time,
        count=from_uint64(count) or 0,
        sum=from_float(total),
        min=from_float(low),
        max=from_float(high),
        scale=scale,
        zero_count=from_uint64(zero_count) or 0,
        zero_threshold=float(zero_threshold),
        positive_offset=positive_offset,
        positive_bucket_counts=dialect.from_integers(positive),
        negative_offset=negative_offset,
        negative_bucket_counts=dialect.from_integers(negative),
        start_time_unix_nano=start,
        flags=flags or 0,
        exemplars=tuple(parse(exemplars) or ()),
        stream=stream,
    )


def _summary(
    dialect: Dialect, row: Sequence[Any], stream: Stream, time: int, start: int | None
) -> SummaryPoint:
    count, total, flags, quantiles, values = row
    return SummaryPoint(
        time_unix_nano=time,
        count=from_uint64(count) or 0,
        sum=float(total),
        quantiles=dialect.from_floats(quantiles),
        quantile_values=dialect.from_floats(values),
        start_time_unix_nano=start,
        flags=flags or 0,
        stream=stream,
    )


NUMBERS: Final = Kind(NUMBER_POINTS, ("gauge", "sum"), ("value", "value_int", "flags", "exemplars"), _number)
_HISTOGRAM: Final = ("count", "sum", "min", "max", "flags", "exemplars")
HISTOGRAMS: Final = Kind(
    HISTOGRAM_POINTS, ("histogram",), (*_HISTOGRAM, "bucket_counts", "explicit_bounds"), _histogram
)
EXPONENTIAL_HISTOGRAMS: Final = Kind(
    EXPONENTIAL_HISTOGRAM_POINTS,
    ("exponential_histogram",),
    (
        *_HISTOGRAM, "scale", "zero_count", "zero_threshold", "positive_offset", "positive_bucket_counts",
        "negative_offset", "negative_bucket_counts",
    ),
    _exponential,
)  # fmt: skip
SUMMARIES: Final = Kind(
    SUMMARY_POINTS, ("summary",), ("count", "sum", "flags", "quantiles", "quantile_values"), _summary
)
KINDS: Final = (NUMBERS, HISTOGRAMS, EXPONENTIAL_HISTOGRAMS, SUMMARIES)


def read_points(
    reader: Reader, kind: Kind, name: str, window: Window, labels: Labels, limit: int | None
) -> list[Point]:
    """Return the points of metric `name` in `window`, newest first, the newest `limit` of them."""
    conditions = during(reader.dialect, window)
    conditions.add("p.metric = %(metric)s", metric=name)
    streams: dict[int, Stream] | None = None
    if labels:
        streams = {stream.series_id: stream for stream in find_series(reader, name, labels)}
        if not streams:
            return []
        _among(reader, conditions, streams)
    return _points(reader, kind, conditions, limit, streams)


def read_cluster_points(
    reader: Reader, window: Window, cluster_id: str | None, limit: int | None
) -> list[MetricPoint]:
    """Return the number points of all metrics, newest first; of one cluster if it is named."""
    conditions = during(reader.dialect, window)
    streams: dict[int, Stream] | None = None
    if cluster_id is not None:
        alternatives = [{label: cluster_id} for label in CLUSTER_LABELS]
        streams = {stream.series_id: stream for stream in find_series_anywhere(reader, alternatives)}
        if not streams:
            return []
        _among(reader, conditions, streams)
        names = sorted({stream.metric for stream in streams.values()})
        if len(names) <= 100:
            # A constant on the leading column of the order prunes compressed batches.
            conditions.add_any_of("p.metric = %(value)s", names)
    points = _points(reader, NUMBERS, conditions, limit, streams)
    return [point for point in points if isinstance(point, MetricPoint)]


def latest_points(reader: Reader, name: str, labels: Labels) -> list[Point]:
    """Return the newest point of every stream of metric `name`, ordered by service and attributes."""
    newest: dict[str, Point] = {}
    missing = {stream.series_id: stream for stream in find_series(reader, name, labels)}
    types = {stream.type for stream in missing.values()}
    kinds = [kind for kind in KINDS if types.intersection(kind.types)]
    for lookback in _LOOKBACKS:
        if not missing:
            break
        window = Window(max(0, reader.clock.unix_nano() - lookback), TIME_MAX)
        for kind in kinds:
            for point in _newest_per_series(reader, kind, name, window, missing):
                known = newest.get(point.stream.stream_id)
                if known is None or known.time_unix_nano < point.time_unix_nano:
                    newest[point.stream.stream_id] = point
        missing = {key: stream for key, stream in missing.items() if stream.stream_id not in newest}
    return sorted(newest.values(), key=_by_service_and_attributes)


def _newest_per_series(
    reader: Reader, kind: Kind, name: str, window: Window, streams: dict[int, Stream]
) -> list[Point]:
    conditions = during(reader.dialect, window)
    conditions.add("p.metric = %(metric)s", metric=name)
    _among(reader, conditions, streams)
    text = statement(
        "SELECT * FROM (SELECT",
        kind.select,
        ", row_number() OVER (PARTITION BY p.series_id",
        "ORDER BY p.time DESC, coalesce(p.time_nanos, 0) DESC) AS place",
        f"FROM {kind.table.name} p",
        conditions.where,
        ") AS ranked WHERE place = 1",
    )
    rows = [row[:-1] for row in reader.rows(text, conditions.parameters)]
    return _made(reader, kind, rows, streams)


def _points(
    reader: Reader, kind: Kind, conditions: Conditions, limit: int | None, streams: dict[int, Stream] | None
) -> list[Point]:
    text = statement(
        f"SELECT {kind.select} FROM {kind.table.name} p",  # noqa: S608 - names of ours
        conditions.where,
        reader.dialect.newest_first(limit),
    )
    rows = reader.rows(text, {**conditions.parameters, **({} if limit is None else {"limit": limit})})
    if streams is None:
        streams = read_series(reader, (row[0] for row in rows))
    return _made(reader, kind, rows, streams)


def _made(
    reader: Reader, kind: Kind, rows: Iterable[tuple[Any, ...]], streams: dict[int, Stream]
) -> list[Point]:
    dialect = reader.dialect
    return [
        kind.make(
            dialect,
            rest,
            streams[series_id],
            dialect.from_time(time) * 1000 + (nanos or 0),
            from_uint64(start),
        )
        for series_id, time, nanos, start, *rest in rows
    ]


def _among(reader: Reader, conditions: Conditions, streams: dict[int, Stream]) -> None:
    conditions.add(reader.dialect.among("p.series_id", "ids"), ids=reader.dialect.integers(list(streams)))


def _by_service_and_attributes(point: Point) -> tuple[str, str]:
    return point.stream.service_name, repr(sorted(point.stream.attributes.items()))
