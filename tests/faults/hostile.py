"""Hostile clients: each does one wrong thing, at one of the two ports, until it is stopped. Returns how often it could.

    python -m tests.faults.hostile GRPC HTTP

All of them at once, in a process of their own: from a line on standard input to the next, which is answered with how
often they could; and so on until it is closed. It has the lowest priority: what attackers cost on a machine of their
own shall not be held against the daemon. What they make the daemon do is.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import cycle

import hpack

from collector.model.signal import Signal

Attack = Callable[[str, threading.Event], int]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_CONNECTIONS = 60  # of the kinds that hold some


def _connect(endpoint: str) -> socket.socket:
    host, _, port = endpoint.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _call(stream: int, **fields: str) -> bytes:
    pairs = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", f"/{Signal.LOGS.service}/Export"),
        ("content-type", "application/grpc"),
        *((name.replace("_", "-"), value) for name, value in fields.items()),
    ]
    # Literals only: they mean the same whatever has been sent before.
    block = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in pairs
    )
    assert hpack.Decoder().decode(block)
    return _frame(1, 4, stream, block)


@cache
def _bombs() -> list[bytes]:
    """60 KiB that become 60 MiB: of nothing, and of a request that ends too early."""
    size = 60 * 1024 * 1024
    text = b"x" * size
    for tag in (b"\x0a", b"\x2a", b"\x12", b"\x12", b"\x0a"):  # value, body, record, scope, resource
        text = tag + _varint(len(text) + (tag == b"\x2a")) + text
    return [gzip.compress(bytes(size), 9), gzip.compress(text, 9)]


def bombs_http(endpoint: str, stop: threading.Event) -> int:
    """Small bodies that inflate a thousandfold."""
    head = b"POST /v1/logs HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n"
    requests = cycle([head + b"Content-Length: %d\r\n\r\n" % len(bomb) + bomb for bomb in _bombs()])
    return _again(endpoint, stop, lambda peer: _exchange(peer, next(requests)), pause_s=0.3)


def bombs_grpc(endpoint: str, stop: threading.Event) -> int:
    """The same over gRPC."""
    requests = []
    for bomb in _bombs():
        framed = b"\1" + len(bomb).to_bytes(4, "big") + bomb
        data = b"".join(_frame(0, 0, 1, framed[at : at + 16384]) for at in range(0, len(framed), 16384))
        requests.append(_PREFACE + _call(1, grpc_encoding="gzip") + data + _frame(0, 1, 1))
    turns = cycle(requests)
    return _again(endpoint, stop, lambda peer: _exchange(peer, next(turns)), pause_s=0.3)


def slow_http(endpoint: str, stop: threading.Event) -> int:
    """Headers byte by byte, and bodies that are announced as large and never come."""
    head = b"POST /v1/logs HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-protobuf\r\n"
    return _hold(endpoint, stop, [head, head + b"Content-Length: 60000000\r\n\r\n"], drip=b"X")


def slow_grpc(endpoint: str, stop: threading.Event) -> int:
    """Calls that announce 60 MB, many to a connection, and prefaces byte by byte."""
    calls = b"".join(
        _call(stream) + _frame(0, 0, stream, b"\0" + (60_000_000).to_bytes(4, "big"))
        for stream in range(1, 100, 2)
    )
    return _hold(endpoint, stop, [_PREFACE[:5], _PREFACE + calls], drip=b"")


def idle(endpoint: str, stop: threading.Event) -> int:
    """Connections on which nothing is ever said."""
    return _hold(endpoint, stop, [b""], drip=b"")


def resets(endpoint: str, stop: threading.Event) -> int:
    """CVE-2023-44487: calls that are given up as soon as they are made."""
    flood = b"".join(_call(stream) + _frame(3, 0, stream, b"\0\0\0\x08") for stream in range(1, 4001, 2))
    return _again(endpoint, stop, lambda peer: _exchange(peer, _PREFACE + flood), pause_s=0.02)


def control(endpoint: str, stop: threading.Event) -> int:
    """Pings, settings, empty data, and header blocks without end."""
    floods = [
        _frame(6, 0, 0, bytes(8)) * 5000,
        _frame(4, 0, 0) * 5000,
        _call(1) + _frame(0, 0, 1) * 5000,
        _frame(1, 0, 1, b"") + _frame(9, 0, 1, b"") * 5000,
    ]
    rng = random.Random(1)
    return _again(endpoint, stop, lambda peer: _exchange(peer, _PREFACE + rng.choice(floods)), pause_s=0.02)


def garbage(endpoint: str, stop: threading.Event) -> int:
    """Random bytes, at once or behind a greeting."""
    rng = random.Random(2)
    greetings = (b"", _PREFACE, b"POST /v1/logs HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")

    def attack(peer: socket.socket) -> None:
        _exchange(peer, rng.choice(greetings) + rng.randbytes(20_000))

    return _again(endpoint, stop, attack, pause_s=0.01)


def malformed_http(endpoint: str, stop: threading.Event) -> int:
    """Well sent, and no protobuf."""
    body = random.Random(3).randbytes(20_000)
    head = b"POST /v1/traces HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-protobuf\r\n"
    request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return _again(endpoint, stop, lambda peer: _exchange(peer, request), pause_s=0.01)


def headers(endpoint: str, stop: threading.Event) -> int:
    """Calls of nothing but header fields that take longer to decode than to send, none like another."""
    fields = b"".join(b"\0\1a\0" for _ in range(100))
    calls = b"".join(
        _frame(1, 5, stream, _call(stream)[9:] + fields + b"\0\1b\4%04d" % stream)
        for stream in range(1, 1001, 2)
    )
    return _again(endpoint, stop, lambda peer: _exchange(peer, _PREFACE + calls), pause_s=0.1)


def costly_calls(endpoint: str, stop: threading.Event) -> int:
    """Many calls of one connection that each need a worker: it is looked for what could be saved, and nothing can."""
    # 6 bytes: a record with one field, a severity that is none. Behind them a record that ends too early.
    records = b"\x12\x04\x10\xff\xff\x7f" * 5000 + b"\x12\x7f"
    scope = b"\x12" + _varint(len(records)) + records
    message = b"\x0a" + _varint(len(scope)) + scope
    small = gzip.compress(message)
    framed = b"\1" + len(small).to_bytes(4, "big") + small
    calls = b"".join(
        _call(stream, grpc_encoding="gzip") + _frame(0, 1, stream, framed) for stream in range(1, 41, 2)
    )
    return _again(endpoint, stop, lambda peer: _exchange(peer, _PREFACE + calls), pause_s=0.5)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def json_http(endpoint: str, stop: threading.Event) -> int:
    """JSON that is deep, and JSON of many small things."""
    deep = b'{"resourceLogs":' + b"[" * 20_000
    wide = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{}] * 5000 + [7]}]}]}).encode()
    rng = random.Random(4)

    def attack(peer: socket.socket) -> None:
        body = rng.choice((deep, wide))
        head = b"POST /v1/logs HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        _exchange(peer, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    return _again(endpoint, stop, attack, pause_s=0.1)


def _exchange(peer: socket.socket, request: bytes) -> None:
    peer.sendall(request)
    peer.settimeout(0.5)
    peer.recv(65536)


def _again(
    endpoint: str, stop: threading.Event, attack: Callable[[socket.socket], None], *, pause_s: float
) -> int:
    done = 0
    while not stop.wait(pause_s):
        with contextlib.suppress(OSError), _connect(endpoint) as peer:
            done += 1
            attack(peer)
    return done


def _hold(endpoint: str, stop: threading.Event, beginnings: list[bytes], *, drip: bytes) -> int:
    peers: list[socket.socket] = []
    done = 0
    while not stop.wait(0.02):
        with contextlib.suppress(OSError):
            if len(peers) < _CONNECTIONS:
                peer = _connect(endpoint)
                peers.append(peer)
                peer.sendall(beginnings[done % len(beginnings)])
                done += 1
        for peer in list(peers):
            try:
                if drip:
                    peer.send(drip)
            except OSError:
                peers.remove(peer)
                peer.close()
    for peer in peers:
        peer.close()
    return done


GRPC: tuple[Attack, ...] = (bombs_grpc, slow_grpc, idle, resets, control, garbage, headers, costly_calls)
HTTP: tuple[Attack, ...] = (bombs_http, slow_http, idle, garbage, malformed_http, json_http)


def main() -> None:
    """Command line: see the module."""
    os.nice(19)
    grpc, http = sys.argv[1:]
    attacks = [(attack, grpc) for attack in GRPC] + [(attack, http) for attack in HTTP]
    _bombs()
    while sys.stdin.readline():
        stop = threading.Event()
        with ThreadPoolExecutor(len(attacks)) as pool:
            running = [pool.submit(attack, endpoint, stop) for attack, endpoint in attacks]
            sys.stdin.readline()
            stop.set()
        print(sum(future.result() for future in running), flush=True)


if __name__ == "__main__":
    main()
