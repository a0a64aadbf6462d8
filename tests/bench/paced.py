"""Send encoded requests at a steady rate, over gRPC or HTTP, from a process of its own; say how long answers took.

    python -m tests.bench.paced FILE grpc|http ENDPOINT traces|metrics|logs RATE SECONDS CONNECTIONS

The file is that of `tests.bench.load`; its requests are sent in turn, again from the first when they are used up. Prints
one line of JSON: requests answered, and their latencies in milliseconds at the 50th and 99th percentile.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from collector.model.signal import Signal
from tests.bench.load import read


def _grpc(endpoint: str, signal: Signal) -> Callable[[bytes], None]:
    channel = grpc.insecure_channel(endpoint, [("grpc.use_local_subchannel_pool", 1)])
    export = channel.unary_unary(
        f"/{signal.service}/Export", request_serializer=None, response_deserializer=None
    )

    def send(request: bytes) -> None:
        export(request, timeout=30)

    return send


def _http(endpoint: str, signal: Signal) -> Callable[[bytes], None]:
    connection = http.client.HTTPConnection(endpoint)

    def send(request: bytes) -> None:
        connection.request("POST", signal.http_path, request, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    return send


def main() -> None:
    """Command line: see the module."""
    path, transport, endpoint, signal = Path(sys.argv[1]), sys.argv[2], sys.argv[3], Signal(sys.argv[4])
    rate, seconds, connections = float(sys.argv[5]), float(sys.argv[6]), int(sys.argv[7])
    requests = read(path)
    latencies: list[float] = []
    lock = threading.Lock()
    began = time.monotonic() + 0.2

    def client(number: int) -> None:
        send = (_grpc if transport == "grpc" else _http)(endpoint, signal)
        interval = connections / rate
        turn = 0
        while True:
            # Due times are fixed beforehand, so that a slow answer does not slow the load down.
            due = began + turn * interval + number * interval / connections
            if due >= began + seconds:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            sent = time.monotonic()
            send(requests[(turn * connections + number) % len(requests)])
            with lock:
                latencies.append(time.monotonic() - sent)
            turn += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latencies.sort()
    quantile = {q: latencies[int(len(latencies) * q / 100)] * 1000 for q in (50, 99)}
    print(json.dumps({"requests": len(latencies), "p50_ms": quantile[50], "p99_ms": quantile[99]}))


if __name__ == "__main__":
    main()
