"""What is written of the dimensions, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from collector.model.signal import Signal
from collector.storage import identity
from collector.storage.dimensions import DimensionWriter
from collector.storage.encode import encode
from collector.storage.rows import Encoded, Key, Row, sort_rows
from collector.storage.tables import DIMENSIONS, SERIES, Table
from tests.support import samples


@dataclass
class Database:
    """The dimension tables of a database, as `insert` sees them."""

    tables: dict[Table, dict[Key, Row]] = field(default_factory=lambda: {table: {} for table in DIMENSIONS})
    calls: list[dict[Table, list[Row]]] = field(default_factory=list)

    def insert(self, missing: Mapping[Table, list[Row]]) -> dict[Key, bytes]:
        self.calls.append(dict(missing))
        for table, rows in missing.items():
            for row in rows:
                self.tables[table].setdefault(row[0], row)
        return {row[0]: self.tables[SERIES][row[0]][1] for row in missing.get(SERIES, ())}

    def take_id(self, series_id: Key) -> None:
        """Let another's series have this id."""
        self.tables[SERIES][series_id] = (series_id, b"somebody else's!", *[None] * 12)


def _encoded() -> Encoded:
    return encode(Signal.METRICS, [samples.metrics()])


def test_what_was_written_is_not_written_again() -> None:
    """Until the writer is told to forget, because the database may be another."""
    database, writer = Database(), DimensionWriter()
    encoded = _encoded()
    assert writer.write(encoded, database.insert) is encoded
    writer.write(_encoded(), database.insert)
    assert len(database.calls) == 1
    writer.forget()
    writer.write(_encoded(), database.insert)
    assert len(database.calls) == 2


def test_rows_are_written_in_the_order_of_their_ids() -> None:
    """Two writers that insert in different orders deadlock."""
    database, writer = Database(), DimensionWriter()
    writer.write(_encoded(), database.insert)
    for rows in database.calls[0].values():
        assert rows == sorted(rows, key=lambda row: row[0])


def test_a_failed_insert_is_not_remembered() -> None:
    """The next batch tries again."""

    def fail(missing: Mapping[Table, list[Row]]) -> dict[Key, bytes]:
        raise OSError("away")

    database, writer = Database(), DimensionWriter()
    with pytest.raises(OSError, match="away"):
        writer.write(_encoded(), fail)
    writer.write(_encoded(), database.insert)
    assert len(database.tables[SERIES]) == len(_encoded().dimensions[SERIES])


def test_ids_that_are_taken_are_probed_past() -> None:
    """Also when the second choice is another's as well; facts follow, sorted again."""
    database, writer = Database(), DimensionWriter()
    encoded = _encoded()
    unlucky = next(iter(encoded.dimensions[SERIES].values()))
    for attempt in range(2):
        database.take_id(identity.series_id(unlucky[1], attempt))
    for _ in range(2):  # remembered or not
        written = writer.write(encoded, database.insert)
        third = identity.series_id(unlucky[1], 2)
        assert written.dimensions[SERIES][third][1:] == unlucky[1:]
        assert unlucky[0] not in written.dimensions[SERIES]
        for table, rows in written.facts.items():
            ids = {row[1] for row in rows}
            assert ids <= written.dimensions[SERIES].keys()
            assert rows == sort_rows(table, list(rows))
        assert written.items == encoded.items == sum(map(len, written.facts.values()))
