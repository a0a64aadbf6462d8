"""The questions of `database query` about services, metrics and logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from collector.cli.database import human
from collector.cli.database.output import Column, Format, console, show, show_json, text
from collector.cli.database.query import question
from collector.cli.database.target import note
from collector.model.clock import SystemClock
from collector.query.attributes import label_text
from collector.query.results import MetricPoint
from collector.query.when import iso, nanoseconds, unix_nano

if TYPE_CHECKING:
    from collector.query.client import QueryClient
    from collector.query.results import Point, Range

# More than this many lines beside each other cannot be read.
_LINES_MAX = 8
SEVERITY_STYLES = ((21, "bold red"), (17, "red"), (13, "yellow"), (9, ""), (1, "dim"))


def parse_labels(_: click.Context, __: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Read `KEY=VALUE` options."""
    labels = {}
    for value in values:
        key, equals, wanted = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is not a label: write KEY=VALUE")
        labels[key] = wanted
    return labels


labels_option = click.option(
    "--label",
    "-l",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    callback=parse_labels,
    help="Only with this attribute, on the item or on its resource. Repeatable.",
)


@question("services", window=False, limit=None)
def services(ask: QueryClient, output_format: Format) -> None:
    """Every service that has sent something."""
    columns = (
        Column("service", lambda s: s.service_name),
        Column("namespace", lambda s: s.service_namespace),
        Column("instances", lambda s: s.instances, right=True),
        Column("resources", lambda s: s.resources, right=True),
    )
    show(ask.services(), columns, output_format, empty="No service has sent anything yet.")


@question("metrics", window=False, limit=None)
@click.argument("prefix", default="")
def metrics(ask: QueryClient, prefix: str, output_format: Format) -> None:
    """Which metrics there are; those that begin with PREFIX."""
    columns = (
        Column("metric", lambda m: m.metric),
        Column("type", lambda m: m.type),
        Column("unit", lambda m: m.unit),
        Column("series", lambda m: m.series, right=True),
        Column("services", lambda m: m.services),
        Column("description", lambda m: m.description),
    )
    found = ask.metric_names(prefix)
    show(
        found,
        columns,
        output_format,
        empty=f"No metric begins with {prefix!r}." if prefix else "No metrics yet.",
    )


@question("latest", window=False)
@click.argument("name")
@labels_option
def latest(ask: QueryClient, name: str, labels: Mapping[str, str], limit: int, output_format: Format) -> None:
    """The newest point of every stream of metric NAME."""
    columns = (
        Column("time", lambda p: iso(p.time_unix_nano), lambda p: human.time(p.time_unix_nano)),
        Column("value", _value, _human_value, right=True),
        Column("unit", lambda p: p.stream.unit),
        Column("service", lambda p: p.stream.service_name),
        Column("attributes", lambda p: p.stream.attributes, lambda p: human.labels(p.stream.attributes)),
    )
    points = ask.latest(name, labels)
    show(points[:limit], columns, output_format, empty=_no_metric(name))
    if len(points) > limit:
        note(f"{len(points) - limit} more streams: --limit {len(points)} shows all, --label chooses.")


def _value(point: Point) -> Any:
    if isinstance(point, MetricPoint):
        return point.value
    return point.sum / point.count if point.sum is not None and point.count else None


def _human_value(point: Point) -> str:
    value = _value(point)
    shown = "none" if value is None else human.number(value)
    return shown if isinstance(point, MetricPoint) else f"{human.count(point.count)} × {shown}"


@question("range", limit=None)
@click.argument("name")
@click.option("--step", default="1m", show_default=True, metavar="DURATION", help="Length of a step.")
@click.option(
    "--aggregation",
    "-a",
    default="avg",
    show_default=True,
    help="avg, min, max, sum, count, first, last, p50…p99.9; of counters increase or rate (per second).",
)
@click.option(
    "--group-by",
    "group_by",
    multiple=True,
    metavar="LABEL",
    help="One line per value of this label; `series`: one per stream. Repeatable.",
)
@labels_option
def over_time(
    ask: QueryClient,
    name: str,
    step: str,
    aggregation: str,
    group_by: tuple[str, ...],
    labels: Mapping[str, str],
    start: str,
    end: str,
    output_format: Format,
) -> None:
    """Metric NAME over time. Percentiles of histograms are computed from their buckets."""
    by: Any = "series" if group_by == ("series",) else group_by
    lines = ask.range(name, _aligned(start, step), end, step, aggregation, labels, by)
    match output_format:
        case "json":
            show_json(lines)
        case "csv":
            _show_long(lines)
        case "table":
            _show_wide(lines, name)


def _aligned(start: str, step: str) -> int | float:
    """The beginning of the step that `start` is in, when steps are counted from 1970: round times read well."""
    step_ns = nanoseconds(step)
    start_ns = unix_nano(start, SystemClock())
    aligned_ns = start_ns // step_ns * step_ns if step_ns else start_ns
    whole, rest = divmod(aligned_ns, 10**9)
    return whole if not rest else aligned_ns / 1e9


def _show_long(lines: Sequence[Range]) -> None:
    rows = [(line, sample) for line in lines for sample in line.samples]
    columns = (
        Column("time", lambda row: iso(row[1].time_unix_nano)),
        Column("type", lambda row: row[0].type),
        Column("unit", lambda row: row[0].unit),
        Column("labels", lambda row: row[0].labels),
        Column("value", lambda row: row[1].value),
    )
    show(rows, columns, "csv", empty="")


def _show_wide(lines: Sequence[Range], name: str) -> None:
    shown = lines[:_LINES_MAX]
    by_time: dict[int, list[float | None]] = {}
    for place, line in enumerate(shown):
        for sample in line.samples:
            by_time.setdefault(sample.time_unix_nano, [None] * len(shown))[place] = sample.value
    columns = [Column("time (UTC)", lambda row: row[0], lambda row: human.time(row[0])[:19])]
    for place, line in enumerate(shown):
        heading = human.labels(line.labels) or name
        columns.append(
            Column(
                f"{heading} ({line.unit})" if line.unit else heading,
                lambda row: None,
                lambda row, place=place: human.number(row[1][place]),  # type: ignore[misc]  # binds now
                right=True,
            )
        )
    show(sorted(by_time.items()), columns, "table", empty=_no_points(name))
    for line in shown:
        values = [sample.value for sample in line.samples]
        console().print(text(f"{human.sparkline(values)}  {human.labels(line.labels) or name}"))
    if len(lines) > len(shown):
        note(f"{len(lines) - len(shown)} more lines: choose with --label, or take --format csv.")


@question("logs")
@click.option("--service", metavar="NAME", help="Of this service.")
@click.option("--severity", metavar="LEVEL", help="At least trace, debug, info, warn, error or fatal.")
@click.option("--text", "body", metavar="TEXT", help="Only bodies that contain this, to the letter.")
@click.option("--event-name", metavar="NAME", help="Only events of this name.")
@click.option("--trace", "trace_id", metavar="ID", help="Only those of this trace.")
@labels_option
def logs(
    ask: QueryClient,
    service: str | None,
    severity: str | None,
    body: str | None,
    event_name: str | None,
    trace_id: str | None,
    labels: Mapping[str, str],
    limit: int,
    start: str,
    end: str,
    output_format: Format,
) -> None:
    """Log records, newest first."""
    records = ask.logs(service, severity, start, end, body, event_name, trace_id, labels, limit)
    columns = (
        Column("time", lambda r: iso(r.time_unix_nano), lambda r: human.time(r.time_unix_nano)),
        Column(
            "severity",
            lambda r: r.severity_text or r.severity_number,
            style=lambda r: next((style for low, style in SEVERITY_STYLES if r.severity_number >= low), ""),
        ),
        Column("service", lambda r: r.service_name),
        Column("body", lambda r: r.body, lambda r: label_text(r.body) or r.event_name),
        Column("attributes", lambda r: r.attributes, lambda r: human.labels(r.attributes)),
        Column("trace_id", lambda r: r.trace_id),
    )
    show(records, columns, output_format, empty="No such log records: --days 7 looks further back.")


def _no_metric(name: str) -> str:
    return (
        f"There are no points of {name!r}: `collector database query metrics` shows which metrics there are."
    )


def _no_points(name: str) -> str:
    return f"There are no points of {name!r} in the window: --start -1d looks further back."
