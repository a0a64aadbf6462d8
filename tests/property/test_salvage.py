"""What a database refuses of a batch is found exactly, whatever it is, and however the database says so."""

from __future__ import annotations

import math
import random
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.model.errors import PermanentError
from collector.model.signal import OPENTELEMETRY, Signal
from collector.model.telemetry import Telemetry
from collector.storage import salvage
from collector.storage.encoding import ReferenceEncoder, payload_encoder
from collector.storage.rows import Encoded, Row
from collector.storage.store import RowRefusedError
from collector.storage.tables import Table
from tests.support.samples import NOW_UNIX_NANO

# A number that tells items apart, service, µs, and of a metric its kind. So rows are in another order than items.
Item = tuple[int, str, int, str]
ITEMS: Final = st.tuples(
    st.integers(1, 60),
    st.sampled_from("ab"),
    st.integers(0, 3),
    st.sampled_from(["gauge", "histogram", "exponential_histogram", "summary"]),
)


def telemetry(signal: Signal, items: Sequence[Item]) -> Telemetry:
    """All fact tables have a column for flags: the number is there."""
    logs, traces, metrics = (
        ExportLogsServiceRequest(),
        ExportTraceServiceRequest(),
        ExportMetricsServiceRequest(),
    )
    for number, service, us, kind in items:
        resource: Any = {
            "attributes": [{"key": "service.name", "value": {"string_value": service}}],
        }
        time = NOW_UNIX_NANO + us * 1000
        match signal:
            case Signal.LOGS:
                scope: Any = logs.resource_logs.add(resource=resource).scope_logs.add()
                scope.log_records.add(time_unix_nano=time, flags=number)
            case Signal.TRACES:
                scope = traces.resource_spans.add(resource=resource).scope_spans.add()
                scope.spans.add(
                    trace_id=bytes(15) + b"\1",
                    span_id=bytes(7) + b"\1",
                    start_time_unix_nano=time,
                    flags=number,
                )
            case _:
                scope = metrics.resource_metrics.add(resource=resource).scope_metrics.add()
                data: Any = getattr(scope.metrics.add(name=f"m{us}"), kind)
                data.data_points.add(time_unix_nano=time, flags=number)
    message = {Signal.LOGS: logs, Signal.TRACES: traces}.get(signal, metrics)
    return Telemetry(signal, message.SerializeToString(), len(items))


def number_in(table: Table, row: Row) -> int:
    number: int = row[table.index("flags")]
    return number


class Database:
    """Refuses rows whose number is among `bad`, with `unique` also those whose number it has.

    `names`: the row it says it stopped at, `exact`, `late` (any from there on) or `never`.
    """

    def __init__(
        self, bad: set[int], *, names: str, unique: bool, backwards: bool, rng: random.Random
    ) -> None:
        self.stored: Counter[int] = Counter()
        self.attempts = 0
        self._bad = bad
        self._names = names
        self._unique = unique
        self._backwards = backwards
        self._rng = rng

    def write(self, encoded: Encoded) -> None:
        self.attempts += 1
        new: Counter[int] = Counter()
        tables = list(encoded.facts.items())
        for table, rows in reversed(tables) if self._backwards else tables:
            for place, row in enumerate(rows):
                number = number_in(table, row)
                if number in self._bad or (self._unique and (number in self.stored or number in new)):
                    raise self._refusal(table, list(rows), place)
                new[number] += 1
        self.stored += new

    def _refusal(self, table: Table, rows: list[Row], place: int) -> PermanentError:
        if self._names == "never":
            return PermanentError("no", reason="invalid_data")
        if self._names == "late":
            place = self._rng.randrange(place, len(rows))
        return RowRefusedError("no", reason="invalid_data", table=table, place=place, row=rows[place])


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@given(
    records=st.lists(st.lists(ITEMS, min_size=1, max_size=12), min_size=1, max_size=4),
    bad=st.sets(st.integers(1, 60)),
    broken=st.sets(st.integers(1, 60), max_size=3),
    names=st.sampled_from(["exact", "late", "never"]),
    unique=st.booleans(),
    backwards=st.booleans(),
    bounds=st.tuples(st.integers(2, 50), st.integers(1, 50)),
    seed=st.integers(0, 1000),
)
def test_exactly_what_is_bad_is_refused(
    signal: Signal,
    records: list[list[Item]],
    bad: set[int],
    broken: set[int],
    names: str,
    unique: bool,
    backwards: bool,
    bounds: tuple[int, int],
    seed: int,
) -> None:
    """All else is stored once. `broken` are those that the encoder itself stumbles over."""
    database = Database(bad, names=names, unique=unique, backwards=backwards, rng=random.Random(seed))
    encoder = payload_encoder(signal)

    def encode(payloads: Sequence[bytes]) -> Encoded:
        encoded = encoder.encode(payloads)
        if any(number_in(table, row) in broken for table, rows in encoded.facts.items() for row in rows):
            raise ValueError("broken")
        return encoded

    sifted_max, at_once = bounds
    data = [telemetry(signal, items) for items in records]
    with patch.multiple(salvage, _SIFTED_MAX=sifted_max, _AT_ONCE=at_once, _AT_ONCE_MIN=1, _MANY=2):
        refused = salvage.write_what_goes(data, encode, database.write)

    places = [(one.record, one.first) for one in refused]
    assert places == sorted(set(places))
    for one in refused:
        assert one.data == telemetry(signal, [records[one.record][one.first]])
        number = records[one.record][one.first][0]
        assert (one.reason == "internal_error") == (number in broken)
        assert unique or number in bad | broken
    numbers = Counter(item[0] for items in records for item in items)
    good = Counter({number: count for number, count in numbers.items() if number not in bad | broken})
    assert database.stored == (Counter(set(good)) if unique else good)
    assert database.stored + Counter(records[at][first][0] for at, first in places) == numbers
    assert database.attempts <= 4 * numbers.total()


@pytest.mark.parametrize("signal", OPENTELEMETRY)
@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize(
    ("bad", "most"),
    [
        (range(0), 1),
        (range(1234, 1235), 32),
        (range(0, 2000, 97), 100),
        (range(0, 2000, 10), 280),
        (range(2000), 2100),
    ],
)
def test_a_row_that_is_named_costs_about_one_attempt(
    signal: Signal, reference: bool, bad: range, most: int
) -> None:
    """Of 2,000 items, whose rows come in another order, of several tables."""
    rng = random.Random(1)
    kinds = ["gauge", "histogram", "exponential_histogram", "summary"]
    items = [(number + 1, rng.choice("ab"), rng.randrange(4), rng.choice(kinds)) for number in range(2000)]
    data = [telemetry(signal, items[at : at + 125]) for at in range(0, 2000, 125)]
    wrong = {number + 1 for number in bad}
    database = Database(wrong, names="exact", unique=False, backwards=False, rng=rng)
    encoder = ReferenceEncoder(signal) if reference else payload_encoder(signal)
    refused = salvage.write_what_goes(data, encoder.encode, database.write)
    assert [one.record * 125 + one.first for one in refused] == list(bad)
    assert database.attempts <= most


def test_a_number_that_is_none_is_known_again() -> None:
    """NaN is not equal to itself."""
    request = ExportMetricsServiceRequest()
    points = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge.data_points
    for number in range(1, 101):
        points.add(time_unix_nano=NOW_UNIX_NANO, as_double=math.nan, flags=number * 2)
    data = Telemetry(Signal.METRICS, request.SerializeToString(), 100)
    database = Database({100}, names="exact", unique=False, backwards=False, rng=random.Random(1))
    refused = salvage.write_what_goes([data], payload_encoder(Signal.METRICS).encode, database.write)
    assert [one.first for one in refused] == [49]
    assert database.attempts <= 5


def test_items_that_are_mostly_envelope_are_not_all_parted_at_once() -> None:
    """Each has it for itself then: 500 of these would be 100 MB."""
    request = ExportLogsServiceRequest()
    resource: Any = request.resource_logs.add()
    resource.resource.attributes.add(key="large").value.string_value = "x" * 200_000
    scope = resource.scope_logs.add()
    for number in range(1, 501):
        scope.log_records.add(time_unix_nano=NOW_UNIX_NANO, flags=number)
    data = Telemetry(Signal.LOGS, request.SerializeToString(), 500)
    database = Database({77}, names="exact", unique=False, backwards=False, rng=random.Random(1))
    tracemalloc.start()
    [refused] = salvage.write_what_goes([data], payload_encoder(Signal.LOGS).encode, database.write)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.first == 76
    assert peak < 50e6
