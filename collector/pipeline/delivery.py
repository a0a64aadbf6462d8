"""`Delivery`: the sending half of a sender. It forms batches, exports, retries, and settles what is done.

All of it runs in the sender's thread, but for `adjust` and `end`. `turn` never waits: it does what is due and says when
to come back, so that a test can drive it with a clock of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from collector.model.errors import PermanentError, RetryableError, TelemetryError
from collector.model.signal import Signal
from collector.pipeline.backoff import Backoff
from collector.pipeline.batching import BatchLimits
from collector.pipeline.books import Books, Phase
from collector.pipeline.component import (
    Batch,
    Exporter,
    PreparingExporter,
    Refused,
    SalvagingExporter,
    Settings,
    State,
    TransactionalExporter,
)
from collector.pipeline.memory_plan import LargeRecords
from collector.pipeline.observe import ExporterMeters
from collector.pipeline.queue import Record, SendingQueue
from collector.pipeline.refusals import Refusals
from collector.pipeline.sender_config import RetryConfig

# How long the thread sleeps when nothing is waiting. What arrives wakes it.
_IDLE_S: Final = 60.0
# An exception that no exporter should raise is our bug. It may still pass, so it is tried again, but not often.
_BUG_ATTEMPTS_MAX: Final = 3
# How often a sender whose next record is large looks whether it is its turn.
_TURN_S: Final = 0.05


class Delivery:
    """From a queue's position into an exporter. What becomes of the items is entered in the `books`."""

    def __init__(
        self,
        settings: Settings,
        exporter: Exporter,
        signal: Signal,
        queue: SendingQueue,
        retry: RetryConfig,
        limits: BatchLimits,
        refusals: Refusals,
        books: Books,
        meters: ExporterMeters,
        large: LargeRecords,
    ) -> None:
        self._settings = settings
        self._clock = settings.clock
        self._log = settings.log.bind(otel_signal=signal.value)
        self._exporter = exporter
        self._preparing = _preparing(exporter)
        self._signal = signal
        self._queue = queue
        self._retry = retry
        self._limits = limits
        self._backoff = Backoff(retry, settings.rng)
        self._refusals = refusals
        self._books = books
        self._meters = meters
        self._work: deque[tuple[Record, ...]] = deque()  # the batch being sent, in parts if it was halved
        self._ahead: tuple[Record, ...] = ()  # the batch after it, read already so that it can be prepared
        self._large = large
        self._has_large = False  # the batch being sent is a record that is larger than this sender's share
        self._salvaging = False  # the batch was refused: what is good of it is to be delivered
        self._next_attempt_at: float | None = None
        self._bug_attempts = 0
        self._degraded = False
        self._sent_once = False
        self._hurried = False  # has begun to drain
        # Whether the destination may hold more than the position says: after a restart, or after an attempt that
        # failed when the destination had committed already. It is asked before anything is sent again.
        self._doubtful = queue.durable
        # The end of what this process, or one before it, may have sent.
        self._attempted = queue.last
        self._first = True  # nothing was sent by this process
        self._handing_on = threading.Lock()
        self._successions: deque[_Succession] = deque()
        self._ended = False

    def opened(self) -> None:
        """The queue is open: what is in it may have been sent."""
        self._attempted = self._queue.last

    def adjust(self, exporter: Exporter, retry: RetryConfig, limits: BatchLimits) -> threading.Event:
        """Go on with these from the next attempt on.

        Returns:
            An event that is set when the exporter it had is not used any more.
        """
        succession = _Succession(exporter, retry)
        self._limits = limits
        with self._handing_on:
            if self._ended:
                succession.done.set()
            else:
                self._successions.append(succession)
        return succession.done

    def end(self) -> None:
        """There will be no more turns."""
        with self._handing_on:
            self._ended = True
            for succession in self._successions:
                succession.done.set()
        self._large.give_back(self)

    def turn(self) -> float | None:
        """Do what is due: at most one attempt.

        Returns:
            Seconds until the next turn is due, if nothing wakes the thread before; None when all is done.
        """
        now = self._clock.monotonic()
        while self._successions:
            self._succeed(self._successions.popleft())
        if self._books.phase is not Phase.RUNNING:
            if now >= self._books.drain_until or not self._queue.items:
                return None
            if not self._hurried:  # the last chance: do not sit out a long wait
                self._hurried = True
                self._next_attempt_at = None
                self._backoff.reset()
        if self._next_attempt_at is not None and now < self._next_attempt_at:
            return self._wait_s(self._next_attempt_at - now, now)
        if not self._work:
            # The position first: of what is damaged, only what the destination does not hold is lost.
            wait_s = self._batch_in_s() or (0.0 if self._doubtful else self._read_batch())
            if wait_s:
                return wait_s
        if self._doubtful:
            self._ask_position()
        else:
            self._attempt(self._work[0])
        return 0.0

    def _succeed(self, succession: _Succession) -> None:
        self._retry = succession.retry
        self._backoff = Backoff(self._retry, self._settings.rng)
        self._next_attempt_at = None
        if succession.exporter is not self._exporter:
            self._exporter = succession.exporter
            self._preparing = _preparing(succession.exporter)
            self._doubtful = True  # it may be another destination, or know how the last attempt ended
        succession.done.set()

    def _wait_s(self, wait_s: float, now: float) -> float:
        return wait_s if self._books.phase is Phase.RUNNING else min(wait_s, self._books.drain_until - now)

    def _batch_in_s(self) -> float:
        """How long there will be no batch to send."""
        queue = self._queue
        if not queue.items:  # behind the position there may still be damage that is not counted yet
            return 0.0 if queue.last > self._books.position else _IDLE_S
        if self._is_ahead() or self._books.phase is not Phase.RUNNING:
            return 0.0
        return self._limits.wait_s(queue.items, queue.size, queue.oldest_age_s())

    def _is_ahead(self) -> bool:
        """Whether the next batch has been read."""
        return bool(self._ahead) and self._ahead[0].sequence == self._books.position + 1

    def _read_batch(self) -> float:
        """Begin the next batch if there is one; else return how long there will be none."""
        queue = self._queue
        records = self._ahead if self._is_ahead() else ()
        self._ahead = ()
        if not records:
            if self._limits.is_large(*queue.next_size(self._books.position)):
                if not self._large.take(self):
                    return _TURN_S
                self._has_large = True
            records = tuple(queue.read(self._books.position, self._limits))
        if not records:
            return _IDLE_S
        self._work.append(records)
        self._backoff.reset()
        self._bug_attempts = 0
        return 0.0

    def _ask_position(self) -> None:
        """Let the destination say what it holds, before anything is sent that it may have."""
        if not isinstance(self._exporter, TransactionalExporter):
            self._doubtful = False
            return
        try:
            position = self._exporter.position(self._queue.id)
        except TelemetryError as error:
            self._postpone(str(error), error.reason, getattr(error, "retry_after_s", None))
        except Exception as error:  # noqa: BLE001  our bug; the data must not suffer for it
            self._log.error("Could not ask for the position: this is a bug.", exc_info=error)
            self._postpone(f"{type(error).__name__} while asking for the position", "internal_error", None)
        else:
            if position is not None and position > self._attempted:
                self._leave_to_others(position)
            elif position is not None and position > self._books.position:
                self._settle(position, None)
                self._recovered()
            self._doubtful = False

    def _leave_to_others(self, position: int) -> None:
        """The destination holds more of this queue than was ever sent from here: there are two of it.

        Either this one is an older copy of a directory, and what was in it when this process began was sent by the
        other one; or the other one is a copy of this, and what the positions say is not about our records. Under a
        new id, the rest of ours is told apart.
        """
        queue_id = self._queue.id
        try:
            self._queue.renew()
        except RetryableError as error:
            self._postpone(str(error), error.reason, error.retry_after_s)
            return
        self._log.error(
            "Another queue has sent under this queue's id: its directory was copied or restored. It has a new id now.",
            queue_id=str(queue_id),
            new_queue_id=str(self._queue.id),
            position=position,
            expected_at_most=self._attempted,
        )
        if self._first and self._attempted > self._books.position:
            self._settle(self._attempted, None)

    def _attempt(self, part: tuple[Record, ...]) -> None:
        """Make one attempt at `part`, and decide what becomes of it."""
        batch = self._batch(part)
        self._look_ahead(batch)
        self._attempted = max(self._attempted, batch.end)
        self._first = False
        began = self._clock.monotonic()
        try:
            if self._salvaging or self._refusals.among(batch.start, batch.end):
                self._salvage(batch, part)
            else:
                self._exporter.export(batch)
        except RetryableError as error:
            self._doubtful = True
            self._postpone(str(error), error.reason, error.retry_after_s)
        except PermanentError as error:
            self._refused(part, str(error), error.reason)
        except Exception as error:  # noqa: BLE001  our bug on this batch: count it, say it, never loop
            self._doubtful = True
            self._bug_attempts += 1
            self._log.error("The exporter failed unexpectedly: this is a bug.", exc_info=error)
            message = f"unexpected {type(error).__name__}"
            if self._bug_attempts < _BUG_ATTEMPTS_MAX:
                self._postpone(message, "internal_error", None)
            else:
                self._refused(part, message, "internal_error")
        else:
            self._settle(batch.end, None)
            self._meters.batch_sent(
                batch.items, self._clock.monotonic() - began, self._clock.unix_nano() / 1e9
            )
            self._recovered()

    def _batch(self, part: tuple[Record, ...]) -> Batch:
        return Batch(
            self._signal,
            tuple(record.data for record in part),
            self._queue.id,
            part[0].sequence - 1,
            part[-1].sequence,
        )

    def _look_ahead(self, batch: Batch) -> None:
        """Have the batch after `batch` prepared, if there is a full one already."""
        if self._preparing is None or not self._limits.ahead or self._has_large or len(self._work) > 1:
            return
        waiting = self._queue.items - batch.items, self._queue.size - batch.size
        if (
            not self._ahead
            and self._limits.full(*waiting)
            and not self._limits.is_large(*self._queue.next_size(batch.end))
        ):
            self._ahead = tuple(self._queue.read(batch.end, self._limits))
        if self._ahead:
            self._preparing.prepare(self._batch(self._ahead))

    def _postpone(self, message: str, reason: str, retry_after_s: float | None) -> None:
        """Try again later, or give up if the configuration says so."""
        now = self._clock.monotonic()
        self._next_attempt_at = self._backoff.failed(now, retry_after_s)
        items = self._queue.items
        if self._next_attempt_at is None:
            self._give_up(message, now)
        else:
            self._meters.retried(reason)
            if self._has_large:  # others need the memory meanwhile; it is in the queue
                self._work.clear()
                self._large_is_done()
            retry_in_s = round(self._next_attempt_at - now, 3)
            self._log.warning("Not sent, trying again.", why=message, retry_in_s=retry_in_s, queued=items)
        self._degraded = True
        self._settings.report(State.DEGRADED, f"{message}; {items} items are waiting")

    def _give_up(self, message: str, now: float) -> None:
        """Drop the batch that cannot be sent; where only the position was asked for, that is the next one."""
        if not self._work:
            self._read_batch()
        if self._work:
            self._drop(self._work[0], message, "retry_expired" if self._retry.enabled else "retry_disabled")
        else:
            self._next_attempt_at = now + self._retry.initial_interval
        if not self._work:
            self._backoff.reset()

    def _recovered(self) -> None:
        self._next_attempt_at = None
        self._backoff.reset()
        if self._degraded or not self._sent_once:
            self._degraded = False
            self._sent_once = True
            self._settings.report(State.OK, "sending")

    def _salvage(self, batch: Batch, part: tuple[Record, ...]) -> None:
        """Deliver what is good of a batch that was refused, and set the rest aside."""
        if not isinstance(self._exporter, SalvagingExporter):
            self._books.set_aside(part, [])  # another destination had refused it
            self._exporter.export(batch)
            return

        def set_aside(refused: Sequence[Refused]) -> None:
            self._books.set_aside(part, [(part[one.record].sequence, one) for one in refused])

        self._exporter.salvage(batch, set_aside)

    def _refused(self, part: tuple[Record, ...], message: str, reason: str) -> None:
        """Have the destination find what is to blame, so that one bad item takes no other with it.

        One that cannot gets halves until a record is alone. Of n records with one bad this costs about
        2 log2(n) attempts, and never more than 2n.
        """
        self._next_attempt_at = None
        if isinstance(self._exporter, SalvagingExporter) and not self._salvaging:
            self._salvaging = True
        elif len(part) == 1:
            try:
                refused = Refused(0, 0, part[0].data, reason, message)
                self._books.set_aside(part, [(part[0].sequence, refused)])
            except RetryableError as error:
                self._postpone(str(error), error.reason, error.retry_after_s)
            else:
                self._settle(part[-1].sequence, None)
        else:
            middle = len(part) // 2
            self._work.popleft()
            self._work.extendleft((part[middle:], part[:middle]))

    def _drop(self, part: tuple[Record, ...], message: str, reason: str) -> None:
        self._books.give_up(part[0].sequence, part[-1].sequence, message)
        items = self._settle(part[-1].sequence, reason)
        self._log.error("Dropped.", why=message, reason=reason, items=items)

    def _settle(self, upto: int, dropped: str | None) -> int:
        """Release everything up to position `upto`: see `Books.settle`."""
        items = self._books.settle(upto, dropped)
        self._salvaging = False
        while self._work and self._work[0][-1].sequence <= upto:
            self._work.popleft()
        if self._work and self._work[0][0].sequence <= upto:
            self._work[0] = tuple(record for record in self._work[0] if record.sequence > upto)
        if self._has_large and not self._work:
            self._large_is_done()
        return items

    def _large_is_done(self) -> None:
        self._has_large = False
        self._large.give_back(self)


class _Succession:
    """Another exporter and other rules of retrying, for the sender's thread to take up. See `Delivery.adjust`."""

    __slots__ = ("done", "exporter", "retry")

    def __init__(self, exporter: Exporter, retry: RetryConfig) -> None:
        self.exporter = exporter
        self.retry = retry
        self.done = threading.Event()


def _preparing(exporter: Exporter) -> PreparingExporter | None:
    return exporter if isinstance(exporter, PreparingExporter) else None
