"""The ledger as files: one for each day of charges in each billing period, written again as a whole when it changes.

    <directory>/BillingPeriod=2026-09-01/2026-09-17.csv

What is in a file follows from what is in the ledger and from nothing else: not from how records were batched, in which
order they came, or how often. So repeating is harmless, and a revision shows as a file that has replaced the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final, Protocol

from collector.accounting.book import Book
from collector.accounting.changed_days import ChangedDays, Day
from collector.accounting.errors import AccountingError
from collector.accounting.export import records_of, sync_directory
from collector.accounting.finished_periods import FinishedPeriods
from collector.cost.calendar import DAY_NS, HOUR_NS, day_of, day_start
from collector.cost.focus.mapping import FocusExportError
from collector.cost.record import CostAttributionRecord, Period
from collector.cost.whole import whole
from collector.model.clock import Clock
from collector.model.errors import TelemetryError
from collector.storage.rows import unsigned64
from collector.storage.sqlite.store import SqliteStore
from collector.storage.store import QueryError
from collector.storage.tables import COST_FACTS

_PURPOSE: Final = "files"
# A period of which something was written so lately may be one whose records are still on their way here.
_QUIET_S: Final = 86_400.0


class DayRecords:
    """The records of a day that add up, an hour in memory at a time. What is below is known when they have been read."""

    def __init__(self, book: Book, day: Day) -> None:
        start = day_start(day.charged)
        self.period: Final = Period(start, start + DAY_NS)
        self.waiting = 0  # records that do not add up yet
        self.updated_unix_nano = (
            0  # the latest time at which a record was made; else the latest end of a charge
        )
        self._book = book
        self._day = day

    def hours(self) -> Iterator[list[CostAttributionRecord]]:
        """Yield the records of one hour after the other, in an order that depends on nothing but them."""
        for start in range(self.period.start_unix_nano, self.period.end_unix_nano, HOUR_NS):
            read = records_of(self._book, Period(start, start + HOUR_NS))
            found = whole(record for record in read if Day.of_charge(record.charge) == self._day)
            self.waiting += found.waiting
            for record in found.records:
                made = record.recorded_unix_nano or record.charge.charge_period.end_unix_nano
                self.updated_unix_nano = max(self.updated_unix_nano, made)
            yield found.records

    def __iter__(self) -> Iterator[CostAttributionRecord]:
        for records in self.hours():
            yield from records


class DayWriter(Protocol):
    """A format. `suffix`: of its files, and `obsolete`: of those that another setting would have written in their place.

    `layout`: a text that is another one if the same records would give another file.
    """

    @property
    def suffix(self) -> str: ...  # noqa: D102
    @property
    def obsolete(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def layout(self) -> str: ...  # noqa: D102

    def write(self, records: DayRecords, path: Path) -> int:
        """Write a file whole, or leave what is there; return the number of its rows.

        Raises:
            AccountingError, FocusExportError: what is in the ledger cannot be written.
            OSError: the file cannot be.
        """
        ...


@dataclass(slots=True)
class Turn:
    """What came of writing what had changed.

    `waiting`: records of what has been written so far that do not add up yet. `problems`: by day, why the file is as
    it was.
    """

    files: int = 0
    waiting: int = 0
    problems: dict[Day, str] = field(default_factory=dict)


class DayFiles:
    """Writes files in `directory`, from an open store with the ledger."""

    def __init__(
        self,
        store: SqliteStore,
        directory: Path,
        changed: ChangedDays,
        finished: FinishedPeriods,
        writer: DayWriter,
        clock: Clock,
    ) -> None:
        self._store = store
        self._book = Book(store)
        self._directory = directory
        self._changed = changed
        self._finished = finished
        self._writer = writer
        self._clock = clock
        # Days whose records make no file. Another try would say the same, until they change.
        self._refused: dict[Day, str] = {}
        self._waiting: dict[Day, int] = {}

    def path(self, day: Day) -> Path:
        """Where the file of a day is."""
        return self._directory / f"BillingPeriod={day.billing}" / f"{day.charged}.{self._writer.suffix}"

    def write_changed(self, stop: Callable[[], bool]) -> Turn:
        """Write the files of all days that have changed, or of some when `stop` says so.

        Raises:
            TelemetryError, QueryError: the ledger cannot be read now.
        """
        turn = Turn()
        failed: dict[Day, str] = {}
        with self._store.exclusive(_PURPOSE) as alone:
            for day, again in self._changed.marked().items() if alone else ():
                if stop():
                    break
                if not again and day in self._refused:
                    continue
                self._changed.begin(day)
                self._refused.pop(day, None)
                try:
                    if day.billing not in self._finished.all():
                        self._write(day)
                except (TelemetryError, QueryError):
                    raise  # the ledger cannot be read: nothing is wrong with the day
                except (AccountingError, FocusExportError) as error:
                    self._refused[day] = str(error)
                except OSError as error:
                    failed[day] = str(error)
                except Exception as error:  # noqa: BLE001  our bug on this day; it must not take the others with it
                    self._refused[day] = f"{type(error).__name__}: {error}"
                else:
                    self._changed.done(day)
                    turn.files += 1
        turn.waiting = sum(self._waiting.values())
        turn.problems = self._refused | failed
        return turn

    def finish(self, before_unix_nano: int) -> int:
        """Finish billing periods that ended before an instant, and delete their records; return how many.

        One with a day that waits to be written, or that was written in the last day, is not finished yet.

        Raises:
            TelemetryError, QueryError, OSError: it is left in the middle; another call goes on.
        """
        with self._store.exclusive(_PURPOSE) as alone:
            if not alone:
                return 0
            ends = self._ends()
            with self._finished.lock:
                waiting = {day.billing for day in self._changed.marked()}
                self._finished.add(
                    began
                    for began, end in ends.items()
                    if end < before_unix_nano and began not in waiting and self._is_quiet(began)
                )
            over = sorted(ends.keys() & self._finished.all())
            return sum(self._store.delete_billed(day_start(one), day_start(one) + DAY_NS) for one in over)

    def _ends(self) -> dict[date, int]:
        """When the billing periods in the ledger end, the last of those that begin on a day."""
        ends: dict[date, int] = {}
        for table in COST_FACTS:
            found = self._store.query(
                f"SELECT billing_period_start_unix_nano, max(billing_period_end_unix_nano) FROM {table.name} GROUP BY 1"  # noqa: S608  names of ours
            )
            for start, end in found.rows:
                began = day_of(unsigned64(start))
                ends[began] = max(ends.get(began, 0), unsigned64(end))
        return ends

    def _is_quiet(self, began: date) -> bool:
        written = [path.stat().st_mtime for path in (self._directory / f"BillingPeriod={began}").glob("*")]
        return not written or max(written) < self._clock.unix_nano() / 1e9 - _QUIET_S

    def mark_everything(self) -> None:
        """Have all files written again. Raises as `Store.query`."""
        for table in COST_FACTS:
            found = self._store.query(
                f"SELECT DISTINCT billing_period_start_unix_nano, time / {DAY_NS // 1000} FROM {table.name}"  # noqa: S608  names of ours
            )
            self._changed.mark({Day.of(unsigned64(start), day * DAY_NS) for start, day in found.rows})

    def _write(self, day: Day) -> None:
        path = self.path(day)
        records = DayRecords(self._book, day)
        rows = self._writer.write(records, path)
        self._waiting[day] = records.waiting
        gone = [path.with_suffix(f".{suffix}") for suffix in self._writer.obsolete]
        if not rows:
            gone += [path, path.with_suffix(".metadata.json")]
        there = [old for old in gone if old.exists()]
        for old in there:
            old.unlink(missing_ok=True)
        if there:
            sync_directory(path.parent)
