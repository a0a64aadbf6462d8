"""Which days of the ledger have changed since they were last written to a file: kept on disk, so that a crash forgets none.

A day is a file without contents in a directory. Whoever stores records marks their days before and after that; whoever
writes files renames the mark, reads, writes, and deletes it. So a change that comes in between leaves a new mark, and what
was interrupted still has the old one: a file may be written once too often, with the same bytes, and never too seldom.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from collector.accounting.export import sync_directory
from collector.cost.calendar import day_of
from collector.cost.record import Charge

_BEING_WRITTEN: Final = ".writing"


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """Charges by the day (UTC) on which their billing period begins, and by that on which their charge period does."""

    billing: date
    charged: date

    @classmethod
    def of(cls, billing_period_start_unix_nano: int, charge_period_start_unix_nano: int) -> Day:
        """The day of a charge."""
        return cls(day_of(billing_period_start_unix_nano), day_of(charge_period_start_unix_nano))

    @classmethod
    def of_charge(cls, charge: Charge) -> Day:
        """The day of a charge."""
        return cls.of(charge.billing_period.start_unix_nano, charge.charge_period.start_unix_nano)

    def __str__(self) -> str:
        return f"{self.billing}_{self.charged}"

    @classmethod
    def parse(cls, text: str) -> Day:
        """Read what `str` gives. Raises ValueError."""
        billing, _, charged = text.partition("_")
        return cls(date.fromisoformat(billing), date.fromisoformat(charged))


class ChangedDays:
    """Marks in `directory`, which is made when there is one. Any number of threads may mark, one writes files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def mark(self, days: Iterable[Day]) -> None:
        """Note that days change. Returns when the disk knows.

        Raises:
            OSError: it cannot be noted.
        """
        missing = [path for day in days if not (path := self._directory / str(day)).exists()]
        if not missing:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in missing:
            path.touch()
        sync_directory(self._directory)

    def marked(self) -> dict[Day, bool]:
        """The days that are marked, and whether they were since `begin`."""
        found: dict[Day, bool] = {}
        if self._directory.is_dir():
            for path in sorted(self._directory.iterdir()):
                with suppress(ValueError):
                    day = Day.parse(path.name.removesuffix(_BEING_WRITTEN))
                    found[day] = found.get(day, False) or not path.name.endswith(_BEING_WRITTEN)
        return found

    def begin(self, day: Day) -> None:
        """Take the mark of a day: what is stored from now on marks it again."""
        with suppress(FileNotFoundError):
            (self._directory / str(day)).replace(self._directory / f"{day}{_BEING_WRITTEN}")

    def done(self, day: Day) -> None:
        """The file of a day is as the ledger was at `begin`, or later."""
        (self._directory / f"{day}{_BEING_WRITTEN}").unlink(missing_ok=True)
