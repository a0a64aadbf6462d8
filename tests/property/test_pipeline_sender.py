"""Queue and sender against whatever an exporter may do: nothing lost, nothing doubled, everything counted.

A state machine with unique ids. It offers telemetry, lets time pass, lets the sender take its turns, and lets
the destination fail in every way it can. After every step the equation of `pipeline/observe.py` must hold, and
at the end each id must be delivered once, or be among those that were dropped for a reason.
"""

from __future__ import annotations

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector.config.types import Duration
from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import Batch
from collector.pipeline.queue import MemoryQueue
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import RetryConfig, SenderConfig
from tests.support.components import PositionedExporter, RecordingExporter, make_house
from tests.support.fake_clock import FakeClock

LABELS: Final = {"exporter": "test", "otel_signal": "logs"}


def ids(data: Telemetry) -> list[int]:
    """The payload of these tests is their ids, four bytes each: the pipeline never looks inside."""
    return [int.from_bytes(data.payload[at : at + 4], "big") for at in range(0, data.size, 4)]


class Deliveries(RuleBasedStateMachine):
    """One sender, one queue, one destination; `outcomes` are what its next attempts will meet."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.next_id = 0
        self.accepted: set[int] = set()
        self.requests: list[range] = []
        self.poison: set[int] = set()
        self.outcomes: list[str] = []

    @initialize(
        positioned=st.booleans(),
        items_min=st.integers(1, 12),
        capacity=st.integers(40, 200),
        gives_up=st.booleans(),
        seed=st.integers(0, 1000),
    )
    def build(self, positioned: bool, items_min: int, capacity: int, gives_up: bool, seed: int) -> None:
        """A sender with some configuration, before a destination that does or does not remember positions."""
        self.positioned = positioned
        self.exporter: RecordingExporter = (
            PositionedExporter(self.before_commit, self.after_commit)
            if positioned
            else RecordingExporter(self.before_commit)
        )
        self.house = make_house("test", "exporter", clock=self.clock, seed=seed)
        self.queue = MemoryQueue(capacity, self.clock)
        retry = RetryConfig(max_elapsed_time=Duration(20.0 if gives_up else 0.0))
        limits = BatchLimits(items_min=items_min, interval_s=1.0, bytes_max=120)
        self.sender = Sender(
            self.house.settings,
            self.exporter,
            Signal.LOGS,
            self.queue,
            SenderConfig(retry_on_failure=retry),
            limits,
        )

    def before_commit(self, batch: Batch) -> None:
        self.check_equation()  # in the middle of an attempt as at any other time
        outcome = self.outcomes.pop() if self.outcomes else "ok"
        if outcome == "away":
            raise RetryableError("away", reason="unreachable")
        if outcome == "bug":
            raise ZeroDivisionError
        if self.poison & {number for record in batch.records for number in ids(record)}:
            raise PermanentError("bad data", reason="data")
        self.lose_answer = outcome == "answer lost"

    def after_commit(self, batch: Batch) -> None:
        if self.lose_answer:
            raise RetryableError("connection lost", reason="connection_lost")

    @rule(items=st.integers(1, 9), poisonous=st.integers(0, 9).map(lambda number: number == 0))
    def consume(self, items: int, poisonous: bool) -> None:
        """A client sends; the queue takes all of it or nothing."""
        new = range(self.next_id, self.next_id + items)
        self.next_id += items
        payload = b"".join(number.to_bytes(4, "big") for number in new)
        try:
            self.sender.consume(Telemetry(Signal.LOGS, payload, items))
        except RetryableError:
            assert self.queue.size + len(payload) > self.queue.capacity
        else:
            self.accepted.update(new)
            self.requests.append(new)
            if poisonous:
                self.poison.add(new[items // 2])

    @rule(seconds=st.floats(0.01, 40.0))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    @rule(turns=st.integers(1, 5))
    def turn(self, turns: int) -> None:
        """The sender's thread gets to run."""
        for _ in range(turns):
            assert self.sender.turn() is not None

    @precondition(lambda self: len(self.outcomes) < 10)
    @rule(outcome=st.sampled_from(("away", "bug", "answer lost", "ok")), times=st.integers(1, 4))
    def trouble(self, outcome: str, times: int) -> None:
        """The destination will fail."""
        self.outcomes[:0] = [outcome] * times

    def count(self, name: str, **labels: str) -> int:
        return round(self.house.sample(name, **(labels or {"exporter": "test"})))

    def dropped(self) -> int:
        reasons = ("data", "internal_error", "retry_expired", "retry_disabled", "shutdown")
        return sum(
            self.count("collector_exporter_dropped_items_total", **LABELS, reason=reason)
            for reason in reasons
        )

    @invariant()
    def check_equation(self) -> None:
        """`enqueued = sent + dropped + queued`, and enqueued is what clients were told was taken."""
        if not hasattr(self, "sender"):
            return
        enqueued = self.count("collector_exporter_enqueued_log_records_total")
        sent = self.count("otelcol_exporter_sent_log_records_total")
        assert enqueued == sent + self.dropped() + self.queue.items
        assert enqueued == len(self.accepted)

    def teardown(self) -> None:
        """The destination recovers, the sender drains: then every id has one fate."""
        if not hasattr(self, "sender"):
            return
        self.outcomes.clear()
        self.sender.drain(self.clock.monotonic() + 3600.0)
        for _ in range(10_000):
            wait_s = self.sender.turn()
            if wait_s is None:
                break
            self.clock.advance(wait_s)
        self.sender.shutdown()
        self.check_equation()
        assert self.queue.items == 0
        delivered = [
            number for batch in self.exporter.batches for record in batch.records for number in ids(record)
        ]
        assert len(delivered) == len(set(delivered)), "delivered twice"
        assert set(delivered) <= self.accepted, "invented"
        assert not set(delivered) & self.poison
        missing = self.accepted - set(delivered)
        given_up = self.count("collector_exporter_dropped_items_total", **LABELS, reason="retry_expired")
        bugs = self.count("collector_exporter_dropped_items_total", **LABELS, reason="internal_error")
        if given_up:
            # A batch given up while its commit was in doubt is counted as dropped, and may be there all the same.
            assert len(missing) <= self.dropped()
        else:
            assert len(missing) == self.dropped()
        if not given_up and not bugs:
            poisoned = {number for request in self.requests if self.poison & {*request} for number in request}
            assert missing == poisoned, "a bad record took others with it"


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
