"""Exact arithmetic in SQL: SQLite's own numbers would make doubles of amounts, which are text here.

`decimal_sum(x)`, an aggregate, and `decimal_sub(x, y)` take and return amounts as text. NULL is left out of a sum, and
a sum of nothing is NULL, as with `sum`. Every connection of this program has them; the `sqlite3` shell does not.
"""

from __future__ import annotations

import sqlite3
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Final

from collector.cost.amount import amount_text

# Whatever number of amounts: a sum of them may have more digits than one amount.
_EXACT: Final = Context(prec=200, Emax=MAX_EMAX, Emin=MIN_EMIN)


class _DecimalSum:
    def __init__(self) -> None:
        self._sum: Decimal | None = None

    def step(self, value: str | int | None) -> None:
        """Add one."""
        if value is not None:
            self._sum = _EXACT.add(Decimal(0) if self._sum is None else self._sum, _decimal(value))

    def finalize(self) -> str | None:
        """The sum."""
        return None if self._sum is None else amount_text(self._sum)


def add_functions(connection: sqlite3.Connection) -> None:
    """Give `connection` the functions above."""
    connection.create_aggregate("decimal_sum", 1, _DecimalSum)  # type: ignore[arg-type]  # takes what SQLite gives
    connection.create_function("decimal_sub", 2, _subtract, deterministic=True)


def _subtract(left: str | int | None, right: str | int | None) -> str | None:
    if left is None or right is None:
        return None
    return amount_text(_EXACT.subtract(_decimal(left), _decimal(right)))


def _decimal(value: str | int) -> Decimal:
    if isinstance(value, float):
        raise TypeError("a double is no exact amount")
    return Decimal(value)
