"""Numbers as FOCUS writes them (FOCUS attribute "NumericFormat"), exactly."""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Final

# Digits, one point at most, no +; an exponent has a sign only if it is negative.
_NUMBER: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[Ee](-?)([0-9]+))?", re.ASCII)

# Beyond decimal128 and NUMERIC(38, 18) there is no cost; a larger exponent is an error, not a long computation.
EXPONENT_MAX: Final = 60
DIGITS_MAX: Final = 200

# Sums and products are exact: what would round raises.
EXACT: Final = Context(prec=1000, Emax=9999, Emin=-9999, traps=[Inexact, InvalidOperation, Overflow])


def parse(text: str) -> Decimal | None:
    """The number, or None if `text` is not one in FOCUS' form or is out of all proportion."""
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > DIGITS_MAX or (match[2] and int(match[2]) > EXPONENT_MAX):
        return None
    return Decimal(text)


def plain(number: Decimal) -> str:
    """Write a number with a point and without an exponent: `1.0`, `-0.00316`; the shortest such text.

    A whole number has its point too, so that a reader that guesses types does not take a column for integers.
    """
    text = format(number, "f")
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0") or "0"
    if whole.startswith("-") and fraction == "0" and not whole.strip("-0"):
        return "0.0"
    return f"{whole}.{fraction}"


def total(numbers: list[Decimal]) -> Decimal:
    """The exact sum."""
    result = Decimal(0)
    for number in numbers:
        result = EXACT.add(result, number)
    return result
