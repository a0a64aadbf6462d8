"""Rows of days of operation, made by moving a few encoded ones through time: unique ids, new values, same series."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

from collector.model.signal import Signal
from collector.storage.encode import encode
from collector.storage.rows import Encoded, Row, sort_rows
from collector.storage.tables import NUMBER_POINTS, SPANS, Table
from tests.bench import payloads

_SECOND: Final = 1_000_000  # µs


def point_source(series: int) -> Encoded:
    """One point of each of `series` series, 100 to a metric."""
    return _encoded(Signal.METRICS, payloads.metric_requests(1, series, 10**18, random.Random(3)))


def span_source(spans: int) -> Encoded:
    """`spans` spans in traces of 8, of 5 services."""
    return _encoded(Signal.TRACES, payloads.span_requests(spans // 100, 100, 10**18, random.Random(3)))


def points(source: Sequence[Row], turns: int, every_s: float, end: int, rows_max: int) -> Iterator[list[Row]]:
    """Batches of at most `rows_max` rows: the points of `source`, `turns` times, every so many seconds until `end` (µs)."""
    rng = random.Random(4)
    time_at, value_at = NUMBER_POINTS.index("time"), NUMBER_POINTS.index("value")
    assert value_at > time_at
    waiting: list[Row] = []
    for turn in range(turns):
        time = end - round((turns - turn) * every_s * _SECOND)
        for row in source:
            moved = time + rng.randrange(1000)
            value = rng.random() * 1000 + turn
            waiting.append((*row[:time_at], moved, *row[time_at + 1 : value_at], value, *row[value_at + 1 :]))
        while len(waiting) >= rows_max:
            yield sort_rows(NUMBER_POINTS, waiting[:rows_max])
            waiting = waiting[rows_max:]
    if waiting:
        yield sort_rows(NUMBER_POINTS, waiting)


def spans(source: Sequence[Row], turns: int, every_s: float, end: int, rows_max: int) -> Iterator[list[Row]]:
    """The same of spans, whose times within `source` stay as they are; traces get new ids each time."""
    time_at, trace_at = SPANS.index("time"), SPANS.index("trace_id")
    assert trace_at > time_at
    ordered = sorted(source, key=lambda row: row[time_at])
    newest = ordered[-1][time_at]
    for turn in range(turns):
        shift = end - round((turns - turn - 1) * every_s * _SECOND) - newest
        mask = random.Random(turn).randbytes(16)
        moved = [
            (
                *row[:time_at],
                row[time_at] + shift,
                *row[time_at + 1 : trace_at],
                bytes(a ^ b for a, b in zip(row[trace_at], mask, strict=True)),
                *row[trace_at + 1 :],
            )
            for row in ordered
        ]
        for at in range(0, len(moved), rows_max):
            yield sort_rows(SPANS, moved[at : at + rows_max])


def facts(source: Encoded, table: Table) -> list[Row]:
    """The rows of `source` for one table."""
    return list(source.facts[table])


def _encoded(signal: Signal, requests: Sequence[bytes]) -> Encoded:
    return encode(signal, [signal.request_type().FromString(request) for request in requests])
