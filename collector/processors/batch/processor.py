"""The `batch` processor: words in the configuration, and nothing in the way of the data.

Batching belongs into the exporter's queue (otelcol decided the same in its RFC "batching-migration"): a batch
that a processor collects is acknowledged and in no queue yet, and is dropped if the exporter then fails.
"""

from __future__ import annotations

from collector.model.telemetry import Telemetry
from collector.pipeline.component import Consumer


class BatchProcessor:
    """Passes everything on. See `BatchConfig.limits` for what it does."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def start(self) -> None:
        """Nothing to start."""

    def shutdown(self) -> None:
        """Nothing to end."""

    def consume(self, data: Telemetry, /) -> None:
        """See `Consumer`."""
        self._consumer.consume(data)
