"""Requests with the same bytes that come while the first of them is being taken."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.receivers.otlp.config import OtlpReceiverConfig, ProtocolsConfig
from collector.receivers.otlp.intake import Arrival, First, Intake, Pending, Taken
from collector.wire.errors import MalformedError
from tests.support import samples
from tests.support.components import make_house
from tests.support.fake_clock import FakeClock

BODY = samples.logs().SerializeToString()


class Destination:
    """A consumer that holds what it is given until it is told to go on, and then does as it was told."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.error: Exception | None = None
        self.taken = 0

    def consume(self, data: Telemetry, /) -> None:
        """See `Consumer`."""
        self.reached.set()
        assert self.go_on.wait(10)
        if self.error is not None:
            raise self.error
        self.taken += data.items


class Bench:
    """An intake of logs, and the first request in the middle of it."""

    def __init__(self, body: bytes = BODY) -> None:
        self.destination = Destination()
        self.intake = Intake(
            make_house("otlp", "receiver", clock=FakeClock(unix_nano=samples.NOW_UNIX_NANO)).settings,
            OtlpReceiverConfig(protocols=ProtocolsConfig()),
            {Signal.LOGS: self.destination},
        )
        self.outcome: Taken | Exception | None = None
        self.body = body
        self._thread = threading.Thread(target=self._enter, daemon=True)

    def _enter(self) -> None:
        try:
            entered = self.enter()
            assert isinstance(entered, Pending)
            self.outcome = entered.finish()
        except Exception as error:  # noqa: BLE001  looked at by the test
            self.outcome = error

    def enter(self, body: bytes | None = None, *, json: bool = False) -> Pending | First:
        """Another request."""
        return self.intake.enter(Arrival(Signal.LOGS, body or self.body, json, "http", None))

    def begin(self) -> None:
        """Bring the first to its destination."""
        self._thread.start()
        assert self.destination.reached.wait(10)

    def end(self, error: Exception | None = None) -> Taken | Exception | None:
        """Let the destination take it, or refuse it."""
        self.destination.error = error
        self.destination.go_on.set()
        self._thread.join(10)
        return self.outcome


def _follow(first: Pending | First) -> tuple[First, list[str]]:
    assert isinstance(first, First)
    told: list[str] = []
    note: Callable[[], None] = lambda: told.append(threading.current_thread().name)  # noqa: E731
    first.then(note)
    return first, told


def test_who_comes_meanwhile_is_told_when_it_is_taken() -> None:
    """No thread waits for it; and then both are acknowledged, and it is stored once."""
    bench = Bench()
    bench.begin()
    first, told = _follow(bench.enter())
    assert not told
    bench.end()
    assert len(told) == 1
    assert first.handover is not None
    again = bench.enter()
    assert isinstance(again, Pending)
    assert "not taken twice" in again.finish().message
    assert bench.destination.taken == 8
    first.then(lambda: told.append("at once"))
    assert told[1:] == ["at once"]


def test_a_refusal_for_ever_is_that_of_all_of_them() -> None:
    """Nobody finds out again what is wrong with it."""
    bench = Bench()
    bench.begin()
    first, told = _follow(bench.enter())
    refusal = MalformedError("it is no such thing")
    assert bench.end(refusal) is refusal
    assert told
    assert first.refusal is refusal


def test_a_refusal_for_now_is_its_own() -> None:
    """Who comes again is a first one itself, and may be taken."""
    bench = Bench()
    bench.begin()
    first, told = _follow(bench.enter())
    assert isinstance(bench.end(RetryableError("not now", reason="queue_full")), RetryableError)
    assert told
    assert first.refusal is None
    assert first.handover is None
    bench.destination.error = None
    entered = bench.enter()
    assert isinstance(entered, Pending)
    assert entered.finish() == Taken()


def test_what_is_malformed_as_protobuf_may_be_well_as_json() -> None:
    """The same bytes under another content type are another request."""
    bench = Bench(b'{"resourceLogs":[]}')
    with pytest.raises(PermanentError):
        bench.enter()
    entered = bench.enter(json=True)
    assert isinstance(entered, Pending)
    assert entered.finish() == Taken()
