"""`Sender`: what stands between a pipeline and an exporter, for one signal.

Two halves with the queue between them. `consume`, in the thread of whoever brings telemetry, takes it over by
appending it to the queue. `turn`, in the sender's own thread, reads on from its position, forms batches,
exports, retries, and releases. `turn` never waits: it does what is due and says when to come back, so that a
test can drive it with a clock of its own.

Whatever happens to a batch, its items are counted once:
`enqueued = sent + dropped{reason} + dead_lettered{reason} + queued`.
"""

from __future__ import annotations

import enum
import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from collector.model.errors import PermanentError, RetryableError, TelemetryError
from collector.model.signal import Signal
from collector.model.telemetry import Telemetry
from collector.pipeline.backoff import Backoff
from collector.pipeline.batching import BatchLimits
from collector.pipeline.component import (
    Batch,
    Consumer,
    Exporter,
    PreparingExporter,
    Refused,
    SalvagingExporter,
    Settings,
    State,
    Thread,
    TransactionalExporter,
)
from collector.pipeline.fanout import hand_over
from collector.pipeline.observe import ExporterMeters
from collector.pipeline.queue import Loss, Record, SendingQueue
from collector.pipeline.refusals import Refusals
from collector.pipeline.sender_config import Ack, RetryConfig, SenderConfig

__all__ = ["Ack", "Sender", "SenderConfig"]

# How long the thread sleeps when nothing is waiting. What arrives wakes it.
_IDLE_S: Final = 60.0
# An exception that no exporter should raise is our bug. It may still pass, so it is tried again, but not often.
_BUG_ATTEMPTS_MAX: Final = 3
# How long `shutdown` drains when nobody said, and waits beyond the deadline for an attempt that is under way.
_DRAIN_S: Final = 5.0
_LAST_ATTEMPT_S: Final = 1.0
# How long a client waits for `stored` before it is asked to come again: less than the 10 s after which an SDK gives
# up by itself (OpenTelemetry specification, "OTLP Exporter Configuration", timeout).
_STORED_WAIT_S: Final = 8.0
# Records given up lately, so that whoever waits for them learns of it.
_GIVEN_UP_MAX: Final = 1000


class _Phase(enum.Enum):
    RUNNING = enum.auto()
    DRAINING = enum.auto()  # nothing more is taken; what waits is sent without waiting for more
    CLOSED = enum.auto()  # what is left has been counted


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
    ) -> None:
        self._settings = settings
        self._clock = settings.clock
        self._log = settings.log.bind(otel_signal=signal.value)
        self._exporter = exporter
        self._preparing = _preparing(exporter)
        self._signal = signal
        self._queue = queue
        self._retry = config.retry_on_failure
        self._limits = limits
        self._backoff = Backoff(self._retry, settings.rng)
        self._refusals = refusals or Refusals()
        self._salvaging = False  # the batch was refused: what is good of it is to be delivered
        self._meters = ExporterMeters(
            settings.meters, str(settings.id), signal, queue, self._refusals.letters
        )
        # Guards the counters and the phase: an item is counted in the moment it changes hands.
        self._ledger = threading.Lock()
        self._settled = threading.Condition(self._ledger)  # the position has moved, or the phase has ended
        self._given_up: deque[tuple[int, int, str]] = deque(maxlen=_GIVEN_UP_MAX)  # first, last, why
        self._phase = _Phase.RUNNING
        self._thread: Thread | None = None
        self._ended = False  # the thread has
        self._wake = threading.Event()
        self._drain_until = math.inf
        self._hurry = False
        # What only the sender's thread touches.
        self._position = queue.released
        self._work: deque[tuple[Record, ...]] = deque()  # the batch being sent, in parts if it was halved
        self._ahead: tuple[Record, ...] = ()  # the batch after it, read already so that it can be prepared
        self._next_attempt_at: float | None = None
        self._bug_attempts = 0
        self._degraded = False
        self._sent_once = False
        # Whether the destination may hold more than `_position` says: after a restart, or after an attempt that
        # failed when the destination had committed already. It is asked before anything is sent again.
        self._doubtful = queue.durable
        # The end of what this process, or one before it, may have sent.
        self._attempted = queue.last
        self._first = True  # nothing was sent by this process
        self._opening = False
        self._successions: deque[_Succession] = deque()
        queue.watch(self._lost)
        if self._refusals.letters is not None:
            self._refusals.letters.watch(self._letters_lost)

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
        size = sum(piece.size for piece in pieces)
        try:
            if self._phase is not _Phase.RUNNING:
                raise _shutting_down()
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
        with self._ledger:
            if self._phase is _Phase.CLOSED:
                self._queue.cancel(size)
                raise _shutting_down()
            last = self._queue.append_all(pieces, origins)
            self._meters.enqueued.inc(sum(piece.items for piece in pieces))
        # The thread needs to know of the record it would read next, and that a batch is full. In between it
        # sleeps: waking it for every request would cost more than the request.
        first = last - len(pieces) + 1
        if first == self._position + 1 or self._limits.full(self._queue.items, self._queue.size):
            self._wake.set()
        return last

    def wait_stored(self, first: int, last: int) -> None:
        """Return when the records `first` to `last` are delivered.

        Raises:
            RetryableError: they are not yet (`not_stored_yet`). They are still in the queue.
            PermanentError: they were given up.
        """
        deadline = self._clock.monotonic() + _STORED_WAIT_S
        with self._settled:
            while self._position < last:
                left_s = deadline - self._clock.monotonic()
                if self._phase is _Phase.CLOSED:
                    raise _shutting_down()
                if left_s <= 0:
                    raise RetryableError(
                        f"it is queued for {self._settings.id}, but not stored yet", reason="not_stored_yet"
                    )
                self._settled.wait(left_s)
            for begin, end, why in self._given_up:
                if begin <= last and first <= end:
                    raise PermanentError(f"{self._settings.id} refused it: {why}", reason="given_up")

    def _lost(self, loss: Loss) -> None:
        """The queue lost something by itself: see `SendingQueue.watch`."""
        with self._queue.still():
            if self._opening:  # an earlier process had counted it as enqueued
                self._meters.restored(loss.items)
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

    # --- life -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the queue, and start the thread."""
        self._opening = True
        self._meters.opening()
        self._queue.open()
        self._opening = False
        self._refusals.open(self._queue.id, self._queue.released, self._queue.last)
        self._position = self._queue.released
        self._attempted = self._queue.last
        with self._ledger:
            self._meters.opened()
        self._settings.report(State.OK, "nothing sent yet")
        self._thread = self._settings.spawn(f"{self._settings.id}/{self._signal.value}", self._run)

    def adjust(self, exporter: Exporter, config: SenderConfig, limits: BatchLimits) -> threading.Event:
        """Go on with these from the next attempt on. The queue stays, with all that waits in it.

        Returns:
            An event that is set when the exporter it had is not used any more.
        """
        succession = _Succession(exporter, config.retry_on_failure)
        self._limits = limits
        self._queue.adjust(int(config.sending_queue.queue_size), config.sending_queue.overflow)
        letters = config.sending_queue.dead_letters
        self._refusals.adjust(int(letters.size), letters.overflow)
        with self._ledger:
            if self._ended:
                succession.done.set()
            else:
                self._successions.append(succession)
        self._wake.set()
        return succession.done

    @contextmanager
    def still(self) -> Iterator[None]:
        """Hold everything: nothing is taken, sent, dropped or lost meanwhile. For the reading of its counters."""
        with self._ledger, self._queue.still():
            yield

    def drain(self, until: float) -> None:
        """Take no more, and send what waits until the monotonic time `until`. Returns at once.

        Called again it can only make the time shorter.
        """
        with self._ledger:
            if self._phase is _Phase.CLOSED:
                return
            self._drain_until = min(self._drain_until, until)
            if self._phase is _Phase.RUNNING:
                self._hurry = True
                self._phase = _Phase.DRAINING
        self._wake.set()

    def shutdown(self) -> None:
        """Drain, if nobody has begun to; wait for the end of it; count what is left. See `Component`."""
        self.drain(self._clock.monotonic() + _DRAIN_S)
        if self._thread is not None:
            # Until a moment that is the same for all senders, or their last attempts would add up.
            self._thread.join(max(0.0, self._drain_until + _LAST_ATTEMPT_S - self._clock.monotonic()))
        with self._ledger:
            if self._phase is _Phase.CLOSED:
                return
            self._phase = _Phase.CLOSED
            self._settled.notify_all()
            left = self._queue.items
            if left and not self._queue.durable:
                self._queue.release(self._queue.last)
                self._meters.dropped("shutdown", left)
        if left and self._queue.durable:
            self._log.info("Stopped; what is queued will be sent after the next start.", items=left)
        elif left:
            self._log.error("Stopped before all was sent; what was queued in memory is lost.", items=left)
        self._queue.close()
        self._refusals.close()
        self._meters.closed()
        self._settings.report(State.STOPPED, f"{left} items were not sent" if left else "all sent")

    def _run(self) -> None:
        while True:
            self._wake.clear()
            wait_s = self.turn()
            if wait_s is None:
                break
            if wait_s:
                self._wake.wait(wait_s)
        with self._ledger:
            self._ended = True
            for succession in self._successions:
                succession.done.set()

    # --- sending ----------------------------------------------------------------------------------------

    def turn(self) -> float | None:
        """Do what is due: at most one attempt. For the sender's thread; tests call it in its place.

        Returns:
            Seconds until the next turn is due, if nothing wakes the thread before; None when all is done.
        """
        now = self._clock.monotonic()
        while self._successions:
            self._succeed(self._successions.popleft())
        if self._phase is not _Phase.RUNNING and (now >= self._drain_until or not self._queue.items):
            return None
        if self._hurry:  # the last chance: do not sit out a long wait
            self._hurry = False
            self._next_attempt_at = None
            self._backoff.reset()
        if self._next_attempt_at is not None and now < self._next_attempt_at:
            return self._wait_s(self._next_attempt_at - now, now)
        if not self._work:
            wait_s = self._read_batch()
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
        return wait_s if self._phase is _Phase.RUNNING else min(wait_s, self._drain_until - now)

    def _read_batch(self) -> float:
        """Begin the next batch if there is one; else return how long there will be none."""
        queue = self._queue
        if not queue.items:
            return _IDLE_S
        records, self._ahead = self._ahead, ()
        if not records or records[0].sequence != self._position + 1:
            if self._phase is _Phase.RUNNING:
                wait_s = self._limits.wait_s(queue.items, queue.size, queue.oldest_age_s())
                if wait_s:
                    return wait_s
            records = tuple(queue.read(self._position, self._limits))
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
            elif position is not None and position > self._position:
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
        if self._first and self._attempted > self._position:
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
        if self._preparing is None or len(self._work) > 1:
            return
        waiting = self._queue.items - batch.items, self._queue.size - batch.size
        if not self._ahead and self._limits.full(*waiting):
            self._ahead = tuple(self._queue.read(batch.end, self._limits))
        if self._ahead:
            self._preparing.prepare(self._batch(self._ahead))

    def _postpone(self, message: str, reason: str, retry_after_s: float | None) -> None:
        """Try again later, or give up if the configuration says so."""
        now = self._clock.monotonic()
        self._next_attempt_at = self._backoff.failed(now, retry_after_s)
        items = self._queue.items
        if self._next_attempt_at is None:
            self._drop(self._work[0], message, "retry_expired" if self._retry.enabled else "retry_disabled")
        else:
            self._meters.retried(reason)
            retry_in_s = round(self._next_attempt_at - now, 3)
            self._log.warning("Not sent, trying again.", why=message, retry_in_s=retry_in_s, queued=items)
        self._degraded = True
        self._settings.report(State.DEGRADED, f"{message}; {items} items are waiting")

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
            self._set_aside(part, [])  # another destination had refused it
            self._exporter.export(batch)
            return

        def set_aside(refused: Sequence[Refused]) -> None:
            self._set_aside(part, [(part[one.record].sequence, one) for one in refused])

        self._exporter.salvage(batch, set_aside)

    def _set_aside(self, part: tuple[Record, ...], refused: list[tuple[int, Refused]]) -> None:
        """Have what is refused of `part` kept, before the rest of it is delivered.

        Raises:
            RetryableError: it cannot be kept now.
        """
        with self._ledger:  # nothing is written once the files are closed
            if self._phase is _Phase.CLOSED:
                raise _shutting_down()
            self._refusals.put(self._queue.id, part[0].sequence - 1, part[-1].sequence, refused)
            if not self._refusals.kept:
                for sequence, one in refused:
                    if not self._given_up or self._given_up[-1][1] != sequence:
                        self._given_up.append((sequence, sequence, one.message))
        if refused:
            _, example = refused[0]
            items = sum(one.data.items for _, one in refused)
            self._log.error("Refused for ever.", why=example.message, reason=example.reason, items=items)

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
                self._set_aside(part, [(part[0].sequence, refused)])
            except RetryableError as error:
                self._postpone(str(error), error.reason, error.retry_after_s)
            else:
                self._settle(part[-1].sequence, None)
        else:
            middle = len(part) // 2
            self._work.popleft()
            self._work.extendleft((part[middle:], part[:middle]))

    def _drop(self, part: tuple[Record, ...], message: str, reason: str) -> None:
        with self._ledger:
            self._given_up.append((part[0].sequence, part[-1].sequence, message))
        items = self._settle(part[-1].sequence, reason)
        self._log.error("Dropped.", why=message, reason=reason, items=items)

    def _settle(self, upto: int, dropped: str | None) -> int:
        """Release everything up to position `upto`, as sent or as dropped for a reason; return the items."""
        with self._ledger:
            if self._phase is _Phase.CLOSED:  # an attempt outlived the shutdown, which has counted already
                return 0
            items = self._queue.release(upto)
            fates = self._refusals.settle(upto)
            for fate, refused in fates.items():
                (self._meters.dead_lettered if fate.kept else self._meters.dropped)(fate.reason, refused)
            if dropped is None:
                self._meters.sent.inc(items - fates.total())
            else:
                self._meters.dropped(dropped, items - fates.total())
            self._salvaging = False
            self._position = upto
            self._settled.notify_all()
        while self._work and self._work[0][-1].sequence <= upto:
            self._work.popleft()
        if self._work and self._work[0][0].sequence <= upto:
            self._work[0] = tuple(record for record in self._work[0] if record.sequence > upto)
        return items


class _Succession:
    """Another exporter and other rules of retrying, for the sender's thread to take up. See `Sender.adjust`."""

    __slots__ = ("done", "exporter", "retry")

    def __init__(self, exporter: Exporter, retry: RetryConfig) -> None:
        self.exporter = exporter
        self.retry = retry
        self.done = threading.Event()


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

    __slots__ = ("_ack", "_first", "_last", "_pieces", "_queue", "_sender", "_size", "repeated", "waits")

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
        self.waits = ack == "stored" or (ack == "disk" and queue.durable)

    def append(self, origin: bytes) -> None:
        pieces, self._pieces = (
            self._pieces,
            [],
        )  # the request may be remembered for long, its bytes are the queue's
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


def _preparing(exporter: Exporter) -> PreparingExporter | None:
    return exporter if isinstance(exporter, PreparingExporter) else None


def _shutting_down() -> RetryableError:
    return RetryableError("the collector is shutting down", reason="shutting_down", retry_after_s=1.0)
