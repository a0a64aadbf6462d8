"""Series of one window: a value for each, and for how long it was there. Aggregated in the database.

A value must not depend on the order in which rows lie there, or a window computed twice would differ in the last
digit: databases add up doubles as they come. So integers are added: of each number what is before the point, and
nine digits behind it. Points that are not numbers, or beyond 9·10^18, are left out.

A series is there from its first point in the window, or from the beginning if it has a point shortly before, until
its last point and one interval. The interval is what lies between its points on average; so jitter costs nothing at the
end of a window, and a pod that ended is there for at most one and a half intervals too long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from collector.accounting.texts import texts
from collector.cost.amount import from_scaled
from collector.cost.record import Period
from collector.cost.usage import Series, SeriesValue
from collector.query.dialect import Dialect, during, statement
from collector.query.reader import Reader
from collector.query.results import Stream
from collector.query.series import read_series
from collector.query.when import Window

NANO: Final = 10**9
# How far before a window a point is looked for: five exports of an SDK with its default interval of one minute.
LOOKBACK_NS: Final = 300 * NANO
# The interval of a series with a single point: that default.
INTERVAL_NS: Final = 60 * NANO
_VALUE_MAX: Final = "9e18"
_REMEMBERED_MAX: Final = 200_000


@dataclass(frozen=True, slots=True)
class _Seen:
    """When points of a series were seen, ns: in the window, and the last one before it."""

    count: int
    first: int
    last: int
    before: int | None

    def present_ns(self, period: Period) -> int:
        """For how much of the window the series was there, at least 1."""
        earliest = self.first if self.before is None else self.before
        intervals = self.count - (1 if self.before is None else 0)
        interval = (self.last - earliest) // intervals if intervals else INTERVAL_NS
        begin = self.first if self.before is None else period.start_unix_nano
        end = self.last + interval
        if end + interval // 2 >= period.end_unix_nano:
            end = period.end_unix_nano
        return max(1, end - begin)


class SeriesReader:
    """Reads the series of one window after the other; remembers whose they are."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._streams: dict[int, Stream] = {}

    def read(self, series: Series, period: Period) -> list[SeriesValue]:
        """Return what a metric's series were in a window. Those without a value in it are left out."""
        rows = self._rows(series, period)
        streams = self._of(row[0] for row in rows)
        values = []
        for series_id, *cells in rows:
            stream = streams[series_id]
            found = (
                _increase(cells, stream, period)
                if series.aggregation == "rate"
                else _value(series.aggregation, cells, period)
            )
            if found is not None:
                values.append(SeriesValue(_attributes(stream), *found))
        return values

    def _rows(self, series: Series, period: Period) -> list[tuple[Any, ...]]:
        dialect = self._reader.dialect
        # Never 0, which would be no bound.
        begin = max(1000, period.start_unix_nano - LOOKBACK_NS)
        conditions = during(dialect, Window(begin, period.end_unix_nano))
        conditions.add("p.metric = %(metric)s", metric=series.metric)
        conditions.add("(p.value IS NOT NULL OR p.value_int IS NOT NULL)")
        conditions.parameters["begin"] = dialect.time(period.start_unix_nano // 1000)
        conditions.parameters["since"] = begin
        text = _rate(dialect, conditions.where) if series.aggregation == "rate" else ""
        text = text or (
            _last(dialect, conditions.where)
            if series.aggregation == "last"
            else _sums(dialect, conditions.where)
        )
        rows = self._reader.rows(text, conditions.parameters)
        return [
            (row[0], *row[1:-3], *(None if at is None else dialect.from_time(at) * 1000 for at in row[-3:]))
            for row in rows
            if row[1]
        ]

    def _of(self, ids: Any) -> dict[int, Stream]:
        wanted = set(ids)
        missing = wanted - self._streams.keys()
        if len(self._streams) + len(missing) > _REMEMBERED_MAX:
            self._streams.clear()
            missing = wanted
        self._streams |= read_series(self._reader, missing)
        return self._streams


def _value(aggregation: str, cells: Sequence[Any], period: Period) -> tuple[Decimal, int] | None:
    """Return (value, ns there) from a row of `_sums` or `_last`."""
    count, whole, part, low, high, first, last, before = cells
    seen = _Seen(int(count), first, last, before)
    match aggregation:
        case "max":
            value = _decimal(high)
        case "min":
            value = _decimal(low)
        case _:  # of `_last` there is one value
            number = Fraction(int(whole) * NANO + int(part), NANO)
            value = _rounded(number if aggregation == "last" else number / seen.count)
    return value, seen.present_ns(period)


def _increase(cells: Sequence[Any], stream: Stream, period: Period) -> tuple[Decimal, int] | None:
    """Return (increase per second, ns there) from a row of `_rate`."""
    count, whole, part, total, total_part, first, last, before = cells
    if stream.type != "sum":
        return None
    if stream.temporality == "delta":
        whole, part = total, total_part
    there = _Seen(int(count), first, last, before).present_ns(period)
    increase = Fraction(int(whole) * NANO + int(part), NANO)
    return _rounded(increase * NANO / there), there


def _rounded(number: Fraction) -> Decimal:
    """Round to twelve decimals: finer than anybody measures, and a product with a time stays exact enough."""
    return from_scaled(round(number * 10**12), 12)


def _decimal(value: Any) -> Decimal:
    # A double's shortest decimal is what the sender wrote.
    return Decimal(repr(value) if isinstance(value, float) else str(value))


def _attributes(stream: Stream) -> dict[str, str]:
    return texts(stream.resource) | texts(stream.attributes)


# --- SQL --------------------------------------------------------------------------------------------------------


def _points(dialect: Dialect, where: str, columns: str = "") -> str:
    """A SELECT of points: `v`, whether it is `here` (in the window) or before it, and further columns."""
    value = f"coalesce({dialect.number('p.value')}, CAST(p.value_int AS double precision))"
    return statement(
        "SELECT * FROM (",
        f"SELECT p.series_id, p.time, p.time >= {_begin(dialect)} AS here, {value} AS v{columns}",
        "FROM otlp_number_points p",
        where,
        f") AS numbers WHERE v > -{_VALUE_MAX} AND v < {_VALUE_MAX}",
    )


def _begin(dialect: Dialect) -> str:
    return "%(begin)s" if dialect.sqlite else "%(begin)s::timestamptz"


def _parts(dialect: Dialect, value: str) -> tuple[str, str]:
    """The two integers of which a double is made: before the point, and nine digits behind it."""
    if dialect.sqlite:
        whole = f"CAST({value} AS INTEGER)"
        return whole, f"CAST(({value} - {whole}) * 1e9 AS INTEGER)"
    return f"CAST(trunc({value}) AS bigint)", f"CAST(trunc(({value} - trunc({value})) * 1e9) AS bigint)"


_SEEN: Final = (
    "min(CASE WHEN here THEN time END), max(CASE WHEN here THEN time END), "
    "max(CASE WHEN NOT here THEN time END)"
)


def _sums(dialect: Dialect, where: str) -> str:
    whole, part = _parts(dialect, "v")
    return statement(
        "SELECT series_id, count(CASE WHEN here THEN 1 END),",
        f"sum(CASE WHEN here THEN {whole} END), sum(CASE WHEN here THEN {part} END),",
        f"min(CASE WHEN here THEN v END), max(CASE WHEN here THEN v END), {_SEEN}",
        "FROM (",
        _points(dialect, where),
        ") AS points GROUP BY series_id",
    )


def _last(dialect: Dialect, where: str) -> str:
    whole, part = _parts(dialect, "v")
    return statement(
        "SELECT series_id, count(CASE WHEN here THEN 1 END),",
        f"sum(CASE WHEN place = 1 THEN {whole} END), sum(CASE WHEN place = 1 THEN {part} END),",
        f"min(v), max(v), {_SEEN}",
        "FROM (SELECT series_id, time, here, v, row_number() OVER (",
        "PARTITION BY series_id ORDER BY time DESC, nanos DESC, v DESC) AS place FROM (",
        _points(dialect, where, ", coalesce(p.time_nanos, 0) AS nanos"),
        ") AS points) AS ranked GROUP BY series_id",
    )


def _rate(dialect: Dialect, where: str) -> str:
    """How much each series went up, as `query.number_range` defines it, and the sum of its points."""
    at = f"({dialect.microseconds('time')} * 1000 + nanos)"
    change, change_part = _parts(dialect, "change")
    whole, part = _parts(dialect, "v")
    return statement(
        "SELECT series_id, count(CASE WHEN here THEN 1 END),",
        f"sum(CASE WHEN here THEN {change} END), sum(CASE WHEN here THEN {change_part} END),",
        f"sum(CASE WHEN here THEN {whole} END), sum(CASE WHEN here THEN {part} END), {_SEEN}",
        "FROM (SELECT series_id, time, here, v, CASE",
        f"WHEN previous IS NULL THEN CASE WHEN began >= %(since)s AND began < {at} THEN v ELSE 0 END",
        "WHEN began <> previous_began AND began <> 0 AND previous_began <> 0",
        f"THEN CASE WHEN began < {at} THEN v ELSE 0 END",
        "WHEN v < previous THEN v ELSE v - previous END AS change",
        "FROM (SELECT series_id, time, here, v, nanos, began,",
        "lag(v) OVER stream AS previous, lag(began) OVER stream AS previous_began FROM (",
        _points(
            dialect,
            where,
            ", coalesce(p.time_nanos, 0) AS nanos, coalesce(p.start_time_unix_nano, 0) AS began",
        ),
        ") AS points WINDOW stream AS (PARTITION BY series_id ORDER BY time, nanos, v)) AS pairs)",
        "AS changes GROUP BY series_id",
    )
