"""What components say about themselves."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from collector.pipeline.component import State
from collector.pipeline.observe import Meters
from collector.service.status import ComponentKey, Statuses
from tests.support.fake_clock import FakeClock
from tests.support.recording_log import RecordingLog

EXPORTER = ComponentKey("exporter", "sqlite")
RECEIVER = ComponentKey("receiver", "otlp")


def make() -> tuple[Statuses, FakeClock, CollectorRegistry]:
    clock, registry = FakeClock(), CollectorRegistry()
    return Statuses(clock, Meters(registry)), clock, registry


def test_the_worst_component_is_the_service(recorded: RecordingLog) -> None:
    """One exporter whose database is away makes the whole degraded."""
    statuses, _, _ = make()
    exporter = statuses.reporter(EXPORTER, recorded.log)
    receiver = statuses.reporter(RECEIVER, recorded.log)
    assert statuses.overall() is State.STARTING
    exporter(State.OK, "")
    receiver(State.OK, "")
    assert statuses.overall() is State.OK
    exporter(State.DEGRADED, "database is away")
    assert statuses.overall() is State.DEGRADED
    receiver(State.FAILED, "port lost")
    assert statuses.overall() is State.FAILED


def test_a_change_is_logged_once(recorded: RecordingLog) -> None:
    """Components report as often as they like; the log has the beginning and the end."""
    statuses, _, _ = make()
    report = statuses.reporter(EXPORTER, recorded.log)
    report(State.OK, "")
    for _ in range(3):
        report(State.DEGRADED, "database is away")
    report(State.OK, "")
    assert recorded.messages() == ["Component is not well.", "Component is well again."]


def test_since_is_when_the_state_began_not_when_it_was_last_reported(recorded: RecordingLog) -> None:
    """How long it has been so is the first thing one wants to know."""
    statuses, clock, _ = make()
    report = statuses.reporter(EXPORTER, recorded.log)
    report(State.DEGRADED, "first")
    began = clock.unix_nano()
    clock.advance(60)
    report(State.DEGRADED, "second")
    status = statuses.all()[EXPORTER]
    assert (status.message, status.since_unix_nano) == ("second", began)


def test_the_gauge_is_one_only_when_ok(recorded: RecordingLog) -> None:
    """`collector_component_up` for alerts."""
    statuses, _, registry = make()
    labels = {"kind": "exporter", "component": "sqlite"}
    report = statuses.reporter(EXPORTER, recorded.log)
    assert registry.get_sample_value("collector_component_up", labels) == 0
    report(State.OK, "")
    assert registry.get_sample_value("collector_component_up", labels) == 1
    report(State.DEGRADED, "")
    assert registry.get_sample_value("collector_component_up", labels) == 0


def test_nothing_is_heard_of_a_component_that_has_stopped(recorded: RecordingLog) -> None:
    """An attempt that outlives the shutdown must not make the end look like a failure."""
    statuses, _, _ = make()
    report = statuses.reporter(EXPORTER, recorded.log)
    report(State.STOPPED, "all sent")
    report(State.DEGRADED, "database is locked")
    assert statuses.state(EXPORTER) is State.STOPPED
    assert recorded.messages() == []
