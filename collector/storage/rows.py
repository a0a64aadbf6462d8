"""`Encoded`: telemetry as rows. What an encoder makes, a store writes and reads back, and a decoder undoes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol, TypeAlias, runtime_checkable

from collector.model.signal import Signal
from collector.storage.tables import SERIES, Table

# One row: values in the order of `Table.columns`, of the Python types that `tables.Kind` names.
Row: TypeAlias = tuple[Any, ...]
# Primary key of a dimension, its first column: 16 bytes (resources, scopes) or a signed integer (series).
Key: TypeAlias = "bytes | int"


@runtime_checkable
class CopyRows(Protocol):
    """Rows that exist in PostgreSQL's binary COPY format, and become tuples when they are asked for (native)."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __iter__(self) -> Iterator[Row]:
        """The tuples, in order."""
        ...

    def copy_pieces(self) -> Iterator[bytes]:
        """As `postgresql.copy_binary.copy_pieces`."""
        ...

    def time_range(self) -> tuple[int, int]:
        """The lowest and the highest `time`."""
        ...


class Omission(Protocol):
    """Why `Encoded.dimensions` may lack rows: its encoder believes that the store has them."""

    @property
    def believed(self) -> object | None:
        """What the belief is founded on: the token of the last `confirm`. None: nothing is left out."""
        ...

    def confirm(self, token: object) -> None:
        """The dimensions are stored, as long as the store gives this token."""
        ...

    def complete(self) -> Encoded:
        """The same telemetry with all dimensions. Ends the belief."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One signal's items as rows.

    `facts`: per fact table its rows, sorted by `Table.order_by`; a list, or `CopyRows`. `dimensions`: per dimension
    table, the rows that the facts refer to, by primary key; without some that are stored already, if there is an
    `omission`. Tables without rows are missing.
    """

    signal: Signal
    items: int
    dimensions: Mapping[Table, Mapping[Key, Row]]
    facts: Mapping[Table, Sequence[Row]]
    omission: Omission | None = None

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
    """Sort `rows` in place by the table's order, and return them."""
    rows.sort(key=order_of(table))
    return rows


def order_of(table: Table) -> Callable[[Row], Any]:
    """What the rows of `table` are sorted by. Equal ones stay in the order they came in.

    Python orders text by code point, which is the order of its UTF-8 bytes: `COLLATE "C"`, SQLite's BINARY.
    """
    return itemgetter(*map(table.index, table.order_by))


def signed64(number: int) -> int:
    """`number` modulo 2^64 as 64 bits with a sign: how UINT64 columns hold what OTLP counts unsigned."""
    return ((number + _HALF) & _MASK) - _HALF


def unsigned64(number: int) -> int:
    """`signed64` undone."""
    return number & _MASK


_MASK = 2**64 - 1
_HALF = 2**63
