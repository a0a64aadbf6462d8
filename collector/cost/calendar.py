"""Days, months and windows in UTC, as nanoseconds since 1970. The calendar of bills; nothing here asks for the time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

from collector.cost.record import Period

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
_EPOCH: Final = date(1970, 1, 1)


def day_start(day: date) -> int:
    """Return the instant at which a day begins."""
    return (day - _EPOCH).days * DAY_NS


def day_of(unix_nano: int) -> date:
    """Return the day an instant is in."""
    return _EPOCH + timedelta(days=unix_nano // DAY_NS)


def month_of(unix_nano: int) -> Period:
    """Return the calendar month an instant is in: the billing period of a charge from the price book."""
    first = day_of(unix_nano).replace(day=1)
    return Period(day_start(first), day_start(next_month(first)))


def next_month(day: date) -> date:
    """Return the first day of the month after the one of `day`."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def windows(period: Period, length_ns: int) -> Iterator[Period]:
    """Yield the windows of a grain that touch `period`; they begin at multiples of the grain since 1970."""
    start = period.start_unix_nano - period.start_unix_nano % length_ns
    while start < period.end_unix_nano:
        yield Period(start, start + length_ns)
        start += length_ns


def text_of(unix_nano: int) -> str:
    """Return an instant as RFC 3339 writes it, to the second, for messages."""
    return datetime.fromtimestamp(unix_nano // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
