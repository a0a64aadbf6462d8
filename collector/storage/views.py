"""What people read: the columns of every documented view, the same on every store (a test compares).

`time` is a timestamptz in
PostgreSQL and ISO 8601 text in SQLite; `time_unix_nano` is the exact integer in both and the one to filter by
in SQLite. JSON columns are jsonb in PostgreSQL and JSON text in SQLite. Ids are lower-case hexadecimal text,
except trace_id, which PostgreSQL shows as uuid (and compares with 32 hex digits as they are).
"""

from __future__ import annotations

from typing import Final

_SERIES_VIEW: Final = ("service_name", "attributes", "resource", "scope_name", "scope_version")
# The columns of the views of costs: of `costs` and of each level.
_COST_VIEW: Final = (
    "time", "end_time", "level", "billing_currency", "billed_cost", "effective_cost", "list_cost",
    "contracted_cost", "pricing_quantity", "consumed_quantity", "commitment_discount_quantity",
    "pricing_currency_effective_cost", "list_unit_price", "contracted_unit_price",
    "pricing_currency_list_unit_price", "pricing_currency_contracted_unit_price", "charge_category", "charge_class",
    "source", "subject_kind", "service_name", "service_namespace", "environment", "team", "tenant", "k8s_cluster",
    "k8s_node", "k8s_namespace", "k8s_workload_kind", "k8s_workload", "k8s_pod_uid", "k8s_pod", "k8s_container",
    "operation", "allocated_resource_id", "allocated_resource_name", "labels", "trace_id", "span_id",
    "charge_description", "charge_frequency", "pricing_unit", "pricing_category", "consumed_unit",
    "commitment_discount_unit", "pricing_currency", "service_provider_name", "host_provider_name",
    "invoice_issuer_name", "invoice_id", "billing_account_id", "sub_account_id", "region_id", "availability_zone",
    "service_category", "service_subcategory", "focus_service_name", "resource_id", "resource_name",
    "resource_type", "sku_id", "sku_meter", "sku_price_id", "allocated_method_id", "rule_id", "sku_price_details",
    "tags", "columns", "allocated_elements", "rule_version", "billing_period_start", "billing_period_end",
    "recorded_time", "record_id", "origin_id", "parent_record_id", "corrects_record_id", "revision",
    "time_unix_nano",
)  # fmt: skip
_COST_TOTALS: Final = (
    "level", "billing_currency", "charge_category", "charge_class", "source", "subject_kind", "service_name",
    "service_namespace", "environment", "team", "tenant", "k8s_cluster", "k8s_namespace", "k8s_workload_kind",
    "k8s_workload", "service_category", "focus_service_name", "pricing_unit", "records", "unpriced", "billed_cost",
    "effective_cost", "list_cost", "contracted_cost", "pricing_quantity",
)  # fmt: skip
VIEWS: Final[dict[str, tuple[str, ...]]] = {
    "metrics": (
        "time", "metric", "type", "unit", "value", "value_int", *_SERIES_VIEW, "temporality", "monotonic",
        "description", "start_time", "flags", "exemplars", "series_id", "stream_id", "time_unix_nano",
    ),
    "histograms": (
        "time", "metric", "type", "unit", "count", "sum", "min", "max", "mean", *_SERIES_VIEW, "temporality",
        "description", "bucket_counts", "explicit_bounds", "scale", "zero_count", "zero_threshold",
        "positive_offset", "positive_bucket_counts", "negative_offset", "negative_bucket_counts",
        "start_time", "flags", "exemplars", "series_id", "stream_id", "time_unix_nano",
    ),
    "summaries": (
        "time", "metric", "unit", "count", "sum", "quantiles", "quantile_values", *_SERIES_VIEW, "description",
        "start_time", "flags", "series_id", "stream_id", "time_unix_nano",
    ),
    "spans": (
        "time", "service_name", "name", "kind", "duration_ms", "status", "status_message", "trace_id", "span_id",
        "parent_span_id", "attributes", "events", "links", "resource", "scope_name", "scope_version",
        "trace_state", "flags", "end_time", "duration_nano", "time_unix_nano",
    ),
    "traces": (
        "trace_id", "time", "service_name", "name", "duration_ms", "spans", "errors", "services", "time_unix_nano",
    ),
    "logs": (
        "time", "service_name", "severity_number", "severity_text", "body", "event_name", "attributes",
        "trace_id", "span_id", "resource", "scope_name", "scope_version", "flags", "observed_time",
        "time_unix_nano",
    ),
    "services": ("service_name", "service_namespace", "instances", "resources"),
    "metrics_hourly": (
        "hour", "metric", "type", "unit", *_SERIES_VIEW, "points", "min", "max", "avg", "sum", "first", "last",
        "series_id",
    ),
    "services_hourly": (
        "hour", "service_name", "requests", "errors", "avg_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms",
    ),
    "costs": _COST_VIEW,
    "cost_origins": _COST_VIEW,
    "cost_allocations": _COST_VIEW,
    "cost_requests": _COST_VIEW,
    "costs_hourly": ("hour", *_COST_TOTALS),
    "costs_daily": ("day", *_COST_TOTALS),
    "cost_balance": (
        "time", "level", "record_id", "origin_id", "billing_currency", "amount", "whole", "parts", "difference",
        "missing",
    ),
    "policies": (
        "policy_id", "name", "description", "enabled", "on_violation", "budget", "currency", "period", "timezone",
        "scope", "document", "created_time", "updated_time",
    ),
    "analyses": (
        "time", "policy_id", "policy_status", "severity", "reason", "billing_currency", "cost", "forecast", "budget",
        "budget_status", "period_start", "period_end", "scope", "basis", "mode", "reasons", "violation_details",
        "input", "document", "analysis_id", "time_unix_nano",
    ),
}  # fmt: skip
