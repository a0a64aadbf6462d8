"""Spans of one window, in one pass for all rules: what they weigh, what is counted of them, their tokens.

A span belongs to the window in which it starts; its self time to those in which it passes. If a rule needs self times,
spans come trace by trace, those that began before the window too where their trace runs into it (`span_lookback`), and
memory is that of the largest trace; otherwise in whatever order the database likes, since only sums are kept.
Attributes are fetched of the kinds of spans that some rule looks at, and of no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Protocol

from collector.accounting.errors import TooManyGroupsError
from collector.accounting.texts import merged, text_of
from collector.cost.config import CostConfig
from collector.cost.heaviest import Heaviest
from collector.cost.match import Globs
from collector.cost.metered import MeteredUsage
from collector.cost.needs import Needs, SpanNeed, metered_usage, token_usage
from collector.cost.record import Period
from collector.cost.rules import MatchConfig
from collector.cost.selftime import Bounds, SpanTiming, adjusted_count, weights
from collector.cost.usage import MeteredGroup, RequestGroup, TokenGroup
from collector.query.attributes import parse_attributes
from collector.query.dialect import Conditions, during, statement
from collector.query.reader import Reader
from collector.query.when import Window
from collector.storage.values import parse_json

# opentelemetry-proto, Span.SpanKind
KINDS: Final = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_ALL_KINDS: Final = frozenset(range(6))
# Groups of one rule in one window: more are an attribute that should not be grouped by, such as a URL.
_GROUPS_MAX: Final = 200_000
_REMEMBERED_MAX: Final = 100_000
_UINT64_MAX: Final = 2**64 - 1

Group = tuple[str, ...]
_Values = Mapping[str, object]


@dataclass(slots=True)
class SpanUsage:
    """What the spans of a window come to, by the id of the rule that asked, and what was odd about them."""

    requests: dict[str, list[RequestGroup]] = field(default_factory=dict)
    metered: dict[str, list[MeteredGroup]] = field(default_factory=dict)
    tokens: dict[str, list[TokenGroup]] = field(default_factory=dict)
    oddities: dict[tuple[str, str], int] = field(default_factory=dict)  # (rule, what) -> spans
    spans: int = 0


class SpanReader:
    """Reads the spans of one window after the other."""

    def __init__(self, reader: Reader, config: CostConfig, needs: Needs) -> None:
        self._reader = reader
        self._config = config
        self._needs = needs
        self._resources: dict[bytes, dict[str, object]] = {}

    def read(self, period: Period) -> SpanUsage:
        """Return what a window's spans come to.

        Raises:
            TooManyGroupsError: of a rule that groups by something of which there are too many.
        """
        usage = SpanUsage()
        sums: list[_Sums] = [
            *[_Weights(need, period) for need in self._needs.requests],
            *[_Tokens(need, self._config) for need in self._needs.tokens],
            *[_Metered(need) for need in self._needs.metered],
        ]
        if not sums:
            return usage
        by_trace = any(isinstance(one, _Weights) and one.self_time for one in sums)
        # Never 0, which would be no bound.
        begin = max(1, period.start_unix_nano - (round(self._config.span_lookback * 1e9) if by_trace else 0))
        self._look_up_resources(Window(begin, period.end_unix_nano))
        text, conditions = self._statement(
            Window(begin, period.end_unix_nano), period, [one.matcher for one in sums], by_trace=by_trace
        )
        with self._reader.store.stream(text, conditions.parameters) as rows:
            for _, trace in groupby(rows, itemgetter(0)) if by_trace else [(None, rows)]:
                usage.spans += self._add(trace, sums)
        for one in sums:
            one.report(usage)
        return usage

    def _add(self, rows: Iterable[tuple[Any, ...]], sums: list[_Sums]) -> int:
        """Give spans to the sums that are about them."""
        count = 0
        for row in rows:
            count += 1
            attributes: dict[str, object] | None = None
            kind = row[4]
            for one in sums:
                if not row[10] and not one.wants_all:
                    continue  # it began before the window
                found = None
                if kind in one.matcher.kinds:
                    if attributes is None:
                        own = parse_json(row[9]) if row[9] else {}
                        attributes = merged(self._resources.get(bytes(row[3]), {}), own)
                    if one.matcher.matches(attributes):
                        found = attributes
                if found is not None or one.wants_all:
                    one.add(row, found)
        for one in sums:
            one.end_trace()
        return count

    def _statement(
        self, window: Window, period: Period, matchers: list[_Matcher], *, by_trace: bool
    ) -> tuple[str, Conditions]:
        """Return what reads the spans of `period`, and of `window` before it those of traces that run into it."""
        dialect = self._reader.dialect
        kinds = frozenset().union(*(matcher.kinds for matcher in matchers))
        attributes = "p.attributes"
        listed = f"p.kind IN ({', '.join(map(str, sorted(kinds)))})"  # numbers of ours
        if kinds != _ALL_KINDS:
            attributes = f"CASE WHEN {listed} THEN p.attributes END"
        binary = "{}" if dialect.sqlite else "uuid_send({})"
        columns = (
            f"SELECT {binary.format('p.trace_id')} AS trace, p.span_id, p.parent_span_id, "
            f"{binary.format('p.resource_id')} AS resource, p.kind, {dialect.microseconds('p.time')} AS us, p.time_nanos, "
            f"p.duration_nano, p.trace_state, {attributes} AS attributes"
        )
        here = during(dialect, Window(max(1, period.start_unix_nano), period.end_unix_nano))
        if not by_trace:
            if kinds != _ALL_KINDS:
                here.add(listed)
            return statement(f"{columns}, 1 FROM otlp_spans p", here.where), here
        if window.start_unix_nano >= max(1, period.start_unix_nano):
            return statement(f"{columns}, 1 FROM otlp_spans p", here.where, "ORDER BY trace"), here
        before = during(dialect, Window(window.start_unix_nano, period.start_unix_nano), ("begin", "start"))
        text = statement(
            f"{columns}, 1 AS here FROM otlp_spans p",
            here.where,
            f"UNION ALL {columns}, 0 AS here FROM otlp_spans p JOIN (",
            "SELECT p.trace_id FROM otlp_spans p",
            here.where,
            "UNION SELECT p.trace_id FROM otlp_spans p",
            before.where,
            f"AND {dialect.end_of_span()} >= %(edge)s",
            ") AS running ON running.trace_id = p.trace_id",
            before.where,
            "ORDER BY trace",
        )
        edge = dialect.time(period.start_unix_nano // 1000)
        return text, Conditions([], {**before.parameters, **here.parameters, "edge": edge})

    def _look_up_resources(self, window: Window) -> None:
        """Remember the attributes of the resources of the window's spans."""
        dialect = self._reader.dialect
        if len(self._resources) > _REMEMBERED_MAX:
            self._resources.clear()
        conditions = during(dialect, window)
        column = "r.resource_id" if dialect.sqlite else "uuid_send(r.resource_id)"
        text = statement(
            f"SELECT {column}, r.attributes FROM otlp_resources r WHERE r.resource_id IN (",  # noqa: S608  of ours
            "SELECT DISTINCT p.resource_id FROM otlp_spans p",
            conditions.where,
            ")",
        )
        for resource_id, attributes in self._reader.rows(text, conditions.parameters):
            key = bytes(resource_id)
            if key not in self._resources:
                self._resources[key] = dict(parse_attributes(attributes))


class _Matcher:
    """Whether a rule is about a span."""

    def __init__(self, match: MatchConfig) -> None:
        self.kinds = frozenset(KINDS[kind] for kind in match.kind) or _ALL_KINDS
        self._any = match.any
        self._globs = Globs(match.attributes)
        self._keys = self._globs.keys

    def matches(self, attributes: _Values) -> bool:
        if self._any and not any(name in attributes for name in self._any):
            return False
        if not self._keys:
            return True
        return self._globs.match({key: text for key in self._keys if (text := text_of(attributes.get(key)))})


class _Sums(Protocol):
    """What one rule keeps of the spans that it is about."""

    matcher: _Matcher
    wants_all: bool  # also spans that it is not about, with None for attributes

    def add(self, row: tuple[Any, ...], attributes: _Values | None) -> None: ...

    def end_trace(self) -> None: ...

    def report(self, usage: SpanUsage) -> None: ...


class _Weights:
    """Requests: what the spans of a group weigh together."""

    def __init__(self, need: SpanNeed, period: Period) -> None:
        self._bounds = Bounds(period.start_unix_nano, period.end_unix_nano)
        self.matcher = _Matcher(need.match)
        self.self_time = need.rule.weight == "self_time"
        self.wants_all = self.self_time
        self._need = need
        self._weigh = _weigher(need.rule.weight)
        self._trace: list[SpanTiming[Group]] = []
        self._weights: dict[Group, Fraction | int] = {}
        self._spans: dict[Group, int] = {}
        self._heaviest = Heaviest(need.rule.spans_max) if need.rule.spans_max else None

    def add(self, row: tuple[Any, ...], attributes: _Values | None) -> None:
        group = None if attributes is None else _group(attributes, self._need.keys)
        if group is not None and self._heaviest is not None:
            group = (*group, bytes(row[0]).hex(), f"{row[1] & _UINT64_MAX:016x}")
        if not self.self_time:
            if attributes is not None and group is not None:
                self._count(group, self._weigh(row, attributes), 1)
            return
        start = int(row[5]) * 1000 + (row[6] or 0)
        self._trace.append(
            SpanTiming(
                row[0],
                row[1],
                row[2],
                row[3],
                row[4],
                start,
                start + max(0, row[7] or 0),
                group,
                adjusted_count(row[8]) if row[8] else 1,
            )
        )

    def end_trace(self) -> None:
        if self._trace:
            for group, (nanoseconds, entries) in weights(self._trace, self._bounds).items():
                self._count(group, nanoseconds, entries)
            self._trace = []

    def _count(self, group: Group, weight: Fraction | int, spans: int) -> None:
        if self._heaviest is not None:
            *values, trace_id, span_id = group
            ids = bytes.fromhex(trace_id + span_id)
            self._heaviest.add(group[0], ids, round(weight), spans, tuple(values))
            return
        if group not in self._weights and len(self._weights) >= _GROUPS_MAX:
            raise TooManyGroupsError(self._need.rule.id, _GROUPS_MAX)
        self._weights[group] = self._weights.get(group, 0) + weight
        self._spans[group] = self._spans.get(group, 0) + spans

    def report(self, usage: SpanUsage) -> None:
        usage.requests[self._need.rule.id] = [
            RequestGroup(_named(self._need.keys, group), round(weight), self._spans[group])
            for group, weight in self._weights.items()
        ]
        if self._heaviest is not None:
            usage.requests[self._need.rule.id] = [
                *(
                    RequestGroup(
                        _named(self._need.keys, request.values), request.weight, request.spans, *request.ids
                    )
                    for _, request in self._heaviest.requests()
                ),
                *(
                    RequestGroup({self._need.keys[0]: part}, weight, spans, is_rest=True)
                    for part, weight, spans in self._heaviest.rest()
                ),
            ]


class _Tokens:
    """Calls of language models."""

    wants_all = False

    def __init__(self, need: SpanNeed, config: CostConfig) -> None:
        self.matcher = _Matcher(need.match)
        self._need = need
        self._usage = token_usage(config, need)

    def add(self, row: tuple[Any, ...], attributes: _Values | None) -> None:
        if attributes is not None:
            self._usage.add(attributes)

    def end_trace(self) -> None:
        pass

    def report(self, usage: SpanUsage) -> None:
        rule = self._need.rule.id
        usage.tokens[rule] = self._usage.groups()
        for what, spans in self._usage.findings.items():
            usage.oddities[rule, what] = spans


class _Metered:
    """Spans that are priced by what is counted of them."""

    wants_all = False

    def __init__(self, need: SpanNeed) -> None:
        self.matcher = _Matcher(need.match)
        self._need = need
        self._usage: MeteredUsage = metered_usage(need)

    def add(self, row: tuple[Any, ...], attributes: _Values | None) -> None:
        if attributes is not None:
            self._usage.add(attributes, max(0, row[7] or 0))

    def end_trace(self) -> None:
        pass

    def report(self, usage: SpanUsage) -> None:
        rule = self._need.rule.id
        usage.metered[rule] = self._usage.groups()
        if self._usage.incomplete:
            usage.oddities[rule, "quantity_incomplete"] = self._usage.incomplete


def _group(attributes: _Values, keys: tuple[str, ...]) -> Group:
    return tuple([text_of(attributes[key]) if key in attributes else "" for key in keys])


def _named(keys: tuple[str, ...], group: Group) -> dict[str, str]:
    return {key: value for key, value in zip(keys, group, strict=True) if value}


def _weigher(weight: str) -> Callable[[tuple[Any, ...], _Values], Fraction | int]:
    """Return what one span weighs: itself, or an attribute; as often as it stands for, where traces are sampled."""
    name = weight.removeprefix("sum:")

    def weigh(row: tuple[Any, ...], attributes: _Values) -> Fraction | int:
        value = attributes.get(name) if name != weight else 1
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
            return 0
        return int(value) * (adjusted_count(row[8]) if row[8] else 1)

    return weigh
