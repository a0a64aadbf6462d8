"""A changed configuration in the running service: all of it, or nothing and the reason."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

from collector.config.diagnostics import ConfigError
from collector.pipeline.component import StartError
from collector.pipeline.process_memory import available_bytes
from collector.service.build import build
from collector.service.changes import changes
from collector.service.replacement import Replacement

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from collector.service.admin import AdminServer
    from collector.service.answers import Running
    from collector.service.config import Config
    from collector.service.graph import House, SenderNode
    from collector.service.logging import Log

Read = Callable[[], "Config"]


class ReloadMetrics:
    """Named as Prometheus names its own: `prometheus_config_last_reload_successful` and so on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Counter(
            "collector_config_reloads",
            "How often the configuration was read again, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self._successful = Gauge(
            "collector_config_last_reload_successful",
            "1 when what was read last is in effect, 0 when it could not be used.",
            registry=registry,
        )
        self._success_at = Gauge(
            "collector_config_last_reload_success_timestamp_seconds",
            "When a configuration was last read and found good, Unix time.",
            registry=registry,
        )
        for outcome in ("success", "unchanged", "failure"):
            self._count.labels(outcome)

    def good(self, unix_nano: int) -> None:
        """What was read is in effect."""
        self._successful.set(1)
        self._success_at.set(unix_nano / 1e9)

    def count(self, outcome: str) -> None:
        """Count a reload."""
        self._count.labels(outcome).inc()
        if outcome == "failure":
            self._successful.set(0)


class Reloads:
    """Reads the configuration again and puts it into effect. For the main thread."""

    def __init__(
        self,
        read: Read,
        running: Running,
        house: House,
        admin: AdminServer,
        log: Log,
        metrics: ReloadMetrics,
    ) -> None:
        self._read = read
        self._running = running
        self._house = house
        self._admin = admin
        self._log = log
        self._metrics = metrics
        self._replacements: list[Replacement] = []
        metrics.good(running.loaded_unix_nano)
        running.moving = self._moving

    def reload(self, reason: str) -> bool:
        """Do it; whether another configuration is in effect now. Whatever is wrong is logged, and changes nothing."""
        try:
            config = self._read()
            difference = [str(change) for change in changes(self._running.graph.config, config)]
            if difference:
                self._put_into_effect(config)
        except ConfigError as error:
            self._failed(reason, str(error), findings=error.render())
        except StartError as error:
            self._failed(reason, str(error))
        except Exception as error:  # noqa: BLE001  our bug: what runs goes on
            self._log.root.error("A reload failed on an error in the collector.", exc_info=error)
            self._failed(reason, f"unexpected {type(error).__name__}")
        else:
            self._running.trouble = ""
            self._metrics.good(self._house.clock.unix_nano())
            self._metrics.count("success" if difference else "unchanged")
            self._log.root.info(
                "Configuration reloaded." if difference else "Configuration read again: nothing has changed.",
                reason=reason,
                **({"changes": difference} if difference else {}),
            )
            return bool(difference)
        return False

    def _moving(self) -> list[SenderNode]:
        return [node for replacement in self._replacements for node in replacement.moving]

    def wait(self, until: float) -> None:
        """Wait for the end of what replaced parts still drain, but not beyond the monotonic time `until`."""
        for replacement in self._replacements:
            replacement.wait(until)

    def tidy(self) -> None:
        """Forget replacements that are complete. Called now and then."""
        if any(replacement.finished() for replacement in self._replacements):
            self._replacements = [one for one in self._replacements if not one.finished()]
            # What runs was frozen at the start, with the parts that have gone since.
            gc.unfreeze()
            gc.collect()
            gc.freeze()

    def _put_into_effect(self, config: Config) -> None:
        before = self._running.graph
        service = config.service
        replacement = Replacement(before, build(config, self._house, before))
        moved = self._admin.listen(service.admin.endpoint)
        others = [*self._replacements]
        self._replacements.append(replacement)
        try:
            graph = replacement.begin(others)
        except BaseException:
            self._replacements.remove(replacement)
            self._admin.go_back(moved)
            raise
        self._admin.leave(moved)
        self._running.graph = graph
        self._running.loaded_unix_nano = self._house.clock.unix_nano()
        self._house.budget.limit = service.memory(available_bytes()).requests
        self._log.configure(service.telemetry.logs.level, service.telemetry.logs.encoding)
        replacement.retire(self._house.clock.monotonic() + float(service.shutdown_timeout))

    def _failed(self, reason: str, why: str, **more: str) -> None:
        self._running.trouble = why
        self._metrics.count("failure")
        self._log.root.error(
            "The configuration could not be reloaded: the one before stays in effect.",
            reason=reason,
            why=why,
            **more,
        )
