"""The questions of `database query` about spans and traces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from collector.cli.database import human
from collector.cli.database.output import Column, Format, console, show, show_json, text
from collector.cli.database.query import question
from collector.cli.database.questions import labels_option
from collector.query.when import iso

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from collector.query.client import QueryClient
    from collector.query.results import Span
    from collector.query.trace import Node, Trace

_BAR_WIDTH = 24
_LABEL_WIDTH_MAX = 70
_GUIDE_WIDTH = 4  # what rich puts before a line for each level

_SPAN_COLUMNS = (
    Column("time", lambda s: iso(s.time_unix_nano), lambda s: human.time(s.time_unix_nano)),
    Column("service", lambda s: s.service_name),
    Column("name", lambda s: s.name),
    Column(
        "duration_ms",
        lambda s: s.duration_ms,
        lambda s: human.duration(s.duration_nano),
        right=True,
        human_heading="duration",
    ),
    Column("status", lambda s: s.status, style=lambda s: "red" if s.status == "error" else ""),
    Column("message", lambda s: s.status_message),
    Column("trace_id", lambda s: s.trace_id),
)


@question("slowest-traces")
@click.option("--service", metavar="NAME", help="In which this service took part.")
def slowest_traces(
    ask: QueryClient, service: str | None, limit: int, start: str, end: str, output_format: Format
) -> None:
    """The longest traces, longest first."""
    columns = (
        Column("time", lambda t: iso(t.time_unix_nano), lambda t: human.time(t.time_unix_nano)),
        Column(
            "duration_ms",
            lambda t: t.duration_ms,
            lambda t: human.duration(t.duration_nano),
            right=True,
            human_heading="duration",
        ),
        Column("service", lambda t: t.service_name),
        Column("name", lambda t: t.name),
        Column("spans", lambda t: t.spans, right=True),
        Column("errors", lambda t: t.errors, right=True, style=lambda t: "red" if t.errors else ""),
        Column("services", lambda t: t.services, right=True),
        Column("trace_id", lambda t: t.trace_id),
    )
    traces = ask.slowest_traces(start, end, service, limit)
    show(traces, columns, output_format, empty="No traces in the window: --days 7 looks further back.")


@question("spans")
@click.option("--service", metavar="NAME", help="Of this service.")
@click.option("--name", metavar="NAME", help="Of this name.")
@click.option("--min-duration", metavar="DURATION", help="At least so long: 250ms, 2s.")
@click.option("--status", metavar="STATUS", help="unset, ok or error.")
@labels_option
def spans(
    ask: QueryClient,
    service: str | None,
    name: str | None,
    min_duration: str | None,
    status: str | None,
    labels: Mapping[str, str],
    limit: int,
    start: str,
    end: str,
    output_format: Format,
) -> None:
    """Spans, newest first."""
    found = ask.spans(service, name, start, end, min_duration, status, labels, limit)
    show(found, _SPAN_COLUMNS, output_format, empty="No such spans: --days 7 looks further back.")


@question("errors")
@click.option("--service", metavar="NAME", help="Of this service.")
@labels_option
def errors(
    ask: QueryClient,
    service: str | None,
    labels: Mapping[str, str],
    limit: int,
    start: str,
    end: str,
    output_format: Format,
) -> None:
    """Spans that failed, newest first."""
    found = ask.spans(service, None, start, end, None, "error", labels, limit)
    show(found, _SPAN_COLUMNS, output_format, empty="No span failed in the window.")


@question("trace", window=False, limit=None)
@click.argument("trace_id", metavar="ID")
def trace(ask: QueryClient, trace_id: str, output_format: Format) -> None:
    """One whole trace, as a tree."""
    found = ask.trace(trace_id)
    if found is None:
        raise click.ClickException(f"no span of trace {trace_id} is stored")
    match output_format:
        case "json":
            show_json(
                {
                    "trace_id": found.trace_id,
                    "time_unix_nano": found.time_unix_nano,
                    "duration_nano": found.duration_nano,
                    "spans": [
                        {"depth": depth, "oddity": node.oddity, "span": node.span}
                        for depth, node in found.walk()
                    ],
                }
            )
        case "csv":
            columns = (
                Column("depth", lambda row: row[0]),
                Column("oddity", lambda row: row[1].oddity),
                Column("span_id", lambda row: row[1].span.span_id),
                Column("parent_span_id", lambda row: row[1].span.parent_span_id),
                *(_of_span(column) for column in _SPAN_COLUMNS),
            )
            show(list(found.walk()), columns, output_format, empty="")
        case "table":
            console().print(tree_of(found))


def tree_of(trace: Trace) -> Tree:
    """Return a trace as rich shows it: service and span, its duration, and a bar for when it ran."""
    from rich.tree import Tree

    heading = f"trace {trace.trace_id}  {human.time(trace.time_unix_nano)}  "
    heading += f"{human.duration(trace.duration_nano)}  {human.count(trace.spans)} spans"
    root = Tree(text(heading, "bold"), guide_style="dim")
    lines = [(depth, node, _label(node)) for depth, node in trace.walk()]
    # So that the bars stand below each other: names that are longer push theirs to the right.
    width = min(_LABEL_WIDTH_MAX, max(label.cell_len + _GUIDE_WIDTH * depth for depth, _, label in lines))
    branches = {-1: root}
    for depth, node, label in lines:
        label.pad_right(max(0, width - _GUIDE_WIDTH * depth - label.cell_len))
        label.append_text(_timing(trace, node.span))
        if node.span.status == "error":
            label.append_text(text(f"  ✗ {node.span.status_message or 'error'}", "red"))
        if node.oddity:
            label.append_text(text(f"  ({node.oddity})", "yellow"))
        branches[depth] = branches[depth - 1].add(label)
    return root


def _label(node: Node) -> Text:
    span = node.span
    label = text(f"{span.service_name} ", "dim")
    label.append_text(text(span.name, "bold red" if span.status == "error" else "bold"))
    if span.kind not in ("internal", "unspecified"):
        label.append_text(text(f" {span.kind}", "dim"))
    return label


def _timing(trace: Trace, span: Span) -> Text:
    duration = human.duration(span.duration_nano) or "no end"
    line = text(f" {duration:>8} ")
    line.append_text(text(_bar(trace, span), "red" if span.status == "error" else "cyan"))
    return line


def _bar(trace: Trace, span: Span) -> str:
    whole = trace.duration_nano or 1
    offset = round((span.time_unix_nano - trace.time_unix_nano) / whole * _BAR_WIDTH)
    offset = min(max(0, offset), _BAR_WIDTH - 1)
    width = max(1, round(max(0, span.duration_nano or 0) / whole * _BAR_WIDTH))
    width = min(width, _BAR_WIDTH - offset)
    return "·" * offset + "━" * width + "·" * (_BAR_WIDTH - offset - width)


def _of_span(column: Column) -> Column:
    return Column(column.heading, lambda row: column.value(row[1].span))
