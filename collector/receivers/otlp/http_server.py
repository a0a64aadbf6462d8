"""OTLP/HTTP: an ASGI application. Each request is routed, admitted, read, worked on, answered; in that order.

What can be refused from the header is refused before the body is read. Every answer other than success is a
`google.rpc.Status` in the encoding of the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from collector.model.errors import RetryableError, TelemetryError
from collector.model.signal import Signal
from collector.pipeline.component import HttpLimits
from collector.receivers.otlp.http_routes import Routes
from collector.receivers.otlp.work import Body, Work
from collector.wire.compression import UnsupportedEncodingError
from collector.wire.errors import TooLargeError
from collector.wire.reply import (
    Encoding,
    encoding_of,
    encoding_of_refusal,
    error_reply,
    export_reply,
    retry_after,
)
from collector.wire.status import Condition, Failure, failure, failure_of

if TYPE_CHECKING:
    from collector.pipeline.admission import Reservation
    from collector.pipeline.component import HttpListener, Settings
    from collector.receivers.otlp.config import HttpConfig
    from collector.receivers.otlp.intake import Intake, Taken

TRANSPORT: Final = "http"

Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class _RefusedError(Exception):
    """A request that the header alone condemns. `headers` go with the answer."""

    def __init__(self, failure: Failure, reason: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.reason = reason
        self.headers = headers


class _GoneError(Exception):
    """The client closed the connection before it had sent its request."""


class HttpServer:
    """One listener, and the ASGI application behind it."""

    def __init__(self, settings: Settings, config: HttpConfig, intake: Intake) -> None:
        self._settings = settings
        self._config = config
        self._intake = intake
        self._name = str(settings.id)
        self._routes = Routes(config.paths(), intake.signals, self._name)
        # An empty list turns decompression off (otelcol, config/confighttp/compression.go).
        self._encodings = frozenset(config.compression_algorithms or ("",))
        self._work = Work(settings, intake, TRANSPORT, config.workers, config.max_request_body_size)
        self._extra: Headers = [
            (name.lower().encode(), value.encode()) for name, value in config.response_headers.items()
        ]
        if not config.keep_alives_enabled:
            self._extra.append((b"connection", b"close"))
        self.listener: HttpListener | None = None

    def start(self, before: HttpServer | None = None) -> str:
        """Listen, with the sockets of the server `before` it if that has the same endpoint; return it as bound.

        Raises:
            StartError: it cannot.
        """
        limits = HttpLimits(
            read_header_timeout_s=self._config.read_header_timeout,
            write_timeout_s=self._config.write_timeout,
            idle_timeout_s=self._config.idle_timeout,
            connections_max=self._config.connections_max,
        )
        self.listener = self._settings.http.serve(
            self, self._config.endpoint, limits, sharing=before.listener if before else None
        )
        return self.listener.endpoint

    def stop(self, grace_s: float) -> None:
        """Take no new requests, answer those that run, for at most `grace_s`. Safe when never started."""
        if self.listener is not None:
            self.listener.stop(grace_s)
        self._work.close()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3, the HTTP protocol)."""
        headers = dict(scope["headers"])
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        try:
            signal, encoding = self._route(scope, content_type)
            body = await self._export(signal, encoding, headers, receive, whole="whole" in scope["state"])
        except _GoneError:
            self._settings.meters.receiver_rejected_requests.labels(
                self._name, TRANSPORT, "not_received"
            ).inc()
            return
        except _RefusedError as error:
            await self._refuse(send, headers, content_type, error)
            return
        except TelemetryError as error:
            await self._refuse(send, headers, content_type, self._refusal(error))
            return
        except Exception as error:  # a bug in this file: ask the client to come back
            self._settings.log.exception("A request failed on an error in the collector.")
            refused = _RefusedError(failure_of(error, self._settings.rng), "internal")
            await self._refuse(send, headers, content_type, refused)
            return
        await _answer(send, 200, encoding, body, self._extra)

    def _route(self, scope: Any, content_type: str) -> tuple[Signal, Encoding]:
        """Find out what a request is, from its path, method and Content-Type."""
        rng = self._settings.rng
        signal = self._routes.find(scope["path"])
        if signal is None:
            message = self._routes.why_not(scope["path"])
            raise _RefusedError(failure(Condition.NOT_FOUND, message, rng), "not_found")
        if scope["method"] != "POST":
            message = f"OTLP/HTTP is sent by POST, not {scope['method']}"
            raise _RefusedError(
                failure(Condition.METHOD_NOT_ALLOWED, message, rng), "method", (b"allow", b"POST")
            )
        encoding = encoding_of(content_type)
        if encoding is None:
            raise _RefusedError(
                failure(Condition.UNSUPPORTED_MEDIA_TYPE, _media_type_hint(content_type), rng),
                "media_type",
                (b"accept", b"application/x-protobuf, application/json"),
            )
        return signal, encoding

    async def _export(
        self,
        signal: Signal,
        encoding: Encoding,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        *,
        whole: bool,
    ) -> bytes:
        """Take a request; return the body of the answer."""
        compression = self._compression(headers)
        declared = headers.get(b"content-length")
        size_max = self._config.max_request_body_size
        if declared is not None and int(declared) > size_max:
            raise TooLargeError(size_max)
        with self._settings.budget.reservation() as reservation:
            expected = int(declared) if declared is not None else 0
            reservation.expect(0, expected)
            if whole:
                body = (await receive())["body"]
                if len(body) > size_max:
                    raise TooLargeError(size_max)
                reservation.expect(len(body), len(body))
            else:
                body = await self._read(receive, reservation, expected)
            request = Body(signal, body, compression, encoding is Encoding.JSON, reservation)
            taken = await self._taken(request)
            return export_reply(signal, encoding, rejected=taken.rejected, message=taken.message)

    async def _taken(self, request: Body) -> Taken:
        """Have `request` taken. It is finished also when nobody waits for it: the reservation is its own."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Taken | Exception] = loop.create_future()
        self._work.take(loop, request, future.set_result)
        if not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError:
                await asyncio.wait((future,))
                raise
        outcome = future.result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _read(self, receive: Receive, reservation: Reservation, expected: int) -> bytes:
        """Read the body, within size, time and budget."""
        size_max = self._config.max_request_body_size
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._config.read_timeout):
                while True:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        raise _GoneError
                    piece = event.get("body", b"")
                    size += len(piece)
                    if size > size_max:
                        raise TooLargeError(size_max)
                    reservation.expect(size, max(size, expected))
                    pieces.append(piece)
                    if not event.get("more_body", False):
                        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        except TimeoutError:
            # Not 408: for a client of OTLP that means "drop it" (specification.md, "Retryable Response Codes").
            raise RetryableError(
                f"the body did not arrive within {float(self._config.read_timeout):g} s", reason="slow_body"
            ) from None

    def _compression(self, headers: Mapping[bytes, bytes]) -> str:
        name = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
        if name == "identity":
            name = ""
        elif name == "x-gzip":  # RFC 9110, section 8.4.1.3
            name = "gzip"
        if name not in self._encodings:
            raise UnsupportedEncodingError(name or "identity", tuple(self._accepted_encodings()))
        return name

    def _accepted_encodings(self) -> list[str]:
        return sorted(name or "identity" for name in self._encodings)

    def _refusal(self, error: TelemetryError) -> _RefusedError:
        match error:
            case TooLargeError():
                message = (
                    f"the request exceeds {int(self._config.max_request_body_size)} bytes; send smaller batches, "
                    f"or raise 'max_request_body_size' of receiver {self._name!r}"
                )
                return _RefusedError(failure(Condition.TOO_LARGE, message, self._settings.rng), error.reason)
            case UnsupportedEncodingError():
                accepted = (b"accept-encoding", ", ".join(self._accepted_encodings()).encode())
                return _RefusedError(failure_of(error, self._settings.rng), error.reason, accepted)
            case _:
                return _RefusedError(failure_of(error, self._settings.rng), error.reason)

    async def _refuse(
        self, send: Send, headers: Mapping[bytes, bytes], content_type: str, refused: _RefusedError
    ) -> None:
        self._intake.refused(TRANSPORT, refused.failure, refused.reason)
        encoding = encoding_of_refusal(content_type, headers.get(b"accept", b"").decode("latin-1"))
        extra = [*self._extra, *refused.headers]
        delay = retry_after(refused.failure)
        if delay is not None:
            extra.append((b"retry-after", delay.encode()))
        body = error_reply(refused.failure, encoding)
        await _answer(send, refused.failure.condition.http_status, encoding, body, extra)


async def _answer(send: Send, status: int, encoding: Encoding, body: bytes, extra: Headers) -> None:
    headers = [
        (b"content-type", encoding.value.encode()),
        (b"content-length", b"%d" % len(body)),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _media_type_hint(content_type: str) -> str:
    sent = content_type[:100]
    if sent.lower().startswith("application/grpc"):
        return "this is the OTLP/HTTP port; send OTLP/gRPC to the gRPC endpoint (default port 4317)"
    known = "use application/x-protobuf or application/json"
    return f"Content-Type {sent!r} is not supported; {known}" if sent else f"Content-Type is missing; {known}"
