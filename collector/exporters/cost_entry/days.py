"""A day of the ledger as JSON lines of CostEntry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from collector.accounting.book import leaves
from collector.accounting.day_files import DayRecords
from collector.accounting.export import write_whole
from collector.cost.cost_entry import entry_lines


class CostEntryDays:
    """See `accounting.day_files.DayWriter`. `categories`: FOCUS ServiceCategory to CostEntry category."""

    suffix = "jsonl"
    obsolete: tuple[str, ...] = ()

    def __init__(self, categories: Mapping[str, str]) -> None:
        self._categories = categories
        self.layout = json.dumps(["cost_entry", sorted(categories.items())])

    def write(self, records: DayRecords, path: Path) -> int:
        """See `DayWriter`."""
        rows = 0

        def lines() -> Iterator[bytes]:
            nonlocal rows
            for hour in records.hours():
                for line in entry_lines(leaves(hour), self._categories):
                    rows += 1
                    yield line

        def write(sink: BinaryIO) -> None:
            sink.writelines(lines())

        write_whole(path, write)
        return rows
