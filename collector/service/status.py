"""What every component says about itself, for /healthz, the log and one gauge."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from collector.pipeline.component import State

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from structlog.typing import FilteringBoundLogger

    from collector.model.clock import Clock

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


class ComponentStatus:
    """The state of one component, which has a status of its own as long as it lives. Thread-safe."""

    def __init__(self, key: ComponentKey, clock: Clock, log: FilteringBoundLogger) -> None:
        self.key: Final = key
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._current = Status(State.STARTING, "", clock.unix_nano())
        self._parts: dict[str, ComponentStatus] = {}

    @property
    def current(self) -> Status:
        """What was reported last."""
        return self._current

    @property
    def state(self) -> State:
        """The state that was reported last."""
        return self._current.state

    def part(self, name: str) -> Callable[[State, str], None]:
        """See `Settings.part`."""
        with self._lock:
            key = ComponentKey(self.key.kind, self.key.name, name)
            return self._parts.setdefault(name, ComponentStatus(key, self._clock, self._log)).report

    def all(self) -> list[ComponentStatus]:
        """This, and those of the parts."""
        with self._lock:
            return [self, *self._parts.values()]

    def report(self, state: State, message: str) -> None:
        """Take a report: see `Settings.report`. A change for the worse or the better is logged."""
        with self._lock:
            before = self._current
            if before.state is State.STOPPED:
                return  # a thread's last words, after the component was shut down
            since = before.since_unix_nano if before.state is state else self._clock.unix_nano()
            self._current = Status(state, message, since)
        if before.state is state:
            return
        if state in (State.DEGRADED, State.FAILED):
            self._log.warning("Component is not well.", state=state.value, why=message)
        elif before.state in (State.DEGRADED, State.FAILED) and state is State.OK:
            self._log.info("Component is well again.", state=state.value, detail=message)


def overall(states: Iterable[State]) -> State:
    """The worst of all."""
    return max(states, key=_SEVERITY.__getitem__, default=State.STARTING)


class ComponentMetrics(Collector):
    """`collector_component_up`, of the components that `statuses` names when it is asked."""

    def __init__(self, statuses: Callable[[], Iterable[ComponentStatus]]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterable[Metric]:
        """Return the gauge: 1 where every instance of the component is ok."""
        up: dict[tuple[str, str], bool] = {}
        for status in self._statuses():
            name = (status.key.kind, status.key.name)
            up[name] = up.get(name, True) and status.state is State.OK
        gauge = GaugeMetricFamily(
            "collector_component_up",
            "1 when the component is ok, 0 when it is degraded or failed.",
            labels=("kind", "component"),
        )
        for name, well in up.items():
            gauge.add_metric(name, int(well))
        yield gauge
