"""`validate --connect`: build the exporters of a configuration, start nothing, ask each what it can reach."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry

from collector.model.clock import SystemClock
from collector.pipeline.admission import ByteBudget
from collector.pipeline.component import (
    HttpListener,
    Settings,
    SocketListener,
    State,
    Thread,
)
from collector.pipeline.observe import Meters
from collector.service.config import used_exporters

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from collector.model.identity import ComponentID
    from collector.pipeline.component import CheckStep
    from collector.pipeline.http import HttpHandler, HttpLimits
    from collector.service.config import Config


def check_exporters(config: Config) -> Iterator[tuple[ComponentID, list[CheckStep]]]:
    """Yield, for every exporter that a pipeline names, the steps of its check."""
    for exporter_id in used_exporters(config):
        entry = config.exporters[exporter_id]
        exporter = entry.factory.create(unattended(exporter_id, "exporter", config), entry.config)
        try:
            yield exporter_id, exporter.check()
        finally:
            exporter.shutdown()


def unattended(component_id: ComponentID, kind: str, config: Config) -> Settings:
    """Return settings for a component that is never started: it may look around, but not serve or run."""
    log: FilteringBoundLogger = structlog.wrap_logger(structlog.ReturnLogger())

    def report(state: State, message: str) -> None:
        """Nobody listens."""

    return Settings(
        id=component_id,
        kind=kind,
        clock=SystemClock(),
        rng=random.Random(0),  # noqa: S311  nothing here is a secret
        log=log,
        meters=Meters(CollectorRegistry()),
        budget=ByteBudget(config.service.memory(None).requests),
        http=_NoHttp(),
        spawn=_no_thread,
        report=report,
    )


class _NoHttp:
    """No server."""

    def serve(
        self, handler: HttpHandler, endpoint: str, limits: HttpLimits, *, sharing: HttpListener | None = None
    ) -> HttpListener:
        """See `HttpHost`."""
        raise RuntimeError(f"a check does not serve {endpoint}")

    def listen(
        self, make: Callable[..., asyncio.Protocol], endpoint: str, *, sharing: SocketListener | None = None
    ) -> SocketListener:
        """See `HttpHost`."""
        raise RuntimeError(f"a check does not listen at {endpoint}")


def _no_thread(name: str, body: Callable[[], None]) -> Thread:
    raise RuntimeError(f"a check does not start thread {name!r}")
