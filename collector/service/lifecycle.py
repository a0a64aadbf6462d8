"""The life of the process: build, start, say so, wait, stop in order within a deadline."""

from __future__ import annotations

import gc
import random
import sys
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from collector.pipeline.admission import ByteBudget
from collector.pipeline.component import StartError
from collector.pipeline.observe import Meters
from collector.pipeline.process_memory import available_bytes, give_memory_back
from collector.service.admin import AdminApp, AdminServer, Errands
from collector.service.answers import Answers, Running
from collector.service.build import build
from collector.service.exposition import ProcessMetrics
from collector.service.graph import House
from collector.service.http import HttpLoop
from collector.service.open_files import allow_open_files
from collector.service.reload import ReloadMetrics, Reloads
from collector.service.status import ComponentMetrics
from collector.service.supervisor import Reload, Stop, Supervisor
from collector.version import VERSION

if TYPE_CHECKING:
    from collector.model.clock import Clock
    from collector.service.banner import Banner
    from collector.service.config import Config
    from collector.service.config_files import Watch
    from collector.service.logging import Log
    from collector.service.reload import Read

# How often the main thread looks around when nothing happens.
_TICK_S: Final = 1.0
# Beyond `shutdown_timeout`: for components to count what is left, and close.
_SHUTDOWN_SLACK_S: Final = 5.0
_SWITCH_INTERVAL_S: Final = 0.0005


class Service:
    """A configuration, running. `run` is the whole life; it may be called once.

    `read`: reads the configuration again, for a reload.
    """

    def __init__(self, config: Config, log: Log, clock: Clock, *, read: Read | None = None) -> None:
        give_memory_back()
        allow_open_files()
        self._log = log
        self._clock = clock
        self._supervisor = Supervisor(log.root)
        self._registry = CollectorRegistry()
        process = ProcessMetrics(
            clock,
            service={
                "service_name": "collector",
                "service_instance_id": str(uuid.uuid4()),
                "service_version": VERSION,
            },
        )
        self._registry.register(process)
        self._http = HttpLoop(self._supervisor.spawn)
        memory = config.service.memory(available_bytes())
        house = House(
            clock=clock,
            rng=random.SystemRandom(),
            log=log.root,
            meters=Meters(self._registry),
            memory=memory,
            budget=ByteBudget(memory.requests),
            http=self._http,
            spawn=self._supervisor.spawn,
        )
        self._running = Running(build(config, house), clock.monotonic(), clock.unix_nano())
        self._registry.register(ComponentMetrics(self._running.statuses))
        self._answers = Answers(self._running, clock, self._registry, process)
        self._errands = Errands()
        self._admin = AdminServer(AdminApp(self._answers.endpoints(), self._errands, log.root), self._http)
        self._reloads = Reloads(
            read or (lambda: config), self._running, house, self._admin, log, ReloadMetrics(self._registry)
        )

    def ask_for_reload(self, reason: str) -> None:
        """Have the configuration read again. From any thread."""
        self._supervisor.ask_for_reload(reason)

    def run(self, announce: Callable[[Banner], None], *, watch: Watch | None = None) -> int:
        """Start, call `announce`, wait for a reason to stop, stop.

        `announce` is called again whenever another configuration is in effect. `watch` runs in a thread of its own.

        Returns:
            The exit code: 0 after a signal; 1 when something could not start, died or did not stop cleanly, or
            when what had been acknowledged was lost because it could not be delivered in time.
        """
        running = self._running
        self._supervisor.catch_signals()
        try:
            self._admin.listen(running.graph.config.service.admin.endpoint)
            self._supervisor.spawn("admin", self._errands.run)
            running.graph.start()
        except StartError as error:
            self._log.root.error("Cannot start.", why=str(error))
            self._close()
            return 1
        # How long a worker that computes may keep the event loop, and so every client, waiting each time that it wants
        # to go on: Python's default is 5 ms.
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        # What start-up made stays for good: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        running.ready = True
        announce(self._answers.banner(self._admin.endpoint))
        if watch is not None:
            self._supervisor.spawn("watch", watch.run)
        reason = self._wait(announce)
        running.ready = False
        if watch is not None:
            watch.stop()
        service = running.graph.config.service
        until = self._clock.monotonic() + float(service.shutdown_timeout)
        if not reason.failed:
            self._take_for(float(service.shutdown_delay))
        return self._stop(reason.reason, until, failed=reason.failed)

    def _wait(self, announce: Callable[[Banner], None]) -> Stop:
        while True:
            event = self._supervisor.next_event(_TICK_S)
            self._running.ticked = self._clock.monotonic()
            self._log.flush()
            self._reloads.tidy()
            if isinstance(event, Reload):
                if self._reloads.reload(event.reason):
                    announce(self._answers.banner(self._admin.endpoint))
            elif event is not None:
                return event

    def _take_for(self, seconds: float) -> None:
        """Go on as before, so that those who have not read in /readyz yet that it stops find it there."""
        end = self._clock.monotonic() + seconds
        if seconds:
            self._log.root.info("Stopping soon; requests are still taken.", seconds=seconds)
        while (left_s := end - self._clock.monotonic()) > 0:
            event = self._supervisor.next_event(min(_TICK_S, left_s))
            self._running.ticked = self._clock.monotonic()
            if isinstance(event, Stop) and event.failed:
                return

    def _stop(self, reason: str, until: float, *, failed: bool) -> int:
        graph = self._running.graph
        self._log.root.info(
            "Stopping; a second signal exits at once.",
            reason=reason,
            queued_items=sum(sender.queue.items for sender in graph.senders.values()),
            timeout_s=round(until - self._clock.monotonic(), 3),
        )
        stopped = self._supervisor.exit_at(until + _SHUTDOWN_SLACK_S, self._clock)
        clean = graph.stop(until)
        self._reloads.wait(until)
        self._close()
        stopped.set()
        lost = self._lost()
        self._log.root.info("Stopped.", reason=reason, lost_items=lost)
        return 0 if clean and not failed and not lost else 1

    def _close(self) -> None:
        self._admin.stop()
        self._errands.stop()
        self._http.close()

    def _lost(self) -> int:
        """Items that were acknowledged, were in memory only, and could not be delivered in time."""
        return int(
            sum(
                sample.value
                for family in self._registry.collect()
                if family.name == "collector_exporter_dropped_items"
                for sample in family.samples
                if sample.name.endswith("_total") and sample.labels["reason"] == "shutdown"
            )
        )
