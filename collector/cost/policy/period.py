"""The periods of policies: days, weeks, months, quarters and years of a time zone, or the last so many hours or days.

The calendar periods of a zone follow each other without a gap and without an overlap, whatever its clocks do: a day
begins when its date's first midnight comes, or would have come.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from collector.cost.calendar import DAY_NS, HOUR_NS, SECOND_NS, next_month
from collector.cost.policy.policy import PolicyError
from collector.cost.record import Period

CALENDAR_PERIODS: Final = ("day", "week", "month", "quarter", "year")
_ROLLING: Final = re.compile(r"([1-9][0-9]{0,4})([hdw])", re.ASCII)
_UNITS_NS: Final = {"h": HOUR_NS, "d": DAY_NS, "w": 7 * DAY_NS}
_ROLLING_MAX_NS: Final = 3660 * DAY_NS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def check_period(name: str) -> str:
    """Return `name` if it is a period.

    Raises:
        PolicyError: it is neither one of a calendar nor a length such as `30d`.
    """
    if name not in CALENDAR_PERIODS and _rolling_ns(name) is None:
        known = ", ".join(CALENDAR_PERIODS)
        raise PolicyError(
            f"{name!r} is not one of {known}, and no length of up to ten years such as 30d", "period"
        )
    return name


def zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name, from the system's database of them.

    Raises:
        PolicyError: there is none.
    """
    if name == "UTC":
        return UTC  # also where the system has no time zones
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise PolicyError(
            f"{name!r} is no time zone that this system knows: write it like Europe/Berlin", "timezone"
        ) from None


def is_rolling(name: str) -> bool:
    """Whether a period ends whenever it is looked at: there is nothing to forecast."""
    return name not in CALENDAR_PERIODS


def policy_period(name: str, timezone: str, unix_nano: int) -> Period:
    """Return the period that an instant is in; of a rolling one, that which ends there.

    Raises:
        PolicyError: as `check_period` and `zone`.
    """
    length = _rolling_ns(check_period(name)) if is_rolling(name) else None
    if length is not None:
        return Period(max(0, unix_nano - length), max(1, unix_nano))
    where = zone(timezone)
    first, after = _bounds(name, datetime.fromtimestamp(unix_nano // SECOND_NS, where).date())
    # Clocks that are put back across midnight show a date once more, after the next one has begun.
    if unix_nano < _start(first, where):
        first, after = _bounds(name, first - timedelta(days=1))
    elif unix_nano >= _start(after, where):
        first, after = _bounds(name, after)
    return Period(max(0, _start(first, where)), _start(after, where))


def period_before(name: str, timezone: str, period: Period) -> Period:
    """Return the period just before one."""
    if is_rolling(name):
        return Period(max(0, period.start_unix_nano - period.length_ns), max(1, period.start_unix_nano))
    return policy_period(name, timezone, max(0, period.start_unix_nano - 1))


def _rolling_ns(name: str) -> int | None:
    match = _ROLLING.fullmatch(name)
    length = int(match[1]) * _UNITS_NS[match[2]] if match else None
    return None if length is None or length > _ROLLING_MAX_NS else length


def _bounds(name: str, day: date) -> tuple[date, date]:
    """The first day of the period that a day is in, and of the next one."""
    match name:
        case "day":
            return day, day + timedelta(days=1)
        case "week":
            first = day - timedelta(days=day.weekday())
            return first, first + timedelta(days=7)
        case "month":
            return day.replace(day=1), next_month(day)
        case "quarter":
            first = date(day.year, day.month - (day.month - 1) % 3, 1)
            return first, next_month(next_month(next_month(first)))
        case _:
            return date(day.year, 1, 1), date(day.year + 1, 1, 1)


def _start(day: date, where: tzinfo) -> int:
    """When a day begins, ns since 1970. Of a midnight that is there twice, the first."""
    midnight = datetime.combine(day, time(), where).astimezone(UTC)
    return (midnight - _EPOCH) // timedelta(seconds=1) * SECOND_NS
