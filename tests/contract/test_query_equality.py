"""The same questions of the same telemetry, stored compressed on arrival and stored as rows: the same answers.

Compressing promises the server an order, and a server that believed a wrong one would leave rows out without an error.
So names are arbitrary, batches overlap in time and in series, and every question is one that the bounds of compressed
batches can decide. Before the compression policy has merged, and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from collector.model.signal import Signal
from collector.query.when import iso
from collector.storage.encoding import PayloadEncoder, ReferenceEncoder, payload_encoder
from collector.storage.postgresql.options import Layout, StoreOptions
from collector.storage.postgresql.store import PostgresqlStore
from collector.storage.tables import NUMBER_POINTS, SPANS, TELEMETRY_FACTS
from collector.wire.canonical import serialized
from tests.support import samples
from tests.support.otlp_builder import (
    gauge,
    log,
    logs_request,
    metrics_request,
    number_point,
    span,
    spans_request,
)
from tests.support.postgres import Server, run_job
from tests.support.stores import read_back

NOW: Final = samples.NOW_UNIX_NANO
SECOND: Final = 10**9
# Enough rows for more than one compressed batch of a thousand in a COPY, from few names.
_POINTS_EACH: Final = 120

# Text that PostgreSQL can hold, and more often what orders of text differ about.
NAMES: Final = st.lists(
    st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
        st.text("aAbBzZ_-. 019äÄßıΩ日\uffff😀", max_size=4),
    ),
    min_size=2,
    max_size=12,
    unique=True,
)


_CONDITIONS: Final = (
    "{lead} = %(name)s",
    "{lead} >= %(name)s",
    "{lead} < %(name)s",
    "{lead} = %(name)s AND time >= %(half)s",
    "{lead} = %(name)s AND time < %(quarter)s",
    "{lead} > %(name)s AND time BETWEEN %(quarter)s AND %(half)s",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two stores of the same telemetry."""

    compressed: PostgresqlStore
    rows: PostgresqlStore
    encoders: Mapping[Signal, PayloadEncoder]

    def write(self, signal: Signal, *messages: Any) -> None:
        """Store one batch in both: compressed as the daemon encodes and orders it, as rows by the reference."""
        payloads = [message.SerializeToString() for message in messages]
        for store, encoder in (
            (self.compressed, self.encoders[signal]),
            (self.rows, ReferenceEncoder(signal)),
        ):
            assert store.write(encoder.encode(payloads), queue_id=uuid4(), start=0, end=1)

    def same(self, question: str, params: dict[str, Any]) -> None:
        """Ask both; they must agree."""
        found = [store.query(question, params).rows for store in (self.compressed, self.rows)]
        assert repr(found[0]) == repr(found[1]), (question, params)


@pytest.fixture(scope="module")
def pair(timescaledb_server: Server) -> Iterator[Pair]:
    """Two databases, for all examples: they add up, as batches do."""
    urls = [timescaledb_server.create_database(timescaledb=True) for _ in range(2)]
    with (
        closing(PostgresqlStore(urls[0], StoreOptions(layout=Layout.HYPERTABLES))) as compressed,
        closing(
            PostgresqlStore(urls[1], StoreOptions(layout=Layout.HYPERTABLES, compress_on_arrival=False))
        ) as rows,
    ):
        for store in (compressed, rows):
            store.migrate()
        yield Pair(compressed, rows, {signal: payload_encoder(signal) for signal in Signal})
    for url in urls:
        timescaledb_server.drop_database(url)


def test_the_paths_are_two(pair: Pair) -> None:
    """One compresses what arrives, in the order that the writer has given it; the other does not."""
    assert pair.compressed.arrival() == "compressed on arrival"
    assert pair.rows.arrival() == "as rows (on_arrival is off)"
    _write(pair, ["a", "B"], shift=0)
    for store, compressed in ((pair.compressed, True), (pair.rows, False)):
        found = store.query(
            "SELECT DISTINCT hypertable_name::text, is_compressed FROM timescaledb_information.chunks "
            "WHERE hypertable_name LIKE 'otlp%%'",
            {},
        ).rows
        assert dict(found) == dict.fromkeys(("otlp_number_points", "otlp_spans", "otlp_logs"), compressed)


# Not shrunk: what earlier examples have stored stays, so that a smaller one is not the same one.
@settings(
    max_examples=10, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=NAMES, shift=st.integers(0, 3))
def test_answers_are_the_same(pair: Pair, names: list[str], shift: int) -> None:
    """Whatever things are called, with two batches that overlap."""
    _write(pair, names, shift=0)
    _write(pair, names[::-1], shift=shift)
    _ask(pair, names)


def test_answers_are_the_same_after_the_policy_has_merged(pair: Pair) -> None:
    """Compressed batches that overlap become some that do not; rows become the same."""
    names = ["", "Z", "a", "a.b", "a_b", "ä", "日本"]
    for shift in range(3):
        _write(pair, names, shift=shift)
    _ask(pair, names)
    for store in (pair.compressed, pair.rows):
        for table in TELEMETRY_FACTS:
            run_job(store, "compression", table.name)
    _ask(pair, names)
    _write(pair, names, shift=1)  # into what has been merged
    _ask(pair, names)
    for signal in Signal:
        read = [read_back(store, signal) for store in (pair.compressed, pair.rows)]
        assert serialized(signal, [read[0]]) == serialized(signal, [read[1]])
    counts = {entry.table: entry.rows for entry in pair.compressed.stats()}
    assert counts[NUMBER_POINTS.name] > 1000
    assert counts[SPANS.name] > 1000


def _write(pair: Pair, names: Sequence[str], *, shift: int) -> None:
    """A batch of each signal: the names as metrics, services and span names; times overlap from shift to shift."""
    metrics = [
        gauge(
            name,
            [
                number_point(NOW + (turn * 2 + shift) * SECOND + series, float(turn), {"series": series})
                for turn in range(_POINTS_EACH // 4)
                for series in range(4)
            ],
        )
        for name in names
    ]
    pair.write(Signal.METRICS, metrics_request(names[0], metrics))
    times = [NOW + (turn * 3 + shift) * SECOND for turn in range(_POINTS_EACH)]
    pair.write(
        Signal.TRACES,
        *(
            spans_request(
                name,
                [
                    span(f"{turn + 1:032x}", f"{turn + shift + 1:016x}", name, time, time + turn % 7 * 10**6)
                    for turn, time in enumerate(times)
                ],
            )
            for name in names
        ),
    )
    pair.write(
        Signal.LOGS,
        *(
            logs_request(name, [log(time, name, severity=turn % 24) for turn, time in enumerate(times)])
            for name in names
        ),
    )


def _ask(pair: Pair, names: Sequence[str]) -> None:
    half, quarter = NOW + 120 * SECOND, NOW + 60 * SECOND
    params = {"half": iso(half), "quarter": iso(quarter), "trace": f"{7:032x}"}
    for view, lead in (("metrics", "metric"), ("spans", "service_name"), ("logs", "service_name")):
        bounds = [
            f"SELECT {number}, count(*), min(time), max(time) FROM {view} WHERE {condition.format(lead=lead)}"
            for number, condition in enumerate(_CONDITIONS)
        ]
        for name in names:
            pair.same(" UNION ALL ".join(bounds) + " ORDER BY 1", {**params, "name": name})
        pair.same(f"SELECT {lead}, count(*) FROM {view} GROUP BY 1 ORDER BY 1", params)
        pair.same(f"SELECT count(*), min(time), max(time) FROM {view} WHERE time > %(half)s", params)
        pair.same(f"SELECT time, {lead} FROM {view} ORDER BY time DESC, {lead} LIMIT 100", params)
        pair.same(f"SELECT {lead}, time FROM {view} ORDER BY {lead}, time LIMIT 300", params)
    name_params = {**params, "name": names[-1]}
    for question in (
        (
            "SELECT DISTINCT ON (series_id) series_id, time, value FROM metrics WHERE metric = %(name)s "
            "ORDER BY series_id, time DESC, value"
        ),
        (
            "SELECT attributes ->> 'series', count(*), avg(value) FROM metrics WHERE metric = %(name)s "
            "GROUP BY 1 ORDER BY 1"
        ),
        (
            "SELECT metric, series_id, time, value FROM metrics WHERE metric = %(name)s "
            "ORDER BY metric, series_id, time, value"
        ),
        "SELECT span_id, name, time FROM spans WHERE trace_id = %(trace)s ORDER BY 1, 2, 3",
        (
            "SELECT duration_nano, name, span_id, time FROM spans WHERE service_name = %(name)s "
            "ORDER BY 1 DESC, 2, 3, 4 LIMIT 20"
        ),
        "SELECT count(*) FROM spans WHERE duration_ms >= 3 AND service_name = %(name)s",
        "SELECT severity_number, count(*) FROM logs WHERE severity_number >= 17 GROUP BY 1 ORDER BY 1",
        "SELECT time, body FROM logs WHERE service_name = %(name)s ORDER BY time, body::text LIMIT 50",
    ):
        pair.same(question, name_params)
