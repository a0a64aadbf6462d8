"""`Trace`: the spans of a trace as a tree, whatever state they arrived in.

Parents may be missing (not sampled, not yet here, lost), there may be several roots, ids may occur twice, and a
broken client may have made a circle. Every span is in the tree exactly once, and the odd ones say what is odd.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from collector.query.results import Span

MISSING_PARENT = "its parent is not stored"
CIRCLE = "its ancestors lead back to it"
DUPLICATE = "another span has the same id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A span and the spans it is the parent of, in order of time. `oddity`: what is wrong with it, or ''."""

    span: Span
    children: tuple[Node, ...]
    oddity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A whole trace."""

    trace_id: str
    roots: tuple[Node, ...]
    spans: int

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Yield depth and node, parents before children. Any depth: no recursion."""
        stack = [(0, root) for root in reversed(self.roots)]
        while stack:
            depth, node = stack.pop()
            yield depth, node
            stack.extend((depth + 1, child) for child in reversed(node.children))

    @property
    def time_unix_nano(self) -> int:
        """The earliest start."""
        return min(node.span.time_unix_nano for _, node in self.walk())

    @property
    def duration_nano(self) -> int:
        """From the earliest start to the latest end."""
        return max(node.span.end_unix_nano for _, node in self.walk()) - self.time_unix_nano


def build_trace(trace_id: str, spans: Sequence[Span]) -> Trace:
    """Return the tree of `spans`, which are of one trace."""
    ordered = sorted(spans, key=lambda span: (span.time_unix_nano, span.span_id))
    place_of: dict[str, int] = {}  # the first span with an id is the one that children mean
    for place, span in enumerate(ordered):
        place_of.setdefault(span.span_id, place)
    parents: list[int | None] = [
        None if span.parent_span_id is None else place_of.get(span.parent_span_id) for span in ordered
    ]
    oddities = [_oddity(span, place, parents[place], place_of) for place, span in enumerate(ordered)]
    for place in _circle_breakers(parents):
        parents[place] = None
        oddities[place] = CIRCLE
    children: dict[int | None, list[int]] = {}
    for place, parent in enumerate(parents):
        children.setdefault(parent, []).append(place)
    nodes: dict[int, Node] = {}
    for place in reversed(_parents_first(children)):
        nodes[place] = Node(
            span=ordered[place],
            children=tuple(nodes[child] for child in children.get(place, ())),
            oddity=oddities[place],
        )
    roots = tuple(nodes[place] for place in children.get(None, ()))
    return Trace(trace_id=trace_id, roots=roots, spans=len(ordered))


def _oddity(span: Span, place: int, parent: int | None, place_of: dict[str, int]) -> str:
    if place_of[span.span_id] != place:
        return DUPLICATE
    if span.parent_span_id is not None and parent is None:
        return MISSING_PARENT
    return ""


def _circle_breakers(parents: Sequence[int | None]) -> list[int]:
    """The earliest span of each circle: with these made roots, there are no circles."""
    breakers: list[int] = []
    state = [0] * len(parents)  # 0 not seen, 1 on the present path, 2 done
    for beginning in range(len(parents)):
        path: list[int] = []
        place: int | None = beginning
        while place is not None and state[place] == 0:
            state[place] = 1
            path.append(place)
            place = parents[place]
        if place is not None and state[place] == 1:
            breakers.append(min(path[path.index(place) :]))
        for seen in path:
            state[seen] = 2
    return breakers


def _parents_first(children: dict[int | None, list[int]]) -> list[int]:
    order: list[int] = []
    stack = list(children.get(None, ()))
    while stack:
        place = stack.pop()
        order.append(place)
        stack.extend(children.get(place, ()))
    return order
