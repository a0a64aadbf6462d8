"""What the service says about itself: the answers of the admin server, and the banner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.pipeline.component import State
from collector.pipeline.endpoint import on_loopback
from collector.service import banner
from collector.service.admin import Endpoint, Question, Reply, json_reply, metrics_reply, text_reply
from collector.service.cost_stores import cost_stores
from collector.service.databases import database_info, destination
from collector.service.exposition import ProcessMetrics, exposition
from collector.service.guarantee import pipeline_acks
from collector.service.status import overall
from collector.version import version_text

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from collector.model.clock import Clock
    from collector.service.graph import Graph, SenderNode
    from collector.service.status import ComponentStatus

# /livez fails when the main thread has not ticked for so long.
_TICK_LATE_S: Final = 30.0
_ALLOCATIONS: Final = {
    "/allocation": "costs by who caused them, as OpenCost answers: ?window=7d&aggregate=namespace",
    "/allocation/compute": "the same",
    "/allocation/summary": "the same with fewer fields",
}
# Four times a policy's characters.
_POLICY_BYTES_MAX: Final = 400_000


@dataclass(slots=True)
class Running:
    """What runs now; a reload puts another graph here. `trouble`: why the last reload changed nothing."""

    graph: Graph
    ticked: float  # monotonic time at which the main thread was last seen
    loaded_unix_nano: int
    ready: bool = False
    trouble: str = ""

    # Senders that are not in it: those that still drain after a reload, and those that a reload is starting.
    moving: Callable[[], Iterable[SenderNode]] = tuple

    @contextmanager
    def still(self) -> Iterator[None]:
        """Hold all senders, so that what is read of them is of one moment. Takes no longer than they need for a step."""
        senders = [node.component for node in (*self.graph.senders.values(), *self.moving())]
        with ExitStack() as stack:
            for sender in dict.fromkeys(senders):
                stack.enter_context(sender.still())
            yield

    def statuses(self) -> list[ComponentStatus]:
        """Of all components."""
        return self.graph.statuses()


class Answers:
    """Everything that can be asked."""

    def __init__(
        self, running: Running, clock: Clock, registry: CollectorRegistry, process: ProcessMetrics
    ) -> None:
        self._running = running
        self._clock = clock
        self._registry = registry
        self._process = process

    def endpoints(self) -> dict[str, Endpoint]:
        """The admin server's paths."""
        return {
            "/livez": Endpoint(
                about="the process works; for a liveness probe", answer=lambda _: self.livez()
            ),
            "/readyz": Endpoint(about="it takes data; for a startup probe", answer=lambda _: self.readyz()),
            "/healthz": Endpoint(about="the state of every component", answer=lambda _: self.healthz()),
            "/metrics": Endpoint(about="its own metrics, for Prometheus", answer=lambda _: self.metrics()),
            "/database/info": Endpoint(
                about="the databases it writes to", answer=lambda _: self.database_info(), blocking=True
            ),
            **{
                path: Endpoint(about=about, answer=self.allocation, blocking=True)
                for path, about in _ALLOCATIONS.items()
            },
            "/policies": Endpoint(
                about="what costs may be; POST keeps a policy, /policies/ID is one",
                answer=self.policies,
                methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
                body_bytes_max=_POLICY_BYTES_MAX,
                blocking=True,
                below=True,
            ),
            "/policy/evaluate": Endpoint(
                about="POST: what policies say about the costs that are stored",
                answer=self.policies,
                methods=("POST",),
                body_bytes_max=_POLICY_BYTES_MAX,
                blocking=True,
            ),
            "/analyses": Endpoint(about="what policies have said", answer=self.policies, blocking=True),
        }

    def livez(self) -> Reply:
        """Whether the main thread ticks."""
        late_s = self._clock.monotonic() - self._running.ticked
        if self._running.ready and late_s > _TICK_LATE_S:
            return text_reply(503, f"the main thread has not ticked for {late_s:.0f} s")
        return text_reply(200, "ok")

    def readyz(self) -> Reply:
        """Whether data is taken."""
        if not self._running.ready:
            return text_reply(503, "starting, or about to stop")
        if not self._running.graph.writable():
            return text_reply(503, "a sending queue is full")
        return text_reply(200, "ok")

    def healthz(self) -> Reply:
        """The state of everything."""
        running = self._running
        graph, config = running.graph, running.graph.config
        statuses = [(status.key, status.current) for status in graph.statuses()]
        states = [current.state for _, current in statuses]
        if running.trouble:
            states.append(State.DEGRADED)
        state = overall(states) if running.ready else State.STOPPED
        return json_reply(
            # Degraded is 200: data is taken, and whoever restarts on a 503 would lose what waits.
            200 if state in (State.OK, State.DEGRADED) else 503,
            {
                "status": state.value,
                "version": version_text(),
                "uptime_s": round(self._process.uptime_s(), 3),
                "configuration": {
                    "files": config.names,
                    "in_effect_since_unix_nano": running.loaded_unix_nano,
                    "last_reload_failed": running.trouble or None,
                },
                "guarantee": self._guarantee(graph),
                "acknowledged_when": dict(pipeline_acks(config)),
                "queued_items": {
                    f"{component_id}/{signal.value}": sender.queue.items
                    for (component_id, signal), sender in graph.senders.items()
                },
                "components": [
                    {
                        "kind": key.kind,
                        "name": key.name,
                        "scope": key.scope or None,
                        "state": current.state.value,
                        "message": current.message,
                        "since_unix_nano": current.since_unix_nano,
                    }
                    for key, current in statuses
                ],
            },
        )

    def metrics(self) -> Reply:
        """Its own metrics, unless they are switched off."""
        options = self._running.graph.config.service.telemetry.metrics
        if options.level == "none":
            return text_reply(404, "metrics are switched off: service.telemetry.metrics.level is 'none'")
        with self._running.still():
            families = list(self._registry.collect())
        return metrics_reply(exposition(families, type_suffix=not options.without_type_suffix))

    def database_info(self) -> Reply:
        """What the databases are. Blocks until each has answered."""
        databases = [
            database_info(str(component_id), node.component, node.entry.config)
            for component_id, node in self._running.graph.exporters.items()
        ]
        return json_reply(200, {"databases": [found for found in databases if found is not None]})

    def allocation(self, question: Question) -> Reply:
        """Costs, as OpenCost answers. Blocks until they have been read, or until that has taken too long."""
        from collector.service import allocations  # what answers queries is loaded when somebody asks

        parameters = {name: values[-1] for name, values in question.query.items()}
        stores = cost_stores(self._running.graph)
        return Reply(*allocations.answer(question.path, parameters, stores, self._clock))

    def policies(self, asked: Question) -> Reply:
        """Policies, what they say and what they have said. Blocks until the database has answered."""
        # Only now: a daemon that nobody asks for policies does not carry what reads costs.
        from collector.service.policies import PolicyAnswers

        answers = PolicyAnswers(lambda: cost_stores(self._running.graph), self._may_change, self._clock)
        return Reply(*answers.answer(asked.method, asked.path, asked.query, asked.body))

    def banner(self, admin: str) -> banner.Banner:
        """What is said when the service is up, or has another configuration."""
        graph = self._running.graph
        listening: dict[str, str] = {}
        ways: dict[str, dict[str, str]] = {}
        for component_id, receiver in graph.receivers.items():
            endpoints = getattr(receiver.component, "endpoints", {})
            for protocol, endpoint in endpoints.items():
                listening[f"{component_id} {protocol}"] = endpoint
                ways.setdefault(protocol, banner.environment(protocol, endpoint))
        return banner.Banner(
            listening=listening,
            storing={
                str(component_id): destination(node.entry.config)
                for component_id, node in graph.exporters.items()
            },
            admin=admin,
            guarantee=self._guarantee(graph),
            environment=ways,
        )

    def _may_change(self) -> bool:
        admin = self._running.graph.config.service.admin
        return on_loopback(admin.endpoint) if admin.changes is None else admin.changes

    def _guarantee(self, graph: Graph) -> str:
        interval_s = max((sender.limits.interval_s for sender in graph.senders.values()), default=0.0)
        return banner.guarantee(interval_s, pipeline_acks(graph.config))
