"""The `cost_attribution` extension: `collector cost attribute`, now and then, in the daemon.

Of many daemons on one database one does it: whoever gets the lock. The others try again at their next turn. With
`policies`, whoever has attributed evaluates them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from collector.accounting.attribution import PURPOSE, Attribution, WindowReport
from collector.accounting.errors import AccountingError, TooManyGroupsError
from collector.accounting.remarks import remarks
from collector.cost.balance import ImbalanceError
from collector.cost.calendar import text_of
from collector.cost.findings import FindingKind
from collector.cost.record import Period
from collector.extensions.cost_attribution.policies import PolicyWatch
from collector.model.errors import TelemetryError
from collector.pipeline.component import Settings, State, Thread
from collector.storage.balance import BalanceWatch
from collector.storage.ending import close_under
from collector.storage.store import QueryError

if TYPE_CHECKING:
    from collector.cost.config import CostConfig
    from collector.extensions.cost_attribution.config import CostAttributionConfig
    from collector.storage.store import Store

# Daemons that start together do not all ask at once, and the tables may have to be made first.
_FIRST_S: Final = 5.0
_JITTER: Final = 0.1
_STOP_S: Final = 1.0
# Of one turn; how many there are more is said too.
_REMARKS_MAX: Final = 20


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
        self._rules = cost.rules
        self._attribution = Attribution(store, cost, settings.clock)
        self._balance = BalanceWatch(store, settings.clock, lambda: settings.part("cost"))
        self._balance.written()  # by others, too: whoever attributes looks
        self._remarked: set[tuple[str, str, str]] = set()
        self._policies = PolicyWatch(settings, store, keep_analyses_s) if config.policies else None
        self._alone = False  # it had the last turn
        self._stopping = threading.Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """See `Component`."""
        self._settings.report(State.OK, "waits for its first turn")
        self._thread = self._settings.spawn(f"{self._settings.id}", self._keep_on)

    def shutdown(self) -> None:
        """See `Component`. The window that is being worked on is left for the next turn, unless it soon is done."""
        self._stopping.set()
        close_under(self._store, self._thread, _STOP_S)
        self._thread = None
        self._balance.stop()

    def _keep_on(self) -> None:
        """Body of the thread."""
        clock, interval_s = self._settings.clock, float(self._config.interval)
        turn_at = clock.monotonic() + min(_FIRST_S, interval_s) * self._jitter()
        pause_s = turn_at - clock.monotonic()
        while not self._stopping.wait(pause_s):
            try:
                if clock.monotonic() >= turn_at:
                    turn_at = clock.monotonic() + interval_s * self._jitter()
                    self._settings.report(*self._turn())
                if self._alone or self._balance.unbalanced:
                    self._balance.look()
            except (TelemetryError, QueryError, AccountingError) as error:
                self._count("failed")
                self._settings.report(State.DEGRADED, f"costs are not attributed: {error}")
            pause_s = max(0.0, turn_at - clock.monotonic())
            if self._balance.unbalanced:
                pause_s = min(pause_s, self._balance.pause_s() or 0.0)

    def _jitter(self) -> float:
        return 1 + self._settings.rng.uniform(-_JITTER, _JITTER)

    def _turn(self) -> tuple[State, str]:
        """Attribute what has ended; return how that went."""
        self._store.open()
        with self._store.exclusive(PURPOSE) as self._alone:
            if not self._alone:
                self._count("elsewhere")
                return State.OK, "another collector attributes costs in this database"
            now = self._settings.clock.unix_nano()
            period = Period(max(0, now - round(float(self._config.lookback) * 1e9)), now)
            reports, failed = self._attribute(period)
            state, said = State.OK, ""
            if self._policies is not None and not self._stopping.is_set():
                state, said = self._policies.look(self._settings.clock.unix_nano())
        if failed:
            state = State.DEGRADED
        else:
            self._settings.meters.cost_attributed.labels(str(self._settings.id)).set(now / 1e9)
        self._count("failed" if failed else "done")
        written = sum(report.written for report in reports)
        if written:
            self._settings.log.info("Costs attributed.", windows=len(reports), records=written)
        return state, "; ".join(
            filter(None, (*failed[:1], f"{len(reports)} windows attributed", *self._remark(reports), said))
        )

    def _attribute(self, period: Period) -> tuple[list[WindowReport], list[str]]:
        """Attribute every window that can be; return what became of them, and what is said of the others."""
        reports: list[WindowReport] = []
        failed: list[str] = []
        for window in self._attribution.windows(period):
            try:
                reports += self._attribution.run(window)
            except (TooManyGroupsError, ImbalanceError) as error:
                failed.append(f"the window from {text_of(window.start_unix_nano)} is not attributed: {error}")
                if isinstance(error, ImbalanceError):
                    self._settings.log.exception("An error of ours: costs do not add up.")
            else:
                self._settings.meters.cost_records.labels(str(self._settings.id)).inc(reports[-1].written)
            if self._stopping.is_set():
                break
        if len(failed) > 1:
            failed[0] += f" (and {len(failed) - 1} more)"
        return reports, failed

    def _remark(self, reports: list[WindowReport]) -> list[str]:
        """Log what a person may want to mend, each thing once; return what /healthz says of it."""
        found = remarks(reports, self._rules)
        new = [one for one in found if (one.rule_id, one.kind, one.subject) not in self._remarked]
        for remark in new[:_REMARKS_MAX]:
            self._settings.log.warning("Attribution found something to mend.", what=str(remark))
        if len(new) > _REMARKS_MAX:
            self._settings.log.warning(
                "Attribution found more to mend: see `collector cost attribute --dry-run`.",
                more=len(new) - _REMARKS_MAX,
            )
        self._remarked = {(one.rule_id, one.kind, one.subject) for one in found}
        said = []
        if unpriced := sum(report.unpriced for report in reports):
            said.append(f"{unpriced} charges have no price")
        if idle := [one.rule_id for one in found if one.kind == FindingKind.NOTHING_MATCHED.value]:
            said.append(f"nothing matched by {', '.join(idle)}")
        return said

    def _count(self, outcome: str) -> None:
        self._settings.meters.cost_runs.labels(str(self._settings.id), outcome).inc()
