"""FOCUS files, 1.0 to 1.4, CSV or Parquet, as records.

A file that our exporter wrote gives the same records again, with their ids. Of others the ids are made of the file's
SHA-256 and the row, so that importing a file twice is importing it once. Charges that the provider has split become
parts of an origin, which is their sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, BinaryIO, Final

from collector.cost.amount import add
from collector.cost.focus.bill import Bill, Manifest, Problems, check_unchanged, digest_of
from collector.cost.focus.charge import ChargeReader, Row
from collector.cost.focus.check import detect_version
from collector.cost.focus.columns import BY_NAME, SUMMABLE, columns_of
from collector.cost.focus.columns import Level as ColumnLevel
from collector.cost.focus.mapping import (
    ALLOCATED,
    AMOUNT_COLUMNS,
    KIND,
    KIND_TEXT,
    LABELS,
    LEVEL,
    RECORD_IDS,
    RECORD_NUMBERS,
    RULE,
    SOURCE,
    SOURCE_TEXT,
    SUBJECT_IDS,
    SUBJECT_TEXTS,
    allocated_resource,
)
from collector.cost.focus.split_rules import ORIGIN_COLUMNS
from collector.cost.focus.table import FileError, Table, TableLimits, open_table
from collector.cost.identity import identify
from collector.cost.record import (
    Amounts,
    Charge,
    CostAttributionRecord,
    CostSource,
    Level,
    RecordError,
    Subject,
    SubjectKind,
)

SPLIT_ORIGINS_MAX: Final = (
    2_000_000  # origins whose parts' sums are kept while a file is read, about 1 KB each
)

_KINDS: Final = {text: kind for kind, text in KIND_TEXT.items()}
_SOURCES: Final = {text: source for source, text in SOURCE_TEXT.items()}
_ESSENTIAL: Final = (
    "BilledCost",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
)
# Of a split charge: what its parts have in common.
_DIMENSIONS: Final = tuple(name for name in BY_NAME if name not in SUMMABLE and name not in ALLOCATED)
_TOTALLED: Final = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")


def read_focus(
    stream: BinaryIO,
    name: str,
    *,
    version: str | None = None,
    strict: bool = False,
    limits: TableLimits | None = None,
) -> Bill:
    """Read a file whole, and check that each row can be a record.

    Args:
        stream: Seekable. Read once here and once by each call of `records()`.
        name: For messages.
        version: FOCUS version; None: the one that the header fits best. Only for the manifest: columns of any
            version are read.
        strict: Refuse what is not FOCUS' form, instead of counting it.
        limits: What is too long or too wide.

    Raises:
        BillError: the file is refused; it says why, with file and line.
        ParquetUnavailableError: Parquet without pyarrow.
    """
    manifest = Manifest(file=name, sha256=digest_of(stream), format="", strict=strict)
    return _Import(stream, manifest, version, limits).bill()


@dataclass(slots=True)
class _Split:
    """An origin, as far as its parts have been seen. `sums`: by column."""

    record_id: bytes
    sums: dict[str, Decimal]
    is_written: bool = False


_Key = tuple[
    bytes, int, int
]  # origin, class, start of the billing period: a correction is a charge of its own


class _Import:
    def __init__(
        self, stream: BinaryIO, manifest: Manifest, version: str | None, limits: TableLimits | None
    ) -> None:
        self._stream = stream
        self._manifest = manifest
        self._version = version
        self._limits = limits
        self._splits: dict[_Key, _Split] = {}
        self._zero_rows: set[bytes] = set()  # could be origins whose parts are in the file

    def bill(self) -> Bill:
        problems = Problems()
        try:
            table = self._open(self._manifest)
            self._header(table)
            for row, line in self._rows(table, self._manifest, problems):
                try:
                    self._first_pass(row, line)
                except FileError as error:
                    problems.add(error)
        except FileError as error:
            problems.add(error)
        problems.raise_if_any()
        # An origin's row among its parts is one record with the origin that they sum to.
        parents = {split.record_id for split in self._splits.values()}
        self._manifest.records += len(self._splits) - len(parents & self._zero_rows)
        return Bill(self._manifest, self._records)

    def _open(self, manifest: Manifest) -> Table:
        self._stream.seek(0)
        return open_table(self._stream, manifest.file, limits=self._limits, note=manifest.tolerate)

    def _header(self, table: Table) -> None:
        manifest = self._manifest
        version = self._version or detect_version(table.columns)
        manifest.format = f"FOCUS {version}"
        for name in _ESSENTIAL:
            if name not in table.columns:
                raise FileError(
                    manifest.file,
                    1,
                    "the header has no such column",
                    column=name,
                    remedy="is this a FOCUS file?",
                )
        for column in columns_of(version).values():
            if column.level_in(version) is ColumnLevel.MANDATORY and column.name not in table.columns:
                manifest.tolerate("missing-column", column.name, 1)
        for name in table.columns:
            if name not in BY_NAME and not name.startswith("x_"):
                manifest.tolerate("custom-column", name, 1)

    def _rows(self, table: Table, manifest: Manifest, problems: Problems | None) -> Iterator[tuple[Row, int]]:
        """The rows by column name, cleaned."""
        names = [_column_name(name) for name in table.columns]
        reader = ChargeReader(manifest)
        for line, values in table.rows:
            manifest.rows += 1
            try:
                if len(values) != len(names):
                    raise FileError(
                        manifest.file,
                        line,
                        f"{len(values)} fields, the header has {len(names)}",
                        remedy="quote fields that hold a comma",
                    )
                row: Row = dict(zip(names, values, strict=True))
                reader.clean(row, line)
                for name in BY_NAME:
                    # What a version had no place for is under x_ in our files; x_ServiceName is the subject's.
                    if name != "ServiceName" and row.get(name) is None and row.get(f"x_{name}") is not None:
                        row[name] = row[f"x_{name}"]
            except FileError as error:
                if problems is None:
                    raise
                problems.add(error)
                continue
            yield row, line

    def _first_pass(self, row: Row, line: int) -> None:
        manifest = self._manifest
        record, numbers = self._record(row, line, manifest)
        for column in _TOTALLED:
            if column in numbers:
                manifest.add(record.charge.billing_currency, column, numbers[column])
        manifest.records += 1
        if record.level is Level.ORIGIN:
            if row.get(RECORD_IDS["record_id"]) is not None and not any(
                numbers.get(name) for name in SUMMABLE
            ):
                self._zero_rows.add(record.record_id)
            return
        key = _key(record)
        split = self._splits.get(key)
        if split is None:
            if len(self._splits) >= SPLIT_ORIGINS_MAX:
                raise FileError(
                    manifest.file, line, f"more than {SPLIT_ORIGINS_MAX} split charges", rule="limit"
                )
            split = self._splits[key] = _Split(record.parent_record_id, {})
        if split.record_id == _unseen(record.origin_id):
            split.record_id = record.parent_record_id  # another part may know it
        for field, column in AMOUNT_COLUMNS.items():
            amount = getattr(record.amounts, field)
            if amount is not None:
                split.sums[column] = add(split.sums[column], amount) if column in split.sums else amount

    def _records(self) -> Iterator[CostAttributionRecord]:
        quiet = _silent(self._manifest)
        parents = {split.record_id: split for split in self._splits.values()}
        for split in self._splits.values():
            split.is_written = False
        for row, line in self._rows(self._open(quiet), quiet, None):
            record, _ = self._record(row, line, quiet)
            if record.level is Level.ORIGIN:
                whole = parents.get(record.record_id)
                if whole is None:
                    yield record
                elif not whole.is_written:
                    whole.is_written = True
                    yield _origin(whole, record.charge, record)
                continue
            split = self._splits[_key(record)]
            if not split.is_written:
                split.is_written = True
                yield _origin(split, record.charge, record)
            yield replace(record, parent_record_id=split.record_id)
        check_unchanged(self._stream, self._manifest)

    def _record(
        self, row: Row, line: int, manifest: Manifest
    ) -> tuple[CostAttributionRecord, dict[str, Decimal]]:
        reader = ChargeReader(manifest)
        reader.clean({}, line)  # its place
        numbers = reader.decimals(row)
        given = dict(numbers)
        amounts = reader.amounts(numbers)
        reader.products(given)
        charge = reader.charge(_without_ours(row), numbers)
        try:
            if row.get(RECORD_IDS["record_id"]) is not None:
                return _ours(row, charge, amounts, reader), given
            return self._theirs(row, line, charge, amounts, reader), given
        except (RecordError, ValueError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(manifest.file, line, str(error), rule="value") from None

    def _theirs(
        self, row: Row, line: int, charge: Charge, amounts: Amounts, reader: ChargeReader
    ) -> CostAttributionRecord:
        sha = self._manifest.sha256
        method = row.get("AllocatedMethodId")
        if method is None:
            origin = identify("focus.charge", (sha, line))
            return CostAttributionRecord(
                record_id=origin,
                origin_id=origin,
                level=Level.ORIGIN,
                charge=charge,
                amounts=amounts,
                source=CostSource.INVOICE,
            )
        given = next((text for column in ORIGIN_COLUMNS if (text := row.get(column))), None)
        common = (given,) if given else tuple(row.get(name) for name in _DIMENSIONS)
        origin = identify("focus.split", (sha, *common))
        resource = row.get("AllocatedResourceId") or ""
        return CostAttributionRecord(
            record_id=identify("focus.part", (sha, line)),
            origin_id=origin,
            parent_record_id=origin,
            level=Level.ALLOCATION,
            charge=charge,
            amounts=amounts,
            source=CostSource.INVOICE,
            subject=Subject(
                kind=SubjectKind.WORKLOAD if resource else SubjectKind.UNALLOCATED,
                resource_id=resource,
                resource_name=row.get("AllocatedResourceName") or "",
                labels=reader.labels("AllocatedTags", row.get("AllocatedTags")),
            ),
            allocated_method_id=method,
            allocated_elements=reader.elements("AllocatedMethodDetails", row.get("AllocatedMethodDetails")),
        )


def _ours(row: Row, charge: Charge, amounts: Amounts, reader: ChargeReader) -> CostAttributionRecord:
    """A row of our own exporter: ids, level and subject are in its `x_` columns."""
    ids: dict[str, Any] = {
        field: bytes.fromhex(row.get(column) or "") for field, column in RECORD_IDS.items()
    }
    numbers: dict[str, Any] = {field: int(row.get(column) or 0) for field, column in RECORD_NUMBERS.items()}
    level = Level.ORIGIN if row.get(LEVEL) == "Origin" else Level.ALLOCATION
    if row.get(LEVEL) == "Request":
        # Its allocation is not in the file: it becomes a part of the origin itself.
        ids["parent_record_id"] = _unseen(ids["origin_id"])
    details = row.get("AllocatedMethodDetails")
    method = row.get("AllocatedMethodId") or ""
    return CostAttributionRecord(
        **ids,
        **numbers,
        level=level,
        charge=charge,
        amounts=amounts,
        source=_SOURCES.get(row.get(SOURCE) or "", CostSource.INVOICE),
        subject=_our_subject(row, reader),
        allocated_method_id="" if method in (row.get(RULE), "unspecified") else method,
        allocated_elements=reader.elements("AllocatedMethodDetails", details),
        rule_id=row.get(RULE) or "",
    )


def _unseen(origin_id: bytes) -> bytes:
    """What an origin is called of which the file has only parts of parts."""
    return identify("focus.origin", (origin_id,))


def _our_subject(row: Row, reader: ChargeReader) -> Subject:
    values: dict[str, Any] = {field: row.get(column) or "" for field, column in SUBJECT_TEXTS.items()}
    values |= {field: bytes.fromhex(row.get(column) or "") for field, column in SUBJECT_IDS.items()}
    kind = _KINDS.get(row.get(KIND) or "", SubjectKind.UNSPECIFIED)
    subject = Subject(kind=kind, labels=reader.labels(LABELS, row.get(LABELS)), **values)
    given = (row.get("AllocatedResourceId") or "", row.get("AllocatedResourceName") or "")
    if given == allocated_resource(subject):
        return subject
    return Subject(kind=kind, labels=subject.labels, **values, resource_id=given[0], resource_name=given[1])


def _origin(split: _Split, charge: Charge, like: CostAttributionRecord) -> CostAttributionRecord:
    """The origin of parts: their sum."""
    amounts = Amounts(**{field: split.sums.get(column) for field, column in AMOUNT_COLUMNS.items()})
    own = like.level is Level.ORIGIN
    return CostAttributionRecord(
        record_id=split.record_id,
        origin_id=like.origin_id,
        level=Level.ORIGIN,
        charge=charge,
        amounts=amounts,
        source=like.source,
        subject=like.subject if own else Subject(),
        corrects_record_id=like.corrects_record_id if own else b"",
        revision=like.revision if own else 0,
        rule_id=like.rule_id if own else "",
        rule_version=like.rule_version if own else 0,
        recorded_unix_nano=like.recorded_unix_nano if own else 0,
    )


def _key(record: CostAttributionRecord) -> _Key:
    charge = record.charge
    return record.origin_id, charge.charge_class, charge.billing_period.start_unix_nano


def _column_name(name: str) -> str:
    """Columns that are neither FOCUS' nor `x_` are kept as `x_`."""
    if name in BY_NAME or name.startswith("x_"):
        return name
    return "x_" + "".join(part[:1].upper() + part[1:] for part in name.replace("/", "_").split("_"))


_OURS: Final = frozenset(
    (
        *RECORD_IDS.values(),
        *RECORD_NUMBERS.values(),
        *SUBJECT_TEXTS.values(),
        *SUBJECT_IDS.values(),
        *(f"x_Origin{name}" for name in SUMMABLE),
        *(f"x_{name}" for name in BY_NAME),
        KIND,
        LABELS,
        LEVEL,
        RULE,
        SOURCE,
    )
)


def _without_ours(row: Row) -> Row:
    """What belongs to the charge."""
    return {name: value for name, value in row.items() if name not in _OURS}


def _silent(manifest: Manifest) -> Manifest:
    """A manifest for reading again: what it counts is counted already, and was allowed."""
    return Manifest(file=manifest.file, sha256=manifest.sha256, format=manifest.format, strict=False)
