"""A day of the ledger as a FOCUS file."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from collector.accounting.day_files import DayRecords
from collector.accounting.export import dataset, write_rows
from collector.cost.focus.metadata import TimeSector
from collector.cost.focus.rows import FocusOptions, FocusRows


class FocusDays:
    """See `accounting.day_files.DayWriter`."""

    def __init__(self, options: FocusOptions, *, parquet: bool) -> None:
        self._options = options
        self._parquet = parquet
        self.suffix = "parquet" if parquet else "csv"
        self.obsolete = ("csv",) if parquet else ("parquet",)
        self.layout = json.dumps(
            [
                "focus",
                options.version,
                options.origin_row.value,
                sorted(options.defaults.items()),
                self.suffix,
            ]
        )

    def write(self, records: DayRecords, path: Path) -> int:
        """See `DayWriter`. Checked before it is there; its metadata follow it."""
        with closing(FocusRows(records, self._options)) as rows:
            if not rows.records:
                return 0
            # Only who makes the records knows when a day is complete.
            sector = TimeSector(
                period=records.period, complete=False, updated_unix_nano=records.updated_unix_nano
            )
            about = dataset(records.updated_unix_nano, (sector,), waiting=records.waiting)
            return write_rows(rows, path, about, parquet=self._parquet).rows
