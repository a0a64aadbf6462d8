"""Rows as SQLite takes and gives them: what it has no type for, as text.

NaN is the text `NaN`; exact decimals are their digits; arrays are JSON, unsigned; booleans are 0 and 1. Everything else is as in the row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from math import isnan, nan
from typing import Any, Final

from collector.cost.amount import amount_text
from collector.storage.rows import Row, signed64, unsigned64
from collector.storage.tables import Kind, Table
from collector.storage.values import double_of, doubles_text, parse_json

_Cell = Callable[[Any], Any]


def _double_in(value: float) -> float | str:
    return "NaN" if isnan(value) else value


def _double_out(cell: float | str) -> float:
    return nan if cell == "NaN" else float(cell)


def _counts_in(counts: tuple[int, ...]) -> str:
    return f"[{','.join([str(unsigned64(count)) for count in counts])}]"


def _counts_out(text: str) -> tuple[int, ...]:
    return tuple([signed64(count) for count in parse_json(text)])


def _doubles_out(text: str) -> tuple[float, ...]:
    return tuple([double_of(value) for value in parse_json(text)])


_IN: Final[dict[Kind, _Cell]] = {
    Kind.FLOAT64: _double_in,
    Kind.NUMERIC: amount_text,
    Kind.UINT64_ARRAY: _counts_in,
    Kind.FLOAT64_ARRAY: doubles_text,
}
_OUT: Final[dict[Kind, _Cell]] = {
    Kind.FLOAT64: _double_out,
    Kind.NUMERIC: Decimal,
    Kind.BOOL: bool,
    Kind.UINT64_ARRAY: _counts_out,
    Kind.FLOAT64_ARRAY: _doubles_out,
}


def rows_in(table: Table, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows as they are bound to an INSERT. `rows` itself when there is nothing to convert, as is the rule."""
    kinds = {column.kind for column in table.columns}
    if kinds.isdisjoint({Kind.NUMERIC, Kind.UINT64_ARRAY, Kind.FLOAT64_ARRAY}):
        doubles = [index for index, column in enumerate(table.columns) if column.kind is Kind.FLOAT64]
        if not any(row[index] != row[index] for index in doubles for row in rows):
            return rows
    return _converted(table, rows, _IN)


def rows_out(table: Table, rows: Sequence[Row]) -> list[Row]:
    """`rows_in` undone."""
    return _converted(table, rows, _OUT)


def _converted(table: Table, rows: Sequence[Row], cells: dict[Kind, _Cell]) -> list[Row]:
    converters = [
        (index, cells[column.kind]) for index, column in enumerate(table.columns) if column.kind in cells
    ]
    if not converters:
        return list(rows)
    converted = []
    for row in rows:
        values = list(row)
        for index, convert in converters:
            if values[index] is not None:
                values[index] = convert(values[index])
        converted.append(tuple(values))
    return converted
