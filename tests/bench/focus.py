"""FOCUS files: rows a second written, read and checked, of one core; splits of a node's hour into four pods and idle.

Reading is both passes: the one that judges the file whole, and the one that yields the records.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from collector.cost.focus.check import check_file
from collector.cost.focus.read import read_focus
from collector.cost.focus.rows import FocusRows
from collector.cost.focus.write_csv import csv_chunks
from collector.cost.focus.write_parquet import write_parquet
from collector.cost.identity import identify
from collector.cost.record import CostAttributionRecord
from tests.bench.figure import Figure
from tests.support.ledger import node

_ORIGINS: Final = 400
_PARTS: Final = 5


def run() -> Iterator[Figure]:
    """Measure."""
    records = list(_records())
    csv, parquet = _csv(records), _parquet(records)
    works: list[tuple[str, Callable[[], object]]] = [
        ("write CSV", lambda: _csv(records)),
        ("write Parquet", lambda: _parquet(records)),
        ("read CSV", lambda: _read(csv)),
        ("read Parquet", lambda: _read(parquet)),
        ("check CSV", lambda: check_file(io.BytesIO(csv), "bench.csv", "1.4")),
        ("check Parquet", lambda: check_file(io.BytesIO(parquet), "bench.parquet", "1.4")),
    ]
    rows = _ORIGINS * _PARTS
    for name, work in works:
        began = time.process_time()
        work()
        yield Figure(name=f"focus: {name}", value=rows / (time.process_time() - began), unit="rows/s")


def _records() -> Iterator[CostAttributionRecord]:
    for number in range(_ORIGINS):
        for record in node():
            yield replace(
                record,
                origin_id=identify("bench", (number,)),
                record_id=identify("bench", (number, record.record_id)),
                parent_record_id=record.parent_record_id
                and identify("bench", (number, record.parent_record_id)),
            )


def _csv(records: list[CostAttributionRecord]) -> bytes:
    return b"".join(csv_chunks(FocusRows(records)))


def _parquet(records: list[CostAttributionRecord]) -> bytes:
    sink = io.BytesIO()
    write_parquet(FocusRows(records), sink)
    return sink.getvalue()


def _read(data: bytes) -> None:
    for _ in read_focus(io.BytesIO(data), "bench").records():
        pass
