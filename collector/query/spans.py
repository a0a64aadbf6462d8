"""Spans, and traces as one line each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from collector.query.attributes import Attributes, Labels, carries, parse, parse_attributes
from collector.query.dialect import (
    Conditions,
    Dialect,
    during,
    from_uint64_hex,
    statement,
)
from collector.query.reader import Reader
from collector.query.results import Span, TraceSummary
from collector.query.series import label_conditions
from collector.query.when import Window

STATUSES: Final = {0: "unset", 1: "ok", 2: "error"}
KINDS: Final = {
    0: "unspecified", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer",
}  # fmt: skip

_SELECT: Final = """
SELECT p.trace_id, p.span_id, p.parent_span_id, p.service_name, p.name, p.kind, p.time, p.time_nanos,
       p.duration_nano, p.status_code, p.status_message, p.trace_state, p.flags, p.attributes, p.events, p.links,
       r.attributes, c.name, c.version
FROM otlp_spans p
JOIN otlp_resources r ON r.resource_id = p.resource_id
JOIN otlp_scopes c ON c.scope_id = p.scope_id"""

T = TypeVar("T")


def trace_id_bytes(text: str) -> bytes:
    """Return the 16 bytes of a trace id: 32 hex digits, upper or lower case, with or without hyphens.

    Raises:
        ValueError: it is not a trace id.
    """
    digits = text.replace("-", "").strip()
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        value = b""
    if len(value) != 16 or not any(value):
        raise ValueError(f"{text!r} is not a trace id: expected 32 hexadecimal digits, not all zero")
    return value


def status_code(text: str) -> int:
    """Return the code of `unset`, `ok` or `error`.

    Raises:
        ValueError: it is none of them.
    """
    codes = {name: code for code, name in STATUSES.items()}
    if text.lower() not in codes:
        raise ValueError(f"{text!r} is not a span status: expected {', '.join(codes)}")
    return codes[text.lower()]


def read_spans(
    reader: Reader,
    window: Window,
    *,
    service: str | None,
    name: str | None,
    duration_nano_min: int | None,
    status: int | None,
    attributes: Labels,
    limit: int | None,
) -> list[Span]:
    """Return the spans that start in `window`, newest first, the newest `limit` of them."""
    conditions = during(reader.dialect, window)
    if service is not None:
        conditions.add("p.service_name = %(service)s", service=service)
    if name is not None:
        conditions.add("p.name = %(name)s", name=name)
    if duration_nano_min is not None:
        conditions.add("p.duration_nano >= %(duration_min)s", duration_min=duration_nano_min)
    if status is not None:
        conditions.add("p.status_code = %(status)s", status=status)
    return read_labelled(reader, _SELECT, conditions, attributes, limit, _span, _places)


def read_trace_spans(reader: Reader, trace_id: bytes, window: Window) -> list[Span]:
    """Return all spans of a trace that start in `window`, in order of time."""
    conditions = during(reader.dialect, window)
    conditions.add(reader.dialect.is_trace("trace_id"), trace_id=reader.dialect.trace_id(trace_id))
    rows = reader.rows(statement(_SELECT, conditions.where), conditions.parameters)
    return sorted((_span(reader.dialect, row) for row in rows), key=_by_time)


def slowest_traces(reader: Reader, window: Window, *, service: str | None, limit: int) -> list[TraceSummary]:
    """Return the `limit` longest traces among the spans that start in `window`, longest first.

    `service`: traces in which it took part; they are measured whole all the same.
    """
    dialect = reader.dialect
    conditions = during(dialect, window)
    parameters = {**conditions.parameters, "limit": limit}
    if service is not None:
        parameters["service"] = service
    text = statement(
        "SELECT p.trace_id, min(p.time) AS began,",
        f"max({dialect.end_of_span()}) AS ended FROM otlp_spans p",
        conditions.where,
        "GROUP BY p.trace_id",
        "" if service is None else "HAVING max(CASE WHEN p.service_name = %(service)s THEN 1 ELSE 0 END) = 1",
    )
    rows = reader.rows(
        statement(
            "SELECT trace_id FROM (",
            text,
            ") AS traces ORDER BY ended - began DESC NULLS LAST, trace_id LIMIT %(limit)s",
        ),
        parameters,
    )
    return _summaries(reader, window, [bytes.fromhex(dialect.from_uuid(row[0]) or "") for row in rows])


def _summaries(reader: Reader, window: Window, trace_ids: Sequence[bytes]) -> list[TraceSummary]:
    if not trace_ids:
        return []
    dialect = reader.dialect
    conditions = during(dialect, window)
    conditions.add_any_of(dialect.is_trace("value"), [dialect.trace_id(value) for value in trace_ids])
    text = statement(
        "SELECT p.trace_id, p.time, coalesce(p.time_nanos, 0), p.duration_nano, p.service_name,",
        "p.name, p.parent_span_id, p.status_code, p.span_id FROM otlp_spans p",
        conditions.where,
    )
    traces: dict[str, list[tuple[Any, ...]]] = {}
    for trace_id, time, nanos, *rest in reader.rows(text, conditions.parameters):
        spans = traces.setdefault(dialect.from_uuid(trace_id) or "", [])
        spans.append((dialect.from_time(time) * 1000 + nanos, *rest))
    summaries = [_summary(trace_id, spans) for trace_id, spans in traces.items()]
    return sorted(summaries, key=_longest_first)


def _summary(trace_id: str, spans: Iterable[tuple[Any, ...]]) -> TraceSummary:
    ordered = sorted(spans, key=lambda span: (span[0], span[6]))
    began = ordered[0][0]
    roots = [span for span in ordered if span[4] is None]
    _, _, service_name, name, *_ = (roots or ordered)[0]
    ends = [time + duration for time, duration, *_ in ordered if duration is not None]
    return TraceSummary(
        trace_id=trace_id,
        time_unix_nano=began,
        duration_nano=max(ends) - began if ends else None,
        service_name=service_name,
        name=name,
        spans=len(ordered),
        errors=sum(1 for span in ordered if span[5] == 2),
        services=len({span[2] for span in ordered}),
    )


def _longest_first(trace: TraceSummary) -> tuple[float, str]:
    return math.inf if trace.duration_nano is None else -trace.duration_nano, trace.trace_id


def read_labelled(
    reader: Reader,
    select: str,
    conditions: Conditions,
    labels: Labels,
    limit: int | None,
    make: Callable[[Dialect, tuple[Any, ...]], T],
    places: Callable[[T], Sequence[Attributes]],
) -> list[T]:
    """Return the rows of fact `p` and its resource `r` that carry `labels`, newest first, at most `limit`.

    The database skips rows that cannot match; which of the rest do is decided here. Where that leaves too few,
    more are asked for.
    """
    label_conditions(reader.dialect, conditions, labels, ("p.attributes", "r.attributes"))
    wanted = limit
    while True:
        parameters = dict(conditions.parameters)
        if wanted is not None:
            parameters["limit"] = wanted
        rows = reader.rows(
            statement(select, conditions.where, reader.dialect.newest_first(wanted)), parameters
        )
        made = [make(reader.dialect, row) for row in rows]
        found = [item for item in made if carries(labels, places(item))]
        if limit is None or wanted is None or len(found) >= limit or len(rows) < wanted:
            return found[:limit]
        wanted *= 8


def _places(span: Span) -> Sequence[Attributes]:
    return span.attributes, span.resource


def _by_time(span: Span) -> tuple[int, str]:
    return span.time_unix_nano, span.span_id


def _span(dialect: Dialect, row: tuple[Any, ...]) -> Span:
    (trace_id, span_id, parent_span_id, service_name, name, kind, time, nanos, duration, code) = row[:10]
    (message, trace_state, flags, attributes, events, links, resource, scope_name, scope_version) = row[10:]
    return Span(
        trace_id=dialect.from_uuid(trace_id) or "",
        span_id=from_uint64_hex(span_id) or "",
        parent_span_id=from_uint64_hex(parent_span_id),
        service_name=service_name,
        name=name,
        kind=KINDS.get(kind, str(kind)),
        time_unix_nano=dialect.from_time(time) * 1000 + (nanos or 0),
        duration_nano=duration,
        status=STATUSES.get(code, str(code)),
        status_message=message or "",
        trace_state=trace_state or "",
        flags=flags or 0,
        attributes=parse_attributes(attributes),
        events=tuple(parse(events) or ()),
        links=tuple(parse(links) or ()),
        resource=parse_attributes(resource),
        scope_name=scope_name,
        scope_version=scope_version,
    )
