"""Self times: nested spans count once, waiting counts for nobody, and the order of a trace means nothing."""

from __future__ import annotations

import itertools
from fractions import Fraction

from collector.cost.selftime import Bounds, SpanTiming, adjusted_count, weights

INTERNAL, SERVER, CLIENT = 1, 2, 3
TRACE = b"t" * 16


def span(
    id_: str, parent: str, start: int, end: int, *, kind: int = INTERNAL, group: str | None = None, process: str = "p",
    count: Fraction | int = 1,
) -> SpanTiming[str]:  # fmt: skip
    return SpanTiming(TRACE, id_.encode(), parent.encode(), process, kind, start, end, group, count)


def test_nested_spans_of_a_process_count_once_and_for_their_entry() -> None:
    """100 in all, of which 30 were spent waiting for another process; in any order."""
    trace = [
        span("a", "", 0, 100, kind=SERVER, group="g"),
        span("b", "a", 10, 60),
        span("c", "b", 20, 50, kind=CLIENT),
        span("d", "c", 25, 45, kind=SERVER, group="h", process="q"),
    ]
    for order in itertools.permutations(trace):
        assert weights(order) == {"g": (70, 1), "h": (20, 1)}


def test_children_at_the_same_time_and_beyond_their_parent_are_taken_off_once() -> None:
    """The union of their intervals, as far as it lies within."""
    trace = [
        span("a", "", 0, 100, kind=SERVER, group="g"),
        span("b", "a", 10, 50, kind=CLIENT),
        span("c", "a", 30, 70, kind=CLIENT),
        span("d", "a", 90, 500, kind=CLIENT),
    ]
    assert weights(trace) == {"g": (30, 1)}


def test_a_nested_entry_is_on_its_own_account() -> None:
    """A consumer within a server's span is another group's."""
    trace = [
        span("a", "", 0, 100, kind=SERVER, group="g"),
        span("b", "a", 0, 40, kind=5, group="h"),
        span("c", "b", 10, 20),
    ]
    assert weights(trace) == {"g": (60, 1), "h": (40, 1)}


def test_a_client_span_counts_if_the_rule_is_about_it() -> None:
    """A database's cost is divided by its clients' spans."""
    assert weights([span("a", "", 0, 9, kind=CLIENT, group="g")]) == {"g": (9, 1)}
    assert weights([span("a", "", 0, 9, kind=SERVER), span("b", "a", 0, 5, kind=CLIENT, group="g")]) == {
        "g": (5, 1)
    }


def test_of_a_window_counts_what_lies_within() -> None:
    """Spans and the children that are taken off them are cut at its edges; an entry counts where it starts.

    `a` runs from 10 to 110, and waits from 40 to 60 for another process; `b` works in it from 20 to 30, and from 90 to
    130, when `a` has gone; `c` is another request's. At the edge of 50:

        0 to 50      a: 40 less 10 of b less 10 of waiting = 20, b 10: 30.  c: from 45, 5
        50 to 100    a: 50 less 10 of waiting less 10 of the second b = 30, b 10: 40.  c: until 55, 5
        100 to 150   a: 10, all of which is b's; b: 30
    """
    trace = [
        span("a", "", 10, 110, kind=SERVER, group="g"),
        span("w", "a", 40, 60, kind=CLIENT),
        span("b", "a", 20, 30),
        span("b2", "a", 90, 130),
        span("c", "", 45, 55, kind=SERVER, group="h"),
    ]
    windows = [weights(trace, Bounds(start, start + 50)) for start in range(0, 200, 50)]
    assert windows == [{"g": (30, 1), "h": (5, 1)}, {"g": (40, 0), "h": (5, 0)}, {"g": (30, 0)}, {}]
    assert weights(trace) == {"g": (100, 1), "h": (10, 1)}


def test_missing_parents_cycles_and_clocks_that_ran_back_do_no_harm() -> None:
    """They make roots, and no time."""
    trace = [
        span("a", "gone", 0, 10, kind=SERVER, group="g"),
        span("b", "c", 0, 5),
        span("c", "b", 0, 5),
        span("d", "d", 0, 7, group="h"),
        span("e", "", 9, 3, kind=SERVER, group="i"),
    ]
    assert weights(trace) == {"g": (10, 1), "h": (7, 1), "i": (0, 1)}


def test_traces_are_taken_one_by_one() -> None:
    """A stream of two."""
    other = span("a", "", 0, 3, kind=SERVER, group="g")._replace(trace_id=b"u" * 16)
    assert weights(iter([span("a", "", 0, 4, kind=SERVER, group="g"), other])) == {"g": (7, 2)}


def test_a_sampled_span_stands_for_others() -> None:
    """By the threshold in its tracestate: `c` rejects three in four."""
    assert adjusted_count("vendor=x,ot=rv:123;th:c") == 4
    assert adjusted_count("ot=th:8") == 2
    assert adjusted_count("") == adjusted_count("ot=th:zz") == adjusted_count("th:c") == 1
    trace = [
        span("a", "", 0, 100, kind=SERVER, group="g", count=adjusted_count("ot=th:c")),
        span("b", "a", 0, 50),
    ]
    assert weights(trace) == {"g": (400, 1)}
