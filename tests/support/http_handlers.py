"""Handlers of HTTP requests for tests of what serves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collector.pipeline.http import HttpCall, HttpHandler, HttpPeer
from collector.wire.http1 import Request


def answering(
    body: Callable[[Request], bytes] | None = None,
    *,
    whole: Callable[[HttpPeer, Request], None] | None = None,
) -> HttpHandler:
    """Wait for the whole request, then answer 200 with `body`, or leave it to `whole`."""

    def settle(peer: HttpPeer, request: Request) -> None:
        peer.answer(request, 200, b"", body(request) if body is not None else b"")

    def handler(peer: HttpPeer, request: Request) -> HttpCall:
        return WholeCall(peer, request, whole or settle)

    return handler


@dataclass(slots=True)
class WholeCall:
    """Waits until all is there."""

    peer: HttpPeer
    request: Request
    whole: Callable[[HttpPeer, Request], None]

    def received(self) -> None:
        """See `HttpCall`."""

    def complete(self) -> None:
        """See `HttpCall`."""
        self.whole(self.peer, self.request)

    def expired(self) -> None:
        """See `HttpCall`: no answer, and the connection ends."""

    def gone(self) -> None:
        """See `HttpCall`."""
