"""Amounts: exact decimals of at most 38 digits, 18 of them behind the point. Never a float.

That is `NUMERIC(38,18)` in a database, `decimal128(38,18)` in Parquet, and a text in canonical form on the wire:
real bills have prices with 10 decimals and quantities with 15 (FOCUS sample data). Python's decimals round to 28
digits unless told otherwise; here every operation either is exact or raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, Overflow
from fractions import Fraction
from typing import Final

PRECISION: Final = 38
SCALE: Final = 18
_INTEGER_DIGITS: Final = PRECISION - SCALE
_LIMIT: Final = Decimal(10) ** _INTEGER_DIGITS
_TEXT_MAX: Final = 256  # characters; zeros at either end are tolerated, not megabytes of them
_PLAIN: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_TRAPS: Final = [InvalidOperation, Overflow]

# Wide enough for the product of two amounts and the sum of any number of them that fits in memory.
_WIDE: Final = Context(prec=120, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
_UNIT: Final = Decimal(1).scaleb(-SCALE)
ZERO: Final = Decimal(0)
LARGEST: Final = _WIDE.subtract(_LIMIT, _UNIT)


class AmountError(ValueError):
    """A number is no amount. The message says what it is and what an amount has to be."""


def parse_amount(text: str) -> Decimal:
    """Read an amount. Zeros at either end are accepted, although `amount_text` writes none.

    Raises:
        AmountError: it is not a plain decimal number (no `+`, exponent, separator or space), or does not fit.
    """
    if len(text) > _TEXT_MAX or not _PLAIN.fullmatch(text):
        raise AmountError(
            f"{_shown(text)} is not a decimal number: digits, with '-' before and '.' inside if needed"
        )
    return checked(Decimal(text))


def amount_text(amount: Decimal) -> str:
    """Return the canonical text: no exponent, no `+`, no superfluous zero, `0` for zero of either sign."""
    if not amount:
        return "0"
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def checked(amount: Decimal) -> Decimal:
    """Return `amount` if it is one.

    Raises:
        AmountError: it is NaN or infinite, has more than 18 decimals, or more than 20 digits before the point.
    """
    if not amount.is_finite():
        raise AmountError(f"{amount} is not a number that can be added up")
    if amount.copy_abs() >= _LIMIT:  # abs() would round
        raise AmountError(f"{_shown(str(amount))} has more than {_INTEGER_DIGITS} digits before the point")
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -SCALE and amount != amount.quantize(_UNIT, context=_WIDE):
        raise AmountError(f"{_shown(str(amount))} has more than {SCALE} decimals")
    return amount


def decimals(amount: Decimal) -> int:
    """Return how many decimals `amount` needs: 0 for `5`, `5.0` and `5E+3`, 2 for `0.05`."""
    exponent = amount.normalize(_WIDE).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def to_scaled(amount: Decimal, scale: int = SCALE) -> int:
    """Return `amount` in units of 10^-scale.

    Raises:
        AmountError: it has more decimals than that.
    """
    scaled = amount.scaleb(scale, context=_WIDE)
    whole = int(scaled)
    if whole != scaled:
        raise AmountError(f"{_shown(str(amount))} has more than {scale} decimals")
    return whole


def to_scaled_rounded(value: Decimal, scale: int) -> int:
    """Return any finite number in units of 10^-scale, rounded half to even: for measurements, never for money."""
    numerator, denominator = value.as_integer_ratio()
    return round(Fraction(numerator * 10**scale, denominator))


def from_scaled(units: int, scale: int = SCALE) -> Decimal:
    """Return the amount of so many units of 10^-scale.

    Raises:
        AmountError: it does not fit.
    """
    if abs(units) >= 10 ** (_INTEGER_DIGITS + scale):
        raise AmountError(
            f"{_shown(str(units))}E-{scale} has more than {_INTEGER_DIGITS} digits before the point"
        )
    return Decimal(units).scaleb(-scale, context=_WIDE)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum, whatever the order.

    Raises:
        AmountError: it does not fit.
    """
    sum_ = ZERO
    for amount in amounts:
        sum_ = _WIDE.add(sum_, amount)
    return checked(sum_)


def add(left: Decimal, right: Decimal) -> Decimal:
    """Return `left + right`; raises as `total` does."""
    return checked(_WIDE.add(left, right))


def subtract(left: Decimal, right: Decimal) -> Decimal:
    """Return `left - right`; raises as `total` does."""
    return checked(_WIDE.subtract(left, right))


def multiply(left: Decimal, right: Decimal) -> Decimal:
    """Return the product, exact or not at all.

    Raises:
        AmountError: it needs more than 18 decimals, or does not fit.
    """
    return checked(_WIDE.multiply(left, right))


def multiply_rounded(left: Decimal, right: Decimal) -> Decimal:
    """Return the product, rounded to 18 decimals (half to even) where it needs more.

    Raises:
        AmountError: it does not fit.
    """
    return checked(_WIDE.multiply(left, right).quantize(_UNIT, context=_WIDE))


def divide_rounded(left: Decimal, right: Decimal) -> Decimal:
    """Return the quotient, rounded to 18 decimals (half to even).

    Raises:
        AmountError: it does not fit, or `right` is zero.
    """
    if not right:
        raise AmountError(f"{_shown(str(left))} cannot be divided by zero")
    scaled = to_scaled(left) * 10**SCALE
    divisor = to_scaled(right)
    whole, rest = divmod(abs(scaled), abs(divisor))
    if 2 * rest > abs(divisor) or (2 * rest == abs(divisor) and whole % 2):
        whole += 1
    return from_scaled(-whole if (scaled < 0) != (divisor < 0) else whole)


def proportion(amount: Decimal, part: int, whole: int) -> Decimal:
    """Return `amount × part / whole`, rounded once: to 18 decimals, half to even.

    Raises:
        AmountError: it does not fit, or `whole` is not more than 0.
    """
    if whole <= 0:
        raise AmountError(f"{_shown(str(amount))} cannot be divided by {whole}")
    return from_scaled(round(Fraction(to_scaled(amount) * part, whole)))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
