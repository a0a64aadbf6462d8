"""FOCUS files: rows a second written, read and checked, of one core; splits of a node's hour into four pods and idle.

Reading is both passes: the one that judges the file whole, and the one that yields the records. A day's file is what the exporter
`focus` writes when something in a day has changed: read from its ledger, written and checked.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from collector.accounting.book import Book
from collector.accounting.changed_days import ChangedDays
from collector.accounting.day_files import DayFiles
from collector.accounting.finished_periods import FinishedPeriods
from collector.cost.focus.check import check_file
from collector.cost.focus.read import read_focus
from collector.cost.focus.rows import FocusOptions, FocusRows
from collector.cost.focus.write_csv import csv_chunks
from collector.cost.focus.write_parquet import write_parquet
from collector.cost.identity import identify
from collector.cost.record import CostAttributionRecord
from collector.exporters.focus.days import FocusDays
from collector.model.clock import SystemClock
from collector.storage.sqlite.store import SqliteStore
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
    yield Figure(name="focus: a day's file, from the ledger", value=_day(records), unit="records/s")


def _day(records: list[CostAttributionRecord]) -> float:
    """Records a second."""
    with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder) / "costs.db")) as store:
        store.open()
        store.migrate()
        book = Book(store)
        assert book.write(records, book.page())
        writer = FocusDays(FocusOptions(version="1.4"), parquet=False)
        changed, finished = ChangedDays(Path(folder) / "changed"), FinishedPeriods(Path(folder) / "finished")
        files = DayFiles(store, Path(folder), changed, finished, writer, SystemClock())
        files.mark_everything()
        began = time.process_time()
        turn = files.write_changed(lambda: False)
        took_s = time.process_time() - began
    if turn.files != 1:
        raise ValueError(f"no file was written: {turn.problems}")
    return len(records) / took_s


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
