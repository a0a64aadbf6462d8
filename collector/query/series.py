"""Which series a question is about: found by metric name and labels, and read back by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collector.query.attributes import Labels, carries, fragments, parse_attributes
from collector.query.dialect import Conditions, Dialect, statement
from collector.query.reader import Reader
from collector.query.results import Metric, Stream

_TEMPORALITIES: Final = {1: "delta", 2: "cumulative"}
# Parameters of one statement are bounded (SQLite: 32 766; a list that long is also slow to plan).
_IDS_MAX: Final = 10_000

_SELECT: Final = """
SELECT s.series_id, s.stream_id, s.metric, s.type, s.unit, s.temporality, s.monotonic, s.description,
       s.service_name, s.attributes, r.attributes, c.name, c.version
FROM otlp_series s
JOIN otlp_resources r ON r.resource_id = s.resource_id
JOIN otlp_scopes c ON c.scope_id = s.scope_id"""


def label_conditions(
    dialect: Dialect, conditions: Conditions, labels: Labels, columns: tuple[str, ...]
) -> None:
    """Keep rows that may carry all `labels` in one of the JSON `columns`; `carries` decides."""
    for number, (key, wanted) in enumerate(labels.items()):
        choices = {f"label_{number}_{n}": text for n, text in enumerate(fragments(key, wanted))}
        tests = [dialect.holds(column, name) for column in columns for name in choices]
        conditions.add(f"({' OR '.join(tests)})", **choices)


def find_series(reader: Reader, name: str, labels: Labels) -> list[Stream]:
    """Return the series of a metric which carry `labels` on the point or on the resource."""
    conditions = Conditions([], {})
    conditions.add("s.metric = %(metric)s", metric=name)
    label_conditions(reader.dialect, conditions, labels, ("s.attributes", "r.attributes"))
    rows = reader.rows(statement(_SELECT, conditions.where), conditions.parameters)
    streams = (_stream(reader.dialect, row) for row in rows)
    return [stream for stream in streams if carries(labels, (stream.attributes, stream.resource))]


def find_series_anywhere(reader: Reader, alternatives: Iterable[Labels]) -> list[Stream]:
    """Return the series of all metrics which carry one of the sets of labels."""
    found: dict[int, Stream] = {}
    for labels in alternatives:
        conditions = Conditions([], {})
        label_conditions(reader.dialect, conditions, labels, ("s.attributes", "r.attributes"))
        for row in reader.rows(statement(_SELECT, conditions.where), conditions.parameters):
            stream = _stream(reader.dialect, row)
            if carries(labels, (stream.attributes, stream.resource)):
                found[stream.series_id] = stream
    return list(found.values())


def read_series(reader: Reader, series_ids: Iterable[int]) -> dict[int, Stream]:
    """Return series by their ids."""
    wanted = sorted(set(series_ids))
    found: dict[int, Stream] = {}
    for at in range(0, len(wanted), _IDS_MAX):
        ids = reader.dialect.integers(wanted[at : at + _IDS_MAX])
        text = statement(_SELECT, f"WHERE {reader.dialect.among('s.series_id', 'ids')}")
        found |= {row[0]: _stream(reader.dialect, row) for row in reader.rows(text, {"ids": ids})}
    return found


def read_metrics(reader: Reader, prefix: str) -> list[Metric]:
    """Return what metrics there are, by name, type and unit."""
    conditions = Conditions([], {})
    if prefix:
        # Not LIKE: its wildcards would have to be escaped.
        conditions.add("substr(s.metric, 1, %(length)s) = %(prefix)s", length=len(prefix), prefix=prefix)
    rows = reader.rows(
        statement(
            "SELECT s.metric, s.type, s.unit, s.service_name, count(*), max(s.description) FROM otlp_series s",
            conditions.where,
            "GROUP BY s.metric, s.type, s.unit, s.service_name",
        ),
        conditions.parameters,
    )
    grouped: dict[tuple[str, str, str], list[Any]] = {}
    for metric, kind, unit, service, count, description in sorted(rows, key=lambda row: row[:4]):
        entry = grouped.setdefault((metric, kind, unit), [0, [], ""])
        entry[0] += count
        entry[1].append(service)
        entry[2] = max(entry[2], description)
    return [
        Metric(metric=m, type=t, unit=u, series=series, services=tuple(services), description=text)
        for (m, t, u), (series, services, text) in grouped.items()
    ]


@dataclass(frozen=True, slots=True)
class Group:
    """Series that become one line: same type and unit always, and the same values of the labels grouped by."""

    type: str
    unit: str
    labels: Mapping[str, Any]


def group_series(streams: Iterable[Stream], by: tuple[str, ...] | None) -> tuple[list[Group], dict[int, int]]:
    """Sort series into groups; return these and each series' group by its place. `by` None: one per stream."""
    numbers: dict[Any, int] = {}
    groups: list[Group] = []
    group_of: dict[int, int] = {}
    for stream in streams:
        labels: Mapping[str, Any]
        if by is None:
            labels = {"service.name": stream.service_name, **stream.attributes}
            key: Any = (stream.type, stream.unit, stream.stream_id)
        else:
            labels = {name: stream.attributes.get(name, stream.resource.get(name)) for name in by}
            key = (stream.type, stream.unit, repr(labels))
        if key not in numbers:
            numbers[key] = len(groups)
            groups.append(Group(stream.type, stream.unit, labels))
        group_of[stream.series_id] = numbers[key]
    return groups, group_of


def _stream(dialect: Dialect, row: tuple[Any, ...]) -> Stream:
    (series_id, stream_id, metric, kind, unit, temporality, monotonic, description) = row[:8]
    service_name, attributes, resource, scope_name, scope_version = row[8:]
    return Stream(
        metric=metric,
        type=kind,
        unit=unit,
        temporality=_TEMPORALITIES.get(temporality),
        monotonic=None if monotonic is None else bool(monotonic),
        description=description,
        service_name=service_name,
        attributes=parse_attributes(attributes),
        resource=parse_attributes(resource),
        scope_name=scope_name,
        scope_version=scope_version,
        series_id=series_id,
        stream_id=dialect.from_uuid(stream_id) or "",
    )
