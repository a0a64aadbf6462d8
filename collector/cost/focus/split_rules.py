"""Rules over the parts of an origin: their metrics sum to its own, all else is equal, their ratios sum to 1.

FOCUS 1.3, "Data Generator-Calculated Split Cost Allocation Handling". The parts of an origin may be anywhere in the
file: they are sorted in a spool, so that memory does not grow with it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Final, NamedTuple

from collector.cost.focus.columns import BY_NAME, SUMMABLE, DataType
from collector.cost.focus.finding import Report, Severity
from collector.cost.focus.json_values import JsonError, parse_object
from collector.cost.focus.numbers import parse, total
from collector.cost.focus.row_rules import Row
from collector.cost.focus.spool import SortedSpool

# Which origin a row is of: our column, and focus-data-toolkit's. Without one, rows equal in everything that has to be
# equal are taken for parts of one origin.
ORIGIN_COLUMNS: Final = ("x_OriginId", "x_SplitOriginId")
RECORD_COLUMN: Final = "x_RecordId"
# The origin's own amounts, as our exporter writes them beside each part: x_OriginBilledCost …
ORIGIN_AMOUNT: Final = {name: f"x_Origin{name}" for name in SUMMABLE}
_ALLOCATED: Final = frozenset(name for name in BY_NAME if name.startswith("Allocated"))
# Separates what is spooled: no text of a file holds it.
_SEPARATOR: Final = "\x1f"


class _First(NamedTuple):
    """The first part of an origin, which the others are compared with."""

    line: int
    same: bytes
    totals: list[str]


class _Ratios:
    """The AllocatedRatios of an origin: their sum, how many there are, and the unit of the coarsest."""

    def __init__(self) -> None:
        self.sum = Decimal(0)
        self.unit = Decimal(0)
        self.count = 0
        self.unknown = 0

    def add(self, text: str, elements: int) -> None:
        """The ratio of one part: the sum of its elements'. "": it has none."""
        if not text:
            self.unknown += 1
            return
        ratio = Decimal(text)
        exponent = ratio.as_tuple().exponent
        self.sum = total([self.sum, ratio])
        self.unit = max(self.unit, Decimal(1).scaleb(exponent if isinstance(exponent, int) else 0))
        self.count += elements


class SplitRules:
    """Takes every row, and judges the groups at the end."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._prefix = "" if "AllocatedMethodId" in columns else "x_"
        self._active = f"{self._prefix}AllocatedMethodId" in columns
        self._origin = next((name for name in ORIGIN_COLUMNS if name in columns), None)
        self._summable = [name for name in SUMMABLE if name in columns]
        self._equal = [
            name
            for name in columns
            if name in BY_NAME and name not in _ALLOCATED and name not in self._summable
        ]
        self._decimal = {name for name in self._equal if BY_NAME[name].type is DataType.DECIMAL}
        self._totals = [ORIGIN_AMOUNT[name] for name in self._summable if ORIGIN_AMOUNT[name] in columns]
        self._spool = SortedSpool()

    def close(self) -> None:
        """Let go of what is spooled."""
        self._spool.close()

    def add(self, line: int, row: Row) -> None:
        """Remember a row, if it is a part or could be the origin of parts."""
        if not self._active:
            return
        method = row.get(f"{self._prefix}AllocatedMethodId")
        origin = row.get(self._origin) if self._origin else None
        if method is None and origin is None:
            return
        same = array(
            "q",
            (hash(parse(row[name] or "") if name in self._decimal else row[name]) for name in self._equal),
        ).tobytes()
        # A correction of a closed period is a charge of its own, with the same origin.
        key = (
            f"{origin}|{row.get('ChargeClass')}|{row.get('BillingPeriodStart')}".encode() if origin else same
        )
        amounts = [row.get(name) or "" for name in (*self._summable, *self._totals)]
        details = [] if method is None else self._details(row)
        text = _SEPARATOR.join((str(line), *amounts, *details))
        self._spool.add(key, same + text.encode())

    def _details(self, row: Row) -> list[str]:
        """Ratio and number of elements, resource id, subject, record id, class."""
        ratio, elements = _ratio(row.get(f"{self._prefix}AllocatedMethodDetails"))
        return [
            "" if ratio is None else str(ratio),
            str(elements),
            row.get(f"{self._prefix}AllocatedResourceId") or "",
            row.get("x_SubjectKind") or "",
            row.get(RECORD_COLUMN) or "",
            row.get("ChargeClass") or "",
        ]

    def finish(self, report: Report) -> None:
        """Judge all groups and add what is wrong to `report`, at the line of the group's first part."""
        for _, group in groupby(self._spool, key=lambda entry: entry[0]):
            self._judge((value for _, value in group), report)

    def _judge(self, group: Iterator[bytes], report: Report) -> None:
        """One origin. Its parts go by one at a time: an origin may have a million."""
        width = 8 * len(self._equal)
        summed = len(self._summable)
        first: _First | None = None
        sums = [Decimal(0)] * summed
        ratios = _Ratios()
        kept: list[tuple[int, list[str]]] = []
        resources: set[str] = set()
        records: set[str] = set()
        for entry in group:
            same = entry[:width]
            line_text, *texts = entry[width:].decode().split(_SEPARATOR)
            line, amounts, totals = int(line_text), texts[:summed], texts[summed : summed + len(self._totals)]
            details = texts[summed + len(self._totals) :]
            if not details:
                kept.append((line, amounts))
                continue
            ratio, elements, resource, kind, record, charge_class = details
            if first is None:
                first = _First(line, same, totals)
                report.split_origins += 1
            else:
                self._same(first, line, same, totals, report)
            sums = [
                total([sum_, parse(text) or Decimal(0)]) for sum_, text in zip(sums, amounts, strict=True)
            ]
            # What a correction changes is not a share of anything.
            if charge_class != "Correction":
                ratios.add(ratio, int(elements))
            self._resource(line, resource, kind, resources, report)
            if record and record in records:
                report.add(line, RECORD_COLUMN, "record-twice", f"{record} is there twice", "remove the copy")
            records.add(record)
        if first is None:
            return
        self._judge_ratios(first.line, ratios, report)
        self._sums(first, sums, report)
        self._origin_rows(kept, report)

    def _same(self, first: _First, line: int, same: bytes, totals: list[str], report: Report) -> None:
        if same != first.same:
            ours, theirs = array("q", same), array("q", first.same)
            for name, one, other in zip(self._equal, ours, theirs, strict=True):
                if one != other:
                    message = f"is not equal to that of line {first.line}, a part of the same origin"
                    report.add(line, name, "split-dimension", message, "what is not summed is the origin's")
        if totals != first.totals:
            message = f"the origin's amounts are not those that line {first.line} gives"
            report.add(line, self._totals[0], "split-origin", message)

    def _resource(self, line: int, resource: str, kind: str, seen: set[str], report: Report) -> None:
        column = f"{self._prefix}AllocatedResourceId"
        if resource and kind in ("Idle", "Unallocated"):
            report.add(
                line,
                column,
                "split-remainder",
                f"{resource!r} in the part that is allocated to nobody",
                "NULL",
            )
        if resource and resource in seen:
            message = f"{resource!r} has more than one part of this origin"
            report.add(line, column, "split-resource-twice", message, severity=Severity.WARNING)
        seen.add(resource)

    def _judge_ratios(self, line: int, ratios: _Ratios, report: Report) -> None:
        column = f"{self._prefix}AllocatedMethodDetails"
        sum_ = ratios.sum
        if not ratios.count or (self._origin is None and sum_ and sum_ == sum_.to_integral_value()):
            return
        if ratios.unknown:
            message = f"{ratios.unknown} parts of this origin have no details and others have"
            report.add(line, column, "split-ratio", message, severity=Severity.WARNING)
        elif sum_ != 1:
            # As many units of the last decimal as there are ratios: each was rounded.
            rounded = abs(sum_ - 1) <= ratios.unit * ratios.count
            message = f"the AllocatedRatios of this origin sum to {sum_}, not 1" + (
                " (rounded)" if rounded else ""
            )
            report.add(
                line, column, "split-ratio", message, severity=Severity.WARNING if rounded else Severity.ERROR
            )

    def _sums(self, first: _First, sums: list[Decimal], report: Report) -> None:
        totals = dict(zip(self._totals, first.totals, strict=True))
        for name, sum_ in zip(self._summable, sums, strict=True):
            expected = parse(totals.get(ORIGIN_AMOUNT[name], ""))
            if expected is not None and expected != sum_:
                message = f"the parts of this origin sum to {sum_}, the origin is {expected}"
                report.add(first.line, name, "split-sum", message, "a part is missing, or has been changed")

    def _origin_rows(self, kept: list[tuple[int, list[str]]], report: Report) -> None:
        for line, amounts in kept:
            for name, text in zip(self._summable, amounts, strict=True):
                if parse(text):
                    message = f"{text} in an origin whose parts are in the file too: counted twice"
                    report.add(line, name, "split-counted-twice", message, "leave the row out, or write 0")


def _ratio(text: str | None) -> tuple[Decimal | None, int]:
    if text is None:
        return None, 0
    try:
        elements = parse_object(text).get("Elements")
    except JsonError:
        return None, 0  # said already
    if not isinstance(elements, list):
        return None, 0
    ratios = [element.get("AllocatedRatio") for element in elements if isinstance(element, dict)]
    known = [ratio for ratio in ratios if isinstance(ratio, Decimal) and ratio.is_finite()]
    return (total(known), len(known)) if known else (None, 0)
