"""AWS Cost and Usage Reports 2.0 (CSV, gzip or Parquet) as records, split cost allocation data included.

Columns are those of AWS' CUR 2.0 table dictionary; the older report's spelling with slashes
(`lineItem/UnblendedCost`) is read too. What a line was billed at and what it effectively cost follows AWS' own
"line item type"; list cost is the public on-demand cost. The sum of `line_item_unblended_cost` of a file is the sum of
the records' billed costs, to the last digit.

Rows of split cost allocation data (`split_line_item_…`) are no charges of their own: they become parts of the line
that their parent resource was charged by. AWS rounds them; the parts get the parent's amounts in the ratio of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from typing import BinaryIO

import msgspec

from collector.cost.amount import ZERO, add, from_scaled, to_scaled
from collector.cost.cur.line import (
    ESSENTIAL,
    PARENT,
    SPLIT_COST,
    Line,
    Row,
    amounts_of,
    charge_of,
    column_name,
    cost_of_part,
    is_part,
    parent_key,
    parse,
    subject_of,
    usage_unit,
)
from collector.cost.focus.bill import Bill, Manifest, Problems, check_unchanged, digest_of
from collector.cost.focus.spool import SortedSpool
from collector.cost.focus.table import FileError, Table, TableLimits, open_table
from collector.cost.identity import identify
from collector.cost.record import (
    AMOUNTS,
    AllocationElement,
    Amounts,
    CostAttributionRecord,
    CostSource,
    Level,
)
from collector.cost.split import split


def read_cur(stream: BinaryIO, name: str, *, strict: bool = False, limits: TableLimits | None = None) -> Bill:
    """Read a report whole, and check that each row can be a record.

    Ids are of the report's line item ids and hours, so that a line that comes again in a later file of the same
    month has the same id; without them, of file and row.

    Args:
        stream: Seekable.
        name: For messages.
        strict: Refuse what is tolerated: unknown line item types, parts without their parent, costs that are missing.
        limits: What is too long or too wide.

    Raises:
        BillError: the file is refused; it says why, with file and line.
        ParquetUnavailableError: Parquet without pyarrow.
    """
    return _Import(
        stream, Manifest(file=name, sha256=digest_of(stream), format="CUR 2.0", strict=strict), limits
    ).bill()


class _Part(msgspec.Struct, array_like=True):
    """A split row in the spool."""

    line: int
    row: dict[str, str | None]


class _Import:
    def __init__(self, stream: BinaryIO, manifest: Manifest, limits: TableLimits | None) -> None:
        self._stream = stream
        self._manifest = manifest
        self._limits = limits
        self._parents: set[bytes] = set()  # keys of lines that split rows name as theirs

    def bill(self) -> Bill:
        manifest, problems = self._manifest, Problems()
        try:
            table = self._open(manifest)
            for column in ESSENTIAL:
                if column not in [column_name(name) for name in table.columns]:
                    remedy = "is this a CUR 2.0 file?"
                    raise FileError(
                        manifest.file, 1, "the header has no such column", column=column, remedy=remedy
                    )
            for row, line in self._rows(table, manifest, problems):
                try:
                    self._first_pass(row, line)
                except FileError as error:
                    problems.add(error)
            problems.raise_if_any()
            # Whether a part's parent is in the file is known only now.
            manifest.records = sum(1 for _ in self._records(manifest))
        except FileError as error:
            problems.add(error)
        problems.raise_if_any()
        return Bill(manifest, self._again)

    def _open(self, manifest: Manifest) -> Table:
        self._stream.seek(0)
        return open_table(self._stream, manifest.file, limits=self._limits, note=manifest.tolerate)

    def _rows(self, table: Table, manifest: Manifest, problems: Problems | None) -> Iterator[tuple[Row, int]]:
        names = [column_name(name) for name in table.columns]
        for line, values in table.rows:
            if len(values) != len(names):
                problem = f"{len(values)} fields, the header has {len(names)}"
                error = FileError(manifest.file, line, problem, remedy="quote fields that hold a comma")
                if problems is None:
                    raise error
                problems.add(error)
                continue
            yield {name: value or None for name, value in zip(names, values, strict=True)}, line

    def _first_pass(self, row: Row, line: int) -> None:
        manifest = self._manifest
        manifest.rows += 1
        parsed = parse(row, line, manifest)
        currency = row.get("line_item_currency_code") or ""
        if is_part(row):
            self._parents.add(parent_key(row, PARENT))
            cost_of_part(parsed)
            if parsed.numbers.get("line_item_unblended_cost"):
                # AWS bills the parent's line only: money on a part's would be in no record.
                raise FileError(
                    manifest.file, line, "a part is billed by itself", column="line_item_unblended_cost"
                )
            return
        record = self._charge_record(parsed, manifest)
        manifest.add(currency, "line_item_unblended_cost", record.amounts.billed_cost or ZERO)

    def _again(self) -> Iterator[CostAttributionRecord]:
        quiet = Manifest(file=self._manifest.file, sha256=self._manifest.sha256, format="", strict=False)
        yield from self._records(quiet)
        check_unchanged(self._stream, self._manifest)

    def _records(self, manifest: Manifest) -> Iterator[CostAttributionRecord]:
        """Charges in the order of the file, then those that were split, each before its parts."""
        quiet = Manifest(file=manifest.file, sha256=manifest.sha256, format="", strict=False)
        spool = SortedSpool()
        try:
            for row, line in self._rows(self._open(quiet), quiet, None):
                if is_part(row):
                    spool.add(parent_key(row, PARENT) + b"\1", msgspec.json.encode(_Part(line, row)))
                    continue
                key = parent_key(row, "line_item_resource_id")
                if key in self._parents and self._carries(row, line):
                    spool.add(key + b"\0", msgspec.json.encode(_Part(line, row)))
                    continue
                yield self._charge_record(parse(row, line, quiet), quiet)
            for _, group in groupby(spool, key=lambda entry: entry[0][:-1]):
                yield from self._split(group, manifest, quiet)
        finally:
            spool.close()

    def _carries(self, row: Row, line: int) -> bool:
        """Whether a line is what a resource's parts are of: usage that cost something."""
        kind = row.get("line_item_line_item_type")
        if kind not in ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage"):
            return False
        quiet = Manifest(file=self._manifest.file, sha256="", format="", strict=False)
        parsed = parse(row, line, quiet)
        return bool(amounts_of(parsed, quiet).effective_cost)

    def _split(
        self, group: Iterator[tuple[bytes, bytes]], manifest: Manifest, quiet: Manifest
    ) -> Iterator[CostAttributionRecord]:
        wholes: list[CostAttributionRecord] = []
        parts: list[Line] = []
        for key, value in group:
            entry = msgspec.json.decode(value, type=_Part)
            parsed = parse(entry.row, entry.line, quiet)
            if key.endswith(b"\0"):
                wholes.append(self._charge_record(parsed, quiet))
            else:
                parts.append(parsed)
        costs = [cost_of_part(part) for part in parts]
        if not wholes:
            manifest.tolerate("split-without-parent", PARENT, parts[0].line)
            wholes = [self._orphan(parts, costs, quiet)]
        # A resource may have several lines in an hour (an instance and its traffic): the parts are of the one that
        # costs what they sum to, or else of the most expensive.
        sum_ = ZERO
        for cost in costs:
            sum_ = add(sum_, cost)
        whole = min(
            wholes,
            key=lambda r: (
                r.amounts.effective_cost != sum_,
                -(r.amounts.effective_cost or ZERO),
                r.record_id,
            ),
        )
        yield from (record for record in wholes if record is not whole)
        yield whole
        if whole.amounts.effective_cost != sum_:
            manifest.tolerate("split-sum", SPLIT_COST, parts[0].line)
        yield from self._parts(whole, parts, costs, quiet)

    def _orphan(self, parts: list[Line], costs: list[Decimal], quiet: Manifest) -> CostAttributionRecord:
        """An origin for parts whose parent's line is not in the file: their sum."""
        row = {**parts[0].row, "line_item_resource_id": parts[0].row.get(PARENT)}
        total = ZERO
        for cost in costs:
            total = add(total, cost)
        numbers = {"line_item_unblended_cost": total, "pricing_public_on_demand_cost": total}
        origin = identify("cur.orphan", (self._manifest.sha256, parent_key(parts[0].row, PARENT)))
        record = self._charge_record(Line(row, parts[0].line, numbers), quiet)
        return CostAttributionRecord(
            record_id=origin,
            origin_id=origin,
            level=Level.ORIGIN,
            charge=record.charge,
            amounts=record.amounts,
            source=CostSource.INVOICE,
        )

    def _parts(
        self, whole: CostAttributionRecord, parts: list[Line], costs: list[Decimal], quiet: Manifest
    ) -> Iterator[CostAttributionRecord]:
        keys = [f"{part.line:012d}".encode() for part in parts]
        weights = [max(0, to_scaled(cost)) for cost in costs]
        if not any(weights):
            weights = [1] * len(parts)
        columns: dict[str, list[Decimal]] = {}
        for field in AMOUNTS:
            amount = getattr(whole.amounts, field)
            if amount is not None:
                columns[field] = [
                    from_scaled(units) for units in split(to_scaled(amount), weights, keys) or []
                ]
        # Ratios of 18 decimals that sum to 1.
        ratios = split(10**18, weights, keys) or []
        for index, part in enumerate(parts):
            unit = part.row.get("pricing_unit") or ""
            usage = part.numbers.get("split_line_item_split_usage")
            yield CostAttributionRecord(
                record_id=identify("cur.part", self._identity(part)),
                origin_id=whole.origin_id,
                parent_record_id=whole.record_id,
                level=Level.ALLOCATION,
                charge=whole.charge,
                amounts=Amounts(**{field: column[index] for field, column in columns.items()}),
                source=CostSource.INVOICE,
                subject=subject_of(part, quiet),
                allocated_method_id="aws-split-cost-allocation-data",
                allocated_elements=(
                    AllocationElement(
                        ratio=from_scaled(ratios[index]),
                        usage_unit=usage_unit(part.row, unit),
                        usage_quantity=usage,
                    ),
                ),
            )

    def _charge_record(self, parsed: Line, manifest: Manifest) -> CostAttributionRecord:
        origin = identify("cur.line", self._identity(parsed))
        return CostAttributionRecord(
            record_id=origin,
            origin_id=origin,
            level=Level.ORIGIN,
            charge=charge_of(parsed, manifest),
            amounts=amounts_of(parsed, manifest),
            source=CostSource.INVOICE,
        )

    def _identity(self, parsed: Line) -> tuple[str | int | None, ...]:
        identity = parsed.row.get("identity_line_item_id")
        if identity is None:
            return (self._manifest.sha256, parsed.line)
        names = ("identity_time_interval", "line_item_usage_start_date", PARENT, "line_item_resource_id")
        return (identity, *(parsed.row.get(name) for name in names), parsed.row.get("line_item_usage_type"))
