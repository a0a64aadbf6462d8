"""The `cost_ledger` receiver: what changes in a database's ledger of costs, into a pipeline.

A minute is done when everything in it is as safe as the pipeline promises, which is not in memory alone (`service.guarantee`);
until then it comes again, after a crash as well (`accounting.feed`).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from collector.accounting.feed import LedgerFeed
from collector.model.errors import PermanentError, RetryableError, TelemetryError
from collector.model.signal import Signal
from collector.pipeline.component import Settings, State, Thread
from collector.pipeline.fanout import Handover, handing_over
from collector.storage.ending import close_under
from collector.storage.store import QueryError
from collector.wire.split import split

if TYPE_CHECKING:
    from collector.cost.record import Period
    from collector.model.telemetry import Telemetry
    from collector.pipeline.component import Consumer
    from collector.receivers.cost_ledger.config import CostLedgerConfig
    from collector.storage.store import Store

_TRANSPORT: Final = "ledger"  # label of the receiver's metrics
_RECORDS_MAX: Final = 500  # of one request into the pipeline
# Daemons that start together do not all ask at once, and the tables may have to be made first.
_FIRST_S: Final = 5.0
_JITTER: Final = 0.1
_FULL_S: Final = 1.0  # before a queue that was full is tried again
# A request that waits for a destination that is away notices within so long that it has to stop.
_STOP_S: Final = 5.0


class _StoppedError(Exception):
    """The collector stops. What was not passed on is passed on after the next start."""


class CostLedgerReceiver:
    """See the module. `store` is its own: it is opened and closed here."""

    def __init__(
        self, settings: Settings, config: CostLedgerConfig, store: Store, consumer: Consumer
    ) -> None:
        self._settings = settings
        self._interval_s = float(config.interval)
        self._store = store
        self._consumer = consumer
        self._feed = LedgerFeed(store, str(settings.id))
        self._stopping = threading.Event()
        self._thread: Thread | None = None
        self._refused = ""

    def start(self) -> None:
        """See `Component`."""
        self._settings.report(State.OK, "waits for its first turn")
        self._thread = self._settings.spawn(f"{self._settings.id}", self._keep_on)

    def shutdown(self) -> None:
        """See `Component`. The minute that is being passed on is not done, unless it soon is."""
        self._stopping.set()
        close_under(self._store, self._thread, _STOP_S)
        self._thread = None

    def _keep_on(self) -> None:
        """Body of the thread."""
        pause_s = min(_FIRST_S, self._interval_s)
        while not self._stopping.wait(pause_s * (1 + self._settings.rng.uniform(-_JITTER, _JITTER))):
            pause_s = self._interval_s
            try:
                self._settings.report(*self._turn())
            except _StoppedError:
                return
            except (TelemetryError, QueryError) as error:
                self._settings.report(State.DEGRADED, f"costs are not passed on: {error}")

    def _turn(self) -> tuple[State, str]:
        """Pass on what has changed; return how that went."""
        self._store.open()
        records = 0
        self._refused = ""
        with self._store.exclusive(f"cost-ledger-{self._feed.id}") as alone:
            if not alone:
                return State.OK, "another collector passes these costs on"
            for minute in self._feed.minutes():
                records += self._pass_on(minute)
        if records:
            self._settings.log.info("Costs passed on.", records=records)
        if self._refused:
            return State.DEGRADED, f"some costs were refused for ever: {self._refused}"
        return State.OK, f"{records} costs passed on"

    def _pass_on(self, minute: Period) -> int:
        """Return when all of the minute is where the pipeline promises it to be."""
        telemetry = self._feed.read(minute)
        if not telemetry.items:
            return 0  # older than the ledger keeps costs
        under_way = [(piece, self._put(piece)) for piece in split(telemetry, _RECORDS_MAX)]
        for piece, handover in under_way:
            if handover is not None:
                self._wait(piece, handover)
        return telemetry.items

    def _put(self, data: Telemetry) -> Handover | None:
        """Put `data` into the queues, when they have room; None: they will never take it."""
        while not self._stopping.is_set():
            try:
                with handing_over() as handover:
                    self._consumer.consume(data)
            except RetryableError as error:
                self._settings.report(State.DEGRADED, f"costs wait: {error}")
                self._stopping.wait(_FULL_S)
            except PermanentError as error:
                self._give_up(data, error)
                return None
            else:
                return handover
        raise _StoppedError

    def _wait(self, data: Telemetry, handover: Handover) -> None:
        """Return when what was put in is safe. It is in the queues until then, so nothing is put in again."""
        meters, labels = self._settings.meters, (str(self._settings.id), _TRANSPORT)
        try:
            while not self._is_safe(handover):
                if self._stopping.is_set():
                    raise _StoppedError
        except PermanentError as error:
            meters.receiver_unconfirmed[Signal.COSTS].labels(*labels).inc(data.items)
            self._give_up(data, error)
        except (RetryableError, _StoppedError):  # the minute comes again
            meters.receiver_unconfirmed[Signal.COSTS].labels(*labels).inc(data.items)
            raise
        else:
            meters.receiver_accepted[Signal.COSTS].labels(*labels).inc(data.items)

    def _is_safe(self, handover: Handover) -> bool:
        try:
            handover.wait()
        except RetryableError as error:
            if error.reason != "not_stored_yet":
                raise
            self._settings.report(State.DEGRADED, f"costs wait: {error}")
            return False
        return True

    def _give_up(self, data: Telemetry, error: PermanentError) -> None:
        """Say so. What an exporter keeps of what it refuses are its dead letters."""
        self._refused = str(error)
        meter = self._settings.meters.receiver_refused[Signal.COSTS]
        meter.labels(str(self._settings.id), _TRANSPORT).inc(data.items)
        self._settings.log.error("Costs were refused for ever.", records=data.items, why=str(error))
