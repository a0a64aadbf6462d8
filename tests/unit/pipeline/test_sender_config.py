"""The options of every exporter, as people write them."""

from __future__ import annotations

from collector.config.types import ByteSize
from collector.pipeline.batching import BatchLimits
from collector.pipeline.sender_config import SenderConfig
from tests.unit.config.reading import decoded, good


def complaints(text: str) -> list[str]:
    return [problem.message for problem in decoded(text, SenderConfig)[1]]


def test_sender_options_have_otelcols_keys() -> None:
    """A section as otelcol's users have it, with the queue in bytes, is taken without a word."""
    config = good(
        """
        timeout: 10s
        sending_queue:
          enabled: true
          sizer: bytes
          queue_size: 64MiB
          block_on_overflow: false
          wait_for_result: false
          batch: {flush_timeout: 200ms, min_size: 8192, max_size: 16384, sizer: items}
        retry_on_failure:
          enabled: true
          initial_interval: 5s
          multiplier: 1.5
          randomization_factor: 0.5
          max_interval: 30s
          max_elapsed_time: 300s
        """,
        SenderConfig,
    )
    assert config.sending_queue.queue_size == ByteSize(64 * 1024 * 1024)
    assert config.retry_on_failure.max_elapsed_time == 300.0
    assert config.batch_limits() == BatchLimits(items_min=8192, items_max=16384, interval_s=0.2)


def test_sender_options_may_be_left_empty() -> None:
    """A key without a body has all its defaults."""
    assert good("sending_queue:\nretry_on_failure:\n", SenderConfig) == SenderConfig()
    batch = good("sending_queue:\n  batch:\n", SenderConfig).sending_queue.batch
    assert batch is not None
    assert batch.limits() == BatchLimits()


def test_a_queue_size_in_requests_is_not_taken_for_bytes() -> None:
    """Otelcol's `queue_size: 1000` is a thousand requests: the message says what to write instead."""
    (complaint,) = complaints("sending_queue: {queue_size: 1000}")
    assert "otelcol counts requests here, this collector bytes" in complaint


def test_options_that_would_change_the_meaning_are_refused() -> None:
    """Each says what happens here instead."""
    text = """
        sending_queue:
          sizer: items
          enabled: false
          block_on_overflow: true
          wait_for_result: true
          batch: {sizer: bytes, min_size: 10, max_size: 5}
        retry_on_failure: {initial_interval: 0, max_interval: 1s}
        """
    assert {complaint.split(": ")[0] for complaint in complaints(text)} == {
        "store.sending_queue.batch.sizer",
        "store.sending_queue.batch.max_size",
        "store.sending_queue.sizer",
        "store.sending_queue.enabled",
        "store.sending_queue.block_on_overflow",
        "store.sending_queue.wait_for_result",
        "store.retry_on_failure.initial_interval",
    }


def test_a_number_of_consumers_is_a_warning() -> None:
    """One consumer is only slower."""
    _, problems = decoded("sending_queue: {storage: file_storage, num_consumers: 10}", SenderConfig)
    assert [problem.severity for problem in problems] == ["warning"]


def test_the_longest_wait_is_not_shorter_than_the_first() -> None:
    """Or the first would be the longest."""
    (complaint,) = complaints("retry_on_failure: {initial_interval: 10s, max_interval: 5s}")
    assert "must not be less than initial_interval" in complaint
