"""What it costs to receive a request and queue it: the daemon's CPU, with a destination that is away.

Requests of 1 000 points, in memory and on disk; and what is dearer than protobuf that passes as it came: JSON, and a
processor that edits.
"""

from __future__ import annotations

import http.client
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from collector.model.signal import Signal
from collector.wire.json_encode import encode_json
from tests.bench import end_to_end, load, payloads, process
from tests.bench.figure import Figure
from tests.support.daemon import Daemon, running

_WARM: Final = 20
_REQUESTS: Final = 200
_POINTS: Final = 1000

# Nothing listens on port 9, and nothing is sent before it has waited for an hour.
_CONFIG: Final = """
receivers:
  otlp:
    duplicate_window: 0s
    protocols: {{grpc: {{endpoint: 127.0.0.1:0}}, http: {{endpoint: 127.0.0.1:0}}}}
processors:
  memory_limiter: {{}}
  batch: {{timeout: 1h, send_batch_size: 100000000}}
  resource: {{attributes: [{{key: deployment.environment.name, action: upsert, value: bench}}]}}
exporters: {{postgresql: {{connection_string: "postgresql://127.0.0.1:9/none", sending_queue: {{{queue}}}}}}}
extensions: {{file_storage: {{directory: {directory}/queue}}}}
service:
  extensions: [file_storage]
  admin: {{endpoint: 127.0.0.1:0}}
  shutdown_timeout: 1s
  pipelines: {{metrics: {{receivers: [otlp], processors: [{processors}], exporters: [postgresql]}}}}
"""
_PLAIN: Final = "memory_limiter, batch"


def run() -> Iterator[Figure]:
    """Each way in, in a daemon of its own."""
    requests = payloads.metric_requests(_WARM + _REQUESTS, _POINTS, time.time_ns(), random.Random(1))
    parse = Signal.METRICS.request_type().FromString
    json = [encode_json(Signal.METRICS, parse(request)) for request in requests]
    yield _measure("gRPC, queue in memory", requests, _over_grpc)
    yield _measure("gRPC, queue on disk", requests, _over_grpc, queue="storage: file_storage")
    yield _measure("gRPC, edited by a processor", requests, _over_grpc, processors=f"resource, {_PLAIN}")
    yield _measure("HTTP", requests, _over_http("application/x-protobuf"))
    yield _measure("HTTP, JSON", json, _over_http("application/json"))


def _measure(
    name: str,
    requests: list[bytes],
    send: Callable[[Daemon, list[bytes], Path], None],
    *,
    queue: str = "",
    processors: str = _PLAIN,
) -> Figure:
    with tempfile.TemporaryDirectory(prefix="collector-bench-") as temporary:
        directory = Path(temporary)
        config = _CONFIG.format(queue=queue, processors=processors, directory=directory)
        with running(directory, config) as daemon:
            send(daemon, requests[:_WARM], directory)
            before = process.cpu_s(daemon.process.pid)
            send(daemon, requests[_WARM:], directory)
            used_s = process.cpu_s(daemon.process.pid) - before
            queued = daemon.metric("collector_exporter_queue_items")
            assert queued == len(requests) * _POINTS, "not all of it is queued"
    return Figure(name=f"receive and queue: {name}", value=used_s / _REQUESTS * 1000, unit="ms/req")


def _over_grpc(daemon: Daemon, requests: list[bytes], directory: Path) -> None:
    load.write(directory / "requests", requests)
    end_to_end.send(directory / "requests", daemon.grpc, Signal.METRICS)


def _over_http(media_type: str) -> Callable[[Daemon, list[bytes], Path], None]:
    def send(daemon: Daemon, requests: list[bytes], directory: Path) -> None:
        address = daemon.http.removeprefix("http://")
        with closing(http.client.HTTPConnection(address)) as connection:
            for request in requests:
                connection.request("POST", Signal.METRICS.http_path, request, {"Content-Type": media_type})
                answer = connection.getresponse()
                assert answer.status == 200, answer.read()
                answer.read()

    return send
