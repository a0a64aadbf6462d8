"""Comparing what two encoders make of the same requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collector.storage.postgresql.copy_binary import copy_pieces
from collector.storage.rows import CopyRows, Encoded, Row
from collector.storage.tables import Table


def assert_equal(ours: Encoded, theirs: Encoded) -> None:
    """Everything that a store sees is the same."""
    assert ours.items == theirs.items
    assert set(ours.facts) == set(theirs.facts)
    for table, rows in theirs.facts.items():
        # As text, because NaN is not equal to itself.
        assert repr(list(ours.facts[table])) == repr(rows)
        assert stream(ours.facts[table], table) == b"".join(copy_pieces(table, rows))
    assert repr(_sorted(ours)) == repr(_sorted(theirs))


def stream(rows: Sequence[Row], table: Table) -> bytes:
    """The COPY stream of rows of either encoder."""
    return b"".join(rows.copy_pieces() if isinstance(rows, CopyRows) else copy_pieces(table, rows))


def _sorted(encoded: Encoded) -> list[Any]:
    return [
        (table.name, sorted(rows.items(), key=repr))
        for table, rows in sorted(encoded.dimensions.items(), key=lambda pair: pair[0].name)
    ]
