"""The options that every exporter has, because every exporter stands behind a `Sender`.

An exporter's config inherits `SenderConfig` and adds its own options. Keys are those of otelcol's
exporterhelper; where a default differs, the option's text says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from collector.config.option import Invalid, Unsupported, option
from collector.config.types import ByteSize, Duration
from collector.pipeline.batching import BatchLimits

_MIB: Final = 1024 * 1024

# What a client may believe when it is answered: its data is in this process, on this machine's disk, or delivered.
Ack = Literal["memory", "disk", "stored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBatchConfig:
    """When the waiting items of a queue are sent: whichever limit is reached first."""

    flush_timeout: Duration = option(Duration(1.0), doc="Longest wait of an item. 0 sends at once.")
    min_size: int = option(10_000, doc="Items that are sent without waiting longer.", minimum=1)
    max_size: int = option(
        0, doc="Most items in one batch; larger requests are split. 0: no such limit.", minimum=0
    )
    sizer: Literal["items", "requests", "bytes"] = option(
        "items", doc="What min_size and max_size count. Only `items` is supported."
    )
    UNSUPPORTED: ClassVar = (
        Unsupported("partition", "batches would be kept apart by client metadata, which is not kept"),
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        if self.sizer != "items":
            yield Invalid("sizer", "batches are counted in items: write `sizer: items`, or leave it out")
        if self.max_size and self.max_size < self.min_size:
            yield Invalid("max_size", "must not be less than min_size")

    def limits(self) -> BatchLimits:
        """The same as the trigger logic takes it."""
        return BatchLimits(
            items_min=self.min_size, items_max=self.max_size, interval_s=float(self.flush_timeout)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettersConfig:
    """What the destination refuses for ever, kept on disk beside the queue: `collector queue` shows and retries it."""

    size: ByteSize = option(
        ByteSize(64 * _MIB),
        doc="Bytes of dead letters, per signal. 0: there are none, what is refused is dropped and counted.",
    )
    overflow: Literal["refuse", "drop"] = option(
        "refuse",
        doc="What happens when they are full: `refuse` leaves what is refused in the queue, and all behind it, until "
        "somebody has made room; `drop` deletes it, and counts it.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingQueueConfig:
    """The queue between the pipeline and the destination."""

    queue_size: ByteSize = option(
        ByteSize(128 * _MIB),
        doc="Bytes of OTLP that may wait, per signal; at least 1MiB. When they are reached, clients are asked to "
        "retry. otelcol counts requests here unless told otherwise, this collector counts bytes.",
    )
    sizer: Literal["bytes", "items", "requests"] = option(
        "bytes", doc="What queue_size counts. Only `bytes` is supported: it is what bounds memory."
    )
    batch: QueueBatchConfig | None = option(
        None, doc="When waiting items are sent. Left out: as the pipeline's `batch` processor says."
    )
    storage: str | None = option(
        None,
        doc="A `file_storage` extension: the queue is on disk, and what is in it outlives the process. Left out: it "
        "is in memory.",
        example="file_storage",
    )
    overflow: Literal["refuse", "drop_oldest"] = option(
        "refuse",
        doc="What a full queue does: `refuse` asks clients to send again later; `drop_oldest` deletes what has waited "
        "longest, and counts it.",
    )
    dead_letters: DeadLettersConfig = option(
        default_factory=DeadLettersConfig,
        doc="Where single items go that the destination refuses for ever. Needs `storage`: without it they are dropped "
        "and counted.",
    )
    enabled: bool = option(True, doc="Must be true: batching and retry work on the queue.")
    block_on_overflow: bool = option(
        False, doc="Must be false: a full queue makes clients retry, it does not make them wait."
    )
    wait_for_result: bool = option(
        False, doc="Must be false: clients have their answer when the data is in the queue."
    )
    UNSUPPORTED: ClassVar = (
        Unsupported("num_consumers", "one thread per signal sends; batches keep it busy", harmless=True),
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what otelcol allows and this collector does not."""
        # Not a minimum of the option: a copied `queue_size: 1000` deserves to be told why.
        if self.queue_size < _MIB:
            yield Invalid(
                "queue_size",
                f"{int(self.queue_size)} bytes are too few, 1MiB is the least: otelcol counts requests here, this "
                "collector bytes; the default is 128MiB",
            )
        if self.sizer != "bytes":
            yield Invalid(
                "sizer", "the queue is bounded in bytes: write `sizer: bytes` and `queue_size: 128MiB`"
            )
        if not self.enabled:
            yield Invalid(
                "enabled", "an exporter without its queue could neither batch nor retry: remove the key"
            )
        if self.block_on_overflow:
            yield Invalid(
                "block_on_overflow", "clients are asked to retry when the queue is full: remove the key"
            )
        if self.wait_for_result:
            yield Invalid("wait_for_result", "clients are answered when the data is queued: remove the key")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """How a batch that the destination did not take is offered again."""

    enabled: bool = option(True, doc="false: a batch that fails once is dropped, and counted.")
    initial_interval: Duration = option(
        Duration(1.0),
        doc="Wait before the first retry (otelcol: 5s; a deadlock or a failover is mostly over sooner).",
    )
    multiplier: float = option(1.5, doc="Each wait is so many times the one before.", minimum=1.0)
    randomization_factor: float = option(
        0.5,
        doc="Each wait varies by this share, so that many collectors do not come back together.",
        minimum=0.0,
        maximum=1.0,
    )
    max_interval: Duration = option(Duration(30.0), doc="Longest wait between two attempts.")
    max_elapsed_time: Duration = option(
        Duration(0.0),
        doc="Give a batch up after this time; 0 never does (otelcol: 300s). What has been acknowledged is not "
        "deleted because a database was away for long: the queue's bound makes clients wait instead.",
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        if not self.initial_interval:
            yield Invalid("initial_interval", "must be more than 0: retries would not pause")
        if self.max_interval < self.initial_interval:
            yield Invalid("max_interval", "must not be less than initial_interval")


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderConfig:
    """What every exporter's config inherits."""

    sending_queue: SendingQueueConfig = option(
        default_factory=SendingQueueConfig, doc="The queue between the pipeline and the destination."
    )
    retry_on_failure: RetryConfig = option(
        default_factory=RetryConfig, doc="How a batch that the destination did not take is offered again."
    )
    timeout: Duration = option(Duration(5.0), doc="Longest duration of one attempt.")

    def batch_limits(self, processor: BatchLimits | None = None) -> BatchLimits:
        """What the queue's batches look like: `sending_queue.batch`, else the `batch` processor's, else ours."""
        if self.sending_queue.batch is not None:
            return self.sending_queue.batch.limits()
        return processor or BatchLimits()
