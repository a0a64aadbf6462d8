"""Self times of windows add up to those of the whole, wherever the edges are."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cost.selftime import Bounds, SpanTiming, weights

NAMES = ("a", "b", "c", "d", "e", "f")
EDGE = st.integers(0, 120)
SPANS = st.lists(
    st.builds(
        lambda id_, parent, process, kind, start, length, group, count: SpanTiming(
            b"t", id_.encode(), parent.encode(), process, kind, start, start + length, group, count
        ),
        st.sampled_from(NAMES),
        st.sampled_from([*NAMES, ""]),
        st.sampled_from("pq"),
        st.integers(0, 5),
        st.integers(0, 100),
        st.integers(-5, 100),
        st.sampled_from(["g", "h", None]),
        st.sampled_from([1, 4]),
    ),
    max_size=8,
)


@settings(max_examples=300)
@given(spans=SPANS, edges=st.lists(EDGE, max_size=4, unique=True))
def test_windows_add_up_to_the_whole(spans: list[SpanTiming[str]], edges: list[int]) -> None:
    """Nanoseconds and entries of every group; whatever order the spans of a window come in."""
    whole = weights(spans)
    found: dict[str, tuple[int, int]] = {}
    for start, end in pairwise([0, *sorted(edge for edge in edges if edge), 1000]):
        bounds = Bounds(start, end)
        part = weights(spans, bounds)
        unique = {(span.span_id, span.process): span for span in spans}
        assert weights(reversed(list(unique.values())), bounds) == part
        for group, (nanoseconds, entries) in part.items():
            known = found.get(group, (0, 0))
            found[group] = (known[0] + nanoseconds, known[1] + entries)
    assert found == whole
