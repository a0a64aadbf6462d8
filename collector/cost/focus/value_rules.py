"""Rules of a single value: its type, its form, whether it may be NULL or one of a list."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from collector.cost.amount import PRECISION, SCALE, AmountError, checked
from collector.cost.currency import CURRENCIES
from collector.cost.focus.columns import Column, DataType, Format
from collector.cost.focus.finding import Severity
from collector.cost.focus.json_values import problems_of
from collector.cost.focus.numbers import parse
from collector.cost.focus.units import problem_of

_DATETIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
# What files put where a value is missing (FOCUS attribute "NullHandling": NULL, and nothing that stands for it).
PLACEHOLDERS: Final = frozenset(
    ("null", "none", "nil", "n/a", "na", "not applicable", "not available", "-", "nan")
)


class Problem(NamedTuple):
    """What is wrong with a value or a row, without its place. `column` is empty in problems of a single value."""

    rule: str
    message: str
    remedy: str = ""
    severity: Severity = Severity.ERROR
    column: str = ""


Judge = Callable[[str], tuple[Problem, ...]]


def judge_of(column: Column, version: str) -> Judge:
    """The function that judges the values of a column, those that are not NULL."""
    match column.type:
        case DataType.DECIMAL:
            return lambda value: _decimal(column, value)
        case DataType.DATETIME:
            return _datetime
        case DataType.KEY_VALUE | DataType.JSON_OBJECT:
            return lambda value: (
                _absent(value)
                or tuple(Problem(rule, message) for rule, message in problems_of(column, value))
            )
        case DataType.STRING:
            return lambda value: _absent(value) or _string(column, version, value)


def judge_null(column: Column) -> Problem | None:
    """What is wrong with NULL in a column."""
    if column.nullable:
        return None
    return Problem("null", "is NULL, which this column does not allow")


def _absent(value: str) -> tuple[Problem, ...]:
    if not value:
        return (Problem("null-handling", "is an empty string", "leave the field empty without quotes"),)
    if value.isspace():
        return (Problem("null-handling", "holds nothing but spaces", "leave the field empty"),)
    if value.casefold() in PLACEHOLDERS:
        return (Problem("null-handling", f"{value!r} stands for NULL", "leave the field empty"),)
    return ()


def _string(column: Column, version: str, value: str) -> tuple[Problem, ...]:
    if column.allowed is not None:
        return () if value in column.allowed else (_not_allowed(column.allowed, value),)
    match column.format:
        case Format.CURRENCY:
            return () if value in CURRENCIES else (_no_currency(value),)
        case Format.PRICING_CURRENCY:
            # A virtual currency is allowed in 1.2 and 1.3; 1.4 says ISO 4217 in one place and keeps it in another.
            if value in CURRENCIES or version < "1.4":
                return ()
            return (_no_currency(value)._replace(severity=Severity.WARNING),)
        case Format.UNIT:
            return _unit(value)
        case Format.FREE:
            return ()


def _not_allowed(allowed: frozenset[str], value: str) -> Problem:
    near = next((name for name in allowed if name.casefold() == value.casefold()), None)
    remedy = (
        f"write {near!r}" if near else f"one of: {', '.join(sorted(allowed))}" if len(allowed) < 20 else ""
    )
    return Problem("allowed-values", f"{_shown(value)} is not an allowed value", remedy)


def _no_currency(value: str) -> Problem:
    return Problem("currency", f"{_shown(value)} is not an ISO 4217 code")


def _unit(value: str) -> tuple[Problem, ...]:
    problem = problem_of(value)
    if problem is None:
        return ()
    message, forbidden = problem
    return (Problem("unit-format", message, severity=Severity.ERROR if forbidden else Severity.WARNING),)


def _decimal(column: Column, value: str) -> tuple[Problem, ...]:
    number = parse(value)
    if number is None:
        return _absent(value) or (
            Problem(
                "numeric-format",
                f"{_shown(value)} is not a number as FOCUS writes it",
                "digits with a point: no +, no thousands, no currency sign, no + in an exponent",
            ),
        )
    if number < 0 and not column.negative:
        return (Problem("negative", f"{value} is below zero"),)
    try:
        checked(number)
    except AmountError:
        message = f"{_shown(value)} does not fit DECIMAL({PRECISION},{SCALE})"
        return (Problem("precision", message, severity=Severity.WARNING),)
    return ()


def _datetime(value: str) -> tuple[Problem, ...]:
    if _DATETIME.fullmatch(value):
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            return (Problem("datetime-format", f"{value!r} is not a time: {error}"),)
        return ()
    return _absent(value) or (
        Problem(
            "datetime-format",
            f"{_shown(value)} is not of the form YYYY-MM-DDThh:mm:ssZ",
            "write it in UTC, with T and Z",
        ),
    )


def _shown(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:60]}…")
