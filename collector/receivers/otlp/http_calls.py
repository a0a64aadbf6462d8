"""What becomes of one OTLP/HTTP request: routed, admitted, read, taken, answered; in that order.

What can be refused from the header is refused before the body is read. Every answer other than success is a
`google.rpc.Status` in the encoding of the request.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from collector.model.errors import RetryableError, TelemetryError
from collector.model.signal import Signal
from collector.receivers.otlp.http_routes import Routes
from collector.receivers.otlp.work import Body, Work
from collector.wire.compression import UnsupportedEncodingError
from collector.wire.errors import TooLargeError
from collector.wire.gather import gathered_memory
from collector.wire.http1 import Request, header_lines
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
    from collector.pipeline.component import Settings
    from collector.pipeline.http import HttpPeer
    from collector.receivers.otlp.config import HttpConfig
    from collector.receivers.otlp.intake import Intake, Taken
    from collector.receivers.otlp.waiting import Admission, WaitingRoom

TRANSPORT: Final = "http"


class RefusedError(Exception):
    """A request that the header alone condemns. `headers` go with the answer."""

    def __init__(self, failure: Failure, reason: str, *headers: tuple[str, str]) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.reason = reason
        self.headers = headers


class Desk:
    """What all requests of a listener have in common. Called with a header, it is an `HttpHandler`."""

    def __init__(self, settings: Settings, config: HttpConfig, intake: Intake, waiting: WaitingRoom) -> None:
        self.settings = settings
        self.waiting = waiting
        self.intake = intake
        self.size_max = int(config.max_request_body_size)
        self.read_timeout_s = float(config.read_timeout)
        self.work = Work(settings, intake, TRANSPORT, config.workers, config.max_request_body_size)
        self._name = str(settings.id)
        self._routes = Routes(config.paths(), intake.signals, self._name)
        # An empty list turns decompression off (otelcol, config/confighttp/compression.go).
        self._encodings = frozenset(config.compression_algorithms or ("",))
        self._extra = header_lines(list(config.response_headers.items()))
        # What a client sends once, it sends always. Few, for each may have the size of a header.
        self._judge = lru_cache(16)(self._judge_header)
        self.success = {
            encoding: header_lines([("content-type", encoding.value)]) + self._extra for encoding in Encoding
        }

    def __call__(self, peer: HttpPeer, request: Request) -> Export | None:
        """Route and admit a request; None: it is refused."""
        try:
            headers = request.headers
            signal, encoding, compression = self._judge(
                request.path,
                request.method,
                headers.get(b"content-type", b""),
                headers.get(b"content-encoding", b""),
            )
            if request.length is not None and request.length > self.size_max:
                raise TooLargeError(self.size_max)
            call = Export(self, peer, request, signal, encoding, compression)
            call.admit(0)
        except Exception as error:  # noqa: BLE001  judged by `refusal_of`
            self.refuse(peer, request, error)
            return None
        return call

    def refuse(self, peer: HttpPeer, request: Request, error: Exception) -> None:
        """Answer that it is not taken, and count that."""
        refused = self._refusal_of(error)
        self.intake.refused(TRANSPORT, refused.failure, refused.reason)
        content_type = request.headers.get(b"content-type", b"").decode("latin-1")
        encoding = encoding_of_refusal(content_type, request.headers.get(b"accept", b"").decode("latin-1"))
        headers = list(refused.headers)
        delay = retry_after(refused.failure)
        if delay is not None:
            headers.append(("retry-after", delay))
        body = error_reply(refused.failure, encoding)
        status = refused.failure.condition.http_status
        peer.answer(request, status, self.success[encoding] + header_lines(headers), body)

    def _refusal_of(self, error: Exception) -> RefusedError:
        rng = self.settings.rng
        match error:
            case RefusedError():
                return error
            case TooLargeError():
                message = (
                    f"the request exceeds {self.size_max} bytes; send smaller batches, "
                    f"or raise 'max_request_body_size' of receiver {self._name!r}"
                )
                return RefusedError(failure(Condition.TOO_LARGE, message, rng), error.reason)
            case UnsupportedEncodingError():
                accepted = ("accept-encoding", ", ".join(self._accepted_encodings()))
                return RefusedError(failure_of(error, rng), error.reason, accepted)
            case TelemetryError():
                return RefusedError(failure_of(error, rng), error.reason)
            case _:  # a bug in this package: ask the client to come back
                self.settings.log.error("A request failed on an error in the collector.", exc_info=error)
                return RefusedError(failure_of(error, rng), "internal")

    def _judge_header(
        self, path: str, method: str, content_type: bytes, content_encoding: bytes
    ) -> tuple[Signal, Encoding, str]:
        """Find out what a request is: its signal, its encoding, how it is compressed."""
        rng = self.settings.rng
        signal = self._routes.find(path)
        if signal is None:
            message = self._routes.why_not(path)
            raise RefusedError(failure(Condition.NOT_FOUND, message, rng), "not_found")
        if method != "POST":
            message = f"OTLP/HTTP is sent by POST, not {method}"
            raise RefusedError(
                failure(Condition.METHOD_NOT_ALLOWED, message, rng), "method", ("allow", "POST")
            )
        sent = content_type.decode("latin-1")
        encoding = encoding_of(sent)
        if encoding is None:
            raise RefusedError(
                failure(Condition.UNSUPPORTED_MEDIA_TYPE, _media_type_hint(sent), rng),
                "media_type",
                ("accept", "application/x-protobuf, application/json"),
            )
        return signal, encoding, self._compression(content_encoding.decode("latin-1"))

    def _compression(self, sent: str) -> str:
        name = sent.strip().lower()
        if name == "identity":
            name = ""
        elif name == "x-gzip":  # RFC 9110, section 8.4.1.3
            name = "gzip"
        if name not in self._encodings:
            raise UnsupportedEncodingError(name or "identity", tuple(self._accepted_encodings()))
        return name

    def _accepted_encodings(self) -> list[str]:
        return sorted(name or "identity" for name in self._encodings)


class Export:
    """One request that may be taken: an `HttpCall`."""

    __slots__ = (
        "_admission",
        "_complete",
        "_compression",
        "_desk",
        "_encoding",
        "_peer",
        "_request",
        "_signal",
        "_taken",
    )

    def __init__(
        self,
        desk: Desk,
        peer: HttpPeer,
        request: Request,
        signal: Signal,
        encoding: Encoding,
        compression: str,
    ) -> None:
        self._desk = desk
        self._peer = peer
        self._request = request
        self._signal = signal
        self._encoding = encoding
        self._compression = compression
        self._admission: Admission = desk.waiting.admission(peer.loop)
        self._complete = False
        self._taken = False  # work on it has begun

    def admit(self, received: int) -> bool:
        """Reserve for what has arrived, if all of it fits; False: it waits for room, and is not read meanwhile.

        Raises:
            RetryableError: it does not fit now.
        """
        expected = gathered_memory(max(received, self._request.length or 0))
        if self._admission.expect(received, expected, self._resume):
            return True
        self._peer.hold(self._request)
        return False

    def received(self) -> None:
        """See `HttpCall`."""
        size = self._request.size
        try:
            if size > self._desk.size_max:
                raise TooLargeError(self._desk.size_max)
            if self.admit(size):
                self._peer.go_on(self._request)
        except TelemetryError as error:
            self._fail(error)

    def complete(self) -> None:
        """See `HttpCall`."""
        desk, request = self._desk, self._request
        size = request.size
        self._complete = True
        try:
            if size > desk.size_max:
                raise TooLargeError(desk.size_max)
            if not self._admission.expect(size, gathered_memory(size), self._resume):
                return
        except TelemetryError as error:
            self._fail(error)
            return
        self._taken = True
        json = self._encoding is Encoding.JSON
        body = Body(self._signal, request.take_body(), self._compression, json, self._admission, self._peer)
        desk.work.take(self._peer.loop, body, self._done)

    def _resume(self) -> None:
        if self._complete:
            self.complete()
        else:
            self.received()

    def _done(self, outcome: Taken | Exception) -> None:
        if isinstance(outcome, Exception):
            self._fail(outcome)
            return
        try:
            body = export_reply(
                self._signal, self._encoding, rejected=outcome.rejected, message=outcome.message
            )
        except TelemetryError as error:
            self._fail(error)
            return
        self._admission.release()
        self._peer.answer(self._request, 200, self._desk.success[self._encoding], body)

    def _fail(self, error: Exception) -> None:
        self._admission.release()
        self._desk.refuse(self._peer, self._request, error)

    def expired(self) -> None:
        """See `HttpCall`."""
        # Not 408: for a client of OTLP that means "drop it" (specification.md, "Retryable Response Codes").
        seconds = self._desk.read_timeout_s
        self._fail(RetryableError(f"the body did not arrive within {seconds:g} s", reason="slow_body"))

    def gone(self) -> None:
        """See `HttpCall`."""
        if self._taken:  # what is taken, stays taken; its bytes are given back when it is done
            return
        self._admission.release()
        settings = self._desk.settings
        settings.meters.receiver_rejected_requests.labels(str(settings.id), TRANSPORT, "not_received").inc()


def _media_type_hint(content_type: str) -> str:
    sent = content_type[:100]
    if sent.lower().startswith("application/grpc"):
        return "this is the OTLP/HTTP port; send OTLP/gRPC to the gRPC endpoint (default port 4317)"
    known = "use application/x-protobuf or application/json"
    return f"Content-Type {sent!r} is not supported; {known}" if sent else f"Content-Type is missing; {known}"
