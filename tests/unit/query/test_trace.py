"""Traces as trees, however broken."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from collector.query.attributes import NO_ATTRIBUTES
from collector.query.results import Span
from collector.query.trace import CIRCLE, DUPLICATE, MISSING_PARENT, Trace, build_trace

IDS = [f"{number:016x}" for number in range(1, 9)]


def span(span_id: str, parent: str | None = None, time: int = 0, duration: int | None = 10) -> Span:
    """A span of which only its place matters."""
    return Span(
        trace_id="0" * 31 + "1",
        span_id=span_id,
        parent_span_id=parent,
        service_name="shop",
        name=span_id,
        kind="internal",
        time_unix_nano=time,
        duration_nano=duration,
        status="unset",
        status_message="",
        trace_state="",
        flags=0,
        attributes=NO_ATTRIBUTES,
        events=(),
        links=(),
        resource=NO_ATTRIBUTES,
        scope_name="",
        scope_version="",
    )


def shape(trace: Trace) -> list[tuple[int, str, str]]:
    """Depth, id and oddity, in the order shown."""
    return [(depth, node.span.span_id, node.oddity) for depth, node in trace.walk()]


def test_children_are_under_their_parent_in_order_of_time() -> None:
    """Whatever order they were stored in."""
    a, b, c, d = IDS[:4]
    spans = [span(d, b, 3), span(c, a, 2), span(a, None, 0), span(b, a, 1)]
    assert [(0, a, ""), (1, b, ""), (2, d, ""), (1, c, "")] == shape(build_trace("t", spans))


def test_a_span_whose_parent_is_missing_is_a_root_that_says_so() -> None:
    """Beside the real one."""
    a, b, c = IDS[:3]
    assert [(0, a, ""), (0, b, MISSING_PARENT)] == shape(build_trace("t", [span(a), span(b, c, 1)]))


def test_a_circle_is_cut_at_its_earliest_span() -> None:
    """And what hangs on the circle stays on it."""
    a, b, c, d = IDS[:4]
    spans = [span(a, c, 2), span(b, a, 1), span(c, b, 3), span(d, c, 4)]
    assert [(0, b, CIRCLE), (1, c, ""), (2, a, ""), (2, d, "")] == shape(build_trace("t", spans))


def test_a_span_that_is_its_own_parent_is_a_root() -> None:
    """The smallest circle."""
    assert [(0, IDS[0], CIRCLE)] == shape(build_trace("t", [span(IDS[0], IDS[0])]))


def test_of_spans_with_one_id_the_first_has_the_children() -> None:
    """The others are shown and marked."""
    a, b = IDS[:2]
    spans = [span(a, None, 5), span(a, None, 0), span(b, a, 6)]
    assert [(0, a, ""), (1, b, ""), (0, a, DUPLICATE)] == shape(build_trace("t", spans))


def test_a_trace_deeper_than_the_stack_is_built_and_walked() -> None:
    """No recursion anywhere."""
    count = 20_000
    spans = [span(f"{n + 1:016x}", f"{n:016x}" if n else None, n) for n in range(count)]
    trace = build_trace("t", spans)
    assert list(range(count)) == [depth for depth, _ in trace.walk()]


def test_a_trace_lasts_from_its_first_start_to_its_last_end() -> None:
    """Not as long as its root."""
    a, b = IDS[:2]
    trace = build_trace("t", [span(a, None, 100, 50), span(b, a, 90, 100)])
    assert (trace.time_unix_nano, trace.duration_nano) == (90, 100)


@given(
    st.lists(
        st.builds(
            span,
            st.sampled_from(IDS),
            st.none() | st.sampled_from(IDS),
            st.integers(0, 5),
            st.none() | st.integers(-3, 3),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(),
)
def test_every_span_is_in_the_tree_once_and_the_order_stored_does_not_matter(
    spans: list[Span], seed: int
) -> None:
    """For any parents at all."""
    trace = build_trace("t", spans)
    assert Counter(map(id, spans)) == Counter(id(node.span) for _, node in trace.walk())
    assert len(spans) == trace.spans
    shuffled = random.Random(seed).sample(spans, len(spans))
    times = sorted((s.time_unix_nano, s.span_id) for s in spans)
    if len(set(times)) == len(times):  # equal times and ids have no order
        assert shape(trace) == shape(build_trace("t", shuffled))
