"""The relational shape of telemetry, once: every table's columns, their kinds and the order rows are sorted in.

DDL, COPY, INSERT, encode and decode all derive from or are tested against these tuples; nobody counts columns.

The `otlp_*` tables are ours and may change with a migration. People read the views (`storage.views`), whose
names and columns are the same on every store and stay.

Rules of representation, the same in every dialect:

* A NULL says "absent, zero or empty, as protobuf's default" unless the column's comment says otherwise.
* `time` is the partition column, in microseconds since 1970; `time_nanos` (0…999) is what it cannot hold.
* UINT64 is kept in 64 signed bits, two's complement: 2^63 and more read as negative here, and right in the views.
* JSON is text in the lossless form of `storage.values`; the views show it as the store's own JSON type.
* NUMERIC is exact: at most 38 digits, 18 of them behind the point (`cost.amount`).
* UUID is 16 bytes. Trace ids are UUIDs; span ids are UINT64, big-endian.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from collector.model.signal import Signal


class Kind(enum.Enum):
    """Type of a column: Python value in a row → PostgreSQL type → SQLite storage."""

    TIME = "time"  # int, µs since 1970 → timestamptz → INTEGER
    INT16 = "int16"  # int → smallint → INTEGER
    INT32 = "int32"  # int → integer → INTEGER
    INT64 = "int64"  # int → bigint → INTEGER
    UINT64 = "uint64"  # int, two's complement → bigint → INTEGER
    FLOAT64 = "float64"  # float → double precision → REAL, but NaN as the text 'NaN' (SQLite makes NaN NULL)
    NUMERIC = "numeric"  # Decimal, as `cost.amount` writes it → numeric(38,18) → TEXT, the same digits
    BOOL = "bool"  # bool → boolean → INTEGER 0/1
    TEXT = "text"  # str → text COLLATE "C" → TEXT
    JSON = "json"  # str → text → TEXT
    UUID = "uuid"  # bytes(16) → uuid → BLOB
    UINT64_ARRAY = "uint64[]"  # tuple[int] → bigint[] → TEXT, a JSON array
    FLOAT64_ARRAY = (
        "float64[]"  # tuple[float] → double precision[] → TEXT, a JSON array in the form of `storage.values`
    )


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    kind: Kind
    nullable: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One table. `order_by`: the columns rows are sorted by before they are written (facts only).

    Each is a constant of this module and equal only to itself, which makes it a cheap dictionary key.
    """

    name: str
    columns: tuple[Column, ...]
    order_by: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names, in the order of a row."""
        return tuple(column.name for column in self.columns)

    def index(self, column: str) -> int:
        """Position of `column` in a row."""
        return self.column_names.index(column)


def _c(name: str, kind: Kind) -> Column:
    return Column(name, kind)


def _n(name: str, kind: Kind) -> Column:
    return Column(name, kind, nullable=True)


# --- dimensions: content-addressed, written once, never changed -----------------------------------------

RESOURCES: Final = Table(
    "otlp_resources",
    (
        _c("resource_id", Kind.UUID),  # primary key: hash of everything below
        _c("service_name", Kind.TEXT),  # attribute service.name if it is a string, else ''
        _c("service_namespace", Kind.TEXT),
        _c("service_instance_id", Kind.TEXT),
        _c("attributes", Kind.JSON),  # keys sorted
        _n("dropped_attributes_count", Kind.INT64),
        _n("entity_refs", Kind.JSON),
        _n("schema_url", Kind.TEXT),  # Resource{Spans,Metrics,Logs}.schema_url
    ),
)
SCOPES: Final = Table(
    "otlp_scopes",
    (
        _c("scope_id", Kind.UUID),  # primary key: hash of everything below
        _c("name", Kind.TEXT),
        _c("version", Kind.TEXT),
        _c("attributes", Kind.JSON),  # keys sorted
        _n("dropped_attributes_count", Kind.INT64),
        _n("schema_url", Kind.TEXT),  # Scope{Spans,Metrics,Logs}.schema_url
    ),
)
SERIES: Final = Table(
    "otlp_series",
    (
        # Primary key: 64 bits of the digest of everything below, narrow because it is in every point. Two
        # contents with one id are found when the row is written (digest differs) and the second is probed on.
        _c("series_id", Kind.INT64),
        _c("digest", Kind.UUID),  # 128-bit hash of everything below
        _c("stream_id", Kind.UUID),  # hash of the identifying part: all but description and metadata
        _c("metric", Kind.TEXT),
        _c("type", Kind.TEXT),  # gauge, sum, histogram, exponential_histogram, summary
        _c("unit", Kind.TEXT),
        _n("temporality", Kind.INT32),  # 1 delta, 2 cumulative; NULL for gauge and summary
        _n("monotonic", Kind.BOOL),  # sums only
        _c("description", Kind.TEXT),
        _n("metadata", Kind.JSON),
        _c("attributes", Kind.JSON),  # keys sorted
        _c("service_name", Kind.TEXT),
        _c("resource_id", Kind.UUID),
        _c("scope_id", Kind.UUID),
    ),
)

# --- facts: hypertables -----------------------------------------------------------------------------------

_POINT_KEY: Final = (
    _c(
        "metric", Kind.TEXT
    ),  # the name itself: a constant in a WHERE prunes compressed batches, a join does not
    _c("series_id", Kind.INT64),
    _c("time", Kind.TIME),
    _n("time_nanos", Kind.INT16),
    _n("start_time_unix_nano", Kind.UINT64),
)
_POINT_ORDER: Final = ("metric", "series_id", "time")

NUMBER_POINTS: Final = Table(
    "otlp_number_points",
    (
        *_POINT_KEY,
        _n("value", Kind.FLOAT64),  # as_double; both values NULL: no recorded value
        _n("value_int", Kind.INT64),  # as_int
        _n("flags", Kind.INT64),
        _n("exemplars", Kind.JSON),
    ),
    _POINT_ORDER,
)
HISTOGRAM_POINTS: Final = Table(
    "otlp_histogram_points",
    (
        *_POINT_KEY,
        _c("count", Kind.UINT64),
        _n("sum", Kind.FLOAT64),  # NULL: absent, which is not 0
        _n("min", Kind.FLOAT64),
        _n("max", Kind.FLOAT64),
        _n("bucket_counts", Kind.UINT64_ARRAY),
        _n("explicit_bounds", Kind.FLOAT64_ARRAY),
        _n("flags", Kind.INT64),
        _n("exemplars", Kind.JSON),
    ),
    _POINT_ORDER,
)
EXPONENTIAL_HISTOGRAM_POINTS: Final = Table(
    "otlp_exponential_histogram_points",
    (
        *_POINT_KEY,
        _c("count", Kind.UINT64),
        _n("sum", Kind.FLOAT64),
        _n("min", Kind.FLOAT64),
        _n("max", Kind.FLOAT64),
        _c("scale", Kind.INT32),
        _c("zero_count", Kind.UINT64),
        _c("zero_threshold", Kind.FLOAT64),
        _n("positive_offset", Kind.INT32),  # NULL: no positive buckets at all
        _n("positive_bucket_counts", Kind.UINT64_ARRAY),
        _n("negative_offset", Kind.INT32),
        _n("negative_bucket_counts", Kind.UINT64_ARRAY),
        _n("flags", Kind.INT64),
        _n("exemplars", Kind.JSON),
    ),
    _POINT_ORDER,
)
SUMMARY_POINTS: Final = Table(
    "otlp_summary_points",
    (
        *_POINT_KEY,
        _c("count", Kind.UINT64),
        _c("sum", Kind.FLOAT64),
        _n("quantiles", Kind.FLOAT64_ARRAY),
        _n("quantile_values", Kind.FLOAT64_ARRAY),
        _n("flags", Kind.INT64),
    ),
    _POINT_ORDER,
)
SPANS: Final = Table(
    "otlp_spans",
    (
        _c("service_name", Kind.TEXT),
        _c("name", Kind.TEXT),
        _c("time", Kind.TIME),  # start
        _n("time_nanos", Kind.INT16),
        _n(
            "duration_nano", Kind.INT64
        ),  # end - start modulo 2^64, negative when clocks disagree; NULL: end is 0
        _c("trace_id", Kind.UUID),
        _c("span_id", Kind.UINT64),
        _n("parent_span_id", Kind.UINT64),  # NULL: root
        _c("kind", Kind.INT32),
        _c("status_code", Kind.INT32),
        _n("status_message", Kind.TEXT),
        _n("trace_state", Kind.TEXT),
        _n("flags", Kind.INT64),
        _n("attributes", Kind.JSON),
        _n("dropped_attributes_count", Kind.INT64),
        _n("events", Kind.JSON),
        _n("dropped_events_count", Kind.INT64),
        _n("links", Kind.JSON),
        _n("dropped_links_count", Kind.INT64),
        _c("resource_id", Kind.UUID),
        _c("scope_id", Kind.UUID),
    ),
    ("service_name", "time"),
)
LOGS: Final = Table(
    "otlp_logs",
    (
        _c("service_name", Kind.TEXT),
        _c("time", Kind.TIME),  # time_unix_nano, or the observed time when that is 0
        _n("time_nanos", Kind.INT16),
        _n("time_unknown", Kind.BOOL),  # true: time_unix_nano was 0 and `time` is the observed time
        _n("observed_time_unix_nano", Kind.UINT64),
        _c("severity_number", Kind.INT32),
        _n("severity_text", Kind.TEXT),
        _n("body", Kind.JSON),  # NULL: no body; the JSON null: a body that is the empty AnyValue
        _n("event_name", Kind.TEXT),
        _n("trace_id", Kind.UUID),
        _n("span_id", Kind.UINT64),
        _n("flags", Kind.INT64),
        _n("attributes", Kind.JSON),
        _n("dropped_attributes_count", Kind.INT64),
        _c("resource_id", Kind.UUID),
        _c("scope_id", Kind.UUID),
    ),
    ("service_name", "time"),
)

# --- costs: hypertables -----------------------------------------------------------------------------------
#
# The ledger of `cost.record`, a table for each level, so that no sum can take in a cost and its parts. Names are those
# of proto/collector/cost/v1, subject's with `subject_` before them. Unlike other facts, a record is in it once,
# whoever sends it: unique by `record_id` and `time`; and of an origin's revisions only the highest (storage.ledger).

COST_NUMBERS: Final = (
    "billed_cost", "effective_cost", "list_cost", "contracted_cost", "pricing_quantity", "consumed_quantity",
    "commitment_discount_quantity", "pricing_currency_effective_cost", "list_unit_price", "contracted_unit_price",
    "pricing_currency_list_unit_price", "pricing_currency_contracted_unit_price",
)  # fmt: skip
COST_TEXTS: Final = (
    "charge_description", "charge_frequency", "pricing_unit", "pricing_category", "consumed_unit",
    "commitment_discount_unit", "pricing_currency", "service_provider_name", "host_provider_name",
    "invoice_issuer_name", "invoice_id", "billing_account_id", "sub_account_id", "region_id", "availability_zone",
    "service_category", "service_subcategory", "service_name", "resource_id", "resource_name", "resource_type",
    "sku_id", "sku_meter", "sku_price_id", "allocated_method_id", "rule_id",
)  # fmt: skip
COST_MAPS: Final = ("sku_price_details", "tags", "columns")
COST_SUBJECT_TEXTS: Final = (
    "service_name", "service_namespace", "environment", "team", "tenant", "k8s_cluster", "k8s_node",
    "k8s_namespace", "k8s_workload_kind", "k8s_workload", "k8s_pod_uid", "k8s_pod", "k8s_container", "operation",
    "resource_id", "resource_name",
)  # fmt: skip
_COST_COLUMNS: Final = (
    _c("record_id", Kind.UUID),
    _c("time", Kind.TIME),  # start of the charge period
    _n("time_nanos", Kind.INT16),
    _c("origin_id", Kind.UUID),
    _n("parent_record_id", Kind.UUID),  # NULL: an origin
    _n("corrects_record_id", Kind.UUID),
    _c("revision", Kind.INT64),
    _c("charge_period_end_unix_nano", Kind.UINT64),
    _c("billing_period_start_unix_nano", Kind.UINT64),
    _c("billing_period_end_unix_nano", Kind.UINT64),
    _c("charge_category", Kind.INT16),  # enums: the numbers of the .proto
    _c("charge_class", Kind.INT16),
    _c("source", Kind.INT16),
    _c("subject_kind", Kind.INT16),
    _c("billing_currency", Kind.TEXT),
    *(_n(name, Kind.NUMERIC) for name in COST_NUMBERS),  # NULL: not known, which is not 0
    *(_n(name, Kind.TEXT) for name in COST_TEXTS),
    *(_n(name, Kind.JSON) for name in COST_MAPS),  # an object of texts, keys sorted
    *(_n(f"subject_{name}", Kind.TEXT) for name in COST_SUBJECT_TEXTS),
    _n("subject_trace_id", Kind.UUID),
    _n("subject_span_id", Kind.UINT64),
    _n("subject_labels", Kind.JSON),
    _n("allocated_elements", Kind.JSON),  # an array of objects; decimals are texts
    _n("rule_version", Kind.INT64),
    _n("recorded_unix_nano", Kind.UINT64),
    _c("refined", Kind.BOOL),  # the store's own: its parts are in the next table
)
_COST_ORDER: Final = ("time", "origin_id", "record_id")
COST_ORIGINS: Final = Table("otlp_cost_origins", _COST_COLUMNS, _COST_ORDER)
COST_ALLOCATIONS: Final = Table("otlp_cost_allocations", _COST_COLUMNS, _COST_ORDER)
COST_REQUESTS: Final = Table("otlp_cost_requests", _COST_COLUMNS, _COST_ORDER)

# --- the writer's own ---------------------------------------------------------------------------------------

# How far each sending queue has come; written in the transaction of the rows (storage.positions).
POSITIONS: Final = Table(
    "otlp_positions",
    (
        _c("queue_id", Kind.UUID),
        _c("position", Kind.INT64),
        _c("updated_at", Kind.TIME),
    ),
)

# --- policies: documents of people, and what became of them -----------------------------------------------

POLICIES: Final = Table(
    "otlp_policies",
    (
        _c("policy_id", Kind.TEXT),  # primary key
        _c("name", Kind.TEXT),  # this and what follows is read from the document, for SQL
        _n("description", Kind.TEXT),
        _c("enabled", Kind.BOOL),
        _c("on_violation", Kind.TEXT),  # advisory, block
        _n("budget", Kind.NUMERIC),
        _n("currency", Kind.TEXT),
        _c("period", Kind.TEXT),
        _c("timezone", Kind.TEXT),
        _n("scope", Kind.JSON),
        _c("document", Kind.JSON),  # as somebody wrote it, to the character
        _c("created_unix_nano", Kind.INT64),
        _c("updated_unix_nano", Kind.INT64),
    ),
)
ANALYSES: Final = Table(
    "otlp_analyses",
    (
        _c("analysis_id", Kind.TEXT),  # primary key
        _c("policy_id", Kind.TEXT),
        _c("time_unix_nano", Kind.INT64),  # of the evaluation
        _c("status", Kind.TEXT),  # pass, advisory, block
        _n("severity", Kind.TEXT),
        _n("mode", Kind.TEXT),  # advisory, blocking: what who asked wanted a violation to be
        _c("period_start_unix_nano", Kind.INT64),
        _c("period_end_unix_nano", Kind.INT64),
        _n("scope", Kind.JSON),
        _c("basis", Kind.TEXT),  # effective, billed
        _n("billing_currency", Kind.TEXT),  # NULL: there are no costs, and the policy names none
        _c("cost", Kind.NUMERIC),
        _n("forecast", Kind.NUMERIC),
        _n("budget", Kind.NUMERIC),
        _n("budget_status", Kind.TEXT),
        _c("reasons", Kind.JSON),
        _n("violation_details", Kind.JSON),
        _c("input", Kind.JSON),  # all that was evaluated
        _c("document", Kind.JSON),  # of the policy, as it was then
    ),
)

POLICY_TABLES: Final = (POLICIES, ANALYSES)
DIMENSIONS: Final = (RESOURCES, SCOPES, SERIES)
METRIC_FACTS: Final = (NUMBER_POINTS, HISTOGRAM_POINTS, EXPONENTIAL_HISTOGRAM_POINTS, SUMMARY_POINTS)
TELEMETRY_FACTS: Final = (*METRIC_FACTS, SPANS, LOGS)
COST_FACTS: Final = (COST_ORIGINS, COST_ALLOCATIONS, COST_REQUESTS)  # by level
FACTS: Final = (*TELEMETRY_FACTS, *COST_FACTS)
FACTS_OF: Final[dict[Signal, tuple[Table, ...]]] = {
    Signal.TRACES: (SPANS,),
    Signal.METRICS: METRIC_FACTS,
    Signal.LOGS: (LOGS,),
    Signal.COSTS: COST_FACTS,
}


def tables_of(what: Signal | Table) -> tuple[Table, ...]:
    """The fact tables of a signal, or the one table that is meant."""
    return (what,) if isinstance(what, Table) else FACTS_OF[what]


SIGNAL_OF: Final = {table.name: signal for signal, tables in FACTS_OF.items() for table in tables}
