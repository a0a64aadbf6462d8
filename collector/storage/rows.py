"""`Encoded`: telemetry as rows. What an encoder makes, a store writes and reads back, and a decoder undoes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from collector.model.signal import Signal
from collector.storage.tables import SERIES, Table

Value: TypeAlias = "int | float | bool | str | bytes | tuple[int, ...] | tuple[float, ...] | None"
# One row: values in the order of `Table.columns`, of the Python types that `tables.Kind` names.
Row: TypeAlias = "tuple[Value, ...]"
# Primary key of a dimension: 16 bytes (resources, scopes) or a signed 64-bit integer (series).
Key: TypeAlias = "bytes | int"

_DIGEST = SERIES.index("digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One signal's items as rows.

    `facts`: per fact table its rows, sorted by `Table.order_by`. `dimensions`: per dimension table, the rows
    that the facts refer to, by primary key. Tables without rows may be missing.
    """

    signal: Signal
    items: int
    dimensions: Mapping[Table, Mapping[Key, Row]]
    facts: Mapping[Table, list[Row]]

    def with_series_ids(self, changed: Mapping[int, int]) -> Encoded:
        """Return the same telemetry with the series `changed` maps under other ids, sorted again.

        For the rare case that another series holds an id already (storage.identity, "Collisions").
        """
        series: dict[Key, Row] = {}
        for key, row in self.dimensions.get(SERIES, {}).items():
            new = changed.get(key, key) if isinstance(key, int) else key
            series[new] = (new, *row[1:])
        facts: dict[Table, list[Row]] = {}
        for table, rows in self.facts.items():
            at = table.index("series_id")
            facts[table] = sort_rows(
                table,
                [(*row[:at], changed.get(row[at], row[at]), *row[at + 1 :]) for row in rows],  # type: ignore[call-overload,arg-type]
            )
        return Encoded(
            signal=self.signal, items=self.items, dimensions={**self.dimensions, SERIES: series}, facts=facts
        )


def series_digest(row: Row) -> bytes:
    """The digest in a row of `otlp_series`."""
    digest = row[_DIGEST]
    assert isinstance(digest, bytes)
    return digest


def sort_rows(table: Table, rows: list[Row]) -> list[Row]:
    """Sort `rows` in place by the table's order: text by its UTF-8 bytes, numbers by value. Returns them.

    Code point order is UTF-8 byte order, so that Python's comparison of `str` is `COLLATE "C"`'s.
    """
    keys = [table.index(column) for column in table.order_by]
    if len(keys) == 2:
        first, second = keys
        rows.sort(key=lambda row: (row[first], row[second]))
    else:
        first, second, third = keys
        rows.sort(key=lambda row: (row[first], row[second], row[third]))
    return rows
