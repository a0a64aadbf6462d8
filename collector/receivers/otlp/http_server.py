"""OTLP/HTTP on the process's event loop: a listener. What becomes of a request is in `http_calls`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from collector.pipeline.http import HttpLimits
from collector.receivers.otlp.http_calls import TRANSPORT, Desk

if TYPE_CHECKING:
    from collector.pipeline.component import HttpListener, Settings
    from collector.receivers.otlp.config import HttpConfig
    from collector.receivers.otlp.intake import Intake
    from collector.receivers.otlp.waiting import WaitingRoom


class HttpServer:
    """One listener. `start` may be called once."""

    def __init__(self, settings: Settings, config: HttpConfig, intake: Intake, waiting: WaitingRoom) -> None:
        self._settings = settings
        self._config = config
        self._desk = Desk(settings, config, intake, waiting)
        self.listener: HttpListener | None = None

    def start(self, before: HttpServer | None = None) -> str:
        """Listen, with the sockets of the server `before` it if that has the same endpoint; return it as bound.

        Raises:
            StartError: it cannot.
        """
        config, settings = self._config, self._settings
        ended = partial(settings.meters.receiver_ended_connections.labels, str(settings.id), TRANSPORT)
        limits = HttpLimits(
            read_header_timeout_s=config.read_header_timeout,
            read_timeout_s=config.read_timeout,
            write_timeout_s=config.write_timeout,
            idle_timeout_s=config.idle_timeout,
            connections_max=config.connections_max,
            keep_alive=config.keep_alives_enabled,
            on_end=lambda reason: ended(reason).inc(),
        )
        self.listener = settings.http.serve(
            self._desk, config.endpoint, limits, sharing=before.listener if before else None
        )
        return self.listener.endpoint

    def stop(self, grace_s: float) -> None:
        """Take no new requests, answer those that run, for at most `grace_s`. Safe when never started."""
        if self.listener is not None:
            self.listener.stop(grace_s)
        self._desk.work.close()
