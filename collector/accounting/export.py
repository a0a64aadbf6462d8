"""The ledger in the formats that others read, whole files only: each is written beside its place and then moved there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from collector.accounting.book import Book
from collector.accounting.errors import AccountingError
from collector.cost.calendar import DAY_NS
from collector.cost.config import CostConfig
from collector.cost.focus.check import check_file
from collector.cost.focus.finding import Report
from collector.cost.focus.metadata import Dataset, TimeSector, metadata_json
from collector.cost.focus.rows import FocusOptions, FocusRows
from collector.cost.focus.write_csv import csv_chunks
from collector.cost.focus.write_parquet import write_parquet
from collector.cost.record import CostAttributionRecord, Period
from collector.cost.window import WindowState, window_state
from collector.version import VERSION

T = TypeVar("T")
FOCUS_VERSIONS: Final = ("1.2", "1.3", "1.4")


@dataclass(frozen=True, slots=True)
class FocusFile:
    """A FOCUS file that was written, and what our checker says of it."""

    path: Path
    metadata: Path
    rows: int
    unpriced: int
    report: Report


class FocusCheckError(AccountingError):
    """What was about to be written is not FOCUS; nothing was."""

    def __init__(self, report: Report) -> None:
        listed = "\n".join(f"  {finding}" for finding in report.findings[:20])
        super().__init__(f"the file would not be FOCUS {report.version}, so it was not written:\n{listed}")
        self.report = report


def records_of(book: Book, period: Period, *, at_once_ns: int = DAY_NS) -> Iterator[CostAttributionRecord]:
    """Yield the records whose charge period begins in `period`, those of `at_once_ns` in memory at a time."""
    start = period.start_unix_nano
    while start < period.end_unix_nano:
        end = min(period.end_unix_nano, start - start % at_once_ns + at_once_ns)
        yield from book.read(Period(start, end))
        start = end


def write_focus(
    records: Iterable[CostAttributionRecord],
    path: Path,
    options: FocusOptions,
    *,
    parquet: bool = False,
    sectors: tuple[TimeSector, ...] = (),
) -> FocusFile:
    """Write a FOCUS file and its metadata beside it, checked before they are there. Equal records give equal bytes.

    Raises:
        FocusCheckError: an error of ours; nothing was written.
        FocusExportError: a record cannot be written.
        ParquetUnavailableError: pyarrow is not installed.
        OSError: the file cannot be.
    """
    with closing(FocusRows(records, options)) as rows:
        # The newest window says when the data are from: the clock would make every export another file.
        created = max((sector.updated_unix_nano for sector in sectors), default=0)
        return write_rows(rows, path, dataset(created, sectors), parquet=parquet)


def dataset(created_unix_nano: int, sectors: tuple[TimeSector, ...], *, waiting: int = 0) -> Dataset:
    """What every FOCUS file of ours is a copy of."""
    return Dataset(
        name="collector costs",
        created_unix_nano=created_unix_nano,
        generator_version=VERSION,
        sectors=sectors,
        waiting=waiting,
    )


def write_rows(rows: FocusRows, path: Path, about: Dataset, *, parquet: bool) -> FocusFile:
    """Write `rows` and the metadata beside them: see `write_focus`."""

    def write(sink: BinaryIO) -> Report:
        if parquet:
            write_parquet(rows, sink)
        else:
            sink.writelines(csv_chunks(rows))
        sink.flush()
        sink.seek(0)
        report = check_file(sink, path.name, rows.options.version, as_billed=True)
        if not report.ok():
            raise FocusCheckError(report)
        return report

    report = write_whole(path, write)
    metadata = path.with_name(f"{path.stem}.metadata.json")
    text = metadata_json(rows, about)
    write_whole(metadata, lambda sink: sink.write(text))
    return FocusFile(path, metadata, report.rows, rows.unpriced, report)


def sector_of(period: Period, now_unix_nano: int, config: CostConfig) -> TimeSector:
    """Return how final a charge period is (FOCUS, "Recency")."""
    closed = window_state(period, now_unix_nano, config) is WindowState.CLOSED
    return TimeSector(period=period, complete=closed, updated_unix_nano=period.end_unix_nano)


def write_whole(path: Path, write: Callable[[BinaryIO], T]) -> T:
    """Write a file so that it is whole or not there, also after a power cut; return what `write` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w+b") as sink:
            result = write(sink)
            sink.flush()
            os.fsync(sink.fileno())
        os.chmod(name, 0o644)  # noqa: PTH101  what mkstemp made is for its owner only
        os.replace(name, path)  # noqa: PTH105
        sync_directory(path.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        raise
    return result


def sync_directory(directory: Path) -> None:
    """Have the disk take note of what was made, renamed and deleted in a directory."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
