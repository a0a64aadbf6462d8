"""What is counted around a processor, and what the queue's gauges show."""

from __future__ import annotations

import pytest

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.pipeline.batching import BatchLimits
from collector.pipeline.observe import CountedConsumer
from collector.pipeline.queue import MemoryQueue
from collector.pipeline.sender import Sender
from collector.pipeline.sender_config import SenderConfig
from tests.support.components import RecordingConsumer, RecordingExporter, logs, make_house
from tests.support.fake_clock import FakeClock


def test_counted_consumer_counts_what_is_taken() -> None:
    """Items, by component and signal. What is refused is counted when it comes again and is taken."""
    house = make_house("filter", "processor")
    consumer = RecordingConsumer(error=RetryableError("not now", reason="busy"))
    meters = house.settings.meters
    counted = CountedConsumer(consumer, meters.processor_incoming_items, house.settings.id)
    with pytest.raises(RetryableError):
        counted.consume(logs("a", "b"))
    consumer.error = None
    counted.consume(logs("a", "b"))
    name = "otelcol_processor_incoming_items_total"
    assert house.sample(name, processor="filter", otel_signal="logs") == 2


def test_queue_gauges_follow_the_queue() -> None:
    """Bytes, items, age and capacity, as they are when somebody asks."""
    clock = FakeClock()
    house = make_house("test", "exporter", clock=clock)
    queue = MemoryQueue(1000, clock)
    sender = Sender(house.settings, RecordingExporter(), Signal.LOGS, queue, SenderConfig(), BatchLimits())
    sender.consume(logs("a", "b"))
    clock.advance(3.0)
    labels = {"exporter": "test", "data_type": "logs"}
    names = (
        "otelcol_exporter_queue_size",
        "otelcol_exporter_queue_capacity",
        "collector_exporter_queue_items",
        "collector_exporter_queue_oldest_age_seconds",
    )
    assert [house.sample(name, **labels) for name in names] == [logs("a", "b").size, 1000, 2, 3.0]
