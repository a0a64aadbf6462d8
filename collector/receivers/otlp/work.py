"""Who works on a request: the event loop on what is done at once, a thread on what takes its time or has to wait.

The way to a thread and back costs more than most requests do: the event loop takes what it can judge in a moment. What
is large, compressed well or unusual goes to a worker, so that nobody else waits for it. Requests that must wait for the
disk wait together: one thread brings the answers of all that one sync has made safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from collector.model.errors import RetryableError, TelemetryError
from collector.model.signal import Signal
from collector.receivers.otlp.bodies import inflate_within, inflated_at_once
from collector.receivers.otlp.intake import First
from collector.receivers.otlp.workers import WorkerPool

if TYPE_CHECKING:
    from collector.pipeline.component import Settings
    from collector.receivers.otlp.intake import Arrival, Intake, Pending, Taken
    from collector.receivers.otlp.waiting import Admission
    from collector.wire.scan import Scanned

# What the event loop takes at most: the compiled scan reads it in 0.1 ms.
INLINE_BYTES_MAX: Final = 256 * 1024
# What it takes whatever it is: also what only the reference understands, or JSON.
_TINY_BYTES: Final = 2048
# CPU that it may spend on one request behind the scan.
_INLINE_S_MAX: Final = 0.001
# One request in so many is measured.
_LEARN_EVERY: Final = 8
# Requests at once that wait for their destination, each in a thread.
_WAITERS: Final = 32

Done = Callable[["Taken | Exception"], None]


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request as it arrived. `admission` covers it; `peer` is the connection, or what stands for it."""

    signal: Signal
    content: bytes
    encoding: str
    json: bool
    admission: Admission
    peer: object


class Work:
    """What one listener has to do. `take` is for the event loop, which calls `done` in its own time."""

    def __init__(
        self, settings: Settings, intake: Intake, transport: str, workers: int, size_max: int
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._transport = transport
        self._size_max = size_max
        self._workers = WorkerPool(settings.spawn, f"{settings.id}-{transport}", workers)
        self._waiters = WorkerPool(settings.spawn, f"{settings.id}-{transport}-wait", _WAITERS)
        # Not among those that wait for a destination: it may be away, and all of them with it.
        self._syncers = WorkerPool(settings.spawn, f"{settings.id}-{transport}-sync", len(intake.signals))
        self._syncs = {signal: _Together(self._syncers) for signal in intake.signals}
        self._turn = 0
        self._costs = {signal: _Cost() for signal in intake.signals}

    def close(self) -> None:
        """End the threads after what they are at."""
        self._workers.shutdown(wait=False)
        self._waiters.shutdown(wait=False)
        self._syncers.shutdown(wait=False)

    def take(self, loop: asyncio.AbstractEventLoop, body: Body, done: Done) -> None:
        """Take a request; `done` is given what came of it, now or later: a `TelemetryError`, or a bug of ours."""
        if body.admission.is_behind(body.signal.value, len(body.content)):
            self._no_room(loop, body, done, _others_wait())
        else:
            self._begin(loop, body, done)

    def _begin(self, loop: asyncio.AbstractEventLoop, body: Body, done: Done) -> None:
        try:
            arrival = self._at_once(body)
        except Exception as error:  # noqa: BLE001  whoever answers judges
            done(_alone(error))
        else:
            if arrival is None:
                self._in_worker(loop, body, done)
            else:
                self._enter(loop, body, done, arrival)

    # --- now --------------------------------------------------------------------------------------------

    def _at_once(self, body: Body) -> Arrival | None:
        """Inflate and look at what is quickly taken; None: it is not."""
        content = body.content
        size = len(content)
        if size > INLINE_BYTES_MAX:
            return None
        if body.encoding:
            inflated = inflated_at_once(
                body.encoding, content, min(INLINE_BYTES_MAX, self._size_max), body.admission.reservation
            )
            if inflated is None:
                return None
            content, size = inflated, len(inflated)
        if size > _TINY_BYTES and self._costs[body.signal].of(size) > _INLINE_S_MAX:
            return None
        scanned = None
        if size > _TINY_BYTES and (
            body.json or (scanned := self._intake.glance(body.signal, content)) is None
        ):
            return None
        return self._arrival(body, content, scanned)

    def _arrival(self, body: Body, content: bytes, scanned: Scanned | None) -> Arrival:
        return self._intake.arrived(
            body.signal, content, json=body.json, transport=self._transport, scanned=scanned
        )

    def _enter(self, loop: asyncio.AbstractEventLoop, body: Body, done: Done, arrival: Arrival) -> None:
        self._turn += 1
        learns = not self._turn % _LEARN_EVERY
        began = time.thread_time() if learns else 0.0
        try:
            pending = self._intake.enter(arrival)
        except RetryableError as error:
            self._no_room(loop, body, done, error, arrival)
            return
        except Exception as error:  # noqa: BLE001  whoever answers judges
            done(_alone(error))
            return
        if learns:
            self._costs[body.signal].learn(len(arrival.body), time.thread_time() - began)
        self._entered(loop, body, done, arrival, pending)

    def _entered(
        self,
        loop: asyncio.AbstractEventLoop,
        body: Body,
        done: Done,
        arrival: Arrival,
        pending: Pending | First,
    ) -> None:
        if isinstance(pending, First):
            pending.then(lambda: _back(loop, self._follow, loop, body, done, arrival, pending))
            return
        body.admission.settle("admitted")
        if pending.waits:
            self._wait(loop, body.signal, pending, done)
        else:
            done(_outcome(pending))

    def _follow(
        self, loop: asyncio.AbstractEventLoop, body: Body, done: Done, arrival: Arrival, first: First
    ) -> None:
        """Go on with a request that has the same bytes as `first`, which is settled."""
        if first.refusal is not None:
            done(_alone(first.refusal))
        elif first.handover is not None or arrival.scanned is not None:
            self._enter(loop, body, done, arrival)
        else:
            self._in_worker(loop, body, done, arrival)

    # --- when there is room -----------------------------------------------------------------------------

    def _no_room(
        self,
        loop: asyncio.AbstractEventLoop,
        body: Body,
        done: Done,
        error: RetryableError,
        arrival: Arrival | None = None,
        *,
        in_worker: bool = False,
    ) -> None:
        """Have a request wait in line for its queues, or refuse it. `arrival`: it is inflated, and goes on from there."""

        def resume() -> None:
            if arrival is None:
                self._begin(loop, body, done)
            elif in_worker:
                self._in_worker(loop, body, done, arrival)
            else:
                self._enter(loop, body, done, arrival)

        admission = body.admission
        held = admission.reservation.size
        if admission.wait(error, body.signal.value, len(body.content), resume, held=held, alone=in_worker):
            return
        if arrival is not None and error.has_room is not None:
            self._intake.given_up(arrival)
        done(_alone(error))

    # --- in threads -------------------------------------------------------------------------------------

    def _in_worker(
        self, loop: asyncio.AbstractEventLoop, body: Body, done: Done, known: Arrival | None = None
    ) -> None:
        reservation = body.admission.reservation

        def work() -> None:
            arrival = known
            try:
                if arrival is None:
                    content = inflate_within(
                        body.encoding, body.content, self._size_max, reservation, json=body.json
                    )
                    arrival = self._arrival(body, content, None)
                held = reservation.size
                arrival.room = lambda size: reservation.grow_to(held + size)
                try:
                    pending = self._intake.enter(arrival)
                finally:
                    reservation.shrink_to(held)
            except RetryableError as error:
                if arrival is None:  # to inflate it again and again would cost more than a refusal
                    _back(loop, done, _alone(error))
                else:
                    _back(loop, partial(self._no_room, loop, body, done, error, arrival, in_worker=True))
            except Exception as error:  # noqa: BLE001  whoever answers judges
                _back(loop, done, _alone(error))
            else:
                _back(loop, self._entered, loop, body, done, arrival, pending)

        self._workers.submit_for(body.peer, work)

    def _wait(self, loop: asyncio.AbstractEventLoop, signal: Signal, pending: Pending, done: Done) -> None:
        try:
            if pending.waits_long:
                self._waiters.submit(lambda: _back(loop, done, _outcome(pending)))
            else:
                self._syncs[signal].wait(loop, pending, done)
        except RuntimeError as error:  # the pool is shut down: the answer is that it is not known
            done(error)


class _Cost:
    """What the pipelines of one signal cost by the byte, as it was lately: some have processors that parse."""

    _LEARN: Final = 0.1
    _FORGET: Final = 0.998  # so that it is tried again now and then

    def __init__(self) -> None:
        self._s_per_byte = 0.0

    def of(self, size: int) -> float:
        """What a request of `size` bytes is going to cost, in seconds of CPU."""
        seconds = self._s_per_byte * size
        if seconds > _INLINE_S_MAX:
            self._s_per_byte *= self._FORGET
        return seconds

    def learn(self, size: int, seconds: float) -> None:
        """It has cost so much. Of tiny requests nothing can be learnt."""
        if size > _TINY_BYTES:
            self._s_per_byte += (seconds / size - self._s_per_byte) * self._LEARN


class _Together:
    """Requests of one signal that wait for the disk. One sync makes safe all that were appended before it."""

    def __init__(self, threads: WorkerPool) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._line: list[tuple[Pending, Done]] = []
        self._running = False

    def wait(self, loop: asyncio.AbstractEventLoop, pending: Pending, done: Done) -> None:
        with self._lock:
            self._line.append((pending, done))
            if self._running:
                return
            self._running = True
        self._threads.submit(self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            with self._lock:
                line, self._line = self._line, []
                if not line:
                    self._running = False
                    return
            _back(loop, _deliver, [(done, _outcome(pending)) for pending, done in line])


def _others_wait() -> RetryableError:
    return RetryableError(
        "the sending queue is full, and others wait for room in it",
        reason="queue_full",
        has_room=lambda: True,  # whoever is first in line has to try
    )


def _outcome(pending: Pending) -> Taken | Exception:
    try:
        return pending.finish()
    except Exception as error:  # noqa: BLE001  whoever answers judges
        return _alone(error)


def _alone(error: Exception) -> Exception:
    """A refusal without the frames in which it was raised.

    They hold the request and whoever waits for the answer, who holds the error: megabytes for each refusal, for as long
    as the garbage collector does not come. A bug keeps them, for the log.
    """
    return error.with_traceback(None) if isinstance(error, TelemetryError) else error


def _deliver(outcomes: list[tuple[Done, Taken | Exception]]) -> None:
    for done, outcome in outcomes:
        done(outcome)


def _back(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
    """Go on in the event loop. Where it has ended, nobody waits for an answer."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *arguments)
