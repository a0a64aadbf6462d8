"""Options of the `batch` processor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from collector.config.option import Invalid, Unsupported, option
from collector.config.types import Duration
from collector.pipeline.batching import BatchLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """How the sending queues of the exporters behind it form their batches."""

    send_batch_size: int = option(
        10_000,
        doc="Items that are sent without waiting longer (otelcol: 8192). Where more is waiting, a batch takes along up "
        "to `send_batch_max_size`, or five times as many. 0: only `timeout` decides.",
        minimum=0,
        aliases=("batch_size",),
    )
    timeout: Duration = option(
        Duration(1.0),
        doc="Longest wait of an item (otelcol: 200ms; a database prefers fewer, larger transactions). "
        "0: send at once.",
        aliases=("batch_interval_seconds",),
    )
    send_batch_max_size: int = option(
        0, doc="Most items in one batch; larger requests are split. 0: no such limit.", minimum=0
    )
    UNSUPPORTED: ClassVar = (
        Unsupported("metadata_keys", "batches would be kept apart by client metadata, which is not kept"),
        Unsupported("metadata_cardinality_limit", "it limits what metadata_keys does", harmless=True),
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        if self.send_batch_max_size and self.send_batch_max_size < self.send_batch_size:
            yield Invalid("send_batch_max_size", "must not be less than send_batch_size")

    def limits(self) -> BatchLimits:
        """The same as the trigger logic takes it."""
        return BatchLimits(
            items_min=self.send_batch_size,
            items_max=self.send_batch_max_size,
            interval_s=float(self.timeout),
        )
