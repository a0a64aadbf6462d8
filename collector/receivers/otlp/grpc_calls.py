"""What becomes of one gRPC call: an Export is admitted, read, taken and answered; anything else is told what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from collector.model.errors import TelemetryError
from collector.model.signal import Signal
from collector.receivers.otlp.work import Body, Work
from collector.wire import grpc
from collector.wire.compression import UnsupportedEncodingError
from collector.wire.errors import MalformedError, TooLargeError
from collector.wire.gather import Gathered, gathered_memory
from collector.wire.grpc import CallHead
from collector.wire.reply import Encoding, export_reply, grpc_trailers
from collector.wire.status import Condition, Failure, GrpcCode, failure, failure_of

if TYPE_CHECKING:
    from collector.pipeline.component import Settings
    from collector.receivers.otlp.config import GrpcConfig
    from collector.receivers.otlp.grpc_connection import GrpcConnection
    from collector.receivers.otlp.intake import Intake, Taken
    from collector.receivers.otlp.waiting import Admission, WaitingRoom
    from collector.wire.http2.streams import Stream

TRANSPORT: Final = "grpc"
_NEVER: Final = float("inf")
# A client may always send so much ahead: what arrives is counted as it does.
_WINDOW_MIN: Final = 64 * 1024


class Desk:
    """What all Export calls of a listener have in common."""

    def __init__(self, settings: Settings, config: GrpcConfig, intake: Intake, waiting: WaitingRoom) -> None:
        self.settings = settings
        self.size_max = config.request_bytes_max
        self.read_timeout_s = float(config.read_timeout)
        self.intake = intake
        self.waiting = waiting
        self.work = Work(settings, intake, TRANSPORT, config.workers, self.size_max)

    def refuse(self, connection: GrpcConnection, stream: Stream, answer: Failure, reason: str) -> None:
        """End a call. Nothing was sent before, so all goes in one Trailers-Only frame, where Java looks."""
        self.intake.refused(TRANSPORT, answer, reason)
        code = answer.condition.grpc_code
        connection.http2.end(stream, grpc.trailers_only(code, answer.message, grpc_trailers(answer)))

    def answer_of(self, error: Exception) -> tuple[Failure, str]:
        """How `error` is answered, and the reason that is counted."""
        rng = self.settings.rng
        match error:
            case TooLargeError():
                message = (
                    f"the request exceeds {self.size_max} bytes; send smaller batches, or raise "
                    f"'max_recv_msg_size_mib' of receiver {str(self.settings.id)!r}"
                )
                return failure(Condition.TOO_LARGE, message, rng), error.reason
            case UnsupportedEncodingError():
                names = grpc.ACCEPTED.decode()
                message = f"grpc-encoding is none of those supported: {names}"
                return failure(Condition.UNSUPPORTED_ENCODING, message, rng), error.reason
            case TelemetryError():
                return failure_of(error, rng), error.reason
            case _:  # a bug in this package: ask the client to come back
                self.settings.log.error("A request failed on an error in the collector.", exc_info=error)
                return failure_of(error, rng), "internal"


class ExportCall:
    """One Export: a message comes in, is taken, and an empty one goes back."""

    __slots__ = (
        "_admission",
        "_answered",
        "_compressed",
        "_connection",
        "_desk",
        "_expected",
        "_head",
        "_seen",
        "_signal",
        "_size",
        "_stream",
        "_taken",
        "_whole",
        "timeout_s",
    )

    def __init__(
        self, desk: Desk, signal: Signal, head: CallHead, connection: GrpcConnection, stream: Stream
    ) -> None:
        self._desk = desk
        self._signal = signal
        self._head = head
        self._connection = connection
        self._stream = stream
        self._admission: Admission = desk.waiting.admission(connection.loop, head.timeout_s)
        self._seen = 0  # chunks
        self._size = 0  # bytes, with the prefix
        self._expected = -1  # the same once it is known
        self._compressed = False
        self._whole: Gathered | None = None  # the message, once it is in more than one chunk
        self._taken = False  # work on it has begun
        self._answered = False
        self.timeout_s = _NEVER if head.timeout_s is None else head.timeout_s

    def received(self) -> None:
        """See `Call`."""
        if self._answered or self._taken:
            return
        stream = self._stream
        chunks = stream.chunks
        try:
            for chunk in chunks[self._seen :]:
                self._size += len(chunk)
            self._seen = len(chunks)
            if self._expected < 0 and self._size >= grpc.PREFIX_SIZE:
                self._read_prefix()
            expected = gathered_memory(max(self._size, self._expected))
            if not self._admission.expect(self._size, expected, self._resume):
                return  # its window stays shut meanwhile
            if self._expected >= 0 and self._size > self._expected:
                raise MalformedError("the call holds more than one message", reason="several_messages")
            if self._expected >= 0 and (self._whole is not None or len(chunks) > 1):
                self._gather()
            if stream.ended:
                self._complete()
            elif self._expected - self._size > stream.window:
                ahead = max(self._admission.reservation.size - self._size, _WINDOW_MIN)
                self._connection.http2.allow(stream, ahead)
        except TelemetryError as error:
            self._fail(error)

    def _resume(self) -> None:
        self.received()
        self._connection.flush()

    def _read_prefix(self) -> None:
        chunks = self._stream.chunks
        if len(chunks[0]) < grpc.PREFIX_SIZE:
            chunks[:] = [b"".join(chunks)]
            self._seen = 1
        first = chunks[0]
        size = int.from_bytes(first[1:5], "big")
        if first[0] > 1:
            raise MalformedError("the message has flags that gRPC does not know", reason="bad_prefix")
        if size > self._desk.size_max:
            raise TooLargeError(self._desk.size_max)
        self._expected = size + grpc.PREFIX_SIZE
        self._compressed = first[0] == 1

    def _gather(self) -> None:
        chunks = self._stream.chunks
        if self._whole is None:
            self._whole = Gathered()
            chunks[0] = chunks[0][grpc.PREFIX_SIZE :]
        for chunk in chunks:
            self._whole.add(chunk)
        chunks.clear()
        self._seen = 0

    def _complete(self) -> None:
        if self._expected < 0 and not self._size:
            raise MalformedError("the call holds no message", reason="empty_call")
        if self._size != self._expected:
            raise MalformedError("the message is shorter than its prefix says", reason="truncated")
        encoding = ""
        if self._compressed:
            found = grpc.ENCODINGS.get(self._head.encoding)
            if found is None:
                raise UnsupportedEncodingError("", ())
            if not found:
                raise MalformedError("the message is compressed, and no grpc-encoding says how")
            encoding = found
        if self._whole is not None:
            message, self._whole = self._whole.take(), None
        else:
            message = self._stream.chunks[0][grpc.PREFIX_SIZE :]
            self._stream.chunks.clear()
        self._taken = True
        body = Body(self._signal, message, encoding, False, self._admission, self._connection)
        self._desk.work.take(self._connection.loop, body, self._done)

    def _done(self, outcome: Taken | Exception) -> None:
        if isinstance(outcome, Exception):
            self._fail(outcome)
            return
        reply = export_reply(
            self._signal, Encoding.PROTOBUF, rejected=outcome.rejected, message=outcome.message
        )
        stream, http2 = self._stream, self._connection.http2
        http2.respond(stream, grpc.RESPONSE, grpc.envelope(reply))
        http2.end(stream, grpc.SUCCESS)
        self._over()

    def _fail(self, error: Exception) -> None:
        answer, reason = self._desk.answer_of(error)
        self._desk.refuse(self._connection, self._stream, answer, reason)
        self._over()

    def _over(self) -> None:
        self._answered = True
        self._whole = None
        self._stream.chunks.clear()
        self._admission.release()
        self._connection.finish(self._stream)

    def expired(self) -> None:
        """See `Call`. Both codes are retried by clients."""
        if self.timeout_s < self._desk.read_timeout_s:
            code, message = GrpcCode.DEADLINE_EXCEEDED, "the request did not arrive before its deadline"
        else:
            code = GrpcCode.CANCELLED
            message = f"the request did not arrive within {self._desk.read_timeout_s:g} s"
        self._connection.http2.end(self._stream, grpc.trailers_only(code, message))
        settings = self._desk.settings
        settings.meters.receiver_requests.labels(str(settings.id), TRANSPORT, "refused").inc()
        self._over()

    def gone(self) -> None:
        """See `Call`."""
        if (
            self._answered or self._taken
        ):  # what is taken, stays taken; its bytes are given back with the answer
            return
        self._answered = True
        self._whole = None
        self._stream.chunks.clear()
        self._admission.release()
        settings = self._desk.settings
        settings.meters.receiver_rejected_requests.labels(str(settings.id), TRANSPORT, "not_received").inc()


class SettledCall:
    """A call whose answer does not depend on what is in it."""

    timeout_s = _NEVER

    def __init__(self, answer: Callable[[], None]) -> None:
        self._answer: Callable[[], None] | None = answer

    def received(self) -> None:
        """See `Call`: answer, once."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer()

    def expired(self) -> None:
        """See `Call`. It has its answer."""

    def gone(self) -> None:
        """See `Call`."""
