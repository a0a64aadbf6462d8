"""How long questions take, of rows compressed on arrival, of the same after the policy, and of the indexed row store.

A day of 1 000 series (10 metrics) and of 400 000 spans, asked through the views that people read. Best of three.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final
from uuid import UUID, uuid4

from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.rows import Encoded
from collector.storage.tables import NUMBER_POINTS, SPANS
from tests.bench import copy_limit, repeated
from tests.bench.copy_limit import Batch
from tests.bench.databases import postgres
from tests.bench.figure import Figure
from tests.support.postgres import run_job

_DAY_S: Final = 86_400
_POINT_EVERY_S: Final = 60
_SPANS: Final = 20_000
_SPAN_TURNS: Final = 20
_TRIES: Final = 3

_QUESTIONS: Final[Mapping[str, str]] = {
    "latest of each series of a metric": """
        SELECT DISTINCT ON (series_id) attributes, time, value FROM metrics
        WHERE metric = %(metric)s AND time > %(hour)s ORDER BY series_id, time DESC""",
    "one series, an hour by minute": """
        SELECT date_trunc('minute', time) AS t, avg(value) FROM metrics
        WHERE metric = %(metric)s AND series_id = %(series)s AND time > %(hour)s GROUP BY 1 ORDER BY 1""",
    "one series, a day by 5 minutes": """
        SELECT time_bucket('5 minutes', time) AS t, avg(value) FROM metrics
        WHERE metric = %(metric)s AND series_id = %(series)s AND time > %(day)s GROUP BY 1 ORDER BY 1""",
    "one metric, a day over all series": """
        SELECT time_bucket('5 minutes', time) AS t, avg(value) FROM metrics
        WHERE metric = %(metric)s AND time > %(day)s GROUP BY 1 ORDER BY 1""",
    "trace by id": "SELECT * FROM spans WHERE trace_id = %(trace)s ORDER BY time",
    "trace by id, the hour known": """
        SELECT * FROM spans WHERE trace_id = %(trace)s AND time BETWEEN %(trace_from)s AND %(trace_to)s
        ORDER BY time""",
    "slowest spans of a service, a day": """
        SELECT * FROM spans WHERE service_name = %(service)s AND time > %(day)s
        ORDER BY duration_nano DESC, trace_id, span_id LIMIT 20""",
    "slowest spans of a service, an hour": """
        SELECT * FROM spans WHERE service_name = %(service)s AND time > %(hour)s
        ORDER BY duration_nano DESC, trace_id, span_id LIMIT 20""",
}


def run() -> Iterator[Figure]:
    """Every question of every layout; in each the answers are the same."""
    with postgres() as server:
        if server is None or not server.timescaledb:
            return
        end = time.time_ns() // 1000 - 3 * _DAY_S * 1_000_000
        point_source, span_source = repeated.point_source(1000), repeated.span_source(_SPANS)
        batches, params = _data(point_source, span_source, end)
        answers: list[Any] = []
        for compressed in (False, True):
            with copy_limit.migrated(server, compressed=compressed) as url:
                copy_limit.copy(url, batches, compressed=compressed)
                with closing(PostgresqlStore(url)) as store:
                    for source in (point_source, span_source):
                        dimensions = Encoded(
                            signal=source.signal, items=0, dimensions=source.dimensions, facts={}
                        )
                        store.write(dimensions, queue_id=uuid4(), start=0, end=1)
                    layout = "compressed on arrival" if compressed else "row store, indexed"
                    yield from _ask(store, layout, params, answers)
                    if compressed:
                        for table in (NUMBER_POINTS, SPANS):
                            run_job(store, "compression", table.name)
                        yield from _ask(store, "after the policy", params, answers)


def _data(points: Encoded, spans: Encoded, end: int) -> tuple[list[Batch], dict[str, Any]]:
    source = repeated.facts(points, NUMBER_POINTS)
    turns = _DAY_S // _POINT_EVERY_S
    size = copy_limit.BATCH_ITEMS
    batches = [
        copy_limit.batch(NUMBER_POINTS, rows)
        for rows in repeated.points(source, turns, _POINT_EVERY_S, end, size)
    ]
    asked = None
    every_s = _DAY_S / _SPAN_TURNS
    for rows in repeated.spans(repeated.facts(spans, SPANS), _SPAN_TURNS, every_s, end, size):
        batches.append(copy_limit.batch(SPANS, rows))
        asked = asked or rows[len(rows) // 2]
    assert asked is not None
    asked_at = asked[SPANS.index("time")]
    metric, series = source[500][:2]
    return batches, {
        "metric": metric,
        "series": series,
        "hour": _timestamp(end - 3600 * 1_000_000),
        "day": _timestamp(end - _DAY_S * 1_000_000),
        "trace": UUID(bytes=asked[SPANS.index("trace_id")]),
        "trace_from": _timestamp(asked_at - 1800 * 1_000_000),
        "trace_to": _timestamp(asked_at + 1800 * 1_000_000),
        "service": "bench-2",
    }


def _ask(
    store: PostgresqlStore, layout: str, params: Mapping[str, Any], answers: list[Any]
) -> Iterator[Figure]:
    for number, (name, question) in enumerate(_QUESTIONS.items()):
        seconds = []
        rows: Sequence[Any] = ()
        for _ in range(_TRIES):
            began = time.perf_counter()
            rows = store.query(question, params).rows
            seconds.append(time.perf_counter() - began)
        found = [_comparable(row) for row in rows]
        assert found, f"no answer to {name!r}"
        if number == len(answers):
            answers.append(found)
        assert answers[number] == found, f"another answer to {name!r} from {layout}"
        yield Figure(name=f"{name}: {layout}", value=min(seconds) * 1000, unit="ms")


def _comparable(row: Sequence[Any]) -> tuple[Any, ...]:
    # Sums of doubles depend on the order of their terms in the last digits.
    return tuple(float(f"{value:.9g}") if isinstance(value, float) else value for value in row)


def _timestamp(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:06}+00"
