"""`cost export`: the ledger as FOCUS, OpenCost, CostEntry or OTLP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.cli.cost.options import accounting, cost_config, period_of, period_options, prices_option
from collector.cli.database.target import Target, note, with_target

if TYPE_CHECKING:
    from collector.accounting.book import Book
    from collector.cost.config import CostConfig
    from collector.cost.record import Period
    from collector.storage.store import Store

_FORMATS = ("focus-1.2", "focus-1.3", "focus-1.4", "opencost", "cost-entry", "otlp")


@click.command("export")
@period_options
@click.option("--format", "kind", type=click.Choice(_FORMATS), default="focus-1.4", show_default=True)
@click.option(
    "--output",
    type=click.Path(),
    help="File, or directory (there, or with a slash at its end) for a file named after format and period. Without it: standard output.",
)
@click.option("--parquet", is_flag=True, help="FOCUS as Parquet instead of CSV.")
@click.option(
    "--origin-row",
    type=click.Choice(["drop", "zeroed"]),
    default="drop",
    show_default=True,
    help="FOCUS: what becomes of the row of a charge whose parts are in the file.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=TEXT",
    help="FOCUS: what a column says where nothing is known, such as BillingAccountId=1234. Repeatable.",
)
@click.option(
    "--aggregate", metavar="KEYS", default="", help="OpenCost: as its parameter: namespace, or team,label:x."
)
@prices_option
@with_target
def export(
    target: Target,
    since: str,
    until: str,
    kind: str,
    output: str | None,
    parquet: bool,
    origin_row: str,
    columns: tuple[str, ...],
    aggregate: str,
    prices: tuple[str, ...],
) -> None:
    """Write the charge periods that begin in a time to a file, whole or not at all; the same costs give the same bytes.

    FOCUS files are checked before they are there, and have their metadata beside them.
    """
    from collector.accounting.book import Book
    from collector.accounting.export import write_whole

    if parquet and not kind.startswith("focus"):
        raise click.UsageError("--parquet is for FOCUS")
    period = period_of(since, until)
    config = cost_config(target, prices, needed=False)
    target.open()
    book = Book(target.store)
    with accounting():
        if kind.startswith("focus"):
            path = _place(output, kind, period, "parquet" if parquet else "csv")
            if path is None:
                raise click.UsageError("a FOCUS file has metadata beside it: say where with --output")
            _focus(book, period, path, kind.removeprefix("focus-"), parquet, origin_row, columns, config)
            return
        pieces = _pieces(target.store, kind, period, aggregate)
        path = _place(output, kind, period, "jsonl" if kind != "opencost" else "json")
        if path is None:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            return
        write_whole(path, lambda sink: sink.writelines(pieces))
        note(f"wrote {path}")


def _focus(
    book: Book,
    period: Period,
    path: Path,
    version: str,
    parquet: bool,
    origin_row: str,
    columns: tuple[str, ...],
    config: CostConfig | None,
) -> None:
    from collector.accounting.export import records_of, sector_of, write_focus
    from collector.cost.focus.mapping import FocusExportError
    from collector.cost.focus.rows import FocusOptions, OriginRow
    from collector.model.clock import SystemClock

    defaults = {}
    for text in columns:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--column {text}: write it like BillingAccountId=1234")
        defaults[name] = value
    options = FocusOptions(version=version, origin_row=OriginRow(origin_row), defaults=defaults)
    now = SystemClock().unix_nano()
    sectors = (sector_of(period, now, config),) if config is not None else ()
    try:
        written = write_focus(records_of(book, period), path, options, parquet=parquet, sectors=sectors)
    except FocusExportError as error:
        how = " by --column NAME=TEXT" if "set a default" in str(error) else ""
        raise click.ClickException(f"{error}{how}") from error
    warnings = " with warnings" if written.report.findings else ""
    note(
        f"wrote {written.path} ({written.rows} rows) and {written.metadata.name}; "
        f"checked: it is FOCUS {version}{warnings}"
    )
    for finding in written.report.findings:
        note(str(finding))
    if written.unpriced:
        note(
            f"{written.unpriced} records without a price are left out: FOCUS has no place for them, and 0 is no price"
        )


def _pieces(store: Store, kind: str, period: Period, aggregate: str) -> Iterator[bytes]:
    from collector.accounting.book import Book, leaves
    from collector.accounting.export import records_of

    records = records_of(Book(store), period)
    match kind:
        case "cost-entry":
            from collector.cost.cost_entry import entry_lines

            return entry_lines(leaves(records))
        case "otlp":
            from collector.cost.otlp_metrics import cost_metrics
            from collector.wire.json_encode import encode_message

            return (encode_message(request) + b"\n" for request in cost_metrics(records))
        case _:
            return _allocations(store, period, aggregate)


def _allocations(store: Store, period: Period, aggregate: str) -> Iterator[bytes]:
    from collector.cost.opencost.answer import answer
    from collector.cost.opencost.query import DEFAULT_AGGREGATE, AllocationQuery
    from collector.model.clock import SystemClock
    from collector.query.allocations import allocation_sets
    from collector.query.dialect import Dialect
    from collector.query.reader import Reader

    query = AllocationQuery(
        window=period, aggregate=tuple(aggregate.split(",")) if aggregate else DEFAULT_AGGREGATE
    )
    reader = Reader(store, Dialect(store.dialect == "sqlite"), SystemClock(), None)
    yield from answer(allocation_sets(reader, query), query)
    yield b"\n"


def _place(output: str | None, kind: str, period: Period, suffix: str) -> Path | None:
    """The file: as said, or in the directory, by a name that says what is in it."""
    from collector.cost.calendar import text_of

    if output is None:
        return None
    path = Path(output)
    if not (path.is_dir() or output.endswith("/")):
        return path
    ends = (period.start_unix_nano, period.end_unix_nano)
    dates = "_".join(text_of(end).replace(":", "").replace("-", "") for end in ends)
    return path / f"{kind}_{dates}.{suffix}"
