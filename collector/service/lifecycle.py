"""The life of the process: build, start, say so, wait, stop in order within a deadline."""

from __future__ import annotations

import gc
import random
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from collector.pipeline.admission import ByteBudget
from collector.pipeline.component import HttpLimits, HttpListener, StartError, State
from collector.pipeline.observe import Meters
from collector.service import banner
from collector.service.admin import AdminApp, Endpoint, Errands, Reply, json_reply, metrics_reply, text_reply
from collector.service.databases import database_info, destination
from collector.service.exposition import ProcessMetrics, exposition
from collector.service.graph import House, build
from collector.service.guarantee import pipeline_acks
from collector.service.http import HttpLoop
from collector.service.status import Statuses
from collector.service.supervisor import Hangup, Stop, Supervisor
from collector.version import VERSION, version_text

if TYPE_CHECKING:
    from collector.model.clock import Clock
    from collector.service.config import Config
    from collector.service.logging import Log

# How often the main thread looks around when nothing happens.
_TICK_S: Final = 1.0
# /livez fails when the main thread has not ticked for so long.
_TICK_LATE_S: Final = 30.0
# Beyond `shutdown_timeout`: for components to count what is left, and close.
_SHUTDOWN_SLACK_S: Final = 5.0


class Service:
    """One configuration, running. `run` is the whole life; it may be called once."""

    def __init__(self, config: Config, log: Log, clock: Clock) -> None:
        self._config = config
        self._log = log
        self._clock = clock
        self._supervisor = Supervisor(log.root)
        self._registry = CollectorRegistry()
        self._process = ProcessMetrics(
            clock,
            service={
                "service_name": "collector",
                "service_instance_id": str(uuid.uuid4()),
                "service_version": VERSION,
            },
        )
        self._registry.register(self._process)
        meters = Meters(self._registry)
        self._statuses = Statuses(clock, meters)
        self._http = HttpLoop(self._supervisor.spawn)
        self._errands = Errands()
        self._graph = build(
            config,
            House(
                clock=clock,
                rng=random.SystemRandom(),
                log=log.root,
                meters=meters,
                statuses=self._statuses,
                budget=ByteBudget(config.service.in_flight_size_max),
                http=self._http,
                spawn=self._supervisor.spawn,
            ),
        )
        self._ready = False
        self._ticked = clock.monotonic()

    def run(self, announce: Callable[[banner.Banner], None]) -> int:
        """Start, call `announce`, wait for a reason to stop, stop.

        Returns:
            The exit code: 0 after a signal; 1 when something could not start, died or did not stop cleanly, or
            when what had been acknowledged was lost because it could not be delivered in time.
        """
        self._supervisor.catch_signals()
        admin: HttpListener | None = None
        try:
            admin = self._start_admin()
            self._graph.start()
        except StartError as error:
            self._log.root.error("Cannot start.", why=str(error))
            self._close(admin)
            return 1
        # What start-up made stays for good: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        self._ready = True
        announce(self._banner(admin.endpoint))
        reason = self._wait()
        self._ready = False
        return self._stop(admin, reason.reason, failed=reason.failed)

    def _wait(self) -> Stop:
        while True:
            event = self._supervisor.next_event(_TICK_S)
            self._ticked = self._clock.monotonic()
            self._log.flush()
            if isinstance(event, Hangup):
                self._log.root.warning("SIGHUP is ignored: to apply a changed configuration, restart.")
            elif event is not None:
                return event

    def _stop(self, admin: HttpListener, reason: str, *, failed: bool) -> int:
        timeout_s = float(self._config.service.shutdown_timeout)
        queued = self._queued()
        self._log.root.info(
            "Stopping; a second signal exits at once.",
            reason=reason,
            queued_items=queued,
            timeout_s=timeout_s,
        )
        until = self._clock.monotonic() + timeout_s
        stopped = self._supervisor.exit_at(until + _SHUTDOWN_SLACK_S, self._clock)
        clean = self._graph.stop(until)
        self._close(admin)
        stopped.set()
        lost = self._lost()
        self._log.root.info("Stopped.", reason=reason, lost_items=lost)
        return 0 if clean and not failed and not lost else 1

    def _close(self, admin: HttpListener | None) -> None:
        if admin is not None:
            admin.stop(1.0)
            self._errands.stop()
        self._http.close()

    def _queued(self) -> int:
        return sum(sender.queue.items for sender in self._graph.senders.values())

    def _lost(self) -> int:
        """Items that were acknowledged, were in memory only, and could not be delivered in time."""
        lost = 0.0
        for component_id, signal in self._graph.senders:
            labels = {"exporter": str(component_id), "otel_signal": signal.value, "reason": "shutdown"}
            lost += self._registry.get_sample_value("collector_exporter_dropped_items_total", labels) or 0
        return int(lost)

    # --- what it says about itself ----------------------------------------------------------------------

    def _banner(self, admin: str) -> banner.Banner:
        listening: dict[str, str] = {}
        ways: dict[str, dict[str, str]] = {}
        for component_id, node in self._graph.receivers.items():
            endpoints = getattr(node.component, "endpoints", {})
            for protocol, endpoint in endpoints.items():
                listening[f"{component_id} {protocol}"] = endpoint
                ways.setdefault(protocol, banner.environment(protocol, endpoint))
        return banner.Banner(
            listening=listening,
            storing={
                str(component_id): destination(self._config.exporters[component_id].config)
                for component_id in self._graph.exporters
            },
            admin=admin,
            guarantee=self._guarantee(),
            environment=ways,
        )

    def _guarantee(self) -> str:
        senders = self._graph.senders.values()
        interval_s = max((sender.limits.interval_s for sender in senders), default=0.0)
        return banner.guarantee(interval_s, pipeline_acks(self._config))

    def _start_admin(self) -> HttpListener:
        endpoints = {
            "/livez": Endpoint(about="the process works; for a liveness probe", answer=self._livez),
            "/readyz": Endpoint(about="it takes data; for a startup probe", answer=self._readyz),
            "/healthz": Endpoint(about="the state of every component", answer=self._healthz),
            "/metrics": Endpoint(about="its own metrics, for Prometheus", answer=self._metrics),
            "/database/info": Endpoint(
                about="the databases it writes to", answer=self._database_info, blocking=True
            ),
        }
        if self._config.service.telemetry.metrics.level == "none":
            del endpoints["/metrics"]
        app = AdminApp(endpoints, self._errands, self._log.root)
        listener = self._http.serve(app, self._config.service.admin.endpoint, HttpLimits(connections_max=100))
        self._supervisor.spawn("admin", self._errands.run)
        return listener

    def _livez(self) -> Reply:
        late_s = self._clock.monotonic() - self._ticked
        if self._ready and late_s > _TICK_LATE_S:
            return text_reply(503, f"the main thread has not ticked for {late_s:.0f} s")
        return text_reply(200, "ok")

    def _readyz(self) -> Reply:
        if not self._ready:
            return text_reply(503, "not listening")
        if not self._graph.writable():
            return text_reply(503, "a sending queue is full")
        return text_reply(200, "ok")

    def _healthz(self) -> Reply:
        overall = self._statuses.overall() if self._ready else State.STOPPED
        components = [
            {
                "kind": key.kind,
                "name": key.name,
                "scope": key.scope or None,
                "state": status.state.value,
                "message": status.message,
                "since_unix_nano": status.since_unix_nano,
            }
            for key, status in self._statuses.all().items()
        ]
        return json_reply(
            # Degraded is 200: data is taken, and whoever restarts on a 503 would lose what waits.
            200 if overall in (State.OK, State.DEGRADED) else 503,
            {
                "status": overall.value,
                "version": version_text(),
                "uptime_s": round(self._process.uptime_s(), 3),
                "guarantee": self._guarantee(),
                "acknowledged_when": dict(pipeline_acks(self._config)),
                "queued_items": {
                    f"{component_id}/{signal.value}": sender.queue.items
                    for (component_id, signal), sender in self._graph.senders.items()
                },
                "components": components,
            },
        )

    def _metrics(self) -> Reply:
        suffix = not self._config.service.telemetry.metrics.without_type_suffix
        return metrics_reply(exposition(self._registry, type_suffix=suffix))

    def _database_info(self) -> Reply:
        databases = [
            database_info(str(component_id), node.component, self._config.exporters[component_id].config)
            for component_id, node in self._graph.exporters.items()
        ]
        return json_reply(200, {"databases": [found for found in databases if found is not None]})
