"""A bill that has been read: its records, and a manifest of what was taken although it was not as it should be.

All or nothing: a bill exists only if every row of the file could be read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import BinaryIO, Final

from collector.cost.amount import add, amount_text
from collector.cost.focus.table import FileError
from collector.cost.record import CostAttributionRecord

_PIECE: Final = 1024 * 1024
PROBLEMS_MAX: Final = 20  # told at once; the reading goes on until there are so many


class BillError(ValueError):
    """A file is refused, whole. `problems`: the first of them, each with file and line."""

    def __init__(self, problems: list[FileError]) -> None:
        more = (
            f"\nand perhaps more: reading stopped after {PROBLEMS_MAX}"
            if len(problems) >= PROBLEMS_MAX
            else ""
        )
        super().__init__("nothing was imported:\n" + "\n".join(map(str, problems)) + more)
        self.problems = problems


@dataclass(slots=True, kw_only=True)
class Tolerated:
    """A form that is not right and was read all the same."""

    rule: str
    column: str
    count: int
    first_line: int


@dataclass(slots=True, kw_only=True)
class Manifest:
    """What was imported. `totals`: by currency and column, the sums of what the file says, exactly."""

    file: str
    sha256: str
    format: str
    strict: bool
    rows: int = 0
    records: int = 0
    tolerated: dict[tuple[str, str], Tolerated] = field(default_factory=dict)
    totals: dict[str, dict[str, Decimal]] = field(default_factory=dict)

    def tolerate(self, rule: str, column: str, line: int) -> None:
        """Count a form that was read although it is not right.

        Raises:
            FileError: the import is strict.
        """
        if self.strict:
            raise FileError(
                self.file,
                line,
                f"{rule.replace('-', ' ')}, which a strict import refuses",
                column=column,
                remedy="mend the file, or import it without strict",
                rule=rule,
            )
        seen = self.tolerated.get((rule, column))
        if seen is None:
            self.tolerated[rule, column] = Tolerated(rule=rule, column=column, count=1, first_line=line)
        else:
            seen.count += 1

    def add(self, currency: str, column: str, amount: Decimal) -> None:
        """Add to the totals."""
        sums = self.totals.setdefault(currency, {})
        sums[column] = add(sums.get(column, Decimal(0)), amount)

    def json(self) -> bytes:
        """The manifest as JSON, in an order that depends on the file only."""
        value = {
            "file": self.file,
            "sha256": self.sha256,
            "format": self.format,
            "strict": self.strict,
            "rows": self.rows,
            "records": self.records,
            "totals": {
                currency: {column: amount_text(amount) for column, amount in sorted(sums.items())}
                for currency, sums in sorted(self.totals.items())
            },
            "tolerated": [
                {"rule": t.rule, "column": t.column, "count": t.count, "first_line": t.first_line}
                for t in sorted(self.tolerated.values(), key=lambda t: (t.rule, t.column))
            ],
        }
        return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Bill:
    """A file that was read whole, without an error.

    `records()` reads it again and yields them: an origin before its parts. Nothing of the file is kept in memory.
    The stream has to be as it was; if it has changed, `records()` raises at its end, so commit after it.
    """

    manifest: Manifest
    records: Callable[[], Iterator[CostAttributionRecord]]


class Problems:
    """Collects errors, so that a user sees all of a file's at once."""

    def __init__(self) -> None:
        self._found: list[FileError] = []

    def add(self, error: FileError) -> None:
        """Remember one.

        Raises:
            BillError: there are enough.
        """
        self._found.append(error)
        if len(self._found) >= PROBLEMS_MAX:
            raise BillError(self._found)

    def raise_if_any(self) -> None:
        """Raise BillError if there is one."""
        if self._found:
            raise BillError(self._found)


def digest_of(stream: BinaryIO) -> str:
    """SHA-256 of the whole stream, in hex; the stream is at its beginning again afterwards."""
    stream.seek(0)
    digest = hashlib.sha256()
    while piece := stream.read(_PIECE):
        digest.update(piece)
    stream.seek(0)
    return digest.hexdigest()


def check_unchanged(stream: BinaryIO, manifest: Manifest) -> None:
    """Raise FileError if the stream is not the one that the manifest is of."""
    if digest_of(stream) != manifest.sha256:
        raise FileError(
            manifest.file, 0, "the file was changed while it was imported", remedy="import it again"
        )
