"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from collector.query.attributes import label_text
from collector.query.when import utc

_SIZES: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def size(bytes_: int | None) -> str:
    """`1.5 MB`; empty for None."""
    if bytes_ is None:
        return ""
    value, unit = float(bytes_), 0
    while abs(value) >= 999.5 and unit < len(_SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_SIZES[unit]}" if value >= 100 or not unit else f"{value:.3g} {_SIZES[unit]}"


def count(number: int | None) -> str:
    """`1 234 567`; empty for None."""
    return "" if number is None else f"{number:,}".replace(",", " ")


def number(value: float | None) -> str:
    """Six significant digits; whole numbers whole; empty for None."""
    if value is None:
        return ""
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return str(int(value))
    return f"{value:.6g}"


def duration(nanoseconds: int | None) -> str:
    """`1.2 s`, `350 ms`, `12 µs`; empty for None."""
    if nanoseconds is None:
        return ""
    for unit, length in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(nanoseconds) >= length:
            return (
                f"{nanoseconds / length:.3g} {unit}"
                if abs(nanoseconds) < 1e12
                else f"{nanoseconds / 1e9:.0f} s"
            )
    return f"{nanoseconds} ns"


def age(seconds: float) -> str:
    """`90 days`, `1 day 6 hours`; minutes and seconds where there are any."""
    parts, rest = [], round(seconds)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        number, rest = divmod(rest, length)
        if number:
            parts.append(f"{number} {unit}{'' if number == 1 else 's'}")
    return " ".join(parts)


def time(unix_nano: int | None) -> str:
    """A time in UTC to the millisecond; empty for None."""
    return "" if unix_nano is None else f"{utc(unix_nano):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def labels(attributes: Mapping[str, Any]) -> str:
    """`key=value key=value`."""
    return " ".join(f"{key}={label_text(value)}" for key, value in attributes.items())


def sparkline(values: Sequence[float]) -> str:
    """A line of blocks, as high as the values are between their lowest and highest."""
    finite = [value for value in values if value - value == 0]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    step = (high - low) / (len(_BLOCKS) - 1) or 1.0
    return "".join(_BLOCKS[round((value - low) / step)] if value - value == 0 else " " for value in values)
