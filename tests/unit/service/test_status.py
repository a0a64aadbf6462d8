"""What components say about themselves."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from collector.pipeline.component import State
from collector.service.status import ComponentKey, ComponentMetrics, ComponentStatus, overall
from tests.support.fake_clock import FakeClock
from tests.support.recording_log import RecordingLog

EXPORTER = ComponentKey("exporter", "sqlite")


def make(log: RecordingLog, key: ComponentKey = EXPORTER) -> tuple[ComponentStatus, FakeClock]:
    clock = FakeClock()
    return ComponentStatus(key, clock, log.log), clock


def test_the_worst_component_is_the_service() -> None:
    """One exporter whose database is away makes the whole degraded."""
    assert overall([]) is State.STARTING
    assert overall([State.OK, State.STARTING]) is State.STARTING
    assert overall([State.OK, State.OK]) is State.OK
    assert overall([State.DEGRADED, State.OK]) is State.DEGRADED
    assert overall([State.DEGRADED, State.FAILED]) is State.FAILED


def test_a_change_is_logged_once(recorded: RecordingLog) -> None:
    """Components report as often as they like; the log has the beginning and the end."""
    status, _ = make(recorded)
    status.report(State.OK, "")
    for _ in range(3):
        status.report(State.DEGRADED, "database is away")
    status.report(State.OK, "")
    assert recorded.messages() == ["Component is not well.", "Component is well again."]


def test_since_is_when_the_state_began_not_when_it_was_last_reported(recorded: RecordingLog) -> None:
    """How long it has been so is the first thing one wants to know."""
    status, clock = make(recorded)
    status.report(State.DEGRADED, "first")
    began = clock.unix_nano()
    clock.advance(60)
    status.report(State.DEGRADED, "second")
    assert (status.current.message, status.current.since_unix_nano) == ("second", began)


def test_the_gauge_is_one_only_when_all_instances_are_ok(recorded: RecordingLog) -> None:
    """`collector_component_up` for alerts; of those that run when it is asked."""
    whole, _ = make(recorded)
    sender, _ = make(recorded, ComponentKey("exporter", "sqlite", "logs"))
    registry = CollectorRegistry()
    running = [whole, sender]
    registry.register(ComponentMetrics(lambda: running))

    def up() -> float | None:
        return registry.get_sample_value(
            "collector_component_up", {"kind": "exporter", "component": "sqlite"}
        )

    assert up() == 0
    whole.report(State.OK, "")
    assert up() == 0
    sender.report(State.OK, "")
    assert up() == 1
    sender.report(State.DEGRADED, "")
    assert up() == 0
    running.clear()
    assert up() is None


def test_nothing_is_heard_of_a_component_that_has_stopped(recorded: RecordingLog) -> None:
    """An attempt that outlives the shutdown must not make the end look like a failure."""
    status, _ = make(recorded)
    status.report(State.STOPPED, "all sent")
    status.report(State.DEGRADED, "database is locked")
    assert status.state is State.STOPPED
    assert recorded.messages() == []
