"""Whether costs add up, asked of the store now and then: for /healthz and /database/info, never per request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from collector.model.errors import TelemetryError
from collector.pipeline.component import State
from collector.storage.store import QueryError, Store

if TYPE_CHECKING:
    from collector.model.clock import Clock

# What is older than the longest billing period that may be open was looked at while it was written.
_WINDOW: Final = timedelta(days=45)
_INTERVAL_S: Final = 600.0
# A charge and its parts may come in two batches: what does not add up now may in a moment.
_AGAIN_S: Final = 30.0
_TIMEOUT_S: Final = 60.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Balance:
    """Rows of the view `cost_balance`, of the last 45 days, and when they were counted. 0: everything adds up."""

    unbalanced: int
    checked_unix_nano: int


def count_unbalanced(store: Store, *, now_unix_nano: int) -> Balance:
    """Count what does not add up.

    Raises:
        QueryError: it took too long.
        TelemetryError: the store is away.
    """
    since = _EPOCH + timedelta(microseconds=now_unix_nano // 1000) - _WINDOW
    sqlite = store.dialect == "sqlite"
    [[rows]] = store.query(
        "SELECT count(*) FROM cost_balance WHERE time >= %(since)s",
        {"since": f"{since:%Y-%m-%dT%H:%M:%S}.000000000Z" if sqlite else since},
        timeout_s=_TIMEOUT_S,
    ).rows
    return Balance(rows, now_unix_nano)


class BalanceWatch:
    """Looks at the balance of a store to which costs are written; in the thread of its upkeep.

    `report` is called when costs do not add up at two looks in a row, and when they do again.
    """

    def __init__(
        self, store: Store, clock: Clock, reporter: Callable[[], Callable[[State, str], None]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._reporter = reporter
        self._report: Callable[[State, str], None] | None = None
        self._written = threading.Event()
        self._next = 0.0
        self._suspected = False
        self.last: Balance | None = None

    @property
    def unbalanced(self) -> bool:
        """Whether the last look found something."""
        return self.last is not None and bool(self.last.unbalanced)

    def written(self) -> bool:
        """Costs were written. Returns whether for the first time."""
        first = not self._written.is_set()
        self._written.set()
        return first

    def pause_s(self) -> float | None:
        """How long until the next look; None: there is nothing to look at."""
        if not self._written.is_set():
            return None
        return max(0.0, self._next - self._clock.monotonic())

    def look(self) -> None:
        """Look, if it is time."""
        if not self._written.is_set() or self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + _INTERVAL_S
        try:
            self.last = count_unbalanced(self._store, now_unix_nano=self._clock.unix_nano())
        except (TelemetryError, QueryError):
            return  # what is the matter with the store is said elsewhere
        if not self.last.unbalanced:
            self._suspected = False
            self._say(State.OK, "costs add up")
        elif not self._suspected:
            self._suspected = True
            self._next = self._clock.monotonic() + _AGAIN_S
        else:
            self._say(
                State.DEGRADED,
                f"{self.last.unbalanced} amounts of costs differ from the sum of their parts: "
                "the view cost_balance shows which",
            )

    def _say(self, state: State, message: str) -> None:
        if self._report is None:
            # Not sooner: a component that has said nothing is starting, and not well.
            self._report = self._reporter()
        self._report(state, message)

    def stop(self) -> None:
        """There will be no more looks."""
        if self._report is not None:
            self._report(State.STOPPED, "")
