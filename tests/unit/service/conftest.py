"""What the tests of the service share."""

from __future__ import annotations

import random

import pytest
from prometheus_client import CollectorRegistry

from collector.pipeline.admission import ByteBudget
from collector.pipeline.observe import Meters
from collector.service.graph import House
from collector.service.supervisor import Supervisor
from tests.support.components import NoHttp
from tests.support.fake_clock import FakeClock
from tests.support.plan import Plan
from tests.support.recording_log import RecordingLog


@pytest.fixture
def recorded() -> RecordingLog:
    """A logger that keeps what it is told."""
    return RecordingLog.make()


@pytest.fixture
def plan() -> Plan:
    """Components that write down what happens to them."""
    return Plan()


@pytest.fixture
def house(recorded: RecordingLog) -> House:
    """What components share, with real threads and a clock that stands still."""
    return House(
        clock=FakeClock(),
        rng=random.Random(0),
        log=recorded.log,
        meters=Meters(CollectorRegistry()),
        budget=ByteBudget(1 << 30),
        http=NoHttp(),
        spawn=Supervisor(recorded.log).spawn,
    )
