"""Limits on requests: how many, their headers, how large they are, how long they take, and what is in them."""

from __future__ import annotations

import contextlib
import gzip
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import zstandard

from collector.config.types import Duration
from collector.model.signal import Signal
from collector.pipeline import memory_plan
from collector.pipeline.queue import full_error
from collector.receivers.otlp import grpc_peers, grpc_services, waiting
from collector.receivers.otlp.config import AdmissionConfig
from collector.wire import compression, http1, repair, width
from collector.wire.http2 import connection as http2
from collector.wire.http2 import frames
from collector.wire.http2 import headers as http2_headers
from collector.wire.http2.streams import Limits
from collector.wire.normalise import ScanLimits
from tests.support.eventually import eventually
from tests.support.limits.limit import (
    EXPORT,
    GRPC,
    HTTP,
    MIB,
    NOW,
    RECEIVER,
    Breach,
    Limit,
    head,
    log,
    of_grpc,
    seconds,
    sent_grpc,
    sent_http,
    size,
)
from tests.support.otlp import request
from tests.support.raw_http import RawHttp
from tests.support.raw_http2 import DATA, HEADERS, RawHttp2
from tests.support.receiver import Running

_CONTINUATION: Final = 9
_AT_ONCE_S: Final = 1.5


def _opened(count: int) -> Breach:
    """So many calls at once, of which none is complete; the last one counts."""

    def breach(running: Running) -> str:
        with RawHttp2(running.grpc) as client:
            streams = [client.open(EXPORT) for _ in range(count)]
            return of_grpc(client, streams[-1])

    return breach


def _frames(*sent: bytes) -> Breach:
    def breach(running: Running) -> str:
        with RawHttp2(running.grpc) as client:
            with contextlib.suppress(ConnectionError):
                for frame in sent:
                    client.socket.sendall(frame)
            return of_grpc(client, 1)

    return breach


def _metadata(count: int, length: int) -> Breach:
    def breach(running: Running) -> str:
        with RawHttp2(running.grpc) as client:
            stream = client.open(EXPORT, **{f"x_{number}": "v" * length for number in range(count)})
            return of_grpc(client, stream)

    return breach


def _window(running: Running) -> str:
    """More of a call than it may send while it waits for room."""

    def send() -> str:
        with RawHttp2(running.grpc) as client:
            stream = client.open(EXPORT)
            with contextlib.suppress(ConnectionError):
                client.send_frame(DATA, 0, stream, b"\0" + (900_000).to_bytes(4, "big"))
                for _ in range(17):
                    client.send_frame(DATA, 0, stream, bytes(16384))
            return of_grpc(client, stream)

    return _short(running, send)


def _announced(length: int) -> Breach:
    """A message of which nothing has arrived but its length."""

    def breach(running: Running) -> str:
        with RawHttp2(running.grpc) as client:
            stream = client.open(EXPORT)
            client.send_frame(DATA, 0, stream, b"\0" + length.to_bytes(4, "big"))
            return of_grpc(client, stream)

    return breach


def _late(running: Running) -> str:
    with RawHttp2(running.grpc) as client:
        stream = client.open(EXPORT, grpc_timeout="300m")
        client.send_frame(DATA, 0, stream, b"\0\0")
        return of_grpc(client, stream)


def _both(breach: Callable[[Running, Callable[[], str]], str], body: bytes) -> tuple[Breach, Breach]:
    """What comes of `body` over both, in circumstances that `breach` makes around the sending of it."""

    def by(send: Breach) -> Breach:
        return lambda running: breach(running, lambda: send(running))

    return by(sent_grpc(body)), by(sent_http(head(len(body)), body))


def _short(running: Running, send: Callable[[], str]) -> str:
    """All memory for requests is taken, but for what is kept for small ones."""
    budget = running.house.settings.budget
    budget.reserve(budget.limit - 100_000)
    try:
        return send()
    finally:
        budget.release(budget.limit - 100_000)


def _after_the_wait(running: Running, send: Callable[[], str]) -> str:
    began = time.monotonic()
    answer = _short(running, send)
    assert time.monotonic() - began >= 0.3
    return answer


def _beside_who_waits(running: Running, send: Callable[[], str]) -> str:
    """Refused at once, since another one waits."""

    def short() -> str:
        with RawHttp.to(running.http) as first:
            first.send(head(900_000) + b"x")
            waits = "collector_receiver_waiting_requests"
            eventually(lambda: running.house.sample(waits, receiver="otlp") == 1)
            began = time.monotonic()
            answer = send()
            assert time.monotonic() - began < _AT_ONCE_S
            return answer

    return _short(running, short)


def _full_queue(running: Running, send: Callable[[], str]) -> str:
    running.consumers[Signal.LOGS].error = full_error(1, 1, lambda: False)
    return send()


def _window_of(log_size: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=log_size, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(log("x")) + compressor.flush()


def _nested(levels: int) -> bytes:
    message: Any = request(Signal.LOGS, NOW)
    value = message.resource_logs[0].scope_logs[0].log_records[0].body
    for _ in range(levels):
        value = value.array_value.values.add()
    value.int_value = 1
    return message.SerializeToString()  # type: ignore[no-any-return]


def _old() -> bytes:
    past_ns = round(RECEIVER.time_window.past * 1e9)
    return request(Signal.METRICS, NOW - past_ns - 10**9).SerializeToString()


def _old_grpc(running: Running) -> str:
    with RawHttp2(running.grpc) as client:
        stream = client.open(f"/{Signal.METRICS.service}/Export")
        client.send_message(stream, _old())
        return of_grpc(client, stream)


def _question(running: Running) -> str:
    with RawHttp2(running.grpc) as client:
        stream = client.open("/grpc.health.v1.Health/Check")
        client.send_message(stream, bytes(grpc_services._MESSAGE_MAX + 1))
        return of_grpc(client, stream)


def _encoded(name: str, body: bytes) -> tuple[Breach, Breach]:
    return sent_grpc(body, grpc_encoding=name), sent_http(head(len(body), f"Content-Encoding: {name}"), body)


def _large(body: bytes) -> Breach:
    """Over gRPC it has to fit what may be sent unasked: it is compressed."""
    return sent_grpc(gzip.compress(body), grpc_encoding="gzip")


_BOMB: Final = gzip.compress(b"x" * (MIB + 1))
_LOG: Final = log("x" * 200_000)
_SMALL_MAX: Final = {"grpc": {"max_recv_msg_size_mib": 1}, "http": {"max_request_body_size": MIB}}
_BUDGET: Final = {"budget": MIB}
_WIDE: Final = b"\n\0" * (width.ENVELOPES_MAX + 1)
# Records without anything in them, in one scope of one resource.
_RECORDS: Final = b"\x12\0" * 150_000
_IN_SCOPE: Final = b"\x12\xe0\xa7\x12" + _RECORDS
_MESSAGES: Final = b"\n\xe4\xa7\x12" + _IN_SCOPE
_JSON: Final = b'{"a":' * 1100 + b"1" + b"}" * 1100

_waited_grpc, _waited_http = _both(_after_the_wait, _LOG)
_beside_grpc, _beside_http = _both(_beside_who_waits, _LOG)
_full_grpc, _full_http = _both(_full_queue, log("full"))

LIMITS: Final = [
    Limit(
        name="`max_concurrent_streams`, of one connection",
        default=f"{GRPC.max_concurrent_streams}",
        grpc=_opened(4),
        options={"grpc": {"max_concurrent_streams": 3}},
    ),
    Limit(
        name="calls that are not complete, of all connections",
        default=f"{grpc_peers._ARRIVING_MAX}, {grpc_peers._ARRIVING_MIN} of each at least",
        grpc=_opened(5),
        patches={(grpc_peers, "_ARRIVING_MAX"): 8},
    ),
    Limit(
        name="bytes of a header",
        default=f"{size(http2.HEADER_LIST_MAX)}, {size(http1.HEAD_BYTES_MAX)}",
        grpc=_metadata(5, 3400),
        http=sent_http(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 100_000),
    ),
    Limit(
        name="fields of a header",
        default=f"{http2_headers.FIELDS_MAX}, {http1.HEADERS_MAX}",
        grpc=_metadata(http2_headers.FIELDS_MAX, 1),
        http=sent_http(head(0, *(f"X-{number}: 1" for number in range(http1.HEADERS_MAX)))),
    ),
    Limit(
        name="pieces of a header",
        default=f"{http2._BLOCK_FRAMES_MAX}",
        grpc=_frames(
            frames.frame(HEADERS, 0, 1),
            frames.frame(_CONTINUATION, 0, 1) * http2._BLOCK_FRAMES_MAX,
        ),
    ),
    Limit(
        name="`read_header_timeout`",
        default=seconds(HTTP.read_header_timeout),
        grpc=_frames(frames.HEAD.pack(0, 100, HEADERS, 0, 1), bytes(50)),
        http=sent_http(b"POST /v1/logs HT"),
        options={
            "grpc": {"read_header_timeout": Duration(0.3)},
            "http": {"read_header_timeout": Duration(0.3)},
        },
    ),
    Limit(
        name="empty lines before a request",
        default=size(http1.HEAD_BYTES_MAX),
        http=sent_http(b"\r\n" * http1.HEAD_BYTES_MAX),
    ),
    Limit(
        name="what surrounds chunks, and trailers",
        default=size(http1.HEAD_BYTES_MAX),
        http=sent_http(head(), b"1;" + b"x" * (http1.HEAD_BYTES_MAX + 8192)),
    ),
    Limit(
        name="a frame of data",
        default=size(frames.DATA_SIZE_MAX),
        grpc=_frames(frames.HEAD.pack((frames.DATA_SIZE_MAX + 1) >> 8, 1, DATA, 0, 1)),
    ),
    Limit(
        name="another frame",
        default=size(frames.FRAME_SIZE_MAX),
        grpc=_frames(frames.HEAD.pack((frames.FRAME_SIZE_MAX + 1) >> 8, 1, HEADERS, 0, 1)),
    ),
    Limit(
        name="what is sent of a call and was not asked for",
        default=size(Limits().stream_window),
        grpc=_window,
        options=_BUDGET | {"admission": AdmissionConfig(timeout=Duration(5))},
    ),
    Limit(
        name="`max_recv_msg_size_mib`, `max_request_body_size`, as sent",
        default=size(GRPC.request_bytes_max),
        grpc=_announced(GRPC.request_bytes_max + 1),
        http=sent_http(head(int(HTTP.max_request_body_size) + 1)),
    ),
    Limit(
        name="the same of a body in chunks",
        default=size(int(HTTP.max_request_body_size)),
        http=sent_http(head(), b"%x\r\n" % (MIB + 1) + bytes(MIB + 1) + b"\r\n0\r\n\r\n"),
        options=_SMALL_MAX,
    ),
    Limit(
        name="the same, inflated",
        default=size(GRPC.request_bytes_max),
        grpc=_encoded("gzip", _BOMB)[0],
        http=_encoded("gzip", _BOMB)[1],
        options=_SMALL_MAX,
    ),
    Limit(
        name="window of zstd",
        default=size(1 << compression._ZSTD_WINDOW_LOG_MAX),
        grpc=_encoded("zstd", _window_of(24))[0],
        http=_encoded("zstd", _window_of(24))[1],
    ),
    Limit(
        name="members of a compressed body",
        default=f"{compression._MEMBERS_MAX}",
        grpc=_encoded("gzip", gzip.compress(b"") * (compression._MEMBERS_MAX + 1))[0],
        http=_encoded("gzip", gzip.compress(b"") * (compression._MEMBERS_MAX + 1))[1],
    ),
    Limit(
        name="`read_timeout`",
        default=seconds(HTTP.read_timeout),
        grpc=_announced(1000),
        http=sent_http(head(1000), b"x"),
        options={"grpc": {"read_timeout": Duration(0.3)}, "http": {"read_timeout": Duration(0.3)}},
    ),
    Limit(name="a client's deadline, for its request to arrive", default="its own", grpc=_late),
    Limit(
        name="`service.in_flight_size_max`, for one request",
        default=f"{size(memory_plan._REQUESTS_SMALL)} to {size(memory_plan._REQUESTS_MAX)}",
        grpc=_announced(2 * MIB),
        http=sent_http(head(2 * MIB)),
        options=_BUDGET,
    ),
    Limit(
        name="the same for all, after `admission.timeout`",
        default=seconds(RECEIVER.admission.timeout),
        grpc=_waited_grpc,
        http=_waited_http,
        options=_BUDGET | {"admission": AdmissionConfig(timeout=Duration(0.3))},
    ),
    Limit(
        name="`admission.waiting_limit_mib`",
        default=f"1/{waiting._BUDGET_SHARE} of the above",
        grpc=_beside_grpc,
        http=_beside_http,
        options=_BUDGET | {"admission": AdmissionConfig(timeout=Duration(2))},
    ),
    Limit(
        name="requests that wait",
        default=f"{waiting.WAITERS_MAX}",
        grpc=_beside_grpc,
        http=_beside_http,
        options={
            "budget": 16 * MIB,
            "admission": AdmissionConfig(timeout=Duration(2)),
        },
        patches={(waiting, "WAITERS_MAX"): 1},
    ),
    Limit(
        name="`sending_queue.queue_size`, after `admission.timeout`",
        default="see the exporter",
        grpc=_full_grpc,
        http=_full_http,
        options={"admission": AdmissionConfig(timeout=Duration(0.3))},
    ),
    Limit(
        name="objects and lists in each other, in JSON",
        default=f"{sys.getrecursionlimit()}",
        http=sent_http(head(len(_JSON)).replace(b"x-protobuf", b"json"), _JSON),
    ),
    Limit(
        name="messages in each other",
        default=f"{repair.MESSAGE_DEPTH_MAX}",
        grpc=sent_grpc(_nested(200)),
        http=sent_http(head(len(_nested(200))), _nested(200)),
    ),
    Limit(
        name="values in each other",
        default=f"{ScanLimits(now_unix_nano=0, past_ns=0, future_ns=0).depth_max}",
        grpc=sent_grpc(_nested(70)),
        http=sent_http(head(len(_nested(70))), _nested(70)),
    ),
    Limit(
        name="resources, scopes and metrics",
        default=f"{width.ENVELOPES_MAX}",
        grpc=_large(_WIDE),
        http=sent_http(head(len(_WIDE)), _WIDE),
    ),
    Limit(
        name="messages of any kind",
        default=f"{width._MESSAGES}, and one per {width._BYTES_PER_MESSAGE} bytes",
        grpc=_large(_MESSAGES),
        http=sent_http(head(len(_MESSAGES)), _MESSAGES),
    ),
    Limit(
        name="`time_window.past`, `future`",
        default=f"{seconds(RECEIVER.time_window.past)}, {seconds(RECEIVER.time_window.future)}",
        grpc=_old_grpc,
        http=sent_http(head(len(_old()), path="/v1/metrics"), _old()),
    ),
    Limit(
        name="a question to health checking or reflection",
        default=size(grpc_services._MESSAGE_MAX),
        grpc=_question,
    ),
]
