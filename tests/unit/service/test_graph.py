"""From configuration to connected parts."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from collector.config.diagnostics import ConfigError
from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import (
    StartError,
    State,
)
from collector.service.build import build
from collector.service.graph import Graph, House
from collector.service.status import overall
from tests.support.components import logs
from tests.support.eventually import eventually
from tests.support.plan import CHAIN, Plan, configured
from tests.support.recording_log import RecordingLog


def states(graph: Graph) -> set[State]:
    return {status.state for status in graph.statuses()}


def stop(graph: Graph, house: House) -> bool:
    return graph.stop(house.clock.monotonic() + 5)


def test_data_passes_the_processors_in_the_order_of_the_file(plan: Plan, house: House) -> None:
    """And reaches the exporter, through its queue."""
    graph = build(configured(plan, CHAIN), house)
    graph.start()
    plan.calls.clear()
    plan.receivers["in"][Signal.LOGS].consume(logs("a", "b"))
    assert plan.calls == ["consume mid/1", "consume mid/2"]
    assert stop(graph, house)
    assert plan.exporters["out"].delivered() == ["a", "b"]


def test_what_is_behind_starts_first_and_stops_last(plan: Plan, house: House) -> None:
    """No part is ever alive with a dead one behind it."""
    graph = build(configured(plan, CHAIN), house)
    assert plan.calls == []
    graph.start()
    assert plan.calls == ["start out", "start mid/2", "start mid/1", "start in"]
    plan.calls.clear()
    assert stop(graph, house)
    assert plan.calls == ["stop in", "stop mid/1", "stop mid/2", "stop out"]


def test_the_same_receiver_feeds_every_pipeline_that_names_it(plan: Plan, house: House) -> None:
    """One instance; each pipeline with a processor of its own; one queue per exporter and signal."""
    text = """
receivers: {in: {}}
processors: {mid: {}}
exporters: {out: {}, out/2: {}}
service:
  pipelines:
    logs: {receivers: [in], processors: [mid], exporters: [out]}
    logs/2: {receivers: [in], processors: [mid], exporters: [out/2]}
    traces: {receivers: [in], exporters: [out, out/2]}
"""
    graph = build(configured(plan, text), house)
    assert list(plan.receivers) == ["in"]
    assert set(plan.receivers["in"]) == {Signal.LOGS, Signal.TRACES}
    assert len(graph.processors) == 2
    assert len(graph.senders) == 4
    graph.start()
    plan.receivers["in"][Signal.LOGS].consume(logs("a"))
    assert stop(graph, house)
    assert plan.exporters["out"].delivered() == ["a"] == plan.exporters["out/2"].delivered()


def test_two_pipelines_share_the_queue_of_an_exporter(plan: Plan, house: House) -> None:
    """Positions are per exporter and signal, so there must be one queue for both."""
    text = """
receivers: {in: {}, in/2: {}}
exporters: {out: {}}
service:
  pipelines:
    logs: {receivers: [in], exporters: [out]}
    logs/2: {receivers: [in/2], exporters: [out]}
"""
    graph = build(configured(plan, text), house)
    assert len(graph.senders) == 1
    assert plan.made == ["out"]


def test_a_full_queue_keeps_a_request_out_of_the_other_one(plan: Plan, house: House) -> None:
    """Or the client's retry would be stored twice by the exporter that had room."""
    text = """
receivers: {in: {}}
exporters:
  out: {}
  out/small: {sending_queue: {queue_size: 1MiB}}
service: {pipelines: {logs: {receivers: [in], exporters: [out, out/small]}}}
"""
    graph = build(configured(plan, text), house)  # not started: nothing leaves the queues
    entry = plan.receivers["in"][Signal.LOGS]
    entry.consume(logs("x" * 900_000))
    assert graph.writable()
    with pytest.raises(RetryableError):
        entry.consume(logs("y" * 900_000))
    assert [sender.queue.items for sender in graph.senders.values()] == [1, 1]


def test_components_that_no_pipeline_names_are_not_made(plan: Plan, house: House) -> None:
    """They are configured, not used."""
    text = CHAIN.replace("exporters: {out: {}}", "exporters: {out: {}, out/idle: {}}", 1)
    build(configured(plan, text), house)
    assert list(plan.exporters) == ["out"]


def test_a_failed_start_stops_what_had_started(plan: Plan, house: House) -> None:
    """A port in use must not leave threads behind."""
    graph = build(configured(plan, CHAIN.replace("mid/1: {}", "mid/1: {fails: true}")), house)
    with pytest.raises(StartError):
        graph.start()
    assert "start in" not in plan.calls
    assert plan.calls[-1] == "stop out"
    assert states(graph) == {State.STOPPED}


def test_one_part_that_fails_to_stop_does_not_keep_the_others_from_it(
    plan: Plan, house: House, recorded: RecordingLog
) -> None:
    """What is in the queue is delivered all the same, and the failure is told."""
    graph = build(configured(plan, CHAIN.replace("mid/1: {}", "mid/1: {fails: true}")), house)
    for sender in graph.senders.values():
        sender.component.start()
    plan.receivers["in"][Signal.LOGS].consume(logs("a"))
    assert not stop(graph, house)
    assert plan.exporters["out"].delivered() == ["a"]
    assert plan.calls[-1] == "stop out"
    assert "A component failed to stop." in recorded.messages("error")


def test_the_batch_processor_sets_the_limits_of_the_queues_behind_it(plan: Plan, house: House) -> None:
    """And only of those: a pipeline without one has the default."""
    text = """
receivers: {in: {}}
processors: {batch: {timeout: 7s}}
exporters: {out: {}}
service:
  pipelines:
    logs: {receivers: [in], processors: [batch], exporters: [out]}
    traces: {receivers: [in], exporters: [out]}
"""
    graph = build(configured(plan, text), house)
    intervals = {signal: sender.limits.interval_s for (_, signal), sender in graph.senders.items()}
    assert intervals == {Signal.LOGS: 7.0, Signal.TRACES: BatchLimits().interval_s}


def test_no_two_collectors_send_at_the_same_interval(plan: Plan, house: House) -> None:
    """They would all come to their database at the same instants."""
    text = CHAIN.replace("out: {}", "out: {sending_queue: {batch: {flush_timeout: 7s}}}")
    houses = [replace(house, rng=random.Random(seed)) for seed in (1, 1, 2)]
    graphs = [build(configured(plan, text), each) for each in houses]
    first, same, other = (
        sender.component._limits.interval_s for graph in graphs for sender in graph.senders.values()
    )
    assert first == same != other
    assert all(6.3 <= interval <= 7.0 for interval in (first, other))


def test_two_pipelines_that_batch_one_queue_differently_are_a_config_error(plan: Plan) -> None:
    """One of them would silently lose."""
    text = """
receivers: {in: {}}
processors: {batch: {timeout: 7s}, batch/fast: {timeout: 100ms}}
exporters: {out: {}}
service:
  pipelines:
    logs: {receivers: [in], processors: [batch], exporters: [out]}
    logs/fast: {receivers: [in], processors: [batch/fast], exporters: [out]}
"""
    with pytest.raises(ConfigError) as caught:
        configured(plan, text)
    assert "pipelines 'logs' and 'logs/fast' share the queue of exporter 'out'" in caught.value.render()


def test_every_part_that_runs_is_ok(plan: Plan, house: House) -> None:
    """A component that has nothing to report need not."""
    graph = build(configured(plan, CHAIN), house)
    assert overall(states(graph)) is State.STARTING
    graph.start()
    eventually(lambda: overall(states(graph)) is State.OK)
    stop(graph, house)
    assert states(graph) == {State.STOPPED}


def test_what_goes_into_and_comes_out_of_processors_is_counted(plan: Plan, house: House) -> None:
    """Under otelcol's names, per processor and signal."""
    graph = build(configured(plan, CHAIN), house)
    graph.start()
    plan.receivers["in"][Signal.LOGS].consume(logs("a", "b"))
    counters = (house.meters.processor_incoming_items, house.meters.processor_outgoing_items)
    counted = [
        counter.labels(processor, "logs")._value.get()
        for processor in ("mid/1", "mid/2")
        for counter in counters
    ]
    assert counted == [2, 2, 2, 2]
    assert stop(graph, house)
