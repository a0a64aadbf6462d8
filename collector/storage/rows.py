"""`Encoded`: telemetry as rows. What an encoder makes, a store writes and reads back, and a decoder undoes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

from collector.model.signal import Signal
from collector.storage.tables import SERIES, Table

# One row: values in the order of `Table.columns`, of the Python types that `tables.Kind` names.
Row: TypeAlias = tuple[Any, ...]
# Primary key of a dimension, its first column: 16 bytes (resources, scopes) or a signed integer (series).
Key: TypeAlias = "bytes | int"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One signal's items as rows.

    `facts`: per fact table its rows, sorted by `Table.order_by`. `dimensions`: per dimension table, the rows
    that the facts refer to, by primary key. Tables without rows are missing.
    """

    signal: Signal
    items: int
    dimensions: Mapping[Table, Mapping[Key, Row]]
    facts: Mapping[Table, list[Row]]

    def with_series_ids(self, changed: Mapping[Key, int]) -> Encoded:
        """Return the same telemetry with the series that `changed` names under other ids, sorted again.

        For the rare case that another series holds an id already (storage.identity, "Collisions").
        """
        series: dict[Key, Row] = {}
        for key, row in self.dimensions.get(SERIES, {}).items():
            new = changed.get(key, key)
            series[new] = (new, *row[1:])
        facts: dict[Table, list[Row]] = {}
        for table, rows in self.facts.items():
            at = table.index("series_id")
            facts[table] = sort_rows(
                table, [(*row[:at], changed.get(row[at], row[at]), *row[at + 1 :]) for row in rows]
            )
        return Encoded(
            signal=self.signal, items=self.items, dimensions={**self.dimensions, SERIES: series}, facts=facts
        )


def sort_rows(table: Table, rows: list[Row]) -> list[Row]:
    """Sort `rows` in place by the table's order, and return them.

    Python orders text by code point, which is the order of its UTF-8 bytes: `COLLATE "C"`, SQLite's BINARY.
    """
    rows.sort(key=itemgetter(*map(table.index, table.order_by)))
    return rows


def signed64(number: int) -> int:
    """`number` modulo 2^64 as 64 bits with a sign: how UINT64 columns hold what OTLP counts unsigned."""
    return ((number + _HALF) & _MASK) - _HALF


def unsigned64(number: int) -> int:
    """`signed64` undone."""
    return number & _MASK


_MASK = 2**64 - 1
_HALF = 2**63
