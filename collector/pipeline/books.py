"""`Books`: the books of a sender. Every item that it has taken is in one place, and counted there once.

Whatever happens to a batch:
`enqueued = sent + dropped{reason} + dead_lettered{reason} + queued`.

What changes hands does so here, under one lock: taken over, by the threads that bring telemetry; settled, refused for
ever or given up, by the sender's own. Whoever waits until it is stored waits here, for the position to move.
"""

from __future__ import annotations

import enum
import math
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from collector.model.errors import PermanentError, RetryableError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.component import Refused, Settings
from collector.pipeline.observe import ExporterMeters
from collector.pipeline.queue import Loss, Record, SendingQueue
from collector.pipeline.refusals import Refusals

# How long a client waits for `stored` before it is asked to come again: less than the 10 s after which an SDK gives
# up by itself (OpenTelemetry specification, "OTLP Exporter Configuration", timeout).
_STORED_WAIT_S: Final = 8.0
# Records given up lately, so that whoever waits for them learns of it.
_GIVEN_UP_MAX: Final = 1000


class Phase(enum.Enum):
    """Where a sender is in its life."""

    RUNNING = enum.auto()
    DRAINING = enum.auto()  # nothing more is taken; what waits is sent without waiting for more
    CLOSED = enum.auto()  # what is left has been counted


class Books:
    """A queue with its position, what was refused of it, and the counters.

    `position`: everything up to this sequence number is settled. `drain_until`: the monotonic time at which draining
    ends, if it has begun.
    """

    def __init__(
        self,
        settings: Settings,
        signal: Signal,
        queue: SendingQueue,
        refusals: Refusals,
        meters: ExporterMeters,
    ) -> None:
        self._id = settings.id
        self._clock = settings.clock
        self._log = settings.log.bind(otel_signal=signal.value)
        self._queue = queue
        self._refusals = refusals
        self._meters = meters
        self._lock = threading.Lock()
        self._settled = threading.Condition(self._lock)  # the position has moved, or the phase has ended
        self._given_up: deque[tuple[int, int, str]] = deque(maxlen=_GIVEN_UP_MAX)  # first, last, why
        self.phase = Phase.RUNNING
        self.drain_until = math.inf
        self.position = queue.released
        queue.watch(self._lost)
        if refusals.letters is not None:
            refusals.letters.watch(self._letters_lost)

    def open(self) -> None:
        """Open the queue and what was refused of it, and take up its position."""
        self._meters.opening()
        self._queue.open()
        self._refusals.open(self._queue.id, self._queue.released, self._queue.last)
        self.position = self._queue.released
        with self._lock:
            self._meters.opened()

    def append(self, pieces: list[Telemetry], size: int, origins: list[bytes]) -> int:
        """Put in what has been reserved, `size` bytes; return the last sequence number.

        Raises:
            RetryableError: nothing is taken any more, or the queue's medium failed.
        """
        with self._lock:
            if self.phase is Phase.CLOSED:
                self._queue.cancel(size)
                raise shutting_down()
            last = self._queue.append_all(pieces, origins)
            for piece in pieces:
                self._meters.enqueued.add(piece.items)
            return last

    def settle(self, upto: int, dropped: str | None) -> int:
        """Release everything up to position `upto`, as sent or as dropped for a reason; return the items."""
        with self._lock:
            if self.phase is Phase.CLOSED:  # an attempt outlived the shutdown, which has counted already
                return 0
            items = self._queue.release(upto)
            fates = self._refusals.settle(upto)
            for fate, refused in fates.items():
                (self._meters.dead_lettered if fate.kept else self._meters.dropped)(fate.reason, refused)
            if dropped is None:
                self._meters.sent.inc(items - fates.total())
            else:
                self._meters.dropped(dropped, items - fates.total())
            self.position = upto
            self._settled.notify_all()
        self._queue.tidy()
        return items

    def set_aside(self, part: tuple[Record, ...], refused: list[tuple[int, Refused]]) -> None:
        """Have what is refused of `part` kept, before the rest of it is delivered.

        Raises:
            RetryableError: it cannot be kept now.
        """
        with self._lock:  # nothing is written once the files are closed
            if self.phase is Phase.CLOSED:
                raise shutting_down()
            self._refusals.put(self._queue.id, part[0].sequence - 1, part[-1].sequence, refused)
            if not self._refusals.kept:
                for sequence, one in refused:
                    if not self._given_up or self._given_up[-1][1] != sequence:
                        self._given_up.append((sequence, sequence, one.message))
        if refused:
            _, example = refused[0]
            items = sum(one.data.items for _, one in refused)
            self._log.error("Refused for ever.", why=example.message, reason=example.reason, items=items)

    def give_up(self, first: int, last: int, why: str) -> None:
        """The records `first` to `last` will be dropped: say so to whoever waits for them."""
        with self._lock:
            self._given_up.append((first, last, why))

    def wait_stored(self, first: int, last: int) -> None:
        """Return when the records `first` to `last` are delivered.

        Raises:
            RetryableError: they are not yet (`not_stored_yet`). They are still in the queue.
            PermanentError: they were given up.
        """
        deadline = self._clock.monotonic() + _STORED_WAIT_S
        with self._settled:
            while self.position < last:
                left_s = deadline - self._clock.monotonic()
                if self.phase is Phase.CLOSED:
                    raise shutting_down()
                if left_s <= 0:
                    raise RetryableError(
                        f"it is queued for {self._id}, but not stored yet", reason="not_stored_yet"
                    )
                self._settled.wait(left_s)
            for begin, end, why in self._given_up:
                if begin <= last and first <= end:
                    raise PermanentError(f"{self._id} refused it: {why}", reason="given_up")

    def drain(self, until: float) -> None:
        """Take no more, and send what waits until the monotonic time `until`, or the one said before."""
        with self._lock:
            if self.phase is Phase.CLOSED:
                return
            self.drain_until = min(self.drain_until, until)
            self.phase = Phase.DRAINING

    def close(self) -> int | None:
        """Count what is left, for the last time, and return its items; None if that has been done already."""
        with self._lock:
            if self.phase is Phase.CLOSED:
                return None
            self.phase = Phase.CLOSED
            self._settled.notify_all()
            left = self._queue.items
            if left and not self._queue.durable:
                self._queue.release(self._queue.last)
                self._meters.dropped("shutdown", left)
            return left

    @contextmanager
    def still(self) -> Iterator[None]:
        """Hold everything: nothing is taken, sent, dropped or lost meanwhile. For the reading of its counters."""
        with self._lock, self._queue.still():
            yield

    def _lost(self, loss: Loss) -> None:
        """The queue lost something by itself: see `SendingQueue.watch`."""
        with self._queue.still():
            if loss.items:
                self._meters.dropped(loss.cause, loss.items)
        self._meters.queue_lost(loss.cause, loss.records)
        self._log.error(
            "The sending queue lost records.",
            why=loss.message,
            cause=loss.cause,
            detail=loss.detail,
            records=loss.records,
            items=loss.items,
        )

    def _letters_lost(self, loss: Loss) -> None:
        """Dead letters were found damaged: their items are counted already."""
        self._meters.queue_lost("dead_letter_damaged", loss.records)
        self._log.error("Dead letters are damaged.", why=loss.message, detail=loss.detail, items=loss.items)


def shutting_down() -> RetryableError:
    """Return what a client is told that comes too late."""
    return RetryableError("the collector is shutting down", reason="shutting_down", retry_after_s=1.0)
