"""Fan-out: one request into several consumers, all of them or none.

A request that reaches two queues, one of which is full, must not go into the other: the client is told to send
it again, and the other exporter would deliver it twice. So a `Fanout` opens a `Handover`: while it is open,
the senders behind it, through however many processors, only reserve room in their queues. When every branch
has been asked and none has raised, everything is appended; if one raises, every reservation is given back.

The handover belongs to the thread that carries the request, since `consume` is called from function to
function: processors pass it on without knowing of it. The limits of this: a processor that keeps telemetry to
pass it on later, from a thread of its own, has taken it over and is not asked again; and one that counts what
it sees will count a refused request again when it is retried.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from collector.model.telemetry import Telemetry
from collector.pipeline.component import Consumer


class Reservation(Protocol):
    """Room in one queue for one piece of telemetry."""

    @property
    def waits(self) -> bool:
        """Whether `wait` may take its time."""
        ...

    @property
    def waits_long(self) -> bool:
        """Whether it waits for the destination, and not only for the disk."""
        ...

    @property
    def repeated(self) -> bool | None:
        """Whether `append` found that an earlier process had put it in; None: it puts nothing in."""
        ...

    def append(self, origin: bytes) -> None:
        """Put it in, unless an earlier process has: `origin` is the same when it comes again; b"": nobody knows.

        Never fails for want of room.

        Raises:
            RetryableError: the queue's medium failed, or the queue was closed.
        """
        ...

    def wait(self) -> None:
        """Return when what was appended is as safe as the answer to the client says.

        Raises:
            RetryableError: that cannot be promised. It may be delivered all the same.
        """
        ...

    def cancel(self) -> None:
        """Give the room back."""
        ...


class Handover:
    """What one request has reserved so far."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key
        self._reservations: list[Reservation] = []
        self.waits = False  # `wait` may take its time: a thread that must not wait leaves it to another
        self.waits_long = False  # and it waits for a destination, not only for the disk

    def add(self, reservation: Reservation) -> None:
        """Take part."""
        self._reservations.append(reservation)
        self.waits |= reservation.waits
        self.waits_long |= reservation.waits_long

    @property
    def repeated(self) -> bool:
        """Whether all of it had been put in by an earlier process, which did not live to say so."""
        known = [one.repeated for one in self._reservations if one.repeated is not None]
        return bool(known) and all(known)

    def append(self) -> None:
        """Append everywhere, without waiting."""
        appended = 0
        try:
            for reservation in self._reservations:
                # A request may reach a queue on several ways, each time as something else.
                origin = self._key + appended.to_bytes(2, "big") if self._key else b""
                appended += 1  # one that fails has given its room back
                reservation.append(origin)
        finally:
            for reservation in self._reservations[appended:]:
                reservation.cancel()

    def wait(self) -> None:
        """Wait everywhere. May be called again, by others as well: see `Reservation.wait`."""
        for reservation in self._reservations:
            reservation.wait()

    def cancel(self) -> None:
        """Give all room back."""
        for reservation in self._reservations:
            reservation.cancel()


class _Running(threading.local):
    handover: Handover | None = None


_running = _Running()


def hand_over(reservation: Reservation) -> None:
    """Take part in the handover of this thread; if there is none, append and wait at once."""
    if _running.handover is not None:
        _running.handover.add(reservation)
        return
    reservation.append(b"")
    reservation.wait()


class handing_over:  # noqa: N801  used as a function
    """Open a handover for this thread: at the end everything is appended, or nothing if the body raises.

    `key`: 12 bytes that stand for the request when it comes again; b"": whatever comes is new. Nothing is waited for:
    that is `Handover.wait`.
    """

    __slots__ = ("_handover", "_key")

    def __init__(self, key: bytes = b"") -> None:
        self._key = key

    def __enter__(self) -> Handover:
        self._handover = _running.handover = Handover(self._key)
        return self._handover

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        _running.handover = None
        if kind is None:
            self._handover.append()
        else:
            self._handover.cancel()


class Fanout:
    """A consumer that passes on to several: the pipelines of a receiver, or the exporters of a pipeline."""

    def __init__(self, consumers: Sequence[Consumer]) -> None:
        self._consumers = tuple(consumers)

    def consume(self, data: Telemetry, /) -> None:
        """See `Consumer`. The first branch that raises decides; then no queue has taken anything."""
        if _running.handover is not None:  # whoever has opened it completes or cancels
            for consumer in self._consumers:
                consumer.consume(data)
            return
        with handing_over() as handover:
            for consumer in self._consumers:
                consumer.consume(data)
        handover.wait()


def fan_out(consumers: Sequence[Consumer]) -> Consumer:
    """Return a consumer for all of `consumers`: the one itself if it is alone."""
    return consumers[0] if len(consumers) == 1 else Fanout(consumers)
