"""Billing periods whose files are final, and whose records a ledger need not keep.

A file of a day is written from all of the day's records. When some of them are gone, it must not be written again: so that a
period is finished is on the disk before the first record is deleted, and what still comes for it is left out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

from collector.accounting.export import write_whole


class FinishedPeriods:
    """A file of dates: on which day (UTC) the periods began.

    `lock`: held by who looks whether a period is finished and marks a day of it, and by who looks whether a day of it is
    marked and finishes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lock: Final = threading.Lock()
        self._known: frozenset[date] | None = None

    def all(self) -> frozenset[date]:
        """Return them.

        Raises:
            OSError: the file cannot be read.
        """
        if self._known is None:
            lines = self._path.read_text().split() if self._path.exists() else []
            self._known = frozenset(map(date.fromisoformat, lines))
        return self._known

    def add(self, periods: Iterable[date]) -> None:
        """Finish periods. Returns when the disk knows.

        Raises:
            OSError: it cannot be noted.
        """
        known = self.all() | frozenset(periods)
        if known != self.all():
            text = "".join(f"{day}\n" for day in sorted(known)).encode()
            write_whole(self._path, lambda sink: sink.write(text))
            self._known = known
