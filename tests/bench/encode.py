"""Encoding to sorted COPY rows, beside upb's mere parse of the same bytes and beside the reference encoder.

Batches of 10 000 items of known series, as in the daemon's steady state; CPU time of the thread, best of several.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from collector.model.signal import Signal
from collector.storage.encoding import PayloadEncoder, ReferenceEncoder, payload_encoder
from collector.storage.postgresql.copy_binary import copy_pieces
from collector.storage.rows import CopyRows
from collector.version import native
from tests.bench import payloads
from tests.bench.figure import Figure

_ITEMS: Final = 20_000
_BATCHES: Final = 2
_STORE: Final = object()  # where everything is stored already
# Name, requests of so many items, bar of the ratio to upb, bar of the ratio to the reference.
_WORKLOADS: Final = (
    (Signal.METRICS, "points", payloads.metric_requests, 1000, 1.1, 25.0),
    (Signal.TRACES, "spans", payloads.span_requests, 100, 1.5, 12.0),
)


def run() -> Iterator[Figure]:
    """Measure."""
    for signal, name, make, size, upb_bar, reference_bar in _WORKLOADS:
        requests = make(_ITEMS // size, size, time.time_ns(), random.Random(20260101))
        step = len(requests) // _BATCHES
        batches = [requests[at : at + step] for at in range(0, len(requests), step)]
        parse = signal.request_type().FromString
        encoder = payload_encoder(signal)
        reference = ReferenceEncoder(signal)

        def parse_all(requests: list[bytes] = requests, parse: Callable[[bytes], object] = parse) -> None:
            for request in requests:
                parse(request)

        def encode_all(encoder: PayloadEncoder = encoder, batches: list[list[bytes]] = batches) -> None:
            for batch in batches:
                _encode(encoder, batch)

        encode_all()  # the series are known from now on
        parse_s = encode_s = float("inf")
        for _ in range(5):  # in turn, so that both see the same hour
            parse_s = min(parse_s, _cpu_s(parse_all, 3))
            encode_s = min(encode_s, _cpu_s(encode_all, 3))
        reference_s = _cpu_s(partial(encode_all, reference), 2)
        yield Figure(name=f"upb parse, {name}", value=parse_s / _ITEMS * 1e6, unit="µs/item")
        yield Figure(
            name=f"encode, {name}{'' if native() else ' (not native)'}",
            value=encode_s / _ITEMS * 1e6,
            unit="µs/item",
        )
        yield Figure(name=f"encode ÷ upb parse, {name}", value=encode_s / parse_s, bar=upb_bar)
        yield Figure(
            name=f"native ÷ reference speed, {name}",
            value=reference_s / encode_s,
            bar=reference_bar,
            at_least=True,
        )


def _encode(encoder: PayloadEncoder, batch: list[bytes]) -> None:
    """As an exporter and its store do, up to the bytes of COPY."""
    encoded = encoder.encode(batch)
    if encoded.omission is not None:
        encoded.omission.confirm(_STORE)
    for table, rows in encoded.facts.items():
        for _ in rows.copy_pieces() if isinstance(rows, CopyRows) else copy_pieces(table, rows):
            pass


def _cpu_s(work: Callable[[], None], times: int) -> float:
    """The least CPU time of this thread that `work` took."""
    gc.collect()
    gc.disable()
    try:
        return min(_once(work) for _ in range(times))
    finally:
        gc.enable()


def _once(work: Callable[[], None]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began
