"""FOCUS rows as Parquet: decimal128(38, 18), timestamps in UTC, JSON as text, zstd.

The same rows give the same bytes with the same version of pyarrow, which signs the file.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from itertools import islice
from types import ModuleType
from typing import Any, BinaryIO, Final

from collector.cost.amount import PRECISION, SCALE
from collector.cost.focus.columns import BY_NAME, DataType
from collector.cost.focus.mapping import ORIGIN_AMOUNTS, RECORD_NUMBERS
from collector.cost.focus.rows import FocusRows
from collector.cost.focus.table_parquet import pyarrow

ROW_GROUP_ROWS: Final = 32_768
_DECIMAL_CUSTOM: Final = frozenset(ORIGIN_AMOUNTS.values())
_NUMBER_CUSTOM: Final = frozenset(RECORD_NUMBERS.values())


def write_parquet(rows: FocusRows, sink: BinaryIO) -> None:
    """Write the file to `sink`, a row group at a time.

    Raises:
        ParquetUnavailableError: pyarrow is not installed.
        FocusExportError: see `FocusRows`. What was written is not a whole file.
    """
    arrow, parquet = pyarrow()
    typed = [_typed(arrow, name) for name in rows.columns]
    schema = arrow.schema([(name, kind) for name, (kind, _) in zip(rows.columns, typed, strict=True)])
    remaining = iter(rows)
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        while group := list(islice(remaining, ROW_GROUP_ROWS)):
            arrays = [
                arrow.array([None if value is None else read(value) for value in values], type=kind)
                for values, (kind, read) in zip(zip(*group, strict=True), typed, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema), row_group_size=ROW_GROUP_ROWS)


def _typed(arrow: ModuleType, name: str) -> tuple[Any, Callable[[str], Any]]:
    column = BY_NAME.get(name) or BY_NAME.get(name.removeprefix("x_"))
    if name == "x_ServiceName":
        column = None  # the subject's, which only shares the name
    if name in _DECIMAL_CUSTOM or (column is not None and column.type is DataType.DECIMAL):
        return arrow.decimal128(PRECISION, SCALE), Decimal
    if name in _NUMBER_CUSTOM:
        return arrow.uint64(), int
    if column is not None and column.type is DataType.DATETIME:
        return arrow.timestamp("us", tz="UTC"), datetime.fromisoformat
    return arrow.string(), str
