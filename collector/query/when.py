"""Times and lengths of time as people write them, turned into integers of nanoseconds.

A time is a `datetime` with a zone, epoch seconds, ISO 8601 text, `now`, or relative to now: `-1h`, `now-90d`.
Every window is half open: `start <= time < end`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from collector.config.types import Duration
from collector.model.clock import Clock

When: TypeAlias = "datetime | int | float | str"
Length: TypeAlias = "timedelta | int | float | str"

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TIME_MAX: Final = 2**63 - 1

_SECOND: Final = 1_000_000_000
# Epoch seconds past the year 5138 are milliseconds or finer, taken for seconds by mistake.
_SECONDS_MAX: Final = 10**11
_RELATIVE: Final = re.compile(r"(?:now\s*)?([+-])\s*(\S+)")
_ISO: Final = re.compile(r"([^.,]*\d)(?:[.,](\d{1,9}))?(Z|z|[+-]\d\d:?\d\d)?")


@dataclass(frozen=True, slots=True)
class Window:
    """Half open: `start <= time < end`, nanoseconds since 1970."""

    start_unix_nano: int
    end_unix_nano: int

    @classmethod
    def of(cls, start: When | None, end: When | None, clock: Clock) -> Window:
        """Read both ends. None: no bound on that side.

        Raises:
            ValueError: an end cannot be read, or the window holds nothing.
        """
        window = cls(
            0 if start is None else unix_nano(start, clock),
            TIME_MAX if end is None else unix_nano(end, clock),
        )
        if window.end_unix_nano <= window.start_unix_nano:
            raise ValueError(f"the window is empty: its end ({end}) is not after its start ({start})")
        return window


def unix_nano(when: When, clock: Clock) -> int:
    """Return `when` as nanoseconds since 1970.

    A text without an offset is UTC; a `datetime` without one is refused, because Python itself takes it for
    local time.

    Raises:
        ValueError: `when` cannot be read, or lies outside 1970 to 2262.
    """
    match when:
        case datetime():
            nanoseconds = _from_datetime(when)
        case str():
            nanoseconds = _from_text(when, clock)
        case _:
            nanoseconds = _from_seconds(when)
    if not 0 <= nanoseconds <= TIME_MAX:
        raise ValueError(f"{when!r} lies outside the years 1970 to 2262")
    return nanoseconds


def nanoseconds(length: Length) -> int:
    """Return a length of time as nanoseconds: a `timedelta`, seconds, or text such as `5m`.

    Raises:
        ValueError: it cannot be read or is negative.
    """
    if isinstance(length, timedelta):
        total = length // timedelta(microseconds=1) * 1000
    else:
        seconds = Duration.parse(length) if isinstance(length, str) else length
        if not 0 <= seconds < TIME_MAX / _SECOND:
            raise ValueError(f"{length!r} is not a length of time: it must be finite and not negative")
        total = _to_nanoseconds(seconds)
    if total < 0:
        raise ValueError(f"{length!r} is negative: a length of time cannot be")
    return total


def utc(nanoseconds_since_1970: int) -> datetime:
    """Return a time as `datetime` in UTC, cut to microseconds."""
    return EPOCH + timedelta(microseconds=nanoseconds_since_1970 // 1000)


def iso(nanoseconds_since_1970: int) -> str:
    """Return a time as ISO 8601 text in UTC with as many decimals as it needs: 0, 3, 6 or 9."""
    second, rest = divmod(nanoseconds_since_1970, _SECOND)
    text = (EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
    if not rest:
        return text + "Z"
    decimals = f"{rest:09d}"
    for width in (3, 6):
        if decimals[width:].strip("0") == "":
            return f"{text}.{decimals[:width]}Z"
    return f"{text}.{decimals}Z"


def _to_nanoseconds(seconds: float) -> int:
    if isinstance(seconds, int):
        return seconds * _SECOND
    if seconds < 1e6:
        return round(seconds * _SECOND)
    # A double of today's epoch seconds knows a quarter of a microsecond: more digits would be invented.
    return round(seconds * 1e6) * 1000


def _from_datetime(when: datetime) -> int:
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no time zone: write datetime(…, tzinfo=UTC)")
    return (when - EPOCH) // timedelta(microseconds=1) * 1000


def _from_seconds(seconds: float) -> int:
    if math.isnan(seconds) or abs(seconds) >= _SECONDS_MAX:
        raise ValueError(f"{seconds!r} is not a time in epoch seconds: is it in milliseconds or finer?")
    return _to_nanoseconds(seconds)


def _from_text(text: str, clock: Clock) -> int:
    stripped = text.strip()
    if stripped == "now":
        return clock.unix_nano()
    if relative := _RELATIVE.fullmatch(stripped):
        sign, length = relative.groups()
        try:
            distance = nanoseconds(length)
        except ValueError as error:
            raise ValueError(f"{text!r} is not a time: {error}") from None
        return max(0, clock.unix_nano() + (distance if sign == "+" else -distance))
    for read in (_epoch_text, _iso_text):
        if (found := read(stripped)) is not None:
            return found
    raise ValueError(
        f"{text!r} is not a time: write 2026-01-31T12:00:00Z, epoch seconds, now, or relative to now like -1h or -7d"
    )


def _epoch_text(text: str) -> int | None:
    whole, dot, decimals = text.partition(".")
    if not whole.isdecimal() or (dot and not decimals.isdecimal()):
        return None
    if len(whole) == 4 and not dot:
        return None  # a year
    return _from_seconds(int(whole)) + int(decimals[:9].ljust(9, "0") or "0")


def _iso_text(text: str) -> int | None:
    # `datetime` cuts decimals after the sixth: read them apart.
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    stem, decimals, offset = match.groups()
    try:
        when = datetime.fromisoformat(stem + (offset or "").upper())
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return _from_datetime(when) + int((decimals or "").ljust(9, "0"))
