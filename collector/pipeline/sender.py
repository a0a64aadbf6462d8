"""`Sender`: what stands between a pipeline and an exporter, for one signal.

Two halves with the queue between them. `consume`, in the thread of whoever brings telemetry, takes it over by
appending it to the queue: that is here. `turn`, in the sender's own thread, reads on from its position, forms batches,
exports, retries, and releases: that is `Delivery`. Both enter what they do in the `Books`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from collector.model.errors import RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits
from collector.pipeline.books import Books, Phase, shutting_down
from collector.pipeline.component import Consumer, Exporter, Settings, State, Thread
from collector.pipeline.delivery import Delivery
from collector.pipeline.fanout import hand_over
from collector.pipeline.memory_plan import LargeRecords, delivery_bytes
from collector.pipeline.observe import ExporterMeters
from collector.pipeline.queue import SendingQueue
from collector.pipeline.refusals import Refusals
from collector.pipeline.sender_config import Ack, SenderConfig
from collector.wire.errors import TooMuchMemoryError

__all__ = ["Ack", "Sender", "SenderConfig"]

# How long `shutdown` drains when nobody said, and waits beyond the deadline for an attempt that is under way.
_DRAIN_S: Final = 5.0
_LAST_ATTEMPT_S: Final = 1.0


class Sender:
    """Consumer in front of an exporter: queue, batches, retry, positions and their metrics.

    `settings` are the exporter's, with a `report` of this sender's own: each signal can be well or not.
    """

    def __init__(
        self,
        settings: Settings,
        exporter: Exporter,
        signal: Signal,
        queue: SendingQueue,
        config: SenderConfig,
        limits: BatchLimits,
        refusals: Refusals | None = None,
        large: LargeRecords | None = None,
    ) -> None:
        self._settings = settings
        self._clock = settings.clock
        self._log = settings.log.bind(otel_signal=signal.value)
        self._signal = signal
        self._queue = queue
        self._limits = limits
        self._refusals = refusals or Refusals()
        self._meters = ExporterMeters(
            settings.meters, str(settings.id), signal, queue, self._refusals.letters
        )
        self._books = Books(settings, signal, queue, self._refusals, self._meters)
        self._delivery = Delivery(
            settings,
            exporter,
            signal,
            queue,
            config.retry_on_failure,
            limits,
            self._refusals,
            self._books,
            self._meters,
            large or LargeRecords(),
        )
        self._thread: Thread | None = None
        self._wake = threading.Event()

    # --- taking over ------------------------------------------------------------------------------------

    def entry(self, ack: Ack) -> Consumer:
        """The way in for a pipeline whose clients are answered when their data is as safe as `ack` says."""
        return _Entry(self, ack)

    def consume(self, data: Telemetry, /) -> None:
        """Take `data` over: see `Consumer`. Behind a `Fanout`, room is reserved and the rest follows later."""
        self.take(data, "disk")

    def take(self, data: Telemetry, ack: Ack) -> None:
        """The same, for an acknowledgement of level `ack`."""
        if not data.items:
            return
        pieces = self._pieces(data)
        largest = self._settings.memory.largest
        size = 0
        for piece in pieces:
            if (needed := delivery_bytes(piece.items, piece.size)) > largest:
                raise TooMuchMemoryError(needed, largest)
            size += piece.size
        try:
            if self._books.phase is not Phase.RUNNING:
                raise shutting_down()
            self._queue.reserve(size)
        except RetryableError:
            self._meters.enqueue_failed.inc(data.items)
            raise
        hand_over(_Reservation(self, self._queue, pieces, size, ack))

    def _pieces(self, data: Telemetry) -> list[Telemetry]:
        if not self._limits.items_max or data.items <= self._limits.items_max:
            return [data]
        from collector.wire.split import split  # loads protobuf, which most queues never need

        return split(data, self._limits.items_max)

    def append(self, pieces: list[Telemetry], size: int, origins: list[bytes]) -> int:
        """Put in what has been reserved; return the last sequence number. For `_Reservation`."""
        last = self._books.append(pieces, size, origins)
        # The thread needs to know of the record it would read next, and that a batch is full. In between it
        # sleeps: waking it for every request would cost more than the request.
        first = last - len(pieces) + 1
        if first == self._books.position + 1 or self._limits.full(self._queue.items, self._queue.size):
            self._wake.set()
        return last

    def wait_stored(self, first: int, last: int) -> None:
        """See `Books.wait_stored`."""
        self._books.wait_stored(first, last)

    # --- life -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the queue, and start the thread."""
        self._books.open()
        self._delivery.opened()
        self._settings.report(State.OK, "nothing sent yet")
        self._thread = self._settings.spawn(f"{self._settings.id}/{self._signal.value}", self._run)

    def adjust(self, exporter: Exporter, config: SenderConfig, limits: BatchLimits) -> threading.Event:
        """Go on with these from the next attempt on. The queue stays, with all that waits in it.

        Returns:
            An event that is set when the exporter it had is not used any more.
        """
        self._limits = limits
        self._queue.adjust(int(config.sending_queue.queue_size), config.sending_queue.overflow)
        letters = config.sending_queue.dead_letters
        self._refusals.adjust(int(letters.size), letters.overflow)
        done = self._delivery.adjust(exporter, config.retry_on_failure, limits)
        self._wake.set()
        return done

    @contextmanager
    def still(self) -> Iterator[None]:
        """Hold everything: nothing is taken, sent, dropped or lost meanwhile. For the reading of its counters."""
        with self._books.still():
            yield

    def drain(self, until: float) -> None:
        """Take no more, and send what waits until the monotonic time `until`. Returns at once.

        Called again it can only make the time shorter.
        """
        self._books.drain(until)
        self._wake.set()

    def shutdown(self) -> None:
        """Drain, if nobody has begun to; wait for the end of it; count what is left. See `Component`."""
        self.drain(self._clock.monotonic() + _DRAIN_S)
        if self._thread is not None:
            # Until a moment that is the same for all senders, or their last attempts would add up.
            until = self._books.drain_until + _LAST_ATTEMPT_S
            self._thread.join(max(0.0, until - self._clock.monotonic()))
        left = self._books.close()
        if left is None:
            return
        if left and self._queue.durable:
            self._log.info("Stopped; what is queued will be sent after the next start.", items=left)
        elif left:
            self._log.error("Stopped before all was sent; what was queued in memory is lost.", items=left)
        self._queue.close()
        self._refusals.close()
        self._meters.closed()
        self._settings.report(State.STOPPED, f"{left} items were not sent" if left else "all sent")

    def turn(self) -> float | None:
        """See `Delivery.turn`. For the sender's thread; tests call it in its place."""
        return self._delivery.turn()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            wait_s = self.turn()
            if wait_s is None:
                break
            if wait_s:
                self._wake.wait(wait_s)
        self._delivery.end()


class _Entry:
    """See `Sender.entry`."""

    __slots__ = ("_ack", "_sender")

    def __init__(self, sender: Sender, ack: Ack) -> None:
        self._sender = sender
        self._ack = ack

    def consume(self, data: Telemetry, /) -> None:
        self._sender.take(data, self._ack)


class _Reservation:
    """Room in a sender's queue: see `fanout.Reservation`."""

    __slots__ = (
        "_ack",
        "_first",
        "_last",
        "_pieces",
        "_queue",
        "_sender",
        "_size",
        "repeated",
        "waits",
        "waits_long",
    )

    def __init__(
        self, sender: Sender, queue: SendingQueue, pieces: list[Telemetry], size: int, ack: Ack
    ) -> None:
        self._sender = sender
        self._queue = queue
        self._pieces = pieces
        self._size = size
        self._ack = ack
        self._first = self._last = 0
        self.repeated = False
        self.waits_long = ack == "stored"
        self.waits = self.waits_long or (ack == "disk" and queue.durable)

    def append(self, origin: bytes) -> None:
        # The request may be remembered for long; its bytes are the queue's.
        pieces, self._pieces = self._pieces, []
        origins = [origin + number.to_bytes(2, "big") for number in range(len(pieces))] if origin else []
        there = [found for one in origins if (found := self._queue.find(one)) is not None]
        if there:  # an earlier process took them, if not all then those before a crash
            new = [number for number, one in enumerate(origins) if self._queue.find(one) is None]
            pieces, origins = [pieces[number] for number in new], [origins[number] for number in new]
            size = sum(piece.size for piece in pieces)
            self._queue.cancel(self._size - size)
            self._size = size
            self.repeated = not pieces
        if pieces:
            last = self._sender.append(pieces, self._size, origins)
            there += [last - len(pieces) + 1, last]
        self._first, self._last = min(there), max(there)

    def wait(self) -> None:
        if self._ack == "disk":
            self._queue.wait_durable(self._last)
        elif self._ack == "stored":
            self._sender.wait_stored(self._first, self._last)

    def cancel(self) -> None:
        self._queue.cancel(self._size)
