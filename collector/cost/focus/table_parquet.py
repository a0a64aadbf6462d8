"""Parquet as a `Table`, and pyarrow, which is an optional dependency."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from types import ModuleType
from typing import Any, BinaryIO, Final

from collector.cost.focus.numbers import plain
from collector.cost.focus.table import FileError, Table, TableLimits
from collector.cost.focus.table_csv import check_header

_BATCH_ROWS: Final = 4096


class ParquetUnavailableError(ImportError):
    """pyarrow is not installed. The message says how to install it."""


def pyarrow() -> tuple[ModuleType, ModuleType]:
    """`pyarrow` and `pyarrow.parquet`, imported when they are first needed.

    Raises:
        ParquetUnavailableError: they are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ParquetUnavailableError(
            "Parquet needs pyarrow, which is not installed; run: pip install 'collector[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet


def read_parquet(stream: BinaryIO, name: str, limits: TableLimits) -> Table:
    """Read the schema; the rows follow as they are asked for, a few thousand in memory at a time.

    Raises:
        FileError: it is not a Parquet file, or too wide.
        ParquetUnavailableError: pyarrow is not installed.
    """
    arrow, parquet = pyarrow()
    try:
        file = parquet.ParquetFile(stream)
    except (arrow.ArrowException, OSError) as error:
        raise FileError(name, 0, f"not a Parquet file: {error}") from error
    schema = file.schema_arrow
    columns = tuple(schema.names)
    check_header(name, 0, columns, limits)
    types = {column.name: str(column.type) for column in schema}
    texts = [_text_of(arrow, column.type) for column in schema]
    return Table(name=name, columns=columns, rows=_rows(arrow, file, name, texts, limits), types=types)


def _rows(
    arrow: ModuleType, file: Any, name: str, texts: list[Callable[[Any], str]], limits: TableLimits
) -> Iterator[tuple[int, list[str | None]]]:
    number = 0
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            lists = [
                [None if value is None else text(value) for value in column.to_pylist()]
                for text, column in zip(texts, batch.columns, strict=True)
            ]
            for values in zip(*lists, strict=True):
                number += 1
                if any(value is not None and len(value) > limits.field_length_max for value in values):
                    raise FileError(
                        name,
                        number,
                        f"a value of more than {limits.field_length_max} characters",
                        rule="limit",
                    )
                yield number, list(values)
    except (arrow.ArrowException, OSError) as error:
        raise FileError(name, number + 1, f"cannot be read on: {error}") from error


def _text_of(arrow: ModuleType, kind: Any) -> Callable[[Any], str]:
    """How a value of a Parquet type is written in FOCUS' CSV."""
    types = arrow.types
    if types.is_decimal(kind):
        return plain
    if types.is_floating(kind):
        return _of_float
    if types.is_boolean(kind):
        return lambda value: "true" if value else "false"
    if types.is_timestamp(kind):
        return _of_datetime
    if types.is_date(kind):
        return _of_date
    if types.is_map(kind):
        return lambda value: _json(dict(value))
    if types.is_nested(kind):
        return _json
    return str


def _of_float(value: float) -> str:
    # The shortest text that is this double: what the writer of the file most likely had.
    return plain(Decimal(repr(value)))


def _of_datetime(value: datetime) -> str:
    # Parquet's timestamps without a zone are UTC in every export seen (FOCUS, "DateTimeFormat": UTC).
    utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return utc.isoformat(timespec="auto").replace("+00:00", "Z")


def _of_date(value: date) -> str:
    return f"{value.isoformat()}T00:00:00Z"


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
