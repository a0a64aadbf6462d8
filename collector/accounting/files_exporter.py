"""`CostFilesExporter`: what the exporters of costs to files have in common.

A batch goes into a ledger, a SQLite file beside the files, in one transaction with the position of the queue; then it is
delivered. Revisions, repeated records and batches that come again are the ledger's business, as they are in any store. A
thread writes the files of the days that have changed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collector.accounting.changed_days import ChangedDays, Day
from collector.accounting.day_files import DayFiles, DayWriter
from collector.accounting.export import write_whole
from collector.accounting.finished_periods import FinishedPeriods
from collector.config.option import Invalid, option
from collector.config.types import Duration
from collector.cost.protobuf import from_proto
from collector.cost.record import CostAttributionRecord
from collector.model.errors import PermanentError, RetryableError, TelemetryError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Batch, CheckStep, Refused, Settings, StartError, State, Thread
from collector.pipeline.sender_config import SenderConfig
from collector.storage.encoding import CostEncoder, PayloadEncoder
from collector.storage.ending import close_under
from collector.storage.exporter import StoreExporter
from collector.storage.sqlite.store import SqliteStore
from collector.storage.store import QueryError

if TYPE_CHECKING:
    from uuid import UUID

    from collector.storage.rows import Encoded

_RETENTION_NEVER_S: Final = 86_400.0
_RETENTION_MIN_S: Final = 31 * 86_400.0
_FINISH_EVERY_S: Final = 6 * 3600.0
# When the collector stops, no file is begun after so long; what is left is written after the next start.
_LAST_TURN_S: Final = 5.0

# A day with many records takes long to write: the pause after it is so many times as long, whatever the interval.
_PAUSE_SHARE: Final = 9.0

# What keeps a record out of every file of a format, and what to do about it; None: nothing.
Check = Callable[[CostAttributionRecord], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFilesConfig(SenderConfig):
    """Where files of costs are, and how often they are written."""

    directory: Path = option(
        doc="Where the files are. It is made if it is missing. One collector and exporter for each directory.",
        example="/var/lib/collector/costs",
    )
    ledger: Path | None = option(
        None,
        doc="Folder of the ledger: the records themselves, from which files are written. Left out: .ledger in "
        "`directory`.",
    )
    interval: Duration = option(
        Duration(60.0), doc="How often the files of days that have changed are written.", minimum=0.1
    )
    retention: Duration = option(
        Duration.parse("397d"),
        doc="How long after the end of their billing period records stay in the ledger; 0: for ever. Then the files of that "
        "period are final: they are not written again, and what still comes for it is left out.",
    )

    def validate(self) -> Iterator[Invalid]:
        """Check that the paths can name folders, and that a period is not over before it is closed."""
        if 0 < self.retention < _RETENTION_MIN_S:
            yield Invalid(
                "retention",
                "is too short: a billing period may change for a month after its end; set 31d or more, or 0",
            )
        for name in ("directory", "ledger"):
            path: Path | None = getattr(self, name)
            if path is not None and path.exists() and not path.is_dir():
                yield Invalid(name, f"{path} is a file; name a folder")


class CheckedEncoder:
    """Encodes costs, unless one of them can be in no file: that one is refused, and becomes a dead letter."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._encoder = CostEncoder()

    def encode(self, payloads: Sequence[bytes]) -> Encoded:
        """See `PayloadEncoder`. Raises PermanentError."""
        for payload in payloads:
            request: Any = Signal.COSTS.request_type().FromString(payload)
            for message in request.records:
                problem = self._check(from_proto(message))
                if problem is not None:
                    raise PermanentError(
                        f"record {message.record_id.hex()}: {problem}", reason="rejected_by_format"
                    )
        return self._encoder.encode(payloads)


class CostFilesExporter:
    """An exporter as the one of a store is, and beside it the thread that writes files.

    `check`: whether a record can be in a file; None: any can.
    """

    def __init__(
        self, settings: Settings, config: CostFilesConfig, writer: DayWriter, check: Check | None = None
    ) -> None:
        self._settings = settings
        self._directory = config.directory
        self._folder = config.ledger or config.directory / ".ledger"
        self._interval_s = float(config.interval)
        self._writer = writer
        store = SqliteStore(
            self._folder / "costs.db", clock=settings.clock, busy_timeout_s=float(config.timeout)
        )

        def encoder(_signal: Signal) -> PayloadEncoder:
            return CostEncoder() if check is None else CheckedEncoder(check)

        self._ledger = StoreExporter(
            settings,
            store,
            migrate=True,
            retention_s={},
            retention_interval_s=_RETENTION_NEVER_S,
            local=True,
            encoder=encoder,
        )
        self._changed = ChangedDays(self._folder / "changed")
        self._finished = FinishedPeriods(self._folder / "finished")
        self._files = DayFiles(store, config.directory, self._changed, self._finished, writer, settings.clock)
        self._retention_ns = round(float(config.retention) * 1e9)
        self._finish_at = 0.0  # monotonic
        self._stopping = threading.Event()
        self._thread: Thread | None = None
        self._laid_out = False

    def start(self) -> None:
        """See `Component`."""
        for folder in (self._directory, self._folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StartError(
                    f"cannot make the folder {folder}: {error.strerror}. This user (uid {os.geteuid()}) must be "
                    "allowed to write there"
                ) from error
        self._ledger.start()
        self._report = self._settings.part("files")
        self._report(State.OK, "nothing has been written yet")
        self._thread = self._settings.spawn(f"{self._settings.id} files", self._keep_writing)

    def shutdown(self) -> None:
        """See `Component`. Files that are behind are written, if that is soon done."""
        self._stopping.set()
        if self._thread is not None:
            close_under(self._ledger.store, self._thread, _LAST_TURN_S)
            self._thread = None
            self._report(State.STOPPED, "")
        self._ledger.shutdown()

    def export(self, batch: Batch, /) -> None:
        """See `Exporter`. What is in the ledger is delivered."""
        with self._marking(batch) as rest:
            self._ledger.export(rest)

    def salvage(self, batch: Batch, set_aside: Callable[[Sequence[Refused]], None], /) -> None:
        """See `SalvagingExporter`."""
        with self._marking(batch) as rest:
            self._ledger.salvage(rest, set_aside)

    def prepare(self, batch: Batch, /) -> None:
        """See `PreparingExporter`."""
        self._ledger.prepare(batch)

    def position(self, queue_id: UUID, /) -> int | None:
        """See `TransactionalExporter`."""
        return self._ledger.position(queue_id)

    def check(self) -> list[CheckStep]:
        """See `Exporter`. Creates nothing."""
        there = next(path for path in (self._directory, *self._directory.absolute().parents) if path.exists())
        writable = os.access(there, os.W_OK | os.X_OK)
        detail = f"{there}" if writable else f"{there} is not writable for uid {os.geteuid()}"
        steps = [CheckStep("directory", writable, detail)]
        if writable and self._folder.exists():
            steps += self._ledger.check()
        return steps

    @contextmanager
    def _marking(self, batch: Batch) -> Iterator[Batch]:
        """Mark the days of a batch that is stored within: before, for a crash, and after, for a reader in between.

        Gives the batch without what comes for periods that are finished.
        """
        days = {_day(record) for record in _records(batch.merged())}
        try:
            with self._finished.lock:
                late = {day for day in days if day.billing in self._finished.all()}
                self._changed.mark(days - late)
            yield self._without(batch, late) if late else batch
            self._changed.mark(days - late)
        except OSError as error:
            raise RetryableError(f"cannot write in {self._folder}: {error.strerror}", reason="io") from error

    def _without(self, batch: Batch, late: set[Day]) -> Batch:
        kept = []
        for data in batch.records:
            request: Any = Signal.COSTS.request_type()()
            request.records.extend(record for record in _records(data) if _day(record) not in late)
            kept.append(Telemetry(data.signal, request.SerializeToString(), len(request.records)))
        rest = replace(batch, records=tuple(kept))
        self._count_deleted(batch.items - rest.items)
        self._settings.log.warning(
            "Costs of billing periods whose files are final were left out.",
            records=batch.items - rest.items,
            periods=sorted({str(day.billing) for day in late}),
        )
        return rest

    def _count_deleted(self, records: int) -> None:
        labels = (str(self._settings.id), Signal.COSTS.value, "retention")
        self._settings.meters.store_deleted.labels(*labels).inc(records)

    def _keep_writing(self) -> None:
        """Body of the thread."""
        clock = self._settings.clock
        pause_s = self._interval_s
        while not self._stopping.wait(pause_s):
            began = clock.monotonic()
            self._turn(self._stopping.is_set)
            pause_s = max(self._interval_s, (clock.monotonic() - began) * _PAUSE_SHARE)
        until = self._settings.clock.monotonic() + _LAST_TURN_S
        self._turn(lambda: self._settings.clock.monotonic() > until)

    def _turn(self, stop: Callable[[], bool]) -> None:
        try:
            self._lay_out()
            turn = self._files.write_changed(stop)
            self._finish()
        except (TelemetryError, QueryError, OSError) as error:
            self._report(State.DEGRADED, f"files are not written: {error}")
            return
        if turn.problems:
            day, problem = next(iter(turn.problems.items()))
            others = f"; {len(turn.problems) - 1} further files likewise" if len(turn.problems) > 1 else ""
            self._report(State.DEGRADED, f"the file of {day} is as it was: {problem}{others}")
        elif turn.waiting:
            self._report(
                State.OK, f"written; {turn.waiting} records wait for the rest of what they are parts of"
            )
        elif turn.files:
            self._report(State.OK, "written")

    def _finish(self) -> None:
        """Delete what is old, now and then."""
        clock = self._settings.clock
        if not self._retention_ns or clock.monotonic() < self._finish_at or self._stopping.is_set():
            return
        self._finish_at = clock.monotonic() + _FINISH_EVERY_S
        if deleted := self._files.finish(clock.unix_nano() - self._retention_ns):
            self._count_deleted(deleted)
            self._settings.log.info("Records of billing periods that are over were deleted.", records=deleted)

    def _lay_out(self) -> None:
        """Have everything written again if the files were written by other settings."""
        if self._laid_out:
            return
        path = self._folder / "layout"
        text = self._writer.layout.encode()
        if not path.exists() or path.read_bytes() != text:
            self._files.mark_everything()
            write_whole(path, lambda sink: sink.write(text))
        self._laid_out = True


def _records(data: Telemetry) -> Iterator[Any]:
    request: Any = data.parse()
    return iter(request.records)


def _day(record: Any) -> Day:
    return Day.of(record.billing_period_start_unix_nano, record.charge_period_start_unix_nano)
