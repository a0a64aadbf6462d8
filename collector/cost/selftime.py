"""How much of a process's time each request took: self times, trace by trace.

A span's self time is its duration without the time in which one of its children in the same process ran. So nested
spans count once. The self times of a request's spans in one process belong to the group of its entry, the nearest
ancestor in that process that the rule matches. Time in CLIENT and PRODUCER spans counts for nobody, since their process
waits, unless they are entries themselves: a rule about a database's clients.
A parent that is missing, or in another process, makes its child a root.

Of a window counts what lies within: spans, and the children that are taken off them, are cut at its edges. So the times of
neighbouring windows add up to those of the whole, as long as each is given all spans of the traces that run into it.
An entry counts where it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from fractions import Fraction
from itertools import groupby
from operator import attrgetter
from typing import Final, Generic, NamedTuple, TypeVar

Group = TypeVar("Group", bound=Hashable)

_WAITING: Final = frozenset((3, 4))  # CLIENT, PRODUCER (opentelemetry-proto, Span.SpanKind)
_THRESHOLD_MAX: Final = 2**56


class SpanTiming(NamedTuple, Generic[Group]):
    """What has to be known of a span. `group` is None if it is not an entry."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    process: Hashable  # the same for spans of one process
    kind: int  # as in OTLP
    start_unix_nano: int
    end_unix_nano: int
    group: Group | None
    adjusted_count: Fraction | int = 1  # how many spans it stands for, where traces are sampled


class Bounds(NamedTuple):
    """A stretch of time, ns since 1970: the start belongs to it, the end does not."""

    start_unix_nano: int
    end_unix_nano: int

    def length_of(self, start: int, end: int) -> int:
        """Return how much of a time lies within, ns."""
        return max(0, min(end, self.end_unix_nano) - max(start, self.start_unix_nano))


EVER: Final = Bounds(0, 2**64)


def weights(spans: Iterable[SpanTiming[Group]], bounds: Bounds = EVER) -> dict[Group, tuple[int, int]]:
    """Return (nanoseconds, entries) by group, of those that have any.

    Args:
        spans: Those of a trace one after the other, in any order within it; memory is that of the largest trace.
        bounds: What counts.
    """
    found: dict[Group, tuple[int, int]] = {}
    by_trace: Callable[[SpanTiming[Group]], bytes] = attrgetter("trace_id")
    for _, trace in groupby(spans, by_trace):
        for group, nanoseconds, entries in _trace_weights(list(trace), bounds):
            if not (nanoseconds or entries):
                continue
            known = found.get(group, (0, 0))
            found[group] = (known[0] + nanoseconds, known[1] + entries)
    return found


def adjusted_count(tracestate: str) -> Fraction | int:
    """Return how many spans a sampled one stands for: by the threshold in `ot=th:…`, else 1.

    See the OpenTelemetry specification, "TraceState: Probability Sampling".
    """
    for member in tracestate.split(","):
        vendor, _, entries = member.strip().partition("=")
        if vendor != "ot":
            continue
        for entry in entries.split(";"):
            key, _, value = entry.partition(":")
            if key == "th" and 0 < len(value) <= 14 and all(c in "0123456789abcdef" for c in value):
                rejected = int(value.ljust(14, "0"), 16)
                return Fraction(_THRESHOLD_MAX, _THRESHOLD_MAX - rejected)
    return 1


def _trace_weights(spans: list[SpanTiming[Group]], bounds: Bounds) -> Iterator[tuple[Group, int, int]]:
    """Yield (group, nanoseconds, entries) for the spans of one trace."""
    if len(spans) == 1:
        span = spans[0]
        if span.group is not None:
            own = bounds.length_of(span.start_unix_nano, span.end_unix_nano)
            yield span.group, _adjusted(own, span.adjusted_count), _begins(span, bounds)
        return
    by_id = {(span.span_id, span.process): span for span in spans}
    children: dict[tuple[bytes, Hashable], list[SpanTiming[Group]]] = {}
    for span in by_id.values():
        parent = (span.parent_span_id, span.process)
        if parent in by_id and span.parent_span_id != span.span_id:
            children.setdefault(parent, []).append(span)
    entries: dict[tuple[bytes, Hashable], SpanTiming[Group] | None] = {}
    for key, span in by_id.items():
        entry = _entry(key, by_id, entries)
        if span.group is not None:
            yield span.group, 0, _begins(span, bounds)
        if entry is not None and entry.group is not None and (span.kind not in _WAITING or span is entry):
            own = _self_time(span, children.get(key, []), bounds)
            yield entry.group, _adjusted(own, entry.adjusted_count), 0


def _entry(
    key: tuple[bytes, Hashable],
    by_id: dict[tuple[bytes, Hashable], SpanTiming[Group]],
    entries: dict[tuple[bytes, Hashable], SpanTiming[Group] | None],
) -> SpanTiming[Group] | None:
    """Return the entry of a span: itself or the nearest ancestor in its process that is one."""
    path: list[tuple[bytes, Hashable]] = []
    found: SpanTiming[Group] | None = None
    while key in by_id and key not in entries:
        path.append(key)
        entries[key] = None  # ends a cycle
        span = by_id[key]
        if span.group is not None:
            found = span
            break
        key = (span.parent_span_id, span.process)
    else:
        found = entries.get(key)
    for step in path:
        entries[step] = found
    return found


def _self_time(span: SpanTiming[Group], children: list[SpanTiming[Group]], bounds: Bounds) -> int:
    """Return the duration less the union of the children's, as far as they lie within; of both, what is in `bounds`."""
    start = max(span.start_unix_nano, bounds.start_unix_nano)
    end = min(span.end_unix_nano, bounds.end_unix_nano)
    own = max(0, end - start)
    covered_until = start
    for begin, stop in sorted((child.start_unix_nano, child.end_unix_nano) for child in children):
        begin, stop = max(begin, covered_until), min(stop, end)
        if stop > begin:
            own -= stop - begin
            covered_until = stop
    return own


def _begins(span: SpanTiming[Group], bounds: Bounds) -> int:
    return int(bounds.start_unix_nano <= span.start_unix_nano < bounds.end_unix_nano)


def _adjusted(nanoseconds: int, count: Fraction | int) -> int:
    return nanoseconds if count == 1 else round(nanoseconds * count)
