"""A short wait before a refusal: who finds no room now stands in line for a moment.

A client that is refused comes back after seconds, and most shortages last for milliseconds. So a request waits for the
byte budget before it is read on, and for a sending queue when it has been read. All of it happens on the event loop,
and nothing here holds that up: no thread waits, and room is asked for again every few milliseconds, since what makes
room does so in threads, on disks and in other receivers.

There is a line for each thing that can be short and each size of request, within a factor of four: first come, first
served, and whoever needs as much as those who wait stands behind them. A large request that hopes for room keeps no
small one out.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from collector.model.errors import RetryableError

if TYPE_CHECKING:
    from collector.pipeline.admission import Reservation
    from collector.pipeline.component import Settings
    from collector.receivers.otlp.config import AdmissionConfig

# How often those in front are asked for, and how long the event loop goes on with it in one turn.
_TICK_S: Final = 0.01
_TURN_S: Final = 0.001
WAITERS_MAX: Final = 1024
# What they hold together is at most this share of the byte budget: within it if they wait for a queue, else beside it.
_BUDGET_SHARE: Final = 8
# What one holds at most without room in the budget: what a client sends unasked (the window of a call, one read).
_UNREAD_BYTES: Final = 256 * 1024
# The part of a client's own deadline after which it is answered: the answer has to be there in time.
_DEADLINE_SHARE: Final = 0.8

# What is waited for, and how much of it, as a power of four.
_Line = tuple[str, int]
_BUDGET: Final = "budget"


class WaitingRoom:
    """The lines of one receiver. For the event loop."""

    def __init__(self, settings: Settings, config: AdmissionConfig) -> None:
        self._budget = settings.budget
        self._waits = settings.meters.receiver_waits
        self._name = str(settings.id)
        self._waiting = settings.meters.receiver_waiting.labels(self._name)
        self._limit_mib = config.waiting_limit_mib
        self.timeout_s = float(config.timeout)
        self._lines: dict[_Line, list[Admission]] = {}  # each in the order of arrival
        self._count = self._bytes = 0
        self._arrivals = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def admission(self, loop: asyncio.AbstractEventLoop, deadline_s: float | None = None) -> Admission:
        """For a request that begins to arrive. `deadline_s`: how long its client waits for the answer, if it says so."""
        return Admission(self, loop, self._budget.open_reservation(), deadline_s)

    def is_taken(self, what: str, size: int, number: int) -> bool:
        """Whether somebody waits for as much of the same who came before `number`; 0: before now."""
        if not self._lines:
            return False
        waiting = self._lines.get((what, _power(size)))
        return waiting is not None and (not number or waiting[0].number < number)

    def join(self, loop: asyncio.AbstractEventLoop, waiter: Admission) -> bool:
        """Stand in line, at the place that it has or behind all; False: nobody else may wait."""
        full = self._count >= WAITERS_MAX or (self._count and self._bytes + waiter.held > self._bytes_max())
        if full or self._closed:
            return False
        if not waiter.number:
            self._arrivals += 1
            waiter.number = self._arrivals
        self._count += 1
        self._waiting.set(self._count)
        self._bytes += waiter.held
        insort(self._lines.setdefault(waiter.line, []), waiter, key=_number)
        if self._timer is None:
            self._timer = loop.call_later(_TICK_S, self._turn, loop)
        return True

    def _bytes_max(self) -> int:
        share = self._budget.limit // _BUDGET_SHARE
        return share if self._limit_mib is None else min(share, self._limit_mib << 20)

    def leave(self, waiter: Admission) -> None:
        """Stand in line no more."""
        waiting = self._lines[waiter.line]
        waiting.remove(waiter)
        if not waiting:
            del self._lines[waiter.line]
        self._count -= 1
        self._waiting.set(self._count)
        self._bytes -= waiter.held

    def note(self, reason: str, outcome: str, seconds: float) -> None:
        """Count what came of a wait."""
        self._waits.labels(self._name, reason, outcome).observe(seconds)

    def close(self) -> None:
        """Nobody waits any more: all are called. From any thread."""
        self._closed = True

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        again_s = _TICK_S
        for waiting in list(self._lines.values()):
            while waiting and waiting[0].has_room():
                first = waiting[0]
                first.go_on()
                if first.alone or (waiting and waiting[0] is first):
                    break
                if loop.time() - now > _TURN_S:
                    again_s = 0.0
                    break
            for waiter in list(waiting):
                if self._closed or waiter.until <= now:
                    waiter.go_on()
        if self._lines and self._timer is None:
            self._timer = loop.call_later(again_s, self._turn, loop)


def _number(waiter: Admission) -> int:
    return waiter.number


class Admission:
    """What one request holds of the byte budget, and its place in line. For the event loop, but for `reservation`."""

    __slots__ = (
        "_arrived_at",
        "_deadline_s",
        "_loop",
        "_reason",
        "_resume",
        "_room",
        "_since",
        "alone",
        "has_room",
        "held",
        "line",
        "number",
        "reservation",
        "until",
    )

    def __init__(
        self,
        room: WaitingRoom,
        loop: asyncio.AbstractEventLoop,
        reservation: Reservation,
        deadline_s: float | None,
    ) -> None:
        self.reservation = reservation
        self._room = room
        self._loop = loop
        self._deadline_s = deadline_s
        self._arrived_at = 0.0 if deadline_s is None else loop.time()
        self._resume: Callable[[], None] | None = None  # it waits
        self._reason = ""  # what for; also when it has waited, until it is known what came of it
        self.number = 0  # by when it first had to wait
        self.until = 0.0  # the end of its patience, from then on

    def expect(self, received: int, size: int, resume: Callable[[], None]) -> bool:
        """Reserve for a request of `size` bytes, of which `received` are there: see `Reservation.expect`.

        Returns:
            False: it waits. `resume` is called when it is time to ask again.

        Raises:
            RetryableError: there is no room, and it may not wait, or no longer.
        """
        reservation = self.reservation
        if size <= reservation.size:
            return True
        if self._resume is not None:
            return False
        try:
            if not reservation.size and self._room.is_taken(_BUDGET, size, self.number):
                raise reservation.short(size)
            reservation.expect(received, size)
        except RetryableError as error:
            if self.wait(error, _BUDGET, size, resume, held=min(size, _UNREAD_BYTES)):
                return False
            raise
        self.settle("admitted")
        return True

    def is_behind(self, what: str, size: int) -> bool:
        """Whether others wait for as much of `what` who came before it."""
        return self._room.is_taken(what, size, self.number)

    def wait(
        self,
        error: RetryableError,
        what: str,
        size: int,
        resume: Callable[[], None],
        *,
        held: int,
        alone: bool = False,
    ) -> bool:
        """Wait for what `error` was short of, with `held` bytes in hand; False: it may not, or no longer.

        Args:
            error: Why it has to wait.
            what: A name for that: all that give the same one stand in the same lines.
            size: How much of it, in bytes.
            resume: Called once: when there is room, when its time is over, or when the receiver closes.
            held: Bytes that it keeps in memory meanwhile.
            alone: It goes on in a thread: nobody behind it is called in the same turn.
        """
        if error.has_room is None:
            self.settle("refused")
            return False
        now = self._loop.time()
        if not self.until:
            self.until = now + self._room.timeout_s
            if self._deadline_s is not None:
                self.until = min(self.until, self._arrived_at + self._deadline_s * _DEADLINE_SHARE)
        self.line = (what, _power(size))
        self.held, self.alone, self.has_room = held, alone, error.has_room
        if now >= self.until or not self._room.join(self._loop, self):
            self.settle("refused")
            return False
        self._resume = resume
        if not self._reason:
            self._reason, self._since = error.reason, now
        return True

    def go_on(self) -> None:
        """Its turn has come, or its time is over. For `WaitingRoom`."""
        resume, self._resume = self._resume, None
        if resume is not None:  # else it has left meanwhile
            self._room.leave(self)
            resume()

    def settle(self, outcome: str) -> None:
        """Count how its wait ended, if it had to wait."""
        if self._reason:
            self._room.note(self._reason, outcome, self._loop.time() - self._since)
            self._reason = ""

    def release(self) -> None:
        """Give everything back, and wait no more. Safe twice."""
        if self._resume is not None:
            self._resume = None
            self._room.leave(self)
            self.settle("gone")
        self.reservation.release()


def _power(size: int) -> int:
    return (max(size - 1, 0).bit_length() + 1) // 2
