"""Bills into the ledger: all of a file or nothing of it, and the same file twice is once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, Final

from collector.accounting.book import Book
from collector.accounting.errors import AccountingError
from collector.accounting.revisions import correct
from collector.cost.calendar import month_of
from collector.cost.cost_entry import read_cost_entries
from collector.cost.focus.bill import Bill, Manifest
from collector.cost.focus.read import read_focus
from collector.cost.reconcile import DEFAULT_MATCH, Reconciliation, reconcile, settled
from collector.cost.record import COSTS, CostAttributionRecord, CostSource, Level, Period
from collector.storage.store import Store

FORMATS: Final = ("auto", "focus", "cur", "cost-entry")
_RECORDS_MAX: Final = 2_000_000
_COSTS: Final = attrgetter(*COSTS)
_CHARGE: Final = attrgetter(
    "charge_period", "billing_currency", "charge_category", "charge_class", "charge_description", "service_provider_name",
    "billing_account_id", "sub_account_id", "region_id", "service_name", "resource_id", "sku_id", "sku_price_id",
)  # fmt: skip


class TooManyRecordsError(AccountingError):
    """A bill is too large for one transaction."""


class BilledBeforeError(AccountingError):
    """Charges of a file came with another one, or with other amounts."""


class ReconciledError(AccountingError):
    """What a bill is about has been reconciled with another one."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file."""

    manifest: Manifest
    stored: int  # of the manifest's records; the rest was there
    periods: tuple[Period, ...]  # charge periods, in order


def import_bill(
    store: Store,
    path: Path,
    *,
    kind: str = "auto",
    strict: bool = False,
    again: bool = False,
    dry_run: bool = False,
) -> Imported:
    """Read a bill and store its records in one transaction.

    A later file of the same charges, as providers write it every day, would count them twice; it is for `reconcile_bill`.

    Args:
        store: Where the ledger is.
        path: The file.
        kind: One of `FORMATS`.
        strict: Refuse what is not quite right.
        again: Take charges although such were imported from another file.
        dry_run: Store nothing.

    Raises:
        BilledBeforeError: charges of it are stored from another file, or with other amounts.
        BillError: the file is refused; it says why, with file and line.
        TooManyRecordsError: it has more records than one transaction may.
        ParquetUnavailableError: Parquet without pyarrow.
        OSError: it cannot be read.
    """
    book = Book(store)
    with path.open("rb") as stream:
        bill = _read(kind, path, stream, strict=strict)
        records: list[CostAttributionRecord] = []
        for record in bill.records():
            if len(records) >= _RECORDS_MAX:
                raise TooManyRecordsError(
                    f"{path} has more than {_RECORDS_MAX} records: split it by charge period"
                )
            records.append(record)
    periods = tuple(sorted({record.charge.charge_period for record in records}))
    for page in book.pages():
        known = _known(book, periods)
        new = sorted(
            (record for record in records if record.record_id not in known),
            key=lambda record: (record.level, record.record_id),
        )
        _check_not_billed(path, records, new, known, again=again)
        if not new or dry_run or book.write(new, page):
            return Imported(bill.manifest, len(new), periods)
    raise AssertionError("pages end with an error")


def reconcile_bill(
    store: Store,
    path: Path,
    *,
    kind: str = "auto",
    match: Sequence[str] = DEFAULT_MATCH,
    replace: bool = False,
    dry_run: bool = False,
    now_unix_nano: int,
) -> Reconciliation:
    """Compare what is estimated with a bill, and store the differences; see `cost.reconcile`. Twice is once.

    The bill's charges do not become records of their own, but for those that nobody has estimated. With `replace` the bill
    counts instead of the one before: what was stored for that stays, and what is different now becomes corrections, in the
    billing period of `now_unix_nano`.

    Raises:
        BillError: the file is refused.
        ReconciledError: its charge periods have been reconciled already, with another bill or other estimates.
        ValueError: something in `match` is no column of a charge.
    """
    book = Book(store)
    with path.open("rb") as stream:
        bill = _read(kind, path, stream, strict=False)
        charges = [record for record in bill.records() if record.level is Level.ORIGIN]
    periods = sorted({record.charge.charge_period for record in charges})
    for page in book.pages():
        stored = [
            record
            for start in sorted({period.start_unix_nano for period in periods})
            for record in book.read(Period(start, start + 1000))
            if record.charge.charge_period in periods
        ]
        done = reconcile(stored, charges, match=match, recorded_unix_nano=now_unix_nano)
        known = {record.record_id for record in stored}
        if any(record.record_id in known for record in done.records):
            if not replace:
                raise ReconciledError(
                    f"charge periods of {path.name} are reconciled already, with another bill or with other estimates, and"
                    " would be adjusted twice: say --replace if this bill is to count instead; the differences become"
                    " corrections in the billing period that is open"
                )
            before = settled(stored, charges)
            rest = [record for record in stored if record not in before]
            done = reconcile(rest, charges, match=match, recorded_unix_nano=now_unix_nano)
            rows = correct(
                before,
                done.records,
                billing_period=month_of(now_unix_nano),
                recorded_unix_nano=now_unix_nano,
            )
            done = Reconciliation(tuple(rows), done.report)
        if not done.records or dry_run or book.write(done.records, page):
            return done
    raise AssertionError("pages end with an error")


def _known(book: Book, periods: tuple[Period, ...]) -> dict[bytes, CostAttributionRecord]:
    """Return what is stored of some charge periods, by id."""
    return {
        record.record_id: record
        for start in sorted({period.start_unix_nano for period in periods})
        for record in book.read(Period(start, start + 1000))
    }


def _check_not_billed(
    path: Path,
    records: Sequence[CostAttributionRecord],
    new: Sequence[CostAttributionRecord],
    known: Mapping[bytes, CostAttributionRecord],
    *,
    again: bool,
) -> None:
    """Refuse a file that says something else of charges that are stored, or the same as another file."""
    remedy = f"`collector cost reconcile {path.name}` lets this file count instead"
    changed = sum(
        _COSTS(known[record.record_id].amounts) != _COSTS(record.amounts)
        for record in records
        if record.record_id in known
    )
    if changed:
        raise BilledBeforeError(
            f"nothing was imported: {changed} charges are stored with other amounts; {remedy}"
        )
    billed = {_same(record) for record in known.values() if record.source is CostSource.INVOICE}
    twice = sum(_same(record) in billed for record in new if record.amounts.effective_cost)
    if twice and not again:
        raise BilledBeforeError(
            f"nothing was imported: {twice} charges are stored from another file, and would count twice; {remedy}, --again"
            " takes them in addition"
        )


def _same(record: CostAttributionRecord) -> tuple[object, ...]:
    """Return by what a charge is known again in a later file, whose invoice and tags may be others."""
    return record.level, *_COSTS(record.amounts), *_CHARGE(record.charge)


def _read(kind: str, path: Path, stream: BinaryIO, *, strict: bool) -> Bill:
    match _kind(kind, path, stream):
        case "cost-entry":
            return read_cost_entries(stream, path.name, strict=strict)
        case "cur":
            from collector.cost.cur.read import read_cur

            return read_cur(stream, path.name, strict=strict)
        case _:
            return read_focus(stream, path.name, strict=strict)


def _kind(kind: str, path: Path, stream: BinaryIO) -> str:
    """Tell formats apart by what a file begins with: JSON, the columns of a CUR, else FOCUS."""
    if kind != "auto":
        return kind
    begin = stream.read(4096)
    stream.seek(0)
    if begin.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return "cost-entry"
    header = begin.split(b"\n", 1)[0].lower()
    parquet_cur = path.suffix == ".parquet" and b"line_item_" in _tail(stream)
    return "cur" if b"line_item" in header or b"lineitem/" in header or parquet_cur else "focus"


def _tail(stream: BinaryIO) -> bytes:
    """Return the end of a file, where Parquet has its columns."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 65_536))
    tail = stream.read()
    stream.seek(0)
    return tail
