"""How the memory that this process may have is divided, before any of it is used.

What the process has when it is at work on nothing comes first. Of the rest, requests in work, batches in work and
queues in memory have parts that are fixed, so that no one of them is short because another is busy. ARCHITECTURE.md,
"Memory", says what counts where.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

_MIB: Final = 1024 * 1024

# The interpreter, all modules that a daemon loads, its threads, the allocator's slack, and the pages of libraries.
_PROCESS_BYTES: Final = 76 * _MIB
# Where less than the process itself needs is to be had, at least this share of it is planned with.
_SHARE_MIN: Final = 8

# Requests have two fifths of a small process, which is enough for many of the usual size; and an eighth of a large one: one
# of the size that OTLP recommends to take (64 MiB) may need a dozen times as much when it has to be parsed.
_REQUESTS_SMALL: Final = 128 * _MIB
_REQUESTS_MAX: Final = 1024 * _MIB
_QUEUES_MAX: Final = 1024 * _MIB
_TAIL_MAX: Final = 16 * _MIB  # for each sender
_DELIVERY_MAX: Final = 2048 * _MIB  # for each sender: more than any batch of 32 MiB takes
# Below it, a sender has no second batch encoded while the first is written.
_AHEAD_MIN: Final = 12 * _MIB
_IDENTITIES_MAX: Final = 100_000
_IDENTITY_BYTES: Final = 1024  # in the encoder and in the store, with two generations
_KEYS_MAX: Final = 64 * _MIB
_SPARE_MAX: Final = 16 * _MIB

# What a batch holds from the queue to the database, measured: its payloads, the rows made of them, the pieces on
# their way. Of an item, what the encoders note of it, and the objects of the one that is not compiled.
_DELIVERY_FACTOR: Final = 3
_DELIVERY_PER_ITEM: Final = 1024


def delivery_bytes(items: int, size: int) -> int:
    """What a batch (or one record) of so many items and bytes holds in memory until it is stored."""
    return _DELIVERY_FACTOR * size + _DELIVERY_PER_ITEM * items


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """Bytes, except where a name says otherwise."""

    requests: int  # between arrival and answer: what `ByteBudget` gives out
    queues: int  # all queues that are in memory
    batches: int  # of all senders, each of which has an equal share
    tails: int  # of all queues on disk: what they keep in memory of what came last
    largest: int  # what one record may take in delivery; only one that exceeds its sender's share is at work at a time
    identities: int  # resources, scopes or series that an exporter remembers, of each signal
    keys: int  # attributes by which an encoder knows them again
    spare: int  # memory of rows that an encoder keeps for its next batch, per table

    def batch(self, senders: int) -> int:
        """What one batch may hold, in `delivery_bytes`, where so many senders share."""
        share = min(_DELIVERY_MAX, self.batches // max(1, senders))
        return share // 2 if self.ahead(senders) else share

    def tail(self, senders: int) -> int:
        """What a queue on disk may keep in memory, in bytes, where so many senders share."""
        return min(_TAIL_MAX, self.tails // max(1, senders))

    def ahead(self, senders: int) -> bool:
        """Whether senders may have the next batch made ready while they deliver one."""
        return self.batches // max(1, senders) >= _AHEAD_MIN


def memory_plan(available: int | None, requests: int | None = None) -> MemoryPlan:
    """Divide `available` bytes (None: nobody knows how many there are). `requests`: as somebody has asked for."""
    if available is None:
        available = 1 << 40
    room = max(available - _PROCESS_BYTES, available // _SHARE_MIN)
    planned = max(min(_REQUESTS_SMALL, room * 2 // 5), min(_REQUESTS_MAX, room // 8))
    rest = room - planned
    return MemoryPlan(
        requests=requests or planned,
        queues=min(_QUEUES_MAX, rest // 3),
        batches=rest // 2,
        tails=rest // 16,
        largest=rest // 2 - rest // 16,
        identities=min(_IDENTITIES_MAX, room // 8 // _IDENTITY_BYTES),
        keys=min(_KEYS_MAX, room // 16),
        spare=min(_SPARE_MAX, rest // 64),
    )


UNBOUNDED: Final = memory_plan(None)


class LargeRecords:
    """Whose turn it is to deliver a record that is larger than its sender's share. Thread-safe, never waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: dict[int, None] = {}  # of who asked, in order; the first has the turn

    def take(self, who: object) -> bool:
        """Whether it is `who`'s turn, which lasts until it is given back. Who asks first has it first."""
        with self._lock:
            self._line.setdefault(id(who), None)
            return next(iter(self._line)) == id(who)

    def give_back(self, who: object) -> None:
        """Have no turn, and no place in the line. Safe without one."""
        with self._lock:
            self._line.pop(id(who), None)
