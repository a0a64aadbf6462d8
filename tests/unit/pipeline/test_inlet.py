"""The place at which the way behind a receiver is exchanged."""

from __future__ import annotations

import threading

import pytest

from collector.model.errors import RetryableError
from collector.model.telemetry import Telemetry
from collector.pipeline.fanout import Fanout, handing_over
from collector.pipeline.inlet import Inlet
from tests.support.components import RecordingConsumer, bodies, logs


def test_what_comes_after_an_exchange_goes_the_new_way() -> None:
    """And what came before has gone the old one; nobody misses a request."""
    old, new = RecordingConsumer(), RecordingConsumer()
    inlet = Inlet(old)
    inlet.consume(logs("a"))
    way = inlet.exchange(new)
    inlet.consume(logs("b"))
    assert [bodies(data) for data in old.taken] == [["a"]]
    assert [bodies(data) for data in new.taken] == [["b"]]
    assert way.wait_until_empty(0.0)


def test_a_request_is_on_its_way_until_its_handover_is_complete() -> None:
    """What it reserved is appended at the end of the handover: until then the parts behind are needed."""
    inlet = Inlet(RecordingConsumer())
    with handing_over():
        inlet.consume(logs("a"))
        way = inlet.exchange(RecordingConsumer())
        assert not way.wait_until_empty(0.0)
    assert way.wait_until_empty(0.0)


def test_a_request_that_is_refused_is_through() -> None:
    """By the way itself, or by another branch of the handover."""
    inlet = Inlet(RecordingConsumer(error=RetryableError("full", reason="queue_full")))
    with pytest.raises(RetryableError):
        inlet.consume(logs("a"))
    assert inlet.exchange(RecordingConsumer()).wait_until_empty(0.0)
    full = RecordingConsumer(error=RetryableError("full", reason="queue_full"))
    inlet = Inlet(RecordingConsumer())
    with pytest.raises(RetryableError):
        Fanout([inlet, full]).consume(logs("a"))
    assert inlet.exchange(RecordingConsumer()).wait_until_empty(0.0)


class Slow:
    """Takes what it is given when it is let."""

    def __init__(self) -> None:
        self.entered, self.let = threading.Event(), threading.Event()
        self.taken: list[Telemetry] = []

    def consume(self, data: Telemetry, /) -> None:
        self.entered.set()
        assert self.let.wait(10)
        self.taken.append(data)


def test_a_request_under_way_goes_the_whole_of_the_old_way() -> None:
    """However long it takes; whoever wants to stop the parts of that way waits for it."""
    slow, new = Slow(), RecordingConsumer()
    inlet = Inlet(slow)
    thread = threading.Thread(target=inlet.consume, args=(logs("a"),))
    thread.start()
    assert slow.entered.wait(10)
    way = inlet.exchange(new)
    assert not way.wait_until_empty(0.01)
    slow.let.set()
    assert way.wait_until_empty(10)
    thread.join(10)
    assert len(slow.taken) == 1
    assert not new.taken
