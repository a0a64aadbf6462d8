"""Everything this process counts about itself, declared once.

Names and labels are otelcol's where it has the metric (docs of receiverhelper, exporterhelper and
memorylimiter), so that its dashboards and alerts work; `collector_*` are ours. Nothing from user data and no
exception message is ever a label.

The equation that holds at every moment, per exporter and signal:
`enqueued = sent + dropped{reason} + dead_lettered{reason} + queued`; and per receiver:
`received = accepted + rejected{reason} + refused + failed`.
Between them: `enqueued = restored + accepted + unconfirmed`, and what is on its way between the queue and its answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge, Histogram

from collector.model.signal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.model.identity import ComponentID
    from collector.model.telemetry import Telemetry
    from collector.pipeline.component import Consumer
    from collector.pipeline.dead_letters import DeadLetters
    from collector.pipeline.queue import SendingQueue

_LATENCY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Counter(prometheus_client.Counter):
    """A counter of the library. `add` is its `inc` without the questions: whether labels are missing, and the sign.

    Nine of them count each request, and what they asked took three times as long as the counting.
    """

    add: Callable[[float], None]  # of a counter that has its labels

    def _metric_init(self) -> None:
        super()._metric_init()
        self.add = self._value.inc


class Meters:
    """The instruments. Each is a public attribute; where otelcol has one name per signal, a dict by signal."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        # What the gauges of an exporter and signal look at: its queue, and one before it that is not empty yet.
        self.queues: dict[tuple[str, str], tuple[SendingQueue, ...]] = {}

        def counter(name: str, doc: str, *labels: str) -> Counter:
            return Counter(name, doc, labels, registry=registry)

        def gauge(name: str, doc: str, *labels: str) -> Gauge:
            return Gauge(name, doc, labels, registry=registry)

        def histogram(name: str, doc: str, *labels: str) -> Histogram:
            return Histogram(name, doc, labels, registry=registry, buckets=_LATENCY_BUCKETS)

        def per_signal(name: str, doc: str, *labels: str) -> dict[Signal, Counter]:
            return {
                signal: counter(name.format(signal.item), doc.format(signal.item.replace("_", " ")), *labels)
                for signal in Signal
            }

        self.cost_runs = counter(
            "collector_cost_attribution_runs",
            "Turns of cost attribution, by outcome.",
            "extension",
            "outcome",
        )
        self.cost_records = counter(
            "collector_cost_attribution_records", "Cost records written by attribution.", "extension"
        )
        self.cost_attributed = gauge(
            "collector_cost_attribution_last_success_seconds",
            "When a turn last succeeded, Unix time.",
            "extension",
        )
        self.policy_evaluations = counter(
            "collector_policy_evaluations",
            "Policies evaluated on stored costs, by what they said: pass, advisory, block, or failed.",
            "extension",
            "verdict",
        )
        self.policy_status = gauge(
            "collector_policy_status",
            "What a policy said last: 0 pass, 1 advisory, 2 block.",
            "extension",
            "policy",
        )
        self.receiver_accepted = per_signal(
            "otelcol_receiver_accepted_{}", "Number of {} taken into the pipeline.", "receiver", "transport"
        )
        self.receiver_refused = per_signal(
            "otelcol_receiver_refused_{}",
            "Number of {} answered with a retryable error.",
            "receiver",
            "transport",
        )
        self.receiver_failed = per_signal(
            "otelcol_receiver_failed_{}",
            "Number of {} that an internal error kept out.",
            "receiver",
            "transport",
        )
        self.receiver_unconfirmed = per_signal(
            "collector_receiver_unconfirmed_{}",
            "Number of {} that were put into the queues, and answered with a retryable error all the same.",
            "receiver",
            "transport",
        )
        self.receiver_requests = counter(
            "otelcol_receiver_requests", "Number of requests.", "receiver", "transport", "outcome"
        )
        self.receiver_rejected = counter(
            "collector_receiver_rejected_items",
            "Invalid items refused for ever, by partial success.",
            "receiver",
            "otel_signal",
            "reason",
        )
        self.receiver_rejected_requests = counter(
            "collector_receiver_rejected_requests",
            "Requests refused for ever as a whole.",
            "receiver",
            "transport",
            "reason",
        )
        self.receiver_ended_connections = counter(
            "collector_receiver_ended_connections",
            "Connections that a limit has ended or kept out, by which (collector/receivers/otlp/README.md).",
            "receiver",
            "transport",
            "reason",
        )
        self.receiver_normalised = counter(
            "collector_receiver_normalised",
            "Values mended on arrival, by rule (collector/wire/README.md).",
            "receiver",
            "otel_signal",
            "rule",
        )
        self.receiver_duplicates = counter(
            "collector_receiver_duplicate_requests",
            "Requests acknowledged without being taken: the same bytes had been accepted a moment before.",
            "receiver",
            "otel_signal",
        )
        self.receiver_waiting = gauge(
            "collector_receiver_waiting_requests", "Requests that wait for room now.", "receiver"
        )
        self.receiver_waits = histogram(
            "collector_receiver_wait_seconds",
            "How long requests waited for room, by what was short (in_flight_bytes, queue_full) and what came of it "
            "(admitted, refused, gone).",
            "receiver",
            "reason",
            "outcome",
        )
        self.receiver_bytes = counter(
            "collector_receiver_bytes", "Bytes of request bodies, inflated.", "receiver", "transport"
        )
        self.processor_incoming_items = counter(
            "otelcol_processor_incoming_items", "Items passed to a processor.", "processor", "otel_signal"
        )
        self.processor_outgoing_items = counter(
            "otelcol_processor_outgoing_items", "Items a processor passed on.", "processor", "otel_signal"
        )
        self.memory_limiter_accepted = per_signal(
            "otelcol_processor_memory_limiter_accepted_{}", "Number of {} let through.", "processor"
        )
        self.memory_limiter_refused = per_signal(
            "otelcol_processor_memory_limiter_refused_{}",
            "Number of {} refused for want of memory.",
            "processor",
        )
        self.exporter_enqueued = per_signal(
            "collector_exporter_enqueued_{}", "Number of {} put into the sending queue.", "exporter"
        )
        self.exporter_restored = per_signal(
            "collector_exporter_restored_{}",
            "Number of {} enqueued by an earlier process and found in the sending queue.",
            "exporter",
        )
        self.exporter_sent = per_signal(
            "otelcol_exporter_sent_{}", "Number of {} delivered to the destination.", "exporter"
        )
        self.exporter_send_failed = per_signal(
            "otelcol_exporter_send_failed_{}", "Number of {} given up after all attempts.", "exporter"
        )
        self.exporter_enqueue_failed = per_signal(
            "otelcol_exporter_enqueue_failed_{}", "Number of {} that found the queue full.", "exporter"
        )
        self.exporter_dropped = counter(
            "collector_exporter_dropped_items",
            "Items that left the queue without being delivered, by reason.",
            "exporter",
            "otel_signal",
            "reason",
        )
        self.exporter_dead_lettered = counter(
            "collector_exporter_dead_lettered_items",
            "Items that the destination refused for ever and that are kept as dead letters, by reason.",
            "exporter",
            "otel_signal",
            "reason",
        )
        self.exporter_dead_letter_items = gauge(
            "collector_exporter_dead_letter_items", "Items kept as dead letters.", "exporter", "otel_signal"
        )
        self.exporter_dead_letter_size = gauge(
            "collector_exporter_dead_letter_size_bytes", "Bytes of dead letters.", "exporter", "otel_signal"
        )
        self.exporter_retries = counter(
            "collector_exporter_retries",
            "Attempts that failed and are tried again.",
            "exporter",
            "otel_signal",
            "reason",
        )
        self.exporter_send_duration = histogram(
            "collector_exporter_send_duration_seconds",
            "Time of one successful export, commit included.",
            "exporter",
            "otel_signal",
        )
        self.exporter_batch_items = Histogram(
            "otelcol_exporter_queue_batch_send_size",
            "Items in a batch.",
            ("exporter", "data_type"),
            registry=registry,
            buckets=(10, 100, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000),
        )
        self.exporter_last_success = gauge(
            "collector_exporter_last_success_timestamp_seconds",
            "When an export last succeeded, Unix time.",
            "exporter",
            "otel_signal",
        )
        self.exporter_queue_size = gauge(
            "otelcol_exporter_queue_size", "Bytes in the sending queue.", "exporter", "data_type"
        )
        self.exporter_queue_capacity = gauge(
            "otelcol_exporter_queue_capacity", "Bytes the sending queue may hold.", "exporter", "data_type"
        )
        self.exporter_queue_items = gauge(
            "collector_exporter_queue_items", "Items in the sending queue.", "exporter", "data_type"
        )
        self.exporter_queue_oldest = gauge(
            "collector_exporter_queue_oldest_age_seconds",
            "How long the oldest queued record has waited.",
            "exporter",
            "data_type",
        )
        self.exporter_queue_lost = counter(
            "collector_exporter_queue_lost_records",
            "Records (parts of requests) that the sending queue lost by itself, by cause.",
            "exporter",
            "otel_signal",
            "cause",
        )
        self.database_pool = gauge(
            "collector_database_pool_connections", "Connections, by state.", "exporter", "state"
        )
        self.database_queries = histogram(
            "collector_database_query_duration_seconds",
            "Time of one statement, by kind.",
            "exporter",
            "operation",
        )
        self.store_deleted = counter(
            "collector_store_deleted_items",
            "Stored items that were deleted again: by retention, or by a bound on their number.",
            "exporter",
            "otel_signal",
            "reason",
        )


class ExporterMeters:
    """The instruments of one exporter and signal. Its queue's gauges read the queue when they are asked."""

    def __init__(
        self,
        meters: Meters,
        exporter: str,
        signal: Signal,
        queue: SendingQueue,
        letters: DeadLetters | None = None,
    ) -> None:
        self._meters = meters
        self._labels = (exporter, signal.value)
        self.enqueued = meters.exporter_enqueued[signal].labels(exporter)
        self.enqueue_failed = meters.exporter_enqueue_failed[signal].labels(exporter)
        self.sent = meters.exporter_sent[signal].labels(exporter)
        self._send_failed = meters.exporter_send_failed[signal].labels(exporter)
        self._send_duration = meters.exporter_send_duration.labels(*self._labels)
        self._batch_items = meters.exporter_batch_items.labels(*self._labels)
        self._last_success = meters.exporter_last_success.labels(*self._labels)
        self._restored_items = meters.exporter_restored[signal].labels(exporter)
        meters.exporter_dropped.labels(*self._labels, "shutdown")  # there from the start, so that sums work
        self._queue = queue
        self._show()
        if letters is not None:
            meters.exporter_dead_letter_items.labels(*self._labels).set_function(lambda: letters.items)
            meters.exporter_dead_letter_size.labels(*self._labels).set_function(lambda: letters.size)

        def of_all(value: Callable[[SendingQueue], float]) -> Callable[[], list[float]]:
            return lambda: [value(one) for one in meters.queues[self._labels]]

        sizes, items = of_all(lambda one: one.size), of_all(lambda one: one.items)
        ages, capacities = of_all(lambda one: one.oldest_age_s()), of_all(lambda one: one.capacity)
        meters.exporter_queue_capacity.labels(*self._labels).set_function(
            lambda: max(capacities(), default=0)
        )
        meters.exporter_queue_size.labels(*self._labels).set_function(lambda: sum(sizes()))
        meters.exporter_queue_items.labels(*self._labels).set_function(lambda: sum(items()))
        meters.exporter_queue_oldest.labels(*self._labels).set_function(lambda: max(ages(), default=0.0))

    def _show(self) -> None:
        self._meters.queues[self._labels] = (*self._others(), self._queue)

    def _others(self) -> tuple[SendingQueue, ...]:
        return tuple(one for one in self._meters.queues.get(self._labels, ()) if one is not self._queue)

    def opening(self) -> None:
        """The queue will be opened: what is in it is not told of before it is counted."""
        self._meters.queues[self._labels] = self._others()

    def opened(self) -> None:
        """The queue is open: what is in it was left by an earlier process, or by a sender before this one."""
        before = [one for one in self._others() if one.id == self._queue.id]
        self.restored(max(0, self._queue.items - sum(one.items for one in before)))
        self._meters.queues[self._labels] = tuple(one for one in self._others() if one not in before)
        self._show()

    def closed(self) -> None:
        """The queue is closed: what is left in it is told of until somebody opens it again."""
        if not self._queue.items:
            self._meters.queues[self._labels] = self._others()

    def restored(self, items: int) -> None:
        """Count items that an earlier process had enqueued."""
        self.enqueued.inc(items)
        self._restored_items.inc(items)

    def dropped(self, reason: str, items: int) -> None:
        """Count items that leave the queue without being delivered."""
        self._meters.exporter_dropped.labels(*self._labels, reason).inc(items)
        self._send_failed.inc(items)

    def dead_lettered(self, reason: str, items: int) -> None:
        """Count items that leave the queue for the dead letters."""
        self._meters.exporter_dead_lettered.labels(*self._labels, reason).inc(items)
        self._send_failed.inc(items)

    def queue_lost(self, cause: str, records: int) -> None:
        """Count records that the queue lost by itself; their items are counted by `dropped`."""
        self._meters.exporter_queue_lost.labels(*self._labels, cause).inc(records)

    def retried(self, reason: str) -> None:
        """Count an attempt that will be repeated."""
        self._meters.exporter_retries.labels(*self._labels, reason).inc()

    def batch_sent(self, items: int, duration_s: float, unix_s: float) -> None:
        """Note a successful export; its items are counted by `sent`."""
        self._send_duration.observe(duration_s)
        self._batch_items.observe(items)
        self._last_success.set(unix_s)


class CountedConsumer:
    """Counts the items that the consumer behind it takes, in `processor_incoming_items` or its twin.

    What is refused is not counted, and is when it comes again: the difference between what went into a
    processor and what came out is what it removed, whatever happened behind it.
    """

    def __init__(self, consumer: Consumer, counter: Counter, processor: ComponentID) -> None:
        self._consumer = consumer
        self._counters = {signal: counter.labels(str(processor), signal.value) for signal in Signal}

    def consume(self, data: Telemetry, /) -> None:
        """See `Consumer`."""
        self._consumer.consume(data)
        self._counters[data.signal].add(data.items)
