"""What it costs to find out that a request is in order: compiled, by the parser alone, and by the reference."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Final

from collector.model.signal import Signal
from collector.wire.scan import ScanLimits, scan_json, scan_protobuf, scan_protobuf_reference
from tests.bench import payloads
from tests.bench.figure import Figure

_DAY_NS: Final = 86_400 * 10**9
_REPETITIONS: Final = 5
_ITEMS: Final = 1000


def run() -> Iterator[Figure]:
    """Requests of 1 000 points with 4 attributes, and of 1 000 spans with 5 and some events."""
    now = time.time_ns()
    limits = ScanLimits(now_unix_nano=now, past_ns=30 * _DAY_NS, future_ns=_DAY_NS)
    for name, signal, make in (
        ("point", Signal.METRICS, payloads.metric_requests),
        ("span", Signal.TRACES, payloads.span_requests),
    ):
        requests = make(20, _ITEMS, now, random.Random(20260101))
        message = signal.request_type()

        def scan(body: bytes, signal: Signal = signal) -> object:
            return scan_protobuf(signal, body, limits)

        def reference(body: bytes, signal: Signal = signal) -> object:
            return scan_protobuf_reference(signal, body, limits)

        def parse(body: bytes, message: type = message) -> object:
            return message.FromString(body)  # type: ignore[attr-defined]  # classes of messages are made at run time

        yield Figure(name=f"scan: µs per {name}", value=_us_per_item(scan, requests), unit="µs", bar=0.1)
        yield Figure(name=f"scan: µs per {name}, upb's parse", value=_us_per_item(parse, requests), unit="µs")
        yield Figure(
            name=f"scan: µs per {name}, reference", value=_us_per_item(reference, requests[:5]), unit="µs"
        )
    yield from _exceptions(now, limits)


def _exceptions(now: int, limits: ScanLimits) -> Iterator[Figure]:
    """What does not take the short way: JSON, and log records that say not when they were observed."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    from collector.wire.json_encode import encode_json

    spans = Signal.TRACES.request_type().FromString(
        payloads.span_requests(1, _ITEMS, now, random.Random(20260101))[0]
    )
    json = encode_json(Signal.TRACES, spans)
    yield Figure(
        name="scan: µs per span, JSON",
        value=_us_per_item(lambda body: scan_json(Signal.TRACES, body, limits), [json]),
        unit="µs",
    )
    for name, observed in (("", now), (", observed time missing", 0)):
        logs = ExportLogsServiceRequest()
        scope = logs.resource_logs.add().scope_logs.add()
        for number in range(_ITEMS):
            record = scope.log_records.add(time_unix_nano=now, observed_time_unix_nano=observed)
            record.body.string_value = f"request {number} took longer than expected"
            record.attributes.append(payloads.attribute("http.route", "/api/v1/items"))
            record.attributes.append(payloads.attribute("thread", number % 8))
        body = logs.SerializeToString()
        yield Figure(
            name=f"scan: µs per log record{name}",
            value=_us_per_item(lambda body: scan_protobuf(Signal.LOGS, body, limits), [body] * 5),
            unit="µs",
        )


def _us_per_item(work: Callable[[bytes], object], requests: list[bytes]) -> float:
    """The best of some rounds, in CPU time of this thread: others on the machine count less."""
    best = float("inf")
    for _ in range(_REPETITIONS):
        began = time.thread_time()
        for request in requests:
            work(request)
        best = min(best, time.thread_time() - began)
    return best / len(requests) / _ITEMS * 1e6
