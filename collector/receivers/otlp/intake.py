"""What happens to a request, whatever brought it: scan it, hand it on, count it. Nothing here knows of sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.model.errors import PermanentError, RetryableError, TelemetryError
from collector.model.signal import Signal
from collector.pipeline.fanout import Handover, handing_over
from collector.receivers.otlp.repeats import Repeats, Unfinished, fingerprint
from collector.wire.gather import Room, anything
from collector.wire.scan import ScanLimits, Scanned, scan_in_order, scan_json, scan_protobuf

if TYPE_CHECKING:
    from collector.pipeline.component import Consumer, Settings
    from collector.receivers.otlp.config import OtlpReceiverConfig
    from collector.wire.status import Failure

# How long a request on which we failed is remembered. Clients give up much sooner.
_FAILURE_WINDOW_S: Final = 600.0
_KEY_SIZE: Final = 12  # of a fingerprint, as queues keep it
# What is scanned without waiting for another scan to end, also by the event loop.
_QUICK_BYTES: Final = 16 * 1024
# Larger ones are scanned before they are looked for among those that came before: nearly all of a fingerprint's cost is
# in the bytes, and what is no request at all, as most bombs, is known by the first of them.
_LARGE_BYTES: Final = 1024 * 1024

TRANSPORTS: Final = ("grpc", "http")


@dataclass(frozen=True, slots=True)
class Taken:
    """An accepted request: how many of its items were refused for ever, and what to tell the sender."""

    rejected: int = 0
    message: str = ""


_ALL: Final = Taken()


@dataclass(slots=True)
class Arrival:
    """A request on its way into the queues: its body inflated, and what a scan has made of it, once there was one."""

    signal: Signal
    body: bytes
    json: bool
    transport: str
    scanned: Scanned | None
    room: Room = anything  # asked before a scan needs more than a few times the body: see `ScanLimits`
    key: bytes | None = None  # its fingerprint, once it was needed


class Pending:
    """A request that is in the queues, and not yet as safe as its answer will say.

    `waits`: `finish` may take its time, so that a thread that must not wait leaves it to another. `waits_long`: not
    only for the disk.
    """

    __slots__ = ("_finish", "waits", "waits_long")

    def __init__(self, finish: Callable[[], Taken], *, waits: bool, waits_long: bool) -> None:
        self._finish = finish
        self.waits = waits
        self.waits_long = waits_long

    def finish(self) -> Taken:
        """Wait until it may be acknowledged.

        Raises:
            RetryableError: it is not, and may never have been taken.
        """
        return self._finish()


class First:
    """A request that is being taken, for those with the same bytes that come before it is in the queues.

    `refusal`: it is not fit for them, and so are they.
    """

    __slots__ = ("_followers", "_lock", "_settled", "handover", "refusal")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled = False
        self._followers: list[Callable[[], None]] = []
        self.handover: Handover | None = None
        self.refusal: PermanentError | None = None

    def settle(self, handover: Handover | None, refusal: PermanentError | None) -> None:
        """It is in the queues, or was refused; neither: whoever brings it again has to see for themselves."""
        with self._lock:
            self.handover, self.refusal, self._settled = handover, refusal, True
            followers, self._followers = self._followers, []
        for follow in followers:
            follow()

    def then(self, follow: Callable[[], None]) -> None:
        """Have `follow` called when it is settled, in the thread of whoever settles it; now, if it is."""
        with self._lock:
            if not self._settled:
                self._followers.append(follow)
                return
        follow()


@dataclass(frozen=True, slots=True)
class Memory:
    """Requests that may come again: those we failed on, those that were accepted, those not answered yet."""

    failures: Repeats
    accepted: Repeats
    unfinished: Unfinished[First]


class Intake:
    """The edge of the house: here every error becomes one that a client can be told."""

    def __init__(
        self,
        settings: Settings,
        config: OtlpReceiverConfig,
        consumers: Mapping[Signal, Consumer],
        memory: Memory | None = None,
    ) -> None:
        self._settings = settings
        self._consumers = consumers
        self._name = str(settings.id)
        # Python runs one thread at a time. Several that compute get nothing done sooner, and each is one more before
        # which the event loop has to wait for its turn.
        self._scanning = threading.Lock()
        # Bound once: to look a counter up by its labels costs more than to count.
        meters = settings.meters
        self._bytes = {name: meters.receiver_bytes.labels(self._name, name) for name in TRANSPORTS}
        self._succeeded = {
            name: meters.receiver_requests.labels(self._name, name, "success") for name in TRANSPORTS
        }
        self._items = {
            (signal, name): meters.receiver_accepted[signal].labels(self._name, name)
            for signal in consumers
            for name in TRANSPORTS
        }
        self._past_ns = round(config.time_window.past * 1e9)
        self._future_ns = round(config.time_window.future * 1e9)
        clock, window_s = settings.clock, float(config.duplicate_window)
        # That of an intake before this one, whose clients come here now.
        self.memory = (
            Memory(memory.failures, memory.accepted.within(window_s), memory.unfinished)
            if memory
            else Memory(Repeats(clock, _FAILURE_WINDOW_S), Repeats(clock, window_s), Unfinished())
        )
        self._failures = self.memory.failures
        self._accepted = self.memory.accepted if window_s else None
        self._unfinished = self.memory.unfinished

    @property
    def signals(self) -> frozenset[Signal]:
        """The signals that have a pipeline."""
        return frozenset(self._consumers)

    def glance(self, signal: Signal, body: bytes) -> Scanned | None:
        """Scan `body` if that is a matter of microseconds; None if not, or if it is not in order."""
        return scan_in_order(signal, body, self._limits())

    def arrived(
        self, signal: Signal, body: bytes, *, json: bool, transport: str, scanned: Scanned | None = None
    ) -> Arrival:
        """Begin with a request. `scanned`: of a `glance`."""
        self._bytes[transport].add(len(body))
        return Arrival(signal, body, json, transport, scanned)

    def enter(self, arrival: Arrival) -> Pending | First:
        """Put a request into the queues. Never waits. Called by several threads at once.

        Returns:
            What is to be finished; or the one with the same bytes that is being taken, `then` to enter again.

        Raises:
            RetryableError: not taken now. For want of room (`has_room`) it may come again; else it is to be `given_up`.
            PermanentError: never to be taken; a `MalformedError` if the client is to blame.
        """
        if self._accepted is None:
            return self._put(arrival, None)[0]
        if arrival.scanned is None and not arrival.json and len(arrival.body) > _LARGE_BYTES:
            arrival.scanned = self._scan(arrival)
        key = arrival.key = arrival.key or fingerprint(arrival.signal, arrival.body, json=arrival.json)
        mine = First()
        first = self._unfinished.claim(key, mine)
        if first is not mine:
            # The client has not waited for the answer to the first, or is not alone.
            return first if first.handover is None else self._repeat(arrival, key, first.handover)
        handover = refusal = None
        try:
            # Asked after the claim: what is finished is noted before it is forgotten.
            if self._accepted.known(key):
                return Pending(
                    lambda: self._duplicate(arrival.signal, arrival.transport), waits=False, waits_long=False
                )
            pending, handover = self._put(arrival, key)
        except PermanentError as error:
            refusal = error
            raise
        finally:
            if handover is None:
                self._unfinished.forget(key)
            mine.settle(handover, refusal)
        return pending

    def given_up(self, arrival: Arrival) -> None:
        """Count a request that `enter` has refused for want of room and that does not come again."""
        items = arrival.scanned.telemetry.items if arrival.scanned else 0
        self._settings.meters.receiver_refused[arrival.signal].labels(self._name, arrival.transport).inc(
            items
        )

    def _put(self, arrival: Arrival, key: bytes | None) -> tuple[Pending, Handover | None]:
        """Put a request that is new into the queues. No handover: nothing of it was fit for them."""
        meters, signal, transport = self._settings.meters, arrival.signal, arrival.transport
        scanned, items = arrival.scanned, 0
        try:
            if scanned is None:
                scanned = arrival.scanned = self._scan(arrival)
            items = scanned.telemetry.items
            with handing_over(key[:_KEY_SIZE] if key else b"") as handover:
                if items:
                    self._consumers[signal].consume(scanned.telemetry)
        except TelemetryError as error:
            if not isinstance(error, RetryableError) or error.has_room is None:
                meters.receiver_refused[signal].labels(self._name, transport).inc(items)
            raise
        except Exception as error:  # our bug must not become the client's loss
            meters.receiver_failed[signal].labels(self._name, transport).inc(items)
            raise self._failed(arrival, error) from error
        pending = Pending(
            lambda: self._finish(signal, transport, key if items else None, handover, scanned),
            waits=handover.waits,
            waits_long=handover.waits_long,
        )
        return pending, handover if items else None

    def _scan(self, arrival: Arrival) -> Scanned:
        scan = scan_json if arrival.json else scan_protobuf
        alone = self._scanning if len(arrival.body) > _QUICK_BYTES else nullcontext()
        try:
            with alone:
                return scan(arrival.signal, arrival.body, self._limits(arrival.room))
        except TelemetryError:
            raise
        except Exception as error:  # our bug must not become the client's loss
            raise self._failed(arrival, error) from error

    def _finish(
        self, signal: Signal, transport: str, key: bytes | None, handover: Handover, scanned: Scanned
    ) -> Taken:
        try:
            self._wait(key, handover)
        except TelemetryError:
            items, meters = scanned.telemetry.items, self._settings.meters
            meters.receiver_refused[signal].labels(self._name, transport).inc(items)
            meters.receiver_unconfirmed[signal].labels(self._name, transport).inc(items)
            raise
        if handover.repeated:
            return self._duplicate(signal, transport)
        self._count(signal, transport, scanned)
        if not scanned.rejected and not scanned.message:
            return _ALL
        return Taken(sum(scanned.rejected.values()), scanned.message)

    def _repeat(self, arrival: Arrival, key: bytes, handover: Handover) -> Pending:
        """A request that waits for what its first waits for."""

        def finish() -> Taken:
            self._wait(key, handover)
            return self._duplicate(arrival.signal, arrival.transport)

        return Pending(finish, waits=handover.waits, waits_long=handover.waits_long)

    def _wait(self, key: bytes | None, handover: Handover) -> None:
        """Wait until what was appended may be acknowledged, and remember how it ended."""
        try:
            handover.wait()
        except TelemetryError as error:
            # Still in the queue: who sends it again waits on. Else it is gone, and has to be taken anew.
            if key is not None and error.reason != "not_stored_yet":
                self._unfinished.forget(key)
            raise
        if key is not None and self._accepted is not None:
            self._accepted.note(key)
            self._unfinished.forget(key)

    def refused(self, transport: str, failure: Failure, reason: str) -> None:
        """Count a request that is answered with `failure`. Once per request, by the transport."""
        meters = self._settings.meters
        outcome = "refused" if failure.condition.is_retryable else "failure"
        meters.receiver_requests.labels(self._name, transport, outcome).inc()
        if not failure.condition.is_retryable:
            meters.receiver_rejected_requests.labels(self._name, transport, reason).inc()

    def _limits(self, room: Room = anything) -> ScanLimits:
        return ScanLimits(
            now_unix_nano=self._settings.clock.unix_nano(),
            past_ns=self._past_ns,
            future_ns=self._future_ns,
            room=room,
        )

    def _count(self, signal: Signal, transport: str, scanned: Scanned) -> None:
        meters = self._settings.meters
        self._succeeded[transport].add(1)
        self._items[signal, transport].add(scanned.telemetry.items)
        for reason, count in scanned.rejected.items():
            meters.receiver_rejected.labels(self._name, signal.value, reason).inc(count)
        for rule, count in scanned.normalised.items():
            meters.receiver_normalised.labels(self._name, signal.value, rule).inc(count)

    def _duplicate(self, signal: Signal, transport: str) -> Taken:
        meters = self._settings.meters
        self._succeeded[transport].inc()
        meters.receiver_duplicates.labels(self._name, signal.value).inc()
        return Taken(0, "the identical request was accepted a moment ago; it was not taken twice")

    def _failed(self, arrival: Arrival, error: Exception) -> TelemetryError:
        """Our own fault: ask for the request once more, and refuse it for ever the second time."""
        key = arrival.key or fingerprint(arrival.signal, arrival.body, json=arrival.json)
        again = self._failures.known(key)
        self._failures.note(key)
        self._settings.log.error(
            "A request failed on an error in the collector.",
            signal=arrival.signal.value,
            size=len(arrival.body),
            request=key.hex(),
            again=again,
            exc_info=error,
        )
        if again:
            return PermanentError(
                "the collector failed on this request twice; the reason is in its log", reason="internal"
            )
        return RetryableError(
            "the collector failed on this request; the reason is in its log", reason="internal"
        )
