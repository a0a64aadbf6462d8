"""`EncodingAhead`: what is made ahead is what would have been made, and nothing else is lost by it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import pytest

from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Batch, Thread
from collector.storage.encoding_ahead import EncodingAhead
from collector.storage.rows import Encoded

QUEUE = UUID(int=1)


class Encoder:
    """Says what it encodes, and in which thread. `gate`: what it waits for."""

    def __init__(self) -> None:
        self.encoded: list[tuple[bytes, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.failing = False

    def encode(self, payloads: Sequence[bytes]) -> Encoded:
        assert self.gate.wait(10.0)
        self.encoded.append((payloads[0], threading.current_thread().name))
        if self.failing:
            raise ValueError(payloads[0])
        return Encoded(signal=Signal.LOGS, items=len(payloads), dimensions={}, facts={})


def batch(number: int, *, queue_id: UUID = QUEUE) -> Batch:
    records = (Telemetry(Signal.LOGS, b"%d" % number, 1),)
    return Batch(Signal.LOGS, records, queue_id, number - 1, number)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def ahead(encoder: Encoder) -> Iterator[EncodingAhead]:
    def spawn(body: Callable[[], None]) -> Thread:
        thread = threading.Thread(target=body, name="ahead", daemon=True)
        thread.start()
        return thread

    ahead = EncodingAhead(encoder, spawn)
    yield ahead
    ahead.stop()


def test_the_expected_batch_is_encoded_once_and_by_the_thread(ahead: EncodingAhead, encoder: Encoder) -> None:
    """As soon as `begin` says so."""
    ahead.expect(batch(2))
    first = ahead.encode(batch(1))
    ahead.begin()
    second = ahead.encode(batch(2))
    assert second is not first
    assert [(payload, name == "ahead") for payload, name in encoder.encoded] == [(b"1", False), (b"2", True)]


@pytest.mark.parametrize("other", [batch(3), batch(2, queue_id=UUID(int=2))])
def test_another_batch_is_encoded_as_ever(ahead: EncodingAhead, encoder: Encoder, other: Batch) -> None:
    """What was made ahead is forgotten then, and never taken for another one's."""
    ahead.expect(batch(2))
    ahead.begin()
    ahead.encode(other)
    assert [payload for payload, _ in encoder.encoded] == [b"2", other.records[0].payload]
    ahead.encode(batch(2))
    assert len(encoder.encoded) == 3


def test_the_encoder_is_never_used_by_two_at_once(ahead: EncodingAhead, encoder: Encoder) -> None:
    """Who needs it waits until the thread is done."""
    encoder.gate.clear()
    ahead.expect(batch(2))
    ahead.begin()
    threading.Timer(0.05, encoder.gate.set).start()
    ahead.encode(batch(1))
    assert [name == "ahead" for _, name in encoder.encoded] == [True, False]


def test_a_failure_is_met_again_when_its_turn_comes(ahead: EncodingAhead, encoder: Encoder) -> None:
    """By the sender, which knows what to do about it; the thread lives on."""
    encoder.failing = True
    ahead.expect(batch(2))
    ahead.begin()
    with pytest.raises(ValueError, match="2"):
        ahead.encode(batch(2))
    encoder.failing = False
    ahead.expect(batch(3))
    ahead.begin()
    ahead.encode(batch(3))
    assert encoder.encoded[-1] == (b"3", "ahead")


def test_only_what_is_expected_is_begun_and_only_one(ahead: EncodingAhead, encoder: Encoder) -> None:
    """`begin` without `expect` does nothing, and nothing is begun beside what was."""
    ahead.begin()
    ahead.expect(batch(2))
    ahead.begin()
    ahead.expect(batch(3))
    ahead.begin()
    ahead.encode(batch(2))
    assert [payload for payload, _ in encoder.encoded] == [b"2"]


def test_what_was_never_begun_is_not_begun_beside_itself(ahead: EncodingAhead, encoder: Encoder) -> None:
    """Its turn may come without `begin`: after dimensions that were not confirmed yet, or after a salvage."""
    ahead.expect(batch(2))
    ahead.encode(batch(1))
    ahead.encode(batch(2))
    ahead.begin()
    ahead.encode(batch(3))
    assert [payload for payload, _ in encoder.encoded] == [b"1", b"2", b"3"]


def test_stop_is_safe_when_nothing_was_begun_and_twice(ahead: EncodingAhead) -> None:
    """Threads are started by the first batch only."""
    ahead.stop()
    ahead.expect(batch(1))
    ahead.begin()
    ahead.stop()
    ahead.stop()
