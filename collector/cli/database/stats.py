"""`database stats`: what is in it and how large it is."""

from __future__ import annotations

from collections.abc import Sequence

import click

from collector.cli.database import human
from collector.cli.database.output import Column, Format, format_option, show, show_json
from collector.cli.database.target import Target, note, with_target
from collector.query.results import as_json
from collector.query.when import iso
from collector.storage.store import TableStats


def _iso(unix_nano: int | None) -> str | None:
    return None if unix_nano is None else iso(unix_nano)


def _ratio(table: TableStats) -> str:
    ratio = table.compression_ratio
    return "" if ratio is None else f"{'' if table.compression_recorded else '~'}{ratio:.1f} : 1"


_COLUMNS = (
    Column("table", lambda t: t.table),
    Column("rows", lambda t: t.rows, lambda t: f"{'' if t.exact else '~'}{human.count(t.rows)}", right=True),
    Column("bytes", lambda t: t.bytes, lambda t: human.size(t.bytes), right=True),
    Column("chunks", lambda t: t.chunks, lambda t: human.count(t.chunks), right=True),
    Column(
        "compressed_chunks",
        lambda t: t.compressed_chunks,
        lambda t: human.count(t.compressed_chunks),
        right=True,
    ),
    Column(
        "compression_ratio",
        lambda t: t.compression_ratio,
        _ratio,
        right=True,
    ),
    Column("oldest", lambda t: _iso(t.oldest_unix_nano), lambda t: human.time(t.oldest_unix_nano)),
    Column("newest", lambda t: _iso(t.newest_unix_nano), lambda t: human.time(t.newest_unix_nano)),
)


@click.command("stats")
@format_option
@with_target
def stats(target: Target, output_format: Format) -> None:
    """Show rows, size, chunks, compression, oldest and newest item of every table. `~` marks an estimate."""
    target.open()
    tables = target.store.stats()
    if output_format == "json":
        show_json([{**as_json(table), **_extra(table)} for table in tables])
        return
    # A database without chunks has nothing to say about them.
    columns = [
        column
        for column in _COLUMNS
        if output_format == "csv" or any(column.value(table) is not None for table in tables)
    ]
    show(tables, columns, output_format, empty="There are no tables.")
    if output_format == "table":
        note(_total(target, tables))


def _extra(table: TableStats) -> dict[str, object]:
    return {
        "compression_ratio": table.compression_ratio,
        "compression_recorded": table.compression_recorded,
        "oldest": _iso(table.oldest_unix_nano),
        "newest": _iso(table.newest_unix_nano),
    }


def _total(target: Target, tables: Sequence[TableStats]) -> str:
    rows = sum(table.rows for table in tables)
    sizes = [table.bytes for table in tables if table.bytes is not None]
    about = "" if all(table.exact for table in tables) else "about "
    total = f"{target.store.edition}: {about}{human.count(rows)} rows"
    return f"{total}, {human.size(sum(sizes))}" if sizes else total
