"""The sending queue: what has been taken over from clients and is not delivered yet.

Everything is said in positions. Each record has a sequence number, from 1 up without gaps; a position is the
sequence number of the last record that is done with. Reading starts behind a position and changes nothing, so
a batch can be read again; what is delivered is released.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import dropwhile
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import quote
from uuid import UUID

from collector.model.clock import Clock
from collector.model.errors import RetryableError
from collector.model.telemetry import Telemetry
from collector.pipeline.batching import BatchLimits

if TYPE_CHECKING:
    from collector.model.identity import ComponentID
    from collector.model.signal import Signal


@dataclass(frozen=True, slots=True)
class Record:
    """One piece of telemetry in a queue, and its sequence number."""

    sequence: int
    data: Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Records that left a queue without having been released.

    Destinations may hold more than a queue's own position says, after a crash: who reads or releases has asked them,
    so damage is told from then on.

    `cause` is a metric label: `overflow`, `damaged` or `disk_failed`; `detail` says more in a word.
    """

    cause: str
    detail: str
    records: int
    items: int
    message: str


Watcher = Callable[[Loss], None]
Overflow = Literal["refuse", "drop_oldest"]


class SendingQueue(Protocol):
    """The queue before one exporter, for one signal. Thread-safe: many append, one reads and releases.

    Putting data in is three steps, so that a request can go into several queues or into none: `reserve` room
    in each, `append_all` to each, `wait_durable` for each.
    """

    @property
    def id(self) -> UUID:
        """Names this sequence of records for ever: destinations remember positions by it."""
        ...

    @property
    def durable(self) -> bool:
        """Whether what is in it outlives the process."""
        ...

    @property
    def capacity(self) -> int:
        """Bytes it may hold."""
        ...

    @property
    def size(self) -> int:
        """Bytes of OTLP not released yet."""
        ...

    @property
    def items(self) -> int:
        """Items not released yet."""
        ...

    @property
    def released(self) -> int:
        """The position up to which records were released: where a reader begins."""
        ...

    @property
    def last(self) -> int:
        """The sequence number of the last record appended; 0 if there never was one."""
        ...

    def oldest_age_s(self) -> float:
        """How long the oldest record not released has waited; 0 when there is none."""
        ...

    def still(self) -> AbstractContextManager[object]:
        """Hold everything in place: meanwhile nothing comes or goes, and every loss has been told to the watcher."""
        ...

    def watch(self, watcher: Watcher, /) -> None:
        """Have `watcher` called for every loss, in the thread that meets it. Before `open`."""
        ...

    def open(self) -> None:
        """Make it usable; afterwards it holds what an earlier process left in it. Safe twice.

        Raises:
            StartError: it cannot be used.
        """
        ...

    def renew(self) -> None:
        """Take a new id: a destination knows this one from records that are not in this queue.

        Raises:
            RetryableError: the id cannot be written down now.
        """
        ...

    def adjust(self, capacity: int, overflow: Overflow, /) -> None:
        """Have another bound, and do something else when it is reached. What is in it stays, even if it is more."""
        ...

    def reserve(self, size: int, /) -> None:
        """Set room for `size` bytes aside. A request larger than the whole queue finds room when it is empty.

        A queue that overflows by `drop_oldest` makes room, by records that have not been read.

        Raises:
            RetryableError: there is no room now (`queue_full`).
        """
        ...

    def cancel(self, size: int, /) -> None:
        """Give back what was reserved and is not going to be appended."""
        ...

    def find(self, origin: bytes, /) -> int | None:
        """The sequence number of the record with this origin, if an earlier process took it less than a minute ago.

        So a client that has had no answer, because that process ended, may send again what is here already. What
        this process takes, its receivers remember.
        """
        ...

    def append_all(self, pieces: Sequence[Telemetry], origins: Sequence[bytes] = (), /) -> int:
        """Append all or none of `pieces`, whose bytes the caller has reserved; uses the reservation up.

        `origins`: 16 bytes for each piece that are the same when the request comes again, or nothing.

        Returns:
            The sequence number of the last one.

        Raises:
            RetryableError: the medium failed. Nothing was appended, the reservation is given back.
        """
        ...

    def wait_durable(self, sequence: int, /) -> None:
        """Return when the record and all before it would survive what this queue is made to survive.

        Raises:
            RetryableError: that cannot be promised.
        """
        ...

    def read(self, after: int, limits: BatchLimits, /) -> list[Record]:
        """Return the records behind position `after` that make one batch: until full, at least one if any."""
        ...

    def next_size(self, after: int, /) -> tuple[int, int]:
        """Items and bytes of the record behind position `after`; nothing of it is read. (0, 0) if there is none."""
        ...

    def release(self, upto: int, /) -> int:
        """Declare all records up to position `upto` done with. A hint: after a crash some may come again.

        Returns:
            How many items that were.
        """
        ...

    def tidy(self) -> None:
        """Give back the room of what was released. It may take milliseconds: nobody should wait for who calls it."""
        ...

    def close(self) -> None:
        """Let go of files and locks. Safe twice."""
        ...


def queue_name(exporter: ComponentID, signal: Signal) -> str:
    """What the queue is called where queues are kept."""
    return f"{quote(str(exporter), safe='')}-{signal.value}"


def full_error(taken: int, capacity: int, has_room: Callable[[], bool]) -> RetryableError:
    """What `reserve` raises."""
    return RetryableError(
        f"the sending queue is full: {taken} of {capacity} bytes are taken",
        reason="queue_full",
        has_room=has_room,
    )


def overflow_loss(records: int, items: int) -> Loss:
    """What `drop_oldest` tells its watcher."""
    return Loss(
        cause="overflow",
        detail="drop_oldest",
        records=records,
        items=items,
        message="the sending queue is full and its overflow policy is drop_oldest",
    )


class MemoryQueue:
    """A sending queue in memory: what is in it ends with the process, and so does its id.

    `capacity_max`: no capacity is more than that.
    """

    durable = False

    def __init__(
        self,
        capacity: int,
        clock: Clock,
        *,
        queue_id: UUID | None = None,
        overflow: Overflow = "refuse",
        capacity_max: int | None = None,
    ) -> None:
        # From the system's randomness and not from a seedable one: two processes with the same id would take
        # each other's positions in the database for their own, and skip what they have not sent.
        self._id = queue_id or uuid.uuid4()
        self._capacity_max = capacity_max
        self._capacity = self._capped(capacity)
        self._clock = clock
        self._overflow = overflow
        self._watcher: Watcher = lambda loss: None
        self._lock = threading.RLock()
        self._waiting: deque[tuple[Record, float]] = deque()  # with the time of arrival
        self._last = 0
        self._released = 0
        self._read_upto = 0
        self._reserved = 0
        self._size = 0
        self._items = 0

    @property
    def id(self) -> UUID:
        """See `SendingQueue`."""
        return self._id

    @property
    def capacity(self) -> int:
        """See `SendingQueue`."""
        return self._capacity

    @property
    def size(self) -> int:
        """See `SendingQueue`."""
        return self._size

    @property
    def items(self) -> int:
        """See `SendingQueue`."""
        return self._items

    @property
    def released(self) -> int:
        """See `SendingQueue`."""
        return self._released

    @property
    def last(self) -> int:
        """See `SendingQueue`."""
        return self._last

    def oldest_age_s(self) -> float:
        """See `SendingQueue`."""
        with self._lock:
            return self._clock.monotonic() - self._waiting[0][1] if self._waiting else 0.0

    def still(self) -> AbstractContextManager[object]:
        """See `SendingQueue`."""
        return self._lock

    def watch(self, watcher: Watcher, /) -> None:
        """See `SendingQueue`."""
        self._watcher = watcher

    def open(self) -> None:
        """Nothing to open."""

    def renew(self) -> None:
        """See `SendingQueue`."""
        self._id = uuid.uuid4()

    def adjust(self, capacity: int, overflow: Overflow, /) -> None:
        """See `SendingQueue`."""
        with self._lock:
            self._capacity, self._overflow = self._capped(capacity), overflow

    def _capped(self, capacity: int) -> int:
        return capacity if self._capacity_max is None else min(capacity, self._capacity_max)

    def reserve(self, size: int, /) -> None:
        """See `SendingQueue`."""
        with self._lock:
            excess = self._excess(size)
            if excess > 0 and (self._overflow == "refuse" or not self._drop_oldest(excess)):
                taken = self._size + self._reserved
                raise full_error(taken, self._capacity, lambda: self._excess(size) <= 0)
            self._reserved += size

    def _excess(self, size: int) -> int:
        """How many bytes are in the way of `size` more."""
        taken = self._size + self._reserved
        return taken + size - self._capacity if taken else 0

    def _drop_oldest(self, excess: int) -> bool:
        """Remove the oldest records that have not been read, until `excess` bytes are free; else none."""
        free = 0
        victims = []
        for record, _ in self._waiting:
            if free >= excess:
                break
            if record.sequence > self._read_upto:
                victims.append(record)
                free += record.data.size
        if free < excess:
            return False
        gone = {record.sequence for record in victims}
        items = sum(record.data.items for record in victims)
        self._waiting = deque(entry for entry in self._waiting if entry[0].sequence not in gone)
        self._size -= free
        self._items -= items
        self._watcher(overflow_loss(len(victims), items))
        return True

    def cancel(self, size: int, /) -> None:
        """See `SendingQueue`."""
        with self._lock:
            self._reserved -= size

    def find(self, origin: bytes, /) -> int | None:
        """There was no earlier process."""

    def append_all(self, pieces: Sequence[Telemetry], origins: Sequence[bytes] = (), /) -> int:
        """See `SendingQueue`."""
        with self._lock:
            now = self._clock.monotonic()
            for data in pieces:
                self._last += 1
                self._waiting.append((Record(self._last, data), now))
                self._reserved -= data.size
                self._size += data.size
                self._items += data.items
            return self._last

    def wait_durable(self, sequence: int, /) -> None:
        """Nothing to wait for: it is in memory."""

    def read(self, after: int, limits: BatchLimits, /) -> list[Record]:
        """See `SendingQueue`."""
        with self._lock:
            records: list[Record] = []
            items = size = 0
            behind = dropwhile(lambda entry: entry[0].sequence <= after, self._waiting)
            for record, _ in behind:
                items += record.data.items
                size += record.data.size
                if records and not limits.fits(items, size):
                    break
                records.append(record)
                if limits.complete(items, size):
                    break
            if records:
                self._read_upto = max(self._read_upto, records[-1].sequence)
            return records

    def next_size(self, after: int, /) -> tuple[int, int]:
        """See `SendingQueue`."""
        with self._lock:
            for record, _ in self._waiting:
                if record.sequence > after:
                    return record.data.items, record.data.size
            return 0, 0

    def release(self, upto: int, /) -> int:
        """See `SendingQueue`."""
        with self._lock:
            items = 0
            while self._waiting and self._waiting[0][0].sequence <= upto:
                record, _ = self._waiting.popleft()
                self._size -= record.data.size
                items += record.data.items
            self._released = max(self._released, min(upto, self._last))
            self._items -= items
            return items

    def tidy(self) -> None:
        """There is nothing to give back."""

    def close(self) -> None:
        """Nothing to let go of."""
