"""Limits on connections: how many, how long they may be silent, and what they may leave unread or send for nothing."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Final

from collector.config.types import Duration
from collector.receivers.otlp import grpc_connection
from collector.receivers.otlp.config import (
    KeepaliveConfig,
    KeepaliveEnforcementConfig,
    KeepaliveServerConfig,
)
from collector.service import http_phases
from collector.wire import ahead
from collector.wire.http2 import frames, outbound
from tests.support.eventually import eventually
from tests.support.limits.limit import (
    EXPORT,
    GRPC,
    HTTP,
    Breach,
    Limit,
    head,
    of_grpc,
    of_http,
    seconds,
    sent_http,
    size,
)
from tests.support.raw_http import RawHttp
from tests.support.raw_http2 import DATA, PING, SETTINGS, RawHttp2
from tests.support.receiver import Running

_SERVER: Final = GRPC.keepalive.server_parameters
_POLICY: Final = GRPC.keepalive.enforcement_policy
_PRIORITY: Final = 2
_REFLECTION: Final = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def _keepalive(**server: Duration) -> dict[str, object]:
    return {"grpc": {"keepalive": KeepaliveConfig(server_parameters=KeepaliveServerConfig(**server))}}


def _newcomer_grpc(running: Running) -> str:
    with RawHttp2(running.grpc) as busy:
        stream = busy.open(EXPORT)
        busy.send_frame(DATA, 0, stream, b"\0\0")
        grpc = running.receiver._grpc
        assert grpc is not None
        eventually(lambda: sum(peer.busy for peer in grpc._peers.open) == 2)
        with RawHttp.to(running.grpc) as newcomer:
            status = of_http(newcomer)
        return status.replace(", Retry-After, closed", " in HTTP/1.1, closed")


def _newcomer_http(running: Running) -> str:
    with RawHttp.to(running.http) as busy:
        busy.send(head(10))
        http = running.receiver._http
        assert http is not None
        assert http.listener is not None
        peers = http.listener._peers  # type: ignore[attr-defined]
        eventually(lambda: sum(peer.idle_since is None for peer in peers.open) == 2)
        with RawHttp.to(running.http) as newcomer:
            return of_http(newcomer)


def _silent_grpc(*, greets: bool) -> Breach:
    def breach(running: Running) -> str:
        if not greets:
            with RawHttp.to(running.grpc) as client:
                client.send(b"PRI")
                return of_http(client)
        with RawHttp2(running.grpc) as client:
            return of_grpc(client, 1)

    return breach


def _half_open(running: Running) -> str:
    """A client that does not answer our ping."""
    with RawHttp.to(running.grpc) as client:
        client.send(frames.PREFACE + frames.settings({}))
        try:
            while data := client.read_raw(4096):
                assert b"\x07" not in data[3:4]
        except ConnectionError:
            pass
        return "closed"


def _shut_window(running: Running) -> str:
    """A client that wants no answer."""
    with RawHttp2(running.grpc) as client:
        client.send_frame(SETTINGS, 0, 0, struct.pack(">HL", frames.INITIAL_WINDOW_SIZE, 0))
        stream = client.open(EXPORT)
        client.send_message(stream, b"")
        return of_grpc(client, stream)


def _unsent(running: Running) -> str:
    """The same, and it asks for much."""
    with RawHttp2(running.grpc) as client:
        client.send_frame(SETTINGS, 0, 0, struct.pack(">HL", frames.INITIAL_WINDOW_SIZE, 0))
        stream = client.open(_REFLECTION)
        question = b"\x22" + bytes([len(EXPORT.split("/")[1])]) + EXPORT.split("/")[1].encode()
        framed = b"\0" + len(question).to_bytes(4, "big") + question
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                client.send_frame(DATA, 0, stream, framed * 20)
        return of_grpc(client, stream)


def _never_reads(running: Running) -> str:
    """Requests without end, and no answer is read: until the kernel takes no more of them."""
    with RawHttp.to(running.http) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.socket.settimeout(2.0)
        get = b"GET /" + b"x" * 190 + b" HTTP/1.1\r\nHost: t\r\n\r\n"
        try:
            while True:
                client.send(get * 300)
        except TimeoutError:
            pass
        except ConnectionError:
            return "closed"
        return "closed" if client.closed_by_server() else "open"


def _flood(running: Running) -> str:
    """Frames that are no calls."""
    with RawHttp2(running.grpc) as client:
        flood = frames.frame(_PRIORITY, 0, 1, bytes(5)) * (outbound._NUISANCE_MAX + 1)
        with contextlib.suppress(ConnectionError):
            client.socket.sendall(flood)
        return of_grpc(client, 1)


def _incomplete(running: Running) -> str:
    """A header that does not end."""
    with RawHttp2(running.grpc) as client:
        client.socket.sendall(frames.frame(frames.HEADERS, 0, 1, bytes(frames.FRAME_SIZE_MAX))[:-1])
        return of_grpc(client, 1)


def _pings(running: Running) -> str:
    with RawHttp2(running.grpc) as client:
        with contextlib.suppress(ConnectionError):
            for _ in range(4):
                client.send_frame(PING, 0, 0, bytes(8))
        return of_grpc(client, 1)


def _unfinished(running: Running) -> str:
    """The rest of a body that was refused never comes."""
    with RawHttp.to(running.http) as client:
        client.send(head(int(HTTP.max_request_body_size) + 1) + b"x")
        assert of_http(client) == "413"
        return of_http(client)


LIMITS: Final = [
    Limit(
        name="`connections_max`",
        default=f"{GRPC.connections_max}",
        grpc=_newcomer_grpc,
        http=_newcomer_http,
        options={"grpc": {"connections_max": 2}, "http": {"connections_max": 2}},
        fills=True,
    ),
    Limit(
        name="first words of HTTP/2",
        default=seconds(grpc_connection._GREETING_S),
        grpc=_silent_grpc(greets=False),
        patches={(grpc_connection, "_GREETING_S"): 0.3},
    ),
    Limit(
        name="`idle_timeout`",
        default=seconds(HTTP.idle_timeout),
        http=sent_http(),
        options={"http": {"idle_timeout": Duration(0.3)}},
    ),
    Limit(
        name="`keepalive.server_parameters.max_connection_idle`",
        default=f"{_SERVER.max_connection_idle or 'none'}",
        grpc=_silent_grpc(greets=True),
        options=_keepalive(max_connection_idle=Duration(0.3)),
    ),
    Limit(
        name="`keepalive.server_parameters.max_connection_age`",
        default=f"{_SERVER.max_connection_age or 'none'}",
        grpc=_silent_grpc(greets=True),
        options=_keepalive(max_connection_age=Duration(0.3)),
    ),
    Limit(
        name="`keepalive.server_parameters.time`, `timeout`",
        default=f"{seconds(_SERVER.time)}, {seconds(_SERVER.timeout)}",
        grpc=_half_open,
        options=_keepalive(time=Duration(0.2), timeout=Duration(0.2)),
    ),
    Limit(
        name="`keepalive.enforcement_policy.min_time`",
        default=seconds(_POLICY.min_time),
        grpc=_pings,
        options={
            "grpc": {
                "keepalive": KeepaliveConfig(
                    enforcement_policy=KeepaliveEnforcementConfig(permit_without_stream=True)
                )
            }
        },
    ),
    Limit(
        name="frames that are no calls",
        default=f"{outbound._NUISANCE_MAX}",
        grpc=_flood,
    ),
    Limit(
        name="`write_timeout`, for an answer to be read",
        default=seconds(HTTP.write_timeout),
        grpc=_shut_window,
        http=_never_reads,
        options={"http": {"write_timeout": Duration(0.3)}},
        patches={(grpc_connection, "_WRITE_S"): 0.3},
    ),
    Limit(
        name="answers that wait for a client's window",
        default=size(outbound._UNSENT_MAX),
        grpc=_unsent,
    ),
    Limit(
        name="incomplete headers and frames, and what is sent ahead of answers, of all connections",
        default=size(ahead.AHEAD_MAX),
        grpc=_incomplete,
        http=sent_http(head()[:-2] + b"X-Long: " + b"x" * 20_000),
        patches={(ahead, "AHEAD_MAX"): 10_000},
    ),
    Limit(
        name="rest of a body that was refused",
        default=seconds(http_phases.DISCARD_S),
        http=_unfinished,
        patches={(http_phases, "DISCARD_S"): 0.3},
    ),
]
