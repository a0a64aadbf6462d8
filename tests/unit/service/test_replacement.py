"""A graph in the place of another."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from collector.model.signal import Signal
from collector.pipeline.component import StartError, State
from collector.pipeline.fanout import handing_over
from collector.service.build import build
from collector.service.graph import Graph, House
from collector.service.replacement import Replacement
from tests.support.components import bodies, logs
from tests.support.eventually import eventually
from tests.support.plan import CHAIN, Plan, configured


def begin(plan: Plan, house: House, text: str = CHAIN) -> Graph:
    graph = build(configured(plan, text), house)
    graph.start()
    plan.calls.clear()
    return graph


def replace(
    plan: Plan, house: House, old: Graph, text: str, others: Sequence[Replacement] = ()
) -> tuple[Graph, Replacement]:
    replacement = Replacement(old, build(configured(plan, text), house, old))
    graph = replacement.begin(others)
    replacement.retire(house.clock.monotonic() + 5)
    eventually(replacement.finished)
    return graph, replacement


def stop(graph: Graph, house: House) -> None:
    assert graph.stop(house.clock.monotonic() + 5)


def test_what_has_not_changed_stays_and_is_not_touched(plan: Plan, house: House) -> None:
    """Neither receiver nor exporter: only the processors between them are new."""
    old = begin(plan, house)
    text = CHAIN.replace("mid/1: {}", "mid/1: {timeout: 1s}")
    graph, _ = replace(plan, house, old, text)
    assert (
        graph.receivers[next(iter(graph.receivers))].component is next(iter(old.receivers.values())).component
    )
    assert plan.made == ["out"]
    assert plan.calls == ["start mid/2", "start mid/1", "stop mid/1", "stop mid/2"]
    plan.calls.clear()
    plan.receivers["in"][Signal.LOGS].consume(logs("a"))
    assert plan.calls == ["consume mid/1", "consume mid/2"]
    stop(graph, house)
    assert plan.exporters["out"].delivered() == ["a"]


def test_a_receiver_that_stays_feeds_the_new_processors(plan: Plan, house: House) -> None:
    """Of which there may be fewer."""
    graph, _ = replace(plan, house, begin(plan, house), CHAIN.replace("[mid/1, mid/2]", "[mid/2]"))
    plan.calls.clear()
    plan.receivers["in"][Signal.LOGS].consume(logs("a"))
    assert plan.calls == ["consume mid/2"]
    stop(graph, house)


def test_a_changed_exporter_takes_over_the_queue_and_stops_when_its_last_attempt_is_over(
    plan: Plan, house: House
) -> None:
    """New before old, and everything that waits goes to the new one."""
    old = begin(plan, house)
    first = plan.exporters["out"]
    plan.receivers["in"][Signal.LOGS].consume(logs("a"))
    eventually(lambda: first.delivered() == ["a"] or house.clock.advance(1.0))  # type: ignore[attr-defined]
    graph, _ = replace(plan, house, old, CHAIN.replace("out: {}", "out: {timeout: 7s}"))
    second = plan.exporters["out"]
    assert second is not first
    assert [call for call in plan.calls if call.endswith("out")] == ["start out", "stop out"]
    plan.receivers["in"][Signal.LOGS].consume(logs("b"))
    stop(graph, house)
    assert (first.delivered(), second.delivered()) == (["a"], ["b"])


def test_an_exporter_whose_queue_or_retries_change_stays(plan: Plan, house: House) -> None:
    """Those belong to the sender: connections are kept, and so is what a memory store holds."""
    text = CHAIN.replace(
        "out: {}", "out: {sending_queue: {queue_size: 2MiB}, retry_on_failure: {max_interval: 9s}}"
    )
    graph, _ = replace(plan, house, begin(plan, house), text)
    assert plan.made == ["out"]
    assert [sender.queue.capacity for sender in graph.senders.values()] == [2 << 20]
    stop(graph, house)


def test_a_removed_exporter_drains_and_stops(plan: Plan, house: House) -> None:
    """What was acknowledged for it is delivered to it."""
    two = CHAIN.replace("exporters: {out: {}}", "exporters: {out: {}, out/2: {}}").replace(
        "exporters: [out]", "exporters: [out, out/2]"
    )
    old = begin(plan, house, two)
    plan.receivers["in"][Signal.LOGS].consume(logs("a"))
    graph, _ = replace(plan, house, old, CHAIN)
    assert plan.exporters["out/2"].delivered() == ["a"]
    assert "stop out/2" in plan.calls
    assert "stop out" not in plan.calls
    assert [str(name) for name, _ in graph.senders] == ["out"]
    stop(graph, house)


def test_a_receiver_with_another_pipeline_is_a_new_one(plan: Plan, house: House) -> None:
    """It has to answer for another signal; it starts before the one before it stops."""
    text = CHAIN.replace("pipelines: {", "pipelines: {traces: {receivers: [in], exporters: [out]}, ")
    graph, _ = replace(plan, house, begin(plan, house), text)
    receiver_calls = [call for call in plan.calls if call.endswith(" in")]
    assert receiver_calls == ["start in", "stop in"]
    assert set(plan.receivers["in"]) == {Signal.LOGS, Signal.TRACES}
    stop(graph, house)


def test_if_something_cannot_start_nothing_has_changed(plan: Plan, house: House) -> None:
    """What did start is stopped again, and the old graph has never stopped serving."""
    old = begin(plan, house)
    first = plan.exporters["out"]
    text = CHAIN.replace("mid/1: {}", "mid/1: {fails: true}").replace("out: {}", "out: {timeout: 7s}")
    replacement = Replacement(old, build(configured(plan, text), house, old))
    with pytest.raises(StartError):
        replacement.begin([])
    assert plan.calls[0] == "start out"
    assert plan.calls[-1] == "stop out"
    assert "stop in" not in plan.calls
    plan.receivers["in"][Signal.LOGS].consume(logs("a"))
    stop(old, house)
    assert first.delivered() == ["a"]
    assert {status.state for status in old.statuses()} == {State.STOPPED}


def test_a_request_under_way_is_taken_whole_by_the_graph_it_began_in(plan: Plan, house: House) -> None:
    """Processors and exporters that go are not stopped under it."""
    old = begin(plan, house)
    inlet = next(iter(old.receivers.values())).inlets[Signal.LOGS]
    new = build(configured(plan, CHAIN.replace("mid/1", "mid/3")), house, old)
    replacement = Replacement(old, new)
    with handing_over():
        inlet.consume(logs("a"))
        graph = replacement.begin([])
        replacement.retire(house.clock.monotonic() + 5)
        assert "stop mid/1" not in plan.calls
    eventually(replacement.finished)
    assert "stop mid/1" in plan.calls
    stop(graph, house)
    assert plan.exporters["out"].delivered() == ["a"]
    assert bodies(plan.exporters["out"].batches[0].records[0]) == ["a"]
