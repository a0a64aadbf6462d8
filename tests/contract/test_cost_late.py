"""What arrives late, of traces that run through several windows, on every store; and writers that meet."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.accounting.book import Book
from collector.cost.record import ChargeClass, CostAttributionRecord, Level, Period
from collector.model.signal import Signal
from collector.storage.store import Store, store_for
from tests.contract.test_cost_runs import DAY, HOUR, SECOND, START, attribute, clock, content, telemetry
from tests.support.cost import billed
from tests.support.otlp_builder import span, spans_request
from tests.support.stores import put

MINUTE: Final = 60 * SECOND
EDGE: Final = START + HOUR
TRACE: Final = "5b8efff798038103d269b633813fc60c"
POD: Final = {"k8s.node.name": "n1", "k8s.pod.uid": "p0", "k8s.pod.label.team": "team-0"}


def put_span(
    store: Store, number: int, start: int, end: int, kind: Any, *, parent: int = 0, attrs: Any = None
) -> None:
    """A span of the trace over the edge, in minutes from it."""
    made = span(
        TRACE, f"{0xE0 + number:016x}", f"span {number}", EDGE + start * MINUTE, EDGE + end * MINUTE,
        parent=f"{0xE0 + parent:016x}" if parent else "", kind=kind, attrs=attrs,
    )  # fmt: skip
    put(store, Signal.TRACES, spans_request("assistant", [made], POD))


def put_entry(store: Store) -> None:
    """A request from ten minutes before the edge to ten after it."""
    put_span(store, 1, -10, 10, Span.SPAN_KIND_SERVER, attrs={"tenant.id": "slow"})


def put_child(store: Store) -> None:
    """It waits for another from six minutes before the edge to three after it."""
    put_span(store, 2, -6, 3, Span.SPAN_KIND_CLIENT, parent=1)


def put_work(store: Store) -> None:
    """It leaves work behind that goes on until twenty minutes after the edge."""
    put_span(store, 3, 12, 20, Span.SPAN_KIND_INTERNAL, parent=1)


def slow(store: Store) -> dict[int, Decimal]:
    """What the request cost in each hour."""
    costs: dict[int, Decimal] = {}
    for record in Book(store).read(DAY):
        if record.level is Level.REQUEST and record.subject.tenant == "slow":
            hour = (record.charge.charge_period.start_unix_nano - START) // HOUR
            costs[hour] = costs.get(hour, Decimal(0)) + (record.amounts.effective_cost or 0)
    return costs


@contextmanager
def fresh(path: Path) -> Iterator[Store]:
    """A store to which nothing came late."""
    with closing(store_for(f"sqlite:///{path}")) as made:
        made.open()
        made.migrate()
        telemetry(made, hours=3)
        for whole in (put_entry, put_child, put_work):
            whole(made)
        attribute(made)
        yield made


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ((put_entry,), (put_child, put_work)),
        ((put_child, put_work), (put_entry,)),
        ((put_entry, put_child), (put_work,)),
    ],
    ids=["its children", "the request itself", "what it left behind"],
)
def test_late_spans_over_an_edge_change_both_windows_and_no_other(
    store: Store, tmp_path: Path, early: Any, late: Any
) -> None:
    """As if they had been there: of 20 minutes and 8 of work, 4 count before the edge and 7 + 8 after it."""
    telemetry(store, hours=3)
    for earlier in early:
        earlier(store)
    attribute(store)
    for later in late:
        later(store)
    written = [report.written > 0 for report in attribute(store)]
    changed = late != (put_work,)  # that one is after the edge
    assert written == [changed, True, *[False] * 22]
    with fresh(tmp_path / "fresh.db") as other:
        assert content(store) == content(other)
    costs = slow(store)
    assert set(costs) == {0, 1}
    assert costs[1] / costs[0] == pytest.approx(Decimal(15) / 4, rel=Decimal("0.01"))
    assert [report.written for report in attribute(store)] == [0] * 24


def test_a_late_child_over_the_edge_of_closed_windows_is_corrected_in_both(
    store: Store, tmp_path: Path
) -> None:
    """What the request did not do is idle; nothing else changes, and the sums are those of a fresh store."""
    telemetry(store, hours=3)
    put_entry(store)
    put_work(store)
    attribute(store)
    before = Book(store).read(DAY)
    charged = slow(store)
    put_child(store)
    attribute(store, clock(20 * 24 * HOUR))
    after = Book(store).read(DAY)
    made = [record for record in after if record not in before]
    assert len(after) == len(before) + len(made)
    assert {record.charge.charge_class for record in made} == {ChargeClass.CORRECTION}
    assert {record.charge.charge_period.start_unix_nano for record in made} == {START, EDGE}
    assert sum(_cost(record) for record in made if record.level is Level.REQUEST) == 0
    assert all(cost < charged[hour] for hour, cost in slow(store).items())
    with fresh(tmp_path / "fresh.db") as other:
        assert slow(store) == slow(other)


def _cost(record: CostAttributionRecord) -> Decimal:
    return record.amounts.effective_cost or Decimal(0)


def test_who_writes_waits_for_another_who_is_at_it(lasting_store_url: str) -> None:
    """A second and a half, which is long beside what reading takes; nobody is told to come again."""
    line = replace(billed("node", "1", period=Period(START, EDGE)), recorded_unix_nano=START)
    with closing(store_for(lasting_store_url)) as one, closing(store_for(lasting_store_url)) as other:
        for each in (one, other):
            each.open()
            each.migrate()
        book = Book(other)
        assert book.write([line], book.page())
        telemetry(other, hours=1)
        begun = threading.Event()

        def hold() -> None:
            with one.parts(queue_id=Book.QUEUE, start=1, end=2):
                begun.set()
                time.sleep(1.5)

        holding = threading.Thread(target=hold)
        holding.start()
        assert begun.wait(10)
        reports = attribute(other)
        holding.join()
        assert sum(report.written for report in reports) > 0
