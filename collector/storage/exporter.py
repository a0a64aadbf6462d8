"""`StoreExporter`: any `Store` as an exporter. The exporters of each database only choose and configure the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from collector.config.option import Invalid, option
from collector.config.types import Duration
from collector.model.errors import PermanentError, RetryableError, TelemetryError
from collector.model.signal import Signal
from collector.pipeline.component import Batch, CheckStep, Refused, Settings, StartError, State, Thread
from collector.pipeline.sender_config import SenderConfig
from collector.storage.balance import BalanceWatch
from collector.storage.encoding import PayloadEncoder, payload_encoder
from collector.storage.encoding_ahead import EncodingAhead
from collector.storage.ending import close_under
from collector.storage.salvage import write_what_goes
from collector.storage.store import PositionError, SchemaError, Store
from collector.storage.tables import COST_ALLOCATIONS, COST_ORIGINS, COST_REQUESTS, SIGNAL_OF, Table

if TYPE_CHECKING:
    from uuid import UUID

# How often a database that is away, or has no tables yet, is looked at.
_LOOK_AGAIN_S: Final = 5.0
_REST_S: Final = 60.0
# Retention jobs of many collectors on one database spread over this share of their interval.
_JITTER: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionConfig:
    """How long items are kept, by signal; costs by level. 0 keeps them for ever; what is left out is not this collector's business.

    A store that only one collector writes to has other defaults.
    """

    metrics: Duration | None = option(None, doc="Age at which metric points are deleted; 0: never.")
    traces: Duration | None = option(None, doc="Age at which spans are deleted; 0: never.")
    logs: Duration | None = option(None, doc="Age at which log records are deleted; 0: never.")
    cost_origins: Duration | None = option(None, doc="Age at which charges are deleted; 0: never.")
    cost_allocations: Duration | None = option(
        None, doc="Age at which the parts of charges by workload are deleted; 0: never."
    )
    cost_requests: Duration | None = option(
        None, doc="Age at which their parts by group of requests are deleted; 0: never."
    )
    analyses: Duration = option(
        Duration.parse("397d"),
        doc="Age at which evaluations of policies are deleted, whenever another one is kept; 0: never.",
    )

    def validate(self) -> Iterator[Invalid]:
        """Check that a part does not outlive its whole: what is left of it would not add up."""
        levels = ("cost_origins", "cost_allocations", "cost_requests")
        for coarser, finer in pairwise(levels):
            whole, part = getattr(self, coarser), getattr(self, finer)
            if whole and part is not None and not 0 < part <= whole:
                yield Invalid(finer, f"must not be kept for longer than {coarser}, of which it is the parts")

    def given_s(self) -> dict[Signal | Table, float]:
        """Ages in seconds, of the signals (and levels of costs) for which something was said; 0: never."""
        ages: dict[Signal | Table, Duration | None] = {
            Signal.METRICS: self.metrics,
            Signal.TRACES: self.traces,
            Signal.LOGS: self.logs,
            COST_ORIGINS: self.cost_origins,
            COST_ALLOCATIONS: self.cost_allocations,
            COST_REQUESTS: self.cost_requests,
        }
        return {what: float(age) for what, age in ages.items() if age is not None}

    def ages_s(self) -> dict[Signal | Table, float]:
        """Ages in seconds, of those that have one."""
        return {what: age_s for what, age_s in self.given_s().items() if age_s}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig(SenderConfig):
    """What the exporters to databases have in common."""

    retention: RetentionConfig = option(
        default_factory=RetentionConfig, doc="How long items are kept, by signal."
    )
    retention_interval: Duration = option(
        Duration(3600.0), doc="How often old items are deleted.", minimum=1.0
    )


class StoreExporter:
    """An `Exporter`, `TransactionalExporter` and `PreparingExporter` over a `store`.

    A thread of its own brings the store into a state in which it can be written to, as soon as that is possible,
    and applies retention. `migrate`: create and upgrade the tables, else wait until somebody has.
    `local`: the store is on this machine and answers at once, so that `start` can say what is wrong with it.
    `take_deleted`: items that the store deleted by itself since the last call, by signal.
    `upkeep`: what is done in place of plain retention, with the time of day; returns rows deleted by table.
    `rest`: called now and then, once a minute or more often.
    `encoder`: makes the encoder of a signal, if another one is needed than `payload_encoder`.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        migrate: bool,
        retention_s: Mapping[Signal | Table, float],
        retention_interval_s: float,
        local: bool = False,
        take_deleted: Callable[[], Mapping[Signal, int]] | None = None,
        upkeep: Callable[[int], Mapping[str, int]] | None = None,
        rest: Callable[[], None] | None = None,
        encoder: Callable[[Signal], PayloadEncoder] | None = None,
    ) -> None:
        self.store = store
        self._settings = settings
        self._migrate = migrate
        self._retention_s = dict(retention_s)
        self._retention_interval_s = retention_interval_s
        self._local = local
        self._take_deleted = take_deleted
        self._upkeep = upkeep or (self._apply_retention if retention_s else None)
        self._rest = rest
        self._encoders = {
            signal: EncodingAhead(
                encoder(signal) if encoder else payload_encoder(signal, settings.memory),
                partial(settings.spawn, f"{settings.id}/{signal.value} encode"),
            )
            for signal in Signal
        }
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread: Thread | None = None
        self._reported = threading.Lock()
        self._last_report: tuple[State, str] | None = None
        self.balance = BalanceWatch(store, settings.clock, lambda: settings.part("cost"))

    def start(self) -> None:
        """See `Component`."""
        if self._local:
            try:
                self._prepare()
            except PermanentError as error:
                raise StartError(str(error)) from error
            except RetryableError as error:
                self._report(State.DEGRADED, str(error))
        else:
            self._report(State.STARTING, "connecting")
        self._thread = self._settings.spawn(f"{self._settings.id} upkeep", self._keep_up)

    def shutdown(self) -> None:
        """See `Component`."""
        self._stopping.set()
        self._wake.set()
        if not close_under(self.store, self._thread):
            self._settings.log.warning("The database's upkeep is left in the middle.")
        self._thread = None
        for encoder in self._encoders.values():
            encoder.stop()
        self.balance.stop()

    def export(self, batch: Batch, /) -> None:
        """See `Exporter`. What is stored already is delivered."""
        encoder = self._encoders[batch.signal]
        encoded = encoder.encode(batch)
        if encoded.omission is None or not encoded.dimensions:
            encoder.begin()  # else the next batch would hold the same dimensions, which are not confirmed yet
        with self._attempt("write", batch.signal):
            self.store.write(encoded, queue_id=batch.queue_id, start=batch.start, end=batch.end)

    def salvage(self, batch: Batch, set_aside: Callable[[Sequence[Refused]], None], /) -> None:
        """See `SalvagingExporter`."""
        encode = self._encoders[batch.signal].encode_payloads
        with (
            self._attempt("salvage", batch.signal),
            self.store.parts(queue_id=batch.queue_id, start=batch.start, end=batch.end) as write,
        ):
            if write is not None:
                set_aside(write_what_goes(batch.records, encode, write))

    @contextmanager
    def _attempt(self, operation: str, signal: Signal) -> Iterator[None]:
        """Around an attempt to write: time it, and say how the store is."""
        try:
            with self._timed(operation):
                yield
        except PositionError:
            raise  # nothing is wrong with the store
        except RetryableError as error:
            self._report(State.DEGRADED, str(error))
            if isinstance(error, SchemaError):
                self._ready.clear()
                self._wake.set()
            raise
        self._report(State.OK, self.store.edition)
        if signal is Signal.COSTS and self.balance.written():
            self._wake.set()
        if self._take_deleted is not None:
            for of, count in self._take_deleted().items():
                self._count_deleted(of, count, "bound")

    def prepare(self, batch: Batch, /) -> None:
        """See `PreparingExporter`."""
        self._encoders[batch.signal].expect(batch)

    def position(self, queue_id: UUID, /) -> int | None:
        """See `TransactionalExporter`."""
        with self._timed("position"):
            return self.store.position(queue_id)

    def check(self) -> list[CheckStep]:
        """See `Exporter`."""
        return self.store.check()

    def _keep_up(self) -> None:
        """Body of the thread: prepare until it works, then delete what is old, now and then."""
        clock = self._settings.clock
        retention_at = clock.monotonic()
        while not self._stopping.is_set():
            pause_s: float | None = _LOOK_AGAIN_S
            try:
                if not self._ready.is_set():
                    self._prepare()
                if self._upkeep is not None and clock.monotonic() >= retention_at:
                    self._delete_old(self._upkeep)
                    spread = 1 + self._settings.rng.uniform(-_JITTER, _JITTER)
                    retention_at = clock.monotonic() + self._retention_interval_s * spread
                self.balance.look()
                pauses = [self.balance.pause_s()]
                if self._upkeep is not None:
                    pauses.append(max(0.0, retention_at - clock.monotonic()))
                pause_s = min((pause for pause in pauses if pause is not None), default=None)
            except TelemetryError as error:
                self._report(State.DEGRADED, str(error))
            if self._rest is not None:
                self._rest()
                pause_s = _REST_S if pause_s is None else min(pause_s, _REST_S)
            self._wake.wait(pause_s)
            self._wake.clear()

    def _prepare(self) -> None:
        self.store.open()
        if self._migrate:
            for migration in self.store.migrate():
                self._settings.log.info(
                    "Database schema brought up to date.", version=migration.version, name=migration.name
                )
        status = self.store.schema_status()
        if not status.usable:
            raise SchemaError(
                f"the database's schema is version {status.current}, this program's {status.expected}: "
                "`collector database migrate` brings it up to date; until then items wait in the queue"
            )
        self._ready.set()
        self._report(State.OK, self.store.edition)

    def _apply_retention(self, now_unix_nano: int) -> Mapping[str, int]:
        return self.store.apply_retention(self._retention_s, now_unix_nano=now_unix_nano)

    def _delete_old(self, upkeep: Callable[[int], Mapping[str, int]]) -> None:
        with self._timed("retention"):
            deleted = upkeep(self._settings.clock.unix_nano())
        for table, count in deleted.items():
            self._count_deleted(SIGNAL_OF[table], count, "retention")
        if any(deleted.values()):
            self._settings.log.info("Old items deleted.", **{k: v for k, v in deleted.items() if v})

    def _count_deleted(self, signal: Signal, count: int, reason: str) -> None:
        if count:
            self._settings.meters.store_deleted.labels(str(self._settings.id), signal.value, reason).inc(
                count
            )

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        started = self._settings.clock.monotonic()
        yield
        self._settings.meters.database_queries.labels(str(self._settings.id), operation).observe(
            self._settings.clock.monotonic() - started
        )

    def _report(self, state: State, message: str) -> None:
        with self._reported:
            if self._last_report != (state, message):
                self._last_report = (state, message)
                self._settings.report(state, message)
