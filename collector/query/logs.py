"""Log records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from collector.query.attributes import Attributes, Labels, parse, parse_attributes
from collector.query.dialect import Dialect, during, from_uint64, from_uint64_hex
from collector.query.reader import Reader
from collector.query.results import LogRecord
from collector.query.spans import read_labelled, trace_id_bytes
from collector.query.when import Window
from collector.storage.values import quote

# The first number of each range (opentelemetry-proto, logs.proto, SeverityNumber).
SEVERITIES: Final = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}

_SELECT: Final = """
SELECT p.time, p.time_nanos, p.observed_time_unix_nano, p.service_name, p.severity_number, p.severity_text, p.body,
       p.event_name, p.trace_id, p.span_id, p.flags, p.attributes, r.attributes, c.name, c.version
FROM otlp_logs p
JOIN otlp_resources r ON r.resource_id = p.resource_id
JOIN otlp_scopes c ON c.scope_id = p.scope_id"""


def severity_number(severity: str | int) -> int:
    """Return the number of `trace`, `debug`, `info`, `warn`, `error` or `fatal`, or the number itself.

    Raises:
        ValueError: it is none of them.
    """
    if isinstance(severity, int):
        return severity
    text = severity.lower()
    if text.isdecimal():
        return int(text)
    if text not in SEVERITIES:
        raise ValueError(f"{severity!r} is not a severity: expected {', '.join(SEVERITIES)}, or a number")
    return SEVERITIES[text]


def read_logs(
    reader: Reader,
    window: Window,
    *,
    service: str | None,
    severity_min: int | None,
    text: str | None,
    event_name: str | None,
    trace_id: str | None,
    attributes: Labels,
    limit: int | None,
) -> list[LogRecord]:
    """Return log records, newest first, the newest `limit` of them. `text`: what the body contains."""
    conditions = during(reader.dialect, window)
    if service is not None:
        conditions.add("p.service_name = %(service)s", service=service)
    if severity_min is not None:
        conditions.add("p.severity_number >= %(severity_min)s", severity_min=severity_min)
    if text is not None:
        conditions.add(reader.dialect.holds("p.body", "text"), text=_as_stored(text))
    if event_name is not None:
        conditions.add("p.event_name = %(event_name)s", event_name=event_name)
    if trace_id is not None:
        conditions.add(
            reader.dialect.is_trace("trace_id"), trace_id=reader.dialect.trace_id(trace_id_bytes(trace_id))
        )
    return read_labelled(reader, _SELECT, conditions, attributes, limit, _record, _places)


def _as_stored(text: str) -> str:
    """`text` as it stands inside of a JSON string."""
    return quote(text)[1:-1]


def _places(record: LogRecord) -> Sequence[Attributes]:
    return record.attributes, record.resource


def _record(dialect: Dialect, row: tuple[Any, ...]) -> LogRecord:
    time, nanos, observed, service_name, number, severity, body, event_name = row[:8]
    trace_id, span_id, flags, attributes, resource, scope_name, scope_version = row[8:]
    return LogRecord(
        time_unix_nano=dialect.from_time(time) * 1000 + (nanos or 0),
        observed_time_unix_nano=from_uint64(observed),
        service_name=service_name,
        severity_number=number,
        severity_text=severity or "",
        body=parse(body),
        event_name=event_name or "",
        trace_id=dialect.from_uuid(trace_id),
        span_id=from_uint64_hex(span_id),
        flags=flags or 0,
        attributes=parse_attributes(attributes),
        resource=parse_attributes(resource),
        scope_name=scope_name,
        scope_version=scope_version,
    )
