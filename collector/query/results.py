"""What questions are answered with. Times are nanoseconds since 1970, ids lower-case hexadecimal."""

from __future__ import annotations

import dataclasses
import math
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

from collector.cost.amount import amount_text, subtract
from collector.query.attributes import Attributes
from collector.query.when import iso, utc


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What the points of one series have in common."""

    metric: str
    type: str  # gauge, sum, histogram, exponential_histogram, summary
    unit: str
    temporality: str | None  # delta, cumulative; None for gauges and summaries
    monotonic: bool | None  # sums only
    description: str
    service_name: str
    attributes: Attributes
    resource: Attributes
    scope_name: str
    scope_version: str
    series_id: int
    stream_id: str  # the same for series that differ in description or metadata only


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One point of a gauge or a sum. `value` is None where the sender said "no recorded value"."""

    time_unix_nano: int
    value: float | int | None
    start_time_unix_nano: int | None
    flags: int
    exemplars: tuple[Any, ...]
    stream: Stream

    @property
    def time(self) -> datetime:
        """The time in UTC, cut to microseconds."""
        return utc(self.time_unix_nano)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramPoint:
    """One point of a histogram, explicit or exponential. A sum, min or max that is None was not sent."""

    time_unix_nano: int
    count: int
    sum: float | None
    min: float | None
    max: float | None
    bucket_counts: tuple[int, ...] = ()
    explicit_bounds: tuple[float, ...] = ()
    scale: int | None = None  # None: explicit bounds
    zero_count: int = 0
    zero_threshold: float = 0.0
    positive_offset: int | None = None
    positive_bucket_counts: tuple[int, ...] = ()
    negative_offset: int | None = None
    negative_bucket_counts: tuple[int, ...] = ()
    start_time_unix_nano: int | None
    flags: int
    exemplars: tuple[Any, ...]
    stream: Stream

    @property
    def time(self) -> datetime:
        """The time in UTC, cut to microseconds."""
        return utc(self.time_unix_nano)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryPoint:
    """One point of a summary."""

    time_unix_nano: int
    count: int
    sum: float
    quantiles: tuple[float, ...]
    quantile_values: tuple[float, ...]
    start_time_unix_nano: int | None
    flags: int
    stream: Stream

    @property
    def time(self) -> datetime:
        """The time in UTC, cut to microseconds."""
        return utc(self.time_unix_nano)


Point: TypeAlias = "MetricPoint | HistogramPoint | SummaryPoint"


@dataclass(frozen=True, slots=True)
class Sample:
    """One step of a range: the time it begins and the aggregate of what lies in it."""

    time_unix_nano: int
    value: float

    @property
    def time(self) -> datetime:
        """The time in UTC, cut to microseconds."""
        return utc(self.time_unix_nano)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A metric over time. Steps in which nothing was measured are left out."""

    metric: str
    type: str
    unit: str
    labels: Mapping[str, Any]  # of `group_by`; empty for one line over everything
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric that is stored: a name, and what must agree for points to be comparable."""

    metric: str
    type: str
    unit: str
    series: int
    services: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span. `duration_nano` is None for one that did not end, negative where clocks disagreed."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    service_name: str
    name: str
    kind: str
    time_unix_nano: int
    duration_nano: int | None
    status: str  # unset, ok, error
    status_message: str
    trace_state: str
    flags: int
    attributes: Attributes
    events: tuple[Any, ...]
    links: tuple[Any, ...]
    resource: Attributes
    scope_name: str
    scope_version: str

    @property
    def time(self) -> datetime:
        """The start in UTC, cut to microseconds."""
        return utc(self.time_unix_nano)

    @property
    def end_unix_nano(self) -> int:
        """The end; the start, if the span did not end."""
        return self.time_unix_nano + (self.duration_nano or 0)

    @property
    def duration_ms(self) -> float | None:
        """Duration in milliseconds."""
        return None if self.duration_nano is None else self.duration_nano / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSummary:
    """A trace in one line, by the rules of the view `traces`."""

    trace_id: str
    time_unix_nano: int
    duration_nano: int | None  # from the first start to the last end; None: no span of it ended
    service_name: str  # of its first span without a parent, or of its first span
    name: str
    spans: int
    errors: int
    services: int

    @property
    def duration_ms(self) -> float | None:
        """Duration in milliseconds."""
        return None if self.duration_nano is None else self.duration_nano / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One log record. `time_unix_nano` is the observed time where the sender knew no other."""

    time_unix_nano: int
    observed_time_unix_nano: int | None
    service_name: str
    severity_number: int
    severity_text: str
    body: Any
    event_name: str
    trace_id: str | None
    span_id: str | None
    flags: int
    attributes: Attributes
    resource: Attributes
    scope_name: str
    scope_version: str

    @property
    def time(self) -> datetime:
        """The time in UTC, cut to microseconds."""
        return utc(self.time_unix_nano)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service that has sent something."""

    service_name: str
    service_namespace: str
    instances: int
    resources: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What somebody or something cost: a sum in one currency. Sums of different currencies are different results.

    A sum is None where nothing of it is priced; `unpriced` is how many of the `records` are not.
    """

    labels: Mapping[str, str | None]  # of `group_by`
    billing_currency: str
    time_unix_nano: int | None  # beginning of the step; None: the whole window
    billed_cost: Decimal | None
    effective_cost: Decimal | None
    list_cost: Decimal | None
    contracted_cost: Decimal | None
    records: int
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CostChange:
    """A group's cost in one period against another; 0 where it had none."""

    labels: Mapping[str, str | None]
    billing_currency: str
    cost: Decimal
    previous: Decimal

    @property
    def difference(self) -> Decimal:
        """How much more it is."""
        return subtract(self.cost, self.previous)


def as_json(value: Any) -> Any:
    """Return a result as what `json.dumps` takes, by the rules of OTLP/JSON: bytes as base64, NaN as text.

    Fields called `…time_unix_nano` get a readable twin without the `_unix_nano`.
    """
    match value:
        case float():
            return value if math.isfinite(value) else _special(value)
        case bytes():
            return b64encode(value).decode()
        case datetime():
            return value.isoformat()
        case Mapping():
            return {str(key): as_json(item) for key, item in value.items()}
        case list() | tuple():
            return [as_json(item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            return dict(_fields(value))
        case _:
            return value


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _fields(result: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if field.name.endswith("time_unix_nano"):
            yield field.name.removesuffix("_unix_nano"), None if value is None else iso(value)
        # Amounts as text: a JSON number is a double to most who read it.
        yield field.name, amount_text(value) if isinstance(value, Decimal) else as_json(value)
