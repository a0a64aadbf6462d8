"""Results as table, JSON or CSV on standard output. JSON and CSV are for machines: nothing else is mixed in."""

from __future__ import annotations

import csv
import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Format = Literal["table", "json", "csv"]
# Off a terminal nobody's window limits the width.
_WIDTH_OFF_TERMINAL = 200

format_option = click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="json and csv are for machines.",
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading and what machines get of a result, and what people get where that differs."""

    heading: str
    value: Callable[[Any], Any]
    human: Callable[[Any], str] | None = None
    right: bool = False
    style: Callable[[Any], str] | None = None
    human_heading: str = ""


def console() -> Console:
    """Where tables are printed."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDTH_OFF_TERMINAL
    return Console(width=width, highlight=False, markup=False, emoji=False)


def show(results: Sequence[Any], columns: Sequence[Column], output_format: Format, *, empty: str) -> None:
    """Print results. `empty` is said to people when there are none."""
    match output_format:
        case "json":
            show_json(results)
        case "csv":
            show_csv([column.heading for column in columns], (_values(result, columns) for result in results))
        case "table":
            if results:
                _show_table(results, columns)
            else:
                click.echo(empty, err=True)


def show_json(value: Any) -> None:
    """Print results, or anything made of them, as JSON."""
    from collector.query.results import as_json

    click.echo(json.dumps(as_json(value), indent=2, ensure_ascii=False, default=_other))


def show_csv(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as CSV, the first line being the headings (RFC 4180, but with plain line feeds)."""
    from collector.query.results import as_json

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(headings)
    for row in rows:
        writer.writerow([_csv_cell(as_json(value)) for value in row])


def show_rows(headings: Sequence[str], rows: Sequence[Sequence[Any]], output_format: Format) -> None:
    """Print the answer to somebody's own SQL."""
    match output_format:
        case "json":
            show_json([dict(zip(headings, row, strict=True)) for row in rows])
        case "csv":
            show_csv(headings, rows)
        case "table":
            columns = [
                Column(heading, _item(place), right=_all_numbers(row[place] for row in rows))
                for place, heading in enumerate(headings)
            ]
            _show_table(rows, columns)
            click.echo(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", err=True)


def text(value: str, style: str = "") -> Text:
    """Telemetry as text on a terminal: never markup, and no control characters, which could command it."""
    from rich.text import Text

    return Text("".join(map(_visible, value)), style=style)


def _show_table(results: Sequence[Any], columns: Sequence[Column]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column.human_heading or column.heading,
            justify="right" if column.right else "left",
            overflow="fold",
        )
    for result in results:
        table.add_row(
            *(
                text(_human(column, result), column.style(result) if column.style else "")
                for column in columns
            )
        )
    console().print(table)


def _human(column: Column, result: Any) -> str:
    if column.human is not None:
        return column.human(result)
    from collector.query.attributes import label_text

    value = column.value(result)
    return label_text(value) if not isinstance(value, tuple) else label_text(list(value))


def _values(result: Any, columns: Sequence[Column]) -> list[Any]:
    return [column.value(result) for column in columns]


def _csv_cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=_other)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _other(value: Any) -> Any:
    """What databases return and JSON has no form for: their exact numbers as numbers where that is exact, else text."""
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return int(value)
        if Decimal(repr(float(value))) == value:
            return float(value)
    return str(value)


def _item(place: int) -> Callable[[Any], Any]:
    return lambda row: row[place]


def _all_numbers(values: Iterable[Any]) -> bool:
    return all(
        value is None or (isinstance(value, int | float | Decimal) and value is not True) for value in values
    )


def _visible(character: str) -> str:
    if character == "\n":
        return "⏎"
    return "\ufffd" if unicodedata.category(character) in ("Cc", "Cf") else character
