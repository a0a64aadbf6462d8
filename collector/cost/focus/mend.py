"""Values as real files have them, read; each departure from FOCUS' form has a name, which the manifest counts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from collector.cost.amount import SCALE, AmountError, checked
from collector.cost.focus.numbers import EXACT, parse

SECOND_NS: Final = 1_000_000_000

_THOUSANDS: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?", re.ASCII)
_RIGHT_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_US_DATE: Final = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{2}|[0-9]{4})(?: 0?0:00(?::00)?)?", re.ASCII)
_OTHER_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<t>[T ]?)(?:[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)?"
    r"(?P<zone>| ?UTC| ?Z|[+-][0-9]{2}:?[0-9]{2})",
    re.ASCII,
)
_UNIT: Final = Decimal(1).scaleb(-SCALE)


@lru_cache(maxsize=16384)
def number(text: str) -> tuple[Decimal, tuple[str, ...]]:
    """The number that a text means, and the names of what is not FOCUS' form in it.

    More than 18 decimals are rounded half to even, and named `decimals`.

    Raises:
        ValueError: it is none, or too large.
    """
    rules: list[str] = []
    parsed = parse(text)
    if parsed is None:
        parsed = parse(_mended(text, rules))
    if parsed is None:
        raise ValueError(f"{_shown(text)} is not a number")
    try:
        return checked(parsed), tuple(rules)
    except AmountError as error:
        rounded = parsed.quantize(_UNIT, context=_ROUNDING)
        try:
            return checked(rounded), (*rules, "decimals")
        except AmountError:
            raise ValueError(str(error)) from None


_ROUNDING: Final = EXACT.copy()
_ROUNDING.clear_traps()


def _mended(text: str, rules: list[str]) -> str:
    stripped = text.strip()
    if stripped != text:
        rules.append("number-spaces")
    sign = ""
    if stripped.startswith("(") and stripped.endswith(")"):
        rules.append("number-parentheses")
        stripped, sign = stripped[1:-1].strip(), "-"
    elif stripped[:1] in ("-", "+"):
        if stripped[0] == "+":
            rules.append("number-plus")
        else:
            sign = "-"
        stripped = stripped[1:].lstrip()
    if stripped[:1] in ("$", "€", "£", "¥"):
        rules.append("number-currency-sign")
        stripped = stripped[1:].lstrip()
    if _THOUSANDS.fullmatch(stripped):
        rules.append("number-thousands")
        stripped = stripped.replace(",", "")
    mantissa, e, exponent = stripped.partition("E" if "E" in stripped else "e")
    if exponent.startswith("+"):
        rules.append("number-exponent")
        stripped = f"{mantissa}{e}{exponent[1:]}"
    return sign + stripped if stripped[:1] not in ("-", "+") else ""


@lru_cache(maxsize=16384)
def instant(text: str) -> tuple[int, tuple[str, ...]]:
    """The instant that a text means, in ns since 1970, and the names of what is not FOCUS' form in it.

    Without a zone it is UTC. `5/1/25` is the first of May: month first, as spreadsheets in the USA write it.

    Raises:
        ValueError: it is none.
    """
    try:
        if _RIGHT_TIME.fullmatch(text):
            return _nanoseconds(datetime.fromisoformat(text)), ()
        if match := _US_DATE.fullmatch(text):
            month, day, year = (int(part) for part in match.groups())
            return _nanoseconds(datetime(year + 2000 * (year < 100), month, day, tzinfo=UTC)), (
                "date-month-first",
            )
        if (match := _OTHER_TIME.fullmatch(text.strip())) is not None:
            clean = text.strip().removesuffix("UTC").removesuffix("Z").rstrip()
            time = datetime.fromisoformat(clean)
            rules = (
                ["time-form"] if match["t"] != "T" or "." in text or match["zone"] not in ("", "Z") else []
            )
            if not match["zone"]:
                rules.append("time-zone")
            utc = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
            return _nanoseconds(utc), tuple(rules or ["time-form"])
    except ValueError as error:
        raise ValueError(f"{_shown(text)} is not a time: {error}") from None
    raise ValueError(f"{_shown(text)} is not a time")


def _nanoseconds(time: datetime) -> int:
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    nanoseconds = (since.days * 86400 + since.seconds) * SECOND_NS + since.microseconds * 1000
    if nanoseconds < 0:
        raise ValueError("it is before 1970")
    return nanoseconds


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
