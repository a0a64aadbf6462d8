"""Send encoded requests over gRPC as fast as they are taken, from a process of its own.

Reads, from the file named first, requests as `length (4 bytes, little-endian) bytes`; prints one line of JSON:
how many were acknowledged, how many refused and sent again, when it began (the machine's monotonic clock), and the
seconds it took.

    python -m tests.bench.load FILE 127.0.0.1:4317 traces|metrics|logs THREADS
"""

from __future__ import annotations

import json
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc

from collector.model.signal import Signal


def write(path: Path, requests: list[bytes]) -> None:
    """Write the file that `main` reads."""
    with path.open("wb") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)))
            file.write(request)


def read(path: Path) -> list[bytes]:
    """Read it back."""
    content = path.read_bytes()
    requests, offset = [], 0
    while offset < len(content):
        (size,) = struct.unpack_from("<I", content, offset)
        requests.append(content[offset + 4 : offset + 4 + size])
        offset += 4 + size
    return requests


def main() -> None:
    """Command line: see the module."""
    path, endpoint, signal, threads = Path(sys.argv[1]), sys.argv[2], Signal(sys.argv[3]), int(sys.argv[4])
    requests: Iterator[bytes] = iter(read(path))
    lock = threading.Lock()
    totals = {"acknowledged": 0, "refused": 0}
    method = f"/{signal.service}/Export"

    def next_request() -> bytes | None:
        with lock:
            return next(requests, None)

    def send() -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(endpoint, options) as channel:
            export = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
            while (request := next_request()) is not None:
                while True:
                    try:
                        export(request, timeout=60)
                    except grpc.RpcError as error:
                        if error.code() is not grpc.StatusCode.UNAVAILABLE:
                            raise
                        with lock:
                            totals["refused"] += 1
                        time.sleep(0.05)
                    else:
                        break
                with lock:
                    totals["acknowledged"] += 1

    began = time.monotonic()
    workers = [threading.Thread(target=send) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(json.dumps({**totals, "began": began, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
