"""The `cost_attribution` extension: `collector cost attribute`, now and then, in the daemon.

Of many daemons on one database one does it: whoever gets the lock. The others try again at their next turn. With
`policies`, whoever has attributed evaluates them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from collector.accounting.attribution import PURPOSE, Attribution, WindowReport
from collector.accounting.errors import AccountingError
from collector.cost.balance import ImbalanceError
from collector.cost.record import Period
from collector.extensions.cost_attribution.policies import PolicyWatch
from collector.model.errors import TelemetryError
from collector.pipeline.component import Settings, State, Thread
from collector.storage.store import QueryError

if TYPE_CHECKING:
    from collector.cost.config import CostConfig
    from collector.extensions.cost_attribution.config import CostAttributionConfig
    from collector.storage.store import Store

# Daemons that start together do not all ask at once, and the tables may have to be made first.
_FIRST_S: Final = 5.0
_JITTER: Final = 0.1


class CostAttribution:
    """See the module. `store` is its own: it is opened and closed here."""

    def __init__(
        self,
        settings: Settings,
        config: CostAttributionConfig,
        store: Store,
        cost: CostConfig,
        keep_analyses_s: float,
    ) -> None:
        self._settings = settings
        self._config = config
        self._store = store
        self._attribution = Attribution(store, cost, settings.clock)
        self._policies = PolicyWatch(settings, store, keep_analyses_s) if config.policies else None
        self._stopping = threading.Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """See `Component`."""
        self._settings.report(State.OK, "waits for its first turn")
        self._thread = self._settings.spawn(f"{self._settings.id}", self._keep_on)

    def shutdown(self) -> None:
        """See `Component`. A window that is being worked on is finished."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._store.close()

    def _keep_on(self) -> None:
        """Body of the thread."""
        pause_s = min(_FIRST_S, float(self._config.interval))
        while not self._stopping.wait(pause_s * (1 + self._settings.rng.uniform(-_JITTER, _JITTER))):
            pause_s = float(self._config.interval)
            try:
                self._settings.report(*self._turn())
            except (TelemetryError, QueryError, AccountingError, ImbalanceError) as error:
                self._count("failed")
                self._settings.report(State.DEGRADED, f"costs are not attributed: {error}")
                if isinstance(error, ImbalanceError):
                    self._settings.log.exception("An error of ours: costs do not add up.")

    def _turn(self) -> tuple[State, str]:
        """Attribute what has ended; return how that went."""
        self._store.open()
        with self._store.exclusive(PURPOSE) as alone:
            if not alone:
                self._count("elsewhere")
                return State.OK, "another collector attributes costs in this database"
            now = self._settings.clock.unix_nano()
            period = Period(max(0, now - round(float(self._config.lookback) * 1e9)), now)
            reports: list[WindowReport] = []
            for report in self._attribution.run(period):
                reports.append(report)
                if report.written:
                    self._settings.meters.cost_records.labels(str(self._settings.id)).inc(report.written)
                if self._stopping.is_set():
                    break
            state, said = State.OK, ""
            if self._policies is not None and not self._stopping.is_set():
                state, said = self._policies.look(self._settings.clock.unix_nano())
        self._count("done")
        self._settings.meters.cost_attributed.labels(str(self._settings.id)).set(now / 1e9)
        written = sum(report.written for report in reports)
        if written:
            self._settings.log.info("Costs attributed.", windows=len(reports), records=written)
        unpriced = sum(report.unpriced for report in reports)
        without = f"; {unpriced} charges have no price" if unpriced else ""
        return state, "; ".join(filter(None, (f"{len(reports)} windows attributed{without}", said)))

    def _count(self, outcome: str) -> None:
        self._settings.meters.cost_runs.labels(str(self._settings.id), outcome).inc()
