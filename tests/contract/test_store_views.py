"""The views that people read, on every store: the same columns, the same meaning (collector/storage/README.md).

Values are compared as they read: times as the seconds that they are, ids as hexadecimal, JSON parsed.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from collector.model.signal import Signal
from collector.storage.store import Store
from tests.support import samples
from tests.support.samples import CHILD_ID, NOW_UNIX_NANO, SECOND, SPAN_ID, TRACE_ID, UINT64_MAX
from tests.support.stores import put

JSON_COLUMNS = frozenset(
    (
        "attributes", "resource", "exemplars", "events", "links", "body", "bucket_counts", "explicit_bounds",
        "positive_bucket_counts", "negative_bucket_counts", "quantiles", "quantile_values",
    )
)  # fmt: skip
NOW = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)


def rows(store: Store, sql: str, **params: Any) -> list[dict[str, Any]]:
    """Rows by column name, dialects' own types settled."""
    result = store.query(sql, params)
    return [
        {column: _settled(column, value) for column, value in zip(result.columns, row, strict=True)}
        for row in result.rows
    ]


def one(store: Store, sql: str, **params: Any) -> dict[str, Any]:
    """The only row."""
    [row] = rows(store, sql, **params)
    return row


def _settled(column: str, value: Any) -> Any:
    match value:
        case UUID():
            return value.hex
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case str() if re.fullmatch(r"-?\d{16,}", value):  # unsigned, in SQLite
            return int(value)
        case str() if column in JSON_COLUMNS and value[:1] in '{["':
            return json.loads(value)
        case "NaN":
            return math.nan
        case str() if re.fullmatch(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", value):
            whole, _, fraction = value[:-1].partition(".")
            return datetime.fromisoformat(whole).replace(tzinfo=UTC) + timedelta(
                microseconds=int(fraction[:6] or 0)
            )
        case _:
            return value


@pytest.fixture
def full(store: Store) -> Store:
    """A store with the samples of every signal."""
    for signal in Signal:
        put(store, signal, samples.sample(signal))
    return store


def test_metrics_show_a_point_with_its_series_and_resource(full: Store) -> None:
    """All columns of a point that was an int, with exemplars and a start beyond the year 2262."""
    row = one(
        full,
        "SELECT * FROM metrics WHERE metric = 'requests' AND time_unix_nano = %(t)s",
        t=NOW_UNIX_NANO + 1,
    )
    assert row["time"] == NOW
    assert (row["type"], row["unit"], row["temporality"], bool(row["monotonic"])) == (
        "sum",
        "{request}",
        "cumulative",
        True,
    )
    assert (row["value"], row["value_int"], row["description"], row["flags"]) == (0.0, 0, "", None)
    assert (row["service_name"], row["attributes"]) == ("cart", {})
    assert (row["scope_name"], row["scope_version"]) == ("shop", "1.2")
    assert row["resource"]["service.namespace"] == "retail"
    assert row["start_time"].year == 2554
    assert row["exemplars"][0]["trace_id"] == TRACE_ID
    assert row["exemplars"][0]["value"] == 0
    assert re.fullmatch("[0-9a-f]{32}", row["stream_id"])
    assert isinstance(row["series_id"], int)


def test_metrics_show_special_values(full: Store) -> None:
    """-0, NaN, infinity and "no recorded value" are what they are, and ints are shown as doubles as well."""
    values = [
        row["value"]
        for row in rows(
            full,
            "SELECT * FROM metrics WHERE metric = 'temperature' AND flags IS NULL ORDER BY time_unix_nano, value",
        )
    ]
    assert sorted(map(repr, values)) == sorted(map(repr, (21.5, 1.0, -0.0, math.nan, math.inf, 5e-324)))
    absent = one(full, "SELECT * FROM metrics WHERE flags = 1")
    assert (absent["value"], absent["value_int"]) == (None, None)
    extremes = rows(full, "SELECT value, value_int FROM metrics WHERE metric = 'requests' ORDER BY value_int")
    assert [(row["value"], row["value_int"]) for row in extremes] == [
        (-(2.0**63), -(2**63)),
        (0.0, 0),
        (2.0**63, 2**63 - 1),
    ]


def test_metrics_tell_types_of_attributes_apart(full: Store) -> None:
    """`n=1` and `n="1"` are two series."""
    found = rows(
        full,
        "SELECT DISTINCT attributes, series_id FROM metrics WHERE metric = 'temperature' AND flags IS NULL",
    )
    assert sorted(repr(row["attributes"]["n"]) for row in found) == ["'1'", "1"]


def test_histograms_show_both_kinds(full: Store) -> None:
    """Unsigned counts are unsigned; what the other kind has is NULL."""
    explicit = one(full, "SELECT * FROM histograms WHERE metric = 'latency' AND sum = 10")
    assert (explicit["type"], explicit["temporality"], explicit["count"], explicit["mean"]) == (
        "histogram",
        "delta",
        4,
        2.5,
    )
    assert (explicit["min"], explicit["max"], explicit["scale"], explicit["zero_count"]) == (
        -1.0,
        9.0,
        None,
        None,
    )
    assert list(map(int, explicit["bucket_counts"])) == [1, 0, UINT64_MAX]
    assert explicit["flags"] == 2**32 - 2
    assert explicit["start_time"] == NOW - timedelta(seconds=1)
    assert explicit["exemplars"] == [{"value": -0.0}]
    bare = one(full, "SELECT * FROM histograms WHERE metric = 'latency' AND sum IS NULL")
    assert (int(bare["count"]), bare["min"], bare["mean"], bare["bucket_counts"], bare["start_time"]) == (
        UINT64_MAX,
        None,
        None,
        None,
        None,
    )
    exponential = one(full, "SELECT * FROM histograms WHERE metric = 'size' AND sum IS NOT NULL")
    assert exponential["type"] == "exponential_histogram"
    assert (exponential["scale"], int(exponential["zero_count"]), exponential["zero_threshold"]) == (
        -11,
        UINT64_MAX,
        1e-9,
    )
    assert (exponential["positive_offset"], exponential["negative_offset"]) == (-(2**31), 2**31 - 4)
    assert list(map(int, exponential["positive_bucket_counts"])) == [1, UINT64_MAX, 0]
    assert math.isclose(exponential["mean"], 12.5 / UINT64_MAX)
    assert exponential["explicit_bounds"] is None


def test_summaries_show_quantiles(full: Store) -> None:
    """In order, special values included."""
    row = one(full, "SELECT * FROM summaries WHERE metric = 'gc' AND count = 3")
    assert (row["unit"], repr(row["sum"]), row["quantiles"]) == ("s", "-0.0", [0.0, 0.5])
    assert row["quantile_values"][1] == 1.5


def test_spans_show_a_span_in_words(full: Store) -> None:
    """Kind, status, duration and ids as people write them."""
    row = one(full, "SELECT * FROM spans WHERE name = 'GET /cart'")
    assert (row["service_name"], row["kind"], row["status"], row["duration_ms"]) == (
        "cart",
        "server",
        "unset",
        250.0,
    )
    assert (row["trace_id"], row["span_id"], row["parent_span_id"]) == (TRACE_ID, SPAN_ID, None)
    assert (row["time"], row["end_time"]) == (NOW, NOW + timedelta(milliseconds=250))
    assert row["time_unix_nano"] == NOW_UNIX_NANO + 1
    assert row["attributes"]["string"] == samples.EVERY_VALUE["string"]
    assert row["events"][0]["name"] == "exception"
    assert row["events"][0]["attributes"]["int"] == samples.INT64_MIN
    assert row["links"][0]["trace_id"] == "ff" * 16
    assert (row["trace_state"], row["flags"], row["scope_name"]) == ("ot=th:8,vendor=x", 2**32 - 1, "shop")


def test_spans_show_an_error_without_end(full: Store) -> None:
    """No end is no duration; the parent is the root's id."""
    row = one(
        full, "SELECT * FROM spans WHERE trace_id = %(trace_id)s AND status = 'error'", trace_id=TRACE_ID
    )
    assert (row["status_message"], row["kind"], row["span_id"]) == ("timeout", "client", CHILD_ID)
    assert row["parent_span_id"] == SPAN_ID
    assert (row["duration_ms"], row["duration_nano"], row["end_time"]) == (None, None, None)
    assert (row["attributes"], row["events"], row["links"]) == ({}, None, None)


def test_spans_show_unknown_numbers_as_numbers(full: Store) -> None:
    """Enums are open; a clock that went backwards gives a negative duration."""
    row = one(full, "SELECT * FROM spans WHERE kind = '77'")
    assert (row["status"], row["duration_nano"], row["service_name"], row["resource"]) == ("-1", -5, "", {})
    assert row["span_id"] == "f" * 16


def test_traces_show_one_row_per_trace(full: Store) -> None:
    """Named after its root."""
    row = one(full, "SELECT * FROM traces WHERE trace_id = %(trace_id)s", trace_id=TRACE_ID)
    assert (row["service_name"], row["name"], row["spans"], row["errors"], row["services"]) == (
        "cart",
        "GET /cart",
        2,
        1,
        1,
    )
    assert (row["time"], row["duration_ms"], row["time_unix_nano"]) == (NOW, 250.0, NOW_UNIX_NANO + 1)
    assert len(rows(full, "SELECT * FROM traces")) == 2


def test_a_trace_without_root_is_named_after_its_earliest_span(store: Store) -> None:
    """As happens when the root was sampled away, or is still running."""
    request = samples.traces()
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.parent_span_id = b"\x09" * 8
    put(store, Signal.TRACES, request)
    row = one(store, "SELECT * FROM traces WHERE trace_id = %(trace_id)s", trace_id=TRACE_ID)
    assert row["name"] == "GET /cart"


def test_logs_show_a_record(full: Store) -> None:
    """Body as JSON, whatever it was."""
    row = one(full, "SELECT * FROM logs WHERE trace_id = %(trace_id)s", trace_id=TRACE_ID)
    assert (row["service_name"], row["severity_number"], row["severity_text"]) == ("cart", 17, "ERROR")
    assert row["body"] == "it broke"
    assert (row["event_name"], row["span_id"], row["flags"]) == ("order.failed", SPAN_ID, 2**32 - 1)
    assert (row["time_unix_nano"], row["observed_time"].year) == (NOW_UNIX_NANO + 7, 2554)
    structured = one(
        full, "SELECT * FROM logs WHERE time_unix_nano = %(t)s AND service_name = 'cart'", t=NOW_UNIX_NANO + 1
    )
    assert structured["body"] == {"k": [1, {"@bytes": "/w=="}]}
    assert (structured["time"], structured["observed_time"]) == (NOW, NOW)
    bare = one(full, "SELECT * FROM logs WHERE service_name = ''")
    assert (bare["body"], bare["trace_id"], bare["span_id"], bare["severity_text"], bare["event_name"]) == (
        (None,) * 5
    )
    assert (bare["attributes"], bare["resource"]) == ({}, {})


def test_services_count_instances_and_resources(store: Store) -> None:
    """Instances are told apart by service.instance.id, resources by all they are."""
    for service, instances in (("cart", ("a", "b", "a")), ("web", ("",))):
        for number, instance in enumerate(instances):
            request = samples.logs(service)
            attributes = request.resource_logs[0].resource.attributes
            attributes[2].value.string_value = instance
            attributes.append(samples.attribute("number", number))
            del request.resource_logs[1:]
            put(store, Signal.LOGS, request)
    found = rows(store, "SELECT * FROM services ORDER BY service_name")
    assert [tuple(row.values()) for row in found] == [("cart", "retail", 2, 3), ("web", "retail", 0, 1)]


def _gauge(values: dict[int, float | int]) -> Any:
    request = samples.metrics()
    metrics = request.resource_metrics[0].scope_metrics[0].metrics
    del metrics[1:]
    del metrics[0].gauge.data_points[:]
    for seconds, value in values.items():
        point = metrics[0].gauge.data_points.add(time_unix_nano=NOW_UNIX_NANO + seconds * SECOND)
        if isinstance(value, int):
            point.as_int = value
        else:
            point.as_double = value
    return request


def test_metrics_hourly_rolls_up_by_series(store: Store, refresh_rollups: Any) -> None:
    """Ints and doubles together; NaN and absent values left out; `first` and `last` by time, not by arrival."""
    request = _gauge({0: 4.0, 600: math.nan, 60: 1, 1200: 3.0, 3600: 8.0})
    request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points.add(
        time_unix_nano=NOW_UNIX_NANO + 1, flags=1
    )
    put(store, Signal.METRICS, request)
    refresh_rollups(store)
    first, second = rows(store, "SELECT * FROM metrics_hourly WHERE metric = 'temperature' ORDER BY hour")
    hour = NOW.replace(minute=0, second=0)
    assert (first["hour"], second["hour"]) == (hour, hour + timedelta(hours=1))
    assert (first["type"], first["unit"], first["service_name"], first["scope_name"]) == (
        "gauge",
        "Cel",
        "cart",
        "shop",
    )
    assert (first["points"], first["min"], first["max"], first["sum"]) == (3, 1.0, 4.0, 8.0)
    assert math.isclose(first["avg"], 8 / 3)
    assert (first["first"], first["last"], second["points"], second["first"]) == (4.0, 3.0, 1, 8.0)


def test_services_hourly_counts_requests_and_ranks_durations(store: Store, refresh_rollups: Any) -> None:
    """Requests are entered from outside: servers, consumers and roots. Percentiles are values that occurred."""
    request = samples.traces()
    spans = request.resource_spans[0].scope_spans[0].spans
    del spans[:]
    del request.resource_spans[1:]
    for number in range(1, 21):  # 1 ms … 20 ms
        span = spans.add(
            trace_id=b"\x01" * 16,
            span_id=number.to_bytes(8, "big"),
            parent_span_id=b"\x07" * 8 if number > 1 else b"",
            kind=2 if number > 1 else 1,
            name="GET",
            start_time_unix_nano=NOW_UNIX_NANO + number,
            end_time_unix_nano=NOW_UNIX_NANO + number + number * 1_000_000,
        )
        span.status.code = 2 if number % 10 == 0 else 0
    inner = spans.add(trace_id=b"\x01" * 16, span_id=b"\x08" * 8, parent_span_id=b"\x07" * 8, kind=3)
    inner.start_time_unix_nano = NOW_UNIX_NANO
    inner.end_time_unix_nano = NOW_UNIX_NANO + 10**12
    unfinished = spans.add(
        trace_id=b"\x01" * 16, span_id=b"\x09" * 8, kind=5, start_time_unix_nano=NOW_UNIX_NANO
    )
    unfinished.name = "poll"
    put(store, Signal.TRACES, request)
    refresh_rollups(store)
    row = one(store, "SELECT * FROM services_hourly")
    assert row["hour"] == NOW.replace(minute=0, second=0)
    assert (row["service_name"], row["requests"], row["errors"]) == ("cart", 21, 2)
    assert (row["avg_ms"], row["max_ms"]) == (10.5, 20.0)
    assert (row["p50_ms"], row["p95_ms"], row["p99_ms"]) == (10.0, 19.0, 20.0)
