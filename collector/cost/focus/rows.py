"""Records as the rows of a FOCUS file, in an order that does not depend on theirs.

Of an origin and what it was split into, the finest parts are written, never two levels of the same money. That they
sum to the origin is verified here, before a byte is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from itertools import groupby
from typing import Final

import msgspec

from collector.cost.amount import amount_text
from collector.cost.focus.columns import SUMMABLE
from collector.cost.focus.details import Element, Part, details
from collector.cost.focus.fill import Row
from collector.cost.focus.mapping import ORIGIN_AMOUNTS, RECORD_IDS, FocusExportError
from collector.cost.focus.numbers import EXACT, parse, plain
from collector.cost.focus.record_row import RecordRows
from collector.cost.focus.spool import SortedSpool
from collector.cost.record import CostAttributionRecord, Level

_ZERO: Final = "0.0"
# Metrics, also those that the version has no column for.
_SUMMED: Final = (*SUMMABLE, *(f"x_{name}" for name in SUMMABLE))
# What the share of a part goes by that does not say how it was found.
_WEIGHTS: Final = ("EffectiveCost", "PricingQuantity", "x_PricingQuantity", "ConsumedQuantity")


class OriginRow(Enum):
    """What becomes of the row of an origin whose parts are in the file.

    FOCUS leaves it open (FOCUS_Spec issue 2315). DROP: it is not written. ZEROED: it is, with metrics of 0.
    """

    DROP = "drop"
    ZEROED = "zeroed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusOptions:
    """How to write. `defaults`: FOCUS column to the text where a record says nothing, e.g. BillingAccountId.

    `spreadsheet_safe` puts an apostrophe before texts that a spreadsheet would take for a formula. It alters values,
    which FOCUS forbids: for files that go to a spreadsheet and nowhere else.
    """

    version: str = "1.4"
    origin_row: OriginRow = OriginRow.DROP
    defaults: Mapping[str, str] = field(default_factory=dict)
    spreadsheet_safe: bool = False


class FocusRows:
    """Takes all records, then gives their rows: by charge period, origin, level and record id.

    `columns`: the version's, in alphabetical order, then the `x_` columns that any row has a value in.
    `unpriced`: records without costs. FOCUS has no place for them, and 0 would be a lie: they are counted and not
    written.

    Raises:
        FocusExportError: on construction, a record cannot be written; on iterating, the parts of a record do not
            sum to it.
        ValueError: there is no such version.
    """

    def __init__(self, records: Iterable[CostAttributionRecord], options: FocusOptions | None = None) -> None:
        self.options = options or FocusOptions()
        self.unpriced = 0
        self.records = 0
        self._record_rows = RecordRows(self.options.version, self.options.defaults)
        self._prefix = self._record_rows.prefix
        self._used: set[str] = set()
        self._spool = SortedSpool()
        try:
            for record in records:
                self._take(record)
        except BaseException:
            self.close()
            raise
        custom = sorted(name for name in self._used if name not in self._record_rows.columns)
        self.columns: tuple[str, ...] = (*self._record_rows.columns, *custom)

    def close(self) -> None:
        """Let go of what is spooled."""
        self._spool.close()

    def __iter__(self) -> Iterator[list[str | None]]:
        for _, group in groupby(self._spool, key=lambda entry: entry[0][:_GROUP_SIZE]):
            entries = [_ENTRY.decode(value) for _, value in group]
            for row in _leaves(entries, self._prefix, self.options.origin_row):
                yield [row.get(name) for name in self.columns]

    def _take(self, record: CostAttributionRecord) -> None:
        if not record.amounts.is_priced:
            self.unpriced += 1
            return
        try:
            row = self._record_rows.row(record)
        except FocusExportError as error:
            raise FocusExportError(f"record {record.record_id.hex()}: {error}") from None
        allocated = self._record_rows.allocated(record)
        entry = _Entry(
            record=row[RECORD_IDS["record_id"]] or "",
            parent=row.get(RECORD_IDS["parent_record_id"]) or "",
            row=row,
            allocated=allocated,
            elements=[
                (
                    amount_text(element.ratio),
                    element.usage_unit,
                    None if element.usage_quantity is None else amount_text(element.usage_quantity),
                )
                for element in record.allocated_elements
            ],
            is_part=record.level is not Level.ORIGIN,
        )
        self._used.update(row)
        self._used.update(allocated)
        if entry.is_part:
            self._used.update(ORIGIN_AMOUNTS[name] for name in SUMMABLE if name in row)
            if entry.elements:
                self._used.add(f"{self._prefix}AllocatedMethodDetails")
        value = msgspec.json.encode(entry)
        if b"\\u0000" in value and any("\0" in text for text in row.values() if text):
            raise FocusExportError(f"record {record.record_id.hex()}: a text has a NUL character")
        self._spool.add(_key(record), value)
        self.records += 1


class _Entry(msgspec.Struct, array_like=True):
    """A record in the spool. Ids are hex; elements are (ratio, unit, quantity)."""

    record: str
    parent: str
    row: dict[str, str | None]
    allocated: dict[str, str | None]
    elements: list[tuple[str, str, str | None]]
    is_part: bool


_ENTRY: Final = msgspec.json.Decoder(_Entry)
_GROUP_SIZE: Final = 8 + 16 + 1 + 8  # bytes of the key that the parts of a charge share


def _key(record: CostAttributionRecord) -> bytes:
    charge = record.charge
    # A correction has the origin of what it corrects, and is a charge of its own.
    return b"".join(
        (
            charge.charge_period.start_unix_nano.to_bytes(8, "big"),
            record.origin_id,
            bytes((charge.charge_class,)),
            charge.billing_period.start_unix_nano.to_bytes(8, "big"),
            bytes((record.level,)),
            record.record_id,
        )
    )


def _leaves(entries: list[_Entry], prefix: str, origin_row: OriginRow) -> Iterator[Row]:
    """The rows of one charge."""
    by_id = {entry.record: entry for entry in entries}
    children: dict[str, list[_Entry]] = {}
    for entry in entries:
        if entry.parent in by_id:
            children.setdefault(entry.parent, []).append(entry)
    for parent, parts in children.items():
        _conserve(by_id[parent], parts)
    top = [entry for entry in entries if entry.parent not in by_id]
    method_details = _method_details(entries, top, children)
    totals = {ORIGIN_AMOUNTS[name]: sum_ for name in SUMMABLE if (sum_ := _sum(top, name)) is not None}
    for entry in entries:
        row = entry.row
        if entry.record in children:
            if not entry.is_part and origin_row is OriginRow.ZEROED:
                yield row | {name: _ZERO for name in _SUMMED if row.get(name) is not None}
        elif entry.is_part:
            text = method_details.get(entry.record)
            yield row | entry.allocated | totals | {f"{prefix}AllocatedMethodDetails": text}
        else:
            yield row


def _conserve(parent: _Entry, parts: list[_Entry]) -> None:
    for name in _SUMMED:
        whole, sum_ = parent.row.get(name), _sum(parts, name)
        if (parse(whole) if whole else None) != (parse(sum_) if sum_ else None):
            raise FocusExportError(
                f"the {len(parts)} parts of record {parent.record} sum to {name} {sum_}, and it has {whole}: "
                "not all of its parts are here, or they are of another revision"
            )


def _sum(entries: list[_Entry], name: str) -> str | None:
    texts = [text for entry in entries if (text := entry.row.get(name)) is not None]
    if not texts:
        return None
    sum_ = Decimal(0)
    for text in texts:
        sum_ = EXACT.add(sum_, Decimal(text))
    return plain(sum_)


def _method_details(
    entries: list[_Entry], top: list[_Entry], children: dict[str, list[_Entry]]
) -> dict[str, str]:
    parts = {entry.record: _part(entry) for entry in entries}
    # What a correction changes is not a share of anything.
    fill = not entries[0].row.get("ChargeClass")
    below = {parent: [parts[entry.record] for entry in found] for parent, found in children.items()}
    return details([parts[entry.record] for entry in top], below, fill=fill)


def _part(entry: _Entry) -> Part:
    elements = [Element(Decimal(ratio), unit, quantity) for ratio, unit, quantity in entry.elements]
    weights = tuple(Decimal(entry.row.get(name) or 0) for name in _WEIGHTS)
    return Part(entry.record, entry.is_part, elements, weights)
