"""The `batch` processor: options for the queues behind it."""

from __future__ import annotations

from collector.config.types import Duration
from collector.pipeline.batching import BatchLimits
from collector.pipeline.sender_config import QueueBatchConfig, SenderConfig, SendingQueueConfig
from collector.processors.batch.config import BatchConfig
from collector.processors.batch.factory import FACTORY
from tests.support.components import RecordingConsumer, logs, make_house


def test_batch_passes_data_on_untouched() -> None:
    """Nothing waits here: the queue behind it is where data is taken over."""
    consumer = RecordingConsumer()
    processor = FACTORY.create(make_house("batch", "processor").settings, BatchConfig(), consumer)
    data = logs("a")
    processor.start()
    processor.consume(data)
    processor.shutdown()
    assert [data] == consumer.taken


def test_batch_says_how_queues_batch() -> None:
    """Its options become the limits of the queues."""
    config = BatchConfig(send_batch_size=100, timeout=Duration(5.0), send_batch_max_size=200)
    assert FACTORY.batch_limits is not None
    assert FACTORY.batch_limits(config) == BatchLimits(items_min=100, items_max=200, interval_s=5.0)


def test_batch_has_the_defaults_of_the_queue() -> None:
    """`batch:` without a body changes nothing."""
    assert BatchConfig().limits() == BatchLimits() == QueueBatchConfig().limits()


def test_batch_of_an_exporter_comes_before_the_processor() -> None:
    """What is said nearer to the queue wins; what is said nowhere has defaults."""
    own = SenderConfig(sending_queue=SendingQueueConfig(batch=QueueBatchConfig(min_size=7)))
    processor = BatchLimits(items_min=5)
    assert own.batch_limits(processor).items_min == 7
    assert SenderConfig().batch_limits(processor).items_min == 5
    assert SenderConfig().batch_limits() == BatchLimits()


def test_batch_refuses_a_maximum_below_the_size() -> None:
    """Such a batch could never be."""
    invalid = list(BatchConfig(send_batch_size=100, send_batch_max_size=99).validate())
    assert [finding.key for finding in invalid] == ["send_batch_max_size"]
    assert not list(BatchConfig(send_batch_size=100, send_batch_max_size=100).validate())
