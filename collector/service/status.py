"""What every component says about itself, for /healthz, the log and one gauge."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.pipeline.component import State

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from collector.model.clock import Clock
    from collector.pipeline.observe import Meters

# The worst state of any component is the service's.
_SEVERITY = {State.OK: 0, State.STOPPED: 1, State.STARTING: 2, State.DEGRADED: 3, State.FAILED: 4}


@dataclass(frozen=True, slots=True)
class ComponentKey:
    """Which component: its kind and its name, and which of several instances.

    `scope` is the pipeline of a processor and the signal of an exporter's sender.
    """

    kind: str
    name: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """A component's state, one sentence about it, and since when."""

    state: State
    message: str
    since_unix_nano: int


class Statuses:
    """The state of every component. Thread-safe."""

    def __init__(self, clock: Clock, meters: Meters) -> None:
        self._clock = clock
        self._meters = meters
        self._lock = threading.Lock()
        self._by_key: dict[ComponentKey, Status] = {}

    def reporter(self, key: ComponentKey, log: FilteringBoundLogger) -> Callable[[State, str], None]:
        """Register a component, as STARTING; return its `Settings.report`."""
        self._set(key, State.STARTING, "")

        def report(state: State, message: str) -> None:
            if self.state(key) is State.STOPPED:
                return  # a thread's last words, after the component was shut down
            before = self._set(key, state, message)
            if before is None or before.state is state:
                return
            if state in (State.DEGRADED, State.FAILED):
                log.warning("Component is not well.", state=state.value, why=message)
            elif before.state in (State.DEGRADED, State.FAILED) and state is State.OK:
                log.info("Component is well again.", state=state.value, detail=message)

        return report

    def _set(self, key: ComponentKey, state: State, message: str) -> Status | None:
        with self._lock:
            before = self._by_key.get(key)
            same = before is not None and before.state is state
            since = before.since_unix_nano if before and same else self._clock.unix_nano()
            self._by_key[key] = Status(state, message, since)
            up = all(
                status.state is State.OK
                for other, status in self._by_key.items()
                if (other.kind, other.name) == (key.kind, key.name)
            )
            self._meters.component_state.labels(key.kind, key.name).set(int(up))
        return before

    def state(self, key: ComponentKey) -> State:
        """The state of one component."""
        with self._lock:
            return self._by_key[key].state

    def all(self) -> dict[ComponentKey, Status]:
        """A copy of every status."""
        with self._lock:
            return dict(self._by_key)

    def overall(self) -> State:
        """The worst of all."""
        states = [status.state for status in self.all().values()]
        return max(states, key=_SEVERITY.__getitem__, default=State.STARTING)
