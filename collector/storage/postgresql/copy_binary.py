"""Rows as PostgreSQL's binary COPY format, and nothing between (PostgreSQL manual, COPY, "Binary Format").

Works column by column, because a comprehension over one kind of value costs a fraction of a dispatch per value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import chain, repeat
from struct import Struct
from typing import Any, Final

from collector.cost.amount import SCALE
from collector.model.errors import PermanentError
from collector.storage.rows import Row
from collector.storage.tables import Column, Kind, Table

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
# Timestamps are counted from 2000-01-01.
_EPOCH_US: Final = 946_684_800_000_000
# Memory that the encoded form of a batch takes at one time, roughly: rows of 100 to 1 000 bytes.
_ROWS_PER_PIECE: Final = 2_000

_length: Final = Struct(">i").pack
_int16: Final = Struct(">ih").pack
_int32: Final = Struct(">ii").pack
_int64: Final = Struct(">iq").pack
_float64: Final = Struct(">id").pack
_TRUE: Final = b"\0\0\0\1\1"
_FALSE: Final = b"\0\0\0\1\0"
_UUID_LENGTH: Final = b"\0\0\0\x10"
_numeric_head: Final = Struct(">ihhHh").pack
_NEGATIVE: Final = 0x4000
# dimensions, has no nulls, type of the elements; then length and first index of the one dimension
_array_empty: Final = Struct(">iiii").pack
_array_head: Final = Struct(">iiiiii").pack
_OID_INT64: Final = 20
_OID_FLOAT64: Final = 701


def copy_pieces(table: Table, rows: Sequence[Row]) -> Iterator[bytes]:
    """`rows` of `table` as pieces of one COPY stream, in their order.

    Raises:
        PermanentError: a value is none of its column's kind, or out of its range.
    """
    yield _HEADER
    for at in range(0, len(rows), _ROWS_PER_PIECE):
        try:
            yield _encode(table, rows[at : at + _ROWS_PER_PIECE])
        except (TypeError, ValueError, AttributeError, struct.error) as error:
            raise PermanentError(f"no row of {table.name}: {error}", reason="invalid_data") from error
    yield _TRAILER


def copy_rows(table: Table, rows: Sequence[Row]) -> list[bytes]:
    """Each of `rows` as it is in the stream.

    Raises:
        PermanentError: as `copy_pieces`.
    """
    try:
        return [_encode(table, [row]) for row in rows]
    except (TypeError, ValueError, AttributeError, struct.error) as error:
        raise PermanentError(f"no row of {table.name}: {error}", reason="invalid_data") from error


def _encode(table: Table, rows: Sequence[Row]) -> bytes:
    count = Struct(">h").pack(len(table.columns))
    columns = [
        _COLUMN[column.kind](values) if not column.nullable else _nullable(column, values)
        for column, values in zip(table.columns, zip(*rows, strict=True), strict=True)
    ]
    return b"".join(chain.from_iterable(zip(repeat(count), *columns, strict=False)))


def _nullable(column: Column, values: Sequence[Any]) -> Sequence[bytes]:
    present = [value for value in values if value is not None]
    if not present:
        return [_NULL] * len(values)
    encoded = iter(_COLUMN[column.kind](present))
    if len(present) == len(values):
        return list(encoded)
    return [_NULL if value is None else next(encoded) for value in values]


def _texts(values: Sequence[str]) -> list[bytes]:
    # Names repeat: rows are sorted by them.
    encoded = {}
    for value in set(values):
        data = value.encode()
        encoded[value] = _length(len(data)) + data
    return [encoded[value] for value in values]


def _jsons(values: Sequence[str]) -> list[bytes]:
    return [_length(len(data)) + data for data in map(str.encode, values)]


def _uuids(values: Sequence[bytes]) -> list[bytes]:
    if set(map(len, values)) != {16}:
        raise ValueError("a UUID has 16 bytes")
    return [_UUID_LENGTH + value for value in values]


def _numeric(value: Decimal) -> bytes:
    """Digits in base 10 000: how many, weight of the first, sign, decimals shown (PostgreSQL, numeric_send)."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not finite")  # noqa: TRY004  a value, not a type
    fraction = max(0, -(exponent // 4))  # groups of four behind the point
    units = int("".join(map(str, digits))) * 10 ** (4 * fraction + exponent)
    groups: list[int] = []
    while units:
        units, group = divmod(units, 10_000)
        if group or groups:
            groups.append(group)
        else:
            fraction -= 1
    weight = len(groups) - fraction - 1 if groups else 0
    head = _numeric_head(8 + 2 * len(groups), len(groups), weight, _NEGATIVE if sign and groups else 0, SCALE)
    return head + Struct(f">{len(groups)}h").pack(*reversed(groups))


def _int64_array(values: Sequence[int]) -> bytes:
    if not values:
        return _array_empty(12, 0, 0, _OID_INT64)
    count = len(values)
    return _array_head(20 + 12 * count, 1, 0, _OID_INT64, count, 1) + b"".join(
        [_int64(8, value) for value in values]
    )


def _float64_array(values: Sequence[float]) -> bytes:
    if not values:
        return _array_empty(12, 0, 0, _OID_FLOAT64)
    count = len(values)
    return _array_head(20 + 12 * count, 1, 0, _OID_FLOAT64, count, 1) + b"".join(
        [_float64(8, value) for value in values]
    )


_COLUMN: Final[dict[Kind, Callable[[Sequence[Any]], Sequence[bytes]]]] = {
    Kind.TIME: lambda values: [_int64(8, value - _EPOCH_US) for value in values],
    Kind.INT16: lambda values: [_int16(2, value) for value in values],
    Kind.INT32: lambda values: [_int32(4, value) for value in values],
    Kind.INT64: lambda values: [_int64(8, value) for value in values],
    Kind.UINT64: lambda values: [_int64(8, value) for value in values],
    Kind.FLOAT64: lambda values: [_float64(8, value) for value in values],
    Kind.NUMERIC: lambda values: [_numeric(value) for value in values],
    Kind.BOOL: lambda values: [_TRUE if value else _FALSE for value in values],
    Kind.TEXT: _texts,
    Kind.JSON: _jsons,
    Kind.UUID: _uuids,
    Kind.UINT64_ARRAY: lambda values: [_int64_array(value) for value in values],
    Kind.FLOAT64_ARRAY: lambda values: [_float64_array(value) for value in values],
}
