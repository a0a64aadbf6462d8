"""OpenCost's `window` and `step` parameters (OpenCost specification, "Allocation API"; core/pkg/opencost/window.go)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from collector.cost.record import Period

SECOND_NS: Final = 1_000_000_000
SETS_MAX: Final = 10_000  # sets of one answer: a year by the hour, and more than anybody draws
_UNITS: Final = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}  # seconds
_DURATION: Final = re.compile(r"([0-9]{1,6})([mhdw])(?: offset ([0-9]{1,6})([mhdw]))?", re.ASCII)
_SECONDS_PAIR: Final = re.compile(r"([0-9]{1,11})[,-]([0-9]{1,11})", re.ASCII)
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})"
_TIME_PAIR: Final = re.compile(rf"({_TIME}),({_TIME})", re.ASCII)
_FORMS: Final = (
    "today, yesterday, week, lastweek, month, lastmonth, 45m, 24h, 7d, 1w, '45m offset 15m', "
    "2026-09-01T00:00:00Z,2026-09-02T00:00:00Z or 1788220800,1788307200"
)


class QueryError(ValueError):
    """A parameter is wrong. `parameter` is its name; the message says what it may be."""

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(f"{parameter}: {problem}")
        self.parameter = parameter


def parse_window(text: str, now_unix_nano: int) -> Period:
    """The period that a window means at an instant, in UTC.

    Days and hours are whole ones and end with the current: `7d` is today and the six days before. A week begins on
    Sunday; `1w` ends today. With an offset nothing is rounded.

    Raises:
        QueryError: it is of no known form, is empty, or lies before 1970.
    """
    now = datetime.fromtimestamp(now_unix_nano // SECOND_NS, UTC)
    try:
        start, end = _edges(text, now)
        return Period(_nanoseconds(start), _nanoseconds(end))
    except (ValueError, OverflowError):
        raise QueryError("window", f"{text!r} is not a period of time; it may be {_FORMS}") from None


def _edges(text: str, now: datetime) -> tuple[datetime, datetime]:
    today = now.replace(hour=0, minute=0, second=0)
    day = timedelta(days=1)
    sunday = today - day * (today.isoweekday() % 7)
    first = today.replace(day=1)
    match text:
        case "today":
            return today, today + day
        case "yesterday":
            return today - day, today
        case "week":
            return sunday, now
        case "lastweek":
            return sunday - 7 * day, sunday
        case "month":
            return first, now
        case "lastmonth":
            return (first - day).replace(day=1), first
    if match := _DURATION.fullmatch(text):
        return _duration(match, now, today)
    if match := _SECONDS_PAIR.fullmatch(text):
        return datetime.fromtimestamp(int(match[1]), UTC), datetime.fromtimestamp(int(match[2]), UTC)
    if match := _TIME_PAIR.fullmatch(text):
        return datetime.fromisoformat(match[1]), datetime.fromisoformat(match[2])
    raise ValueError


def _duration(match: re.Match[str], now: datetime, today: datetime) -> tuple[datetime, datetime]:
    length = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    if match[3] is not None:
        end = now - timedelta(seconds=int(match[3]) * _UNITS[match[4]])
        return end - length, end
    if match[2] in "dw":
        end = today + timedelta(days=1)
    else:
        unit = _UNITS[match[2]]
        end = datetime.fromtimestamp((int(now.timestamp()) // unit + 1) * unit, UTC)
    return end - length, end


def parse_step(text: str) -> int:
    """The length of a step, in seconds.

    Raises:
        QueryError: it is not of the form `1h`, `1d`.
    """
    match = _DURATION.fullmatch(text)
    if match is None or match[3] is not None or not int(match[1]):
        raise QueryError("step", f"{text!r} is not a length of time like 1h or 1d")
    return int(match[1]) * _UNITS[match[2]]


def steps(window: Period, step_s: int) -> Iterator[Period]:
    """The window in steps; the last may be shorter.

    Raises:
        QueryError: there are too many.
    """
    step_ns = step_s * SECOND_NS
    if window.length_ns > step_ns * SETS_MAX:
        raise QueryError(
            "step", f"gives more than {SETS_MAX} sets; a longer step or a shorter window is needed"
        )
    start = window.start_unix_nano
    while start < window.end_unix_nano:
        yield Period(start, min(start + step_ns, window.end_unix_nano))
        start += step_ns


def calendar_steps(window: Period, unit: str) -> Iterator[Period]:
    """The window cut at the beginnings of hours, days, weeks (Sunday) or months in UTC.

    Raises:
        QueryError: there are too many.
    """
    if unit == "hour" and window.length_ns > 3600 * SECOND_NS * SETS_MAX:
        raise QueryError("accumulateBy", f"gives more than {SETS_MAX} sets; a shorter window is needed")
    start = window.start_unix_nano
    while start < window.end_unix_nano:
        end = min(_next(start, unit), window.end_unix_nano)
        yield Period(start, end)
        start = end


def _next(unix_nano: int, unit: str) -> int:
    """The beginning of the hour, day, week or month after the one that an instant is in."""
    time = datetime.fromtimestamp(unix_nano // SECOND_NS, UTC).replace(minute=0, second=0)
    day = time.replace(hour=0)
    match unit:
        case "hour":
            after = time + timedelta(hours=1)
        case "day":
            after = day + timedelta(days=1)
        case "week":
            after = day + timedelta(days=7 - day.isoweekday() % 7)
        case _:
            after = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return _nanoseconds(after)


def _nanoseconds(time: datetime) -> int:
    return int(time.timestamp()) * SECOND_NS
