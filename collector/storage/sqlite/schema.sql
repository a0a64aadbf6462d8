-- What the migrations in sql/ add up to, to be read; nothing runs this file (a test compares).
--
-- Tables: collector/storage/tables.py says what each column means. Views: collector/storage/README.md.
--
-- Columns that hold doubles have no declared type: a REAL column stores whole numbers as integers and so makes 0.0
-- of -0.0. NaN, which SQLite would make NULL, is the text 'NaN'.

CREATE TABLE otlp_resources (
    resource_id BLOB NOT NULL PRIMARY KEY,
    service_name TEXT NOT NULL,
    service_namespace TEXT NOT NULL,
    service_instance_id TEXT NOT NULL,
    attributes TEXT NOT NULL,
    dropped_attributes_count INTEGER,
    entity_refs TEXT,
    schema_url TEXT
) WITHOUT ROWID;

CREATE TABLE otlp_scopes (
    scope_id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    attributes TEXT NOT NULL,
    dropped_attributes_count INTEGER,
    schema_url TEXT
) WITHOUT ROWID;

CREATE TABLE otlp_series (
    series_id INTEGER NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL,
    stream_id BLOB NOT NULL,
    metric TEXT NOT NULL,
    type TEXT NOT NULL,
    unit TEXT NOT NULL,
    temporality INTEGER,
    monotonic INTEGER,
    description TEXT NOT NULL,
    metadata TEXT,
    attributes TEXT NOT NULL,
    service_name TEXT NOT NULL,
    resource_id BLOB NOT NULL,
    scope_id BLOB NOT NULL
);
CREATE INDEX otlp_series_metric ON otlp_series (metric);

CREATE TABLE otlp_positions (
    queue_id BLOB NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Indexes hold the exact time, as the views compute it, so that `time_unix_nano >= …` finds them. (metric, time) costs
-- half the writing time of (metric, series, time) and answers all but one series of thousands as fast.

CREATE TABLE otlp_number_points (
    metric TEXT NOT NULL,
    series_id INTEGER NOT NULL,
    time INTEGER NOT NULL,
    time_nanos INTEGER,
    start_time_unix_nano INTEGER,
    value,
    value_int INTEGER,
    flags INTEGER,
    exemplars TEXT
);
CREATE INDEX otlp_number_points_metric ON otlp_number_points (metric, (time * 1000 + coalesce(time_nanos, 0)));
CREATE INDEX otlp_number_points_time ON otlp_number_points ((time * 1000 + coalesce(time_nanos, 0)));

CREATE TABLE otlp_histogram_points (
    metric TEXT NOT NULL,
    series_id INTEGER NOT NULL,
    time INTEGER NOT NULL,
    time_nanos INTEGER,
    start_time_unix_nano INTEGER,
    count INTEGER NOT NULL,
    sum,
    min,
    max,
    bucket_counts TEXT,
    explicit_bounds TEXT,
    flags INTEGER,
    exemplars TEXT
);
CREATE INDEX otlp_histogram_points_metric ON otlp_histogram_points (metric, (time * 1000 + coalesce(time_nanos, 0)));
CREATE INDEX otlp_histogram_points_time ON otlp_histogram_points ((time * 1000 + coalesce(time_nanos, 0)));

CREATE TABLE otlp_exponential_histogram_points (
    metric TEXT NOT NULL,
    series_id INTEGER NOT NULL,
    time INTEGER NOT NULL,
    time_nanos INTEGER,
    start_time_unix_nano INTEGER,
    count INTEGER NOT NULL,
    sum,
    min,
    max,
    scale INTEGER NOT NULL,
    zero_count INTEGER NOT NULL,
    zero_threshold NOT NULL,
    positive_offset INTEGER,
    positive_bucket_counts TEXT,
    negative_offset INTEGER,
    negative_bucket_counts TEXT,
    flags INTEGER,
    exemplars TEXT
);
CREATE INDEX otlp_exponential_histogram_points_metric ON otlp_exponential_histogram_points (metric, (time * 1000 + coalesce(time_nanos, 0)));
CREATE INDEX otlp_exponential_histogram_points_time ON otlp_exponential_histogram_points ((time * 1000 + coalesce(time_nanos, 0)));

CREATE TABLE otlp_summary_points (
    metric TEXT NOT NULL,
    series_id INTEGER NOT NULL,
    time INTEGER NOT NULL,
    time_nanos INTEGER,
    start_time_unix_nano INTEGER,
    count INTEGER NOT NULL,
    sum NOT NULL,
    quantiles TEXT,
    quantile_values TEXT,
    flags INTEGER
);
CREATE INDEX otlp_summary_points_metric ON otlp_summary_points (metric, (time * 1000 + coalesce(time_nanos, 0)));
CREATE INDEX otlp_summary_points_time ON otlp_summary_points ((time * 1000 + coalesce(time_nanos, 0)));

CREATE TABLE otlp_spans (
    service_name TEXT NOT NULL,
    name TEXT NOT NULL,
    time INTEGER NOT NULL,
    time_nanos INTEGER,
    duration_nano INTEGER,
    trace_id BLOB NOT NULL,
    span_id INTEGER NOT NULL,
    parent_span_id INTEGER,
    kind INTEGER NOT NULL,
    status_code INTEGER NOT NULL,
    status_message TEXT,
    trace_state TEXT,
    flags INTEGER,
    attributes TEXT,
    dropped_attributes_count INTEGER,
    events TEXT,
    dropped_events_count INTEGER,
    links TEXT,
    dropped_links_count INTEGER,
    resource_id BLOB NOT NULL,
    scope_id BLOB NOT NULL
);
CREATE INDEX otlp_spans_service ON otlp_spans (service_name, (time * 1000 + coalesce(time_nanos, 0)));
CREATE INDEX otlp_spans_time ON otlp_spans ((time * 1000 + coalesce(time_nanos, 0)));
-- Hexadecimal, as the views show it: `WHERE trace_id = '5b8e…'` must find it.
CREATE INDEX otlp_spans_trace ON otlp_spans (lower(hex(trace_id)));

CREATE TABLE otlp_logs (
    service_name TEXT NOT NULL,
    time INTEGER NOT NULL,
    time_nanos INTEGER,
    time_unknown INTEGER,
    observed_time_unix_nano INTEGER,
    severity_number INTEGER NOT NULL,
    severity_text TEXT,
    body TEXT,
    event_name TEXT,
    trace_id BLOB,
    span_id INTEGER,
    flags INTEGER,
    attributes TEXT,
    dropped_attributes_count INTEGER,
    resource_id BLOB NOT NULL,
    scope_id BLOB NOT NULL
);
CREATE INDEX otlp_logs_service ON otlp_logs (service_name, (time * 1000 + coalesce(time_nanos, 0)));
CREATE INDEX otlp_logs_time ON otlp_logs ((time * 1000 + coalesce(time_nanos, 0)));
CREATE INDEX otlp_logs_trace ON otlp_logs (nullif(lower(hex(trace_id)), ''));

-- Times of the tables are µs and a rest of ns; those of OTLP's fixed64 are unsigned ns in signed 64 bits, which is why
-- they are halved before they are divided.

CREATE VIEW metrics AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', p.time / 1000000, 'unixepoch')
        || printf('.%06d%03dZ', p.time % 1000000, coalesce(p.time_nanos, 0)) AS time,
    p.metric,
    s.type,
    s.unit,
    coalesce(p.value, CAST(p.value_int AS REAL)) AS value,
    p.value_int,
    s.service_name,
    s.attributes,
    r.attributes AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    CASE s.temporality WHEN 1 THEN 'delta' WHEN 2 THEN 'cumulative' ELSE CAST(s.temporality AS TEXT) END AS temporality,
    s.monotonic,
    s.description,
    strftime('%Y-%m-%dT%H:%M:%S', ((p.start_time_unix_nano >> 1) & 9223372036854775807) / 500000000, 'unixepoch')
        || printf('.%09dZ', ((p.start_time_unix_nano >> 1) & 9223372036854775807) % 500000000 * 2 + (p.start_time_unix_nano & 1)) AS start_time,
    p.flags,
    p.exemplars,
    p.series_id,
    lower(hex(s.stream_id)) AS stream_id,
    (p.time * 1000 + coalesce(p.time_nanos, 0)) AS time_unix_nano
FROM otlp_number_points p
LEFT JOIN otlp_series s ON s.series_id = p.series_id
LEFT JOIN otlp_resources r ON r.resource_id = s.resource_id
LEFT JOIN otlp_scopes c ON c.scope_id = s.scope_id;

CREATE VIEW histograms AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', p.time / 1000000, 'unixepoch')
        || printf('.%06d%03dZ', p.time % 1000000, coalesce(p.time_nanos, 0)) AS time,
    p.metric,
    s.type,
    s.unit,
    CASE WHEN p.count < 0 THEN printf('%u', p.count) ELSE p.count END AS count,
    p.sum,
    p.min,
    p.max,
    p.sum / nullif(CASE WHEN p.count < 0 THEN p.count + 18446744073709551616.0 ELSE p.count END, 0) AS mean,
    s.service_name,
    s.attributes,
    r.attributes AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    CASE s.temporality WHEN 1 THEN 'delta' WHEN 2 THEN 'cumulative' ELSE CAST(s.temporality AS TEXT) END AS temporality,
    s.description,
    p.bucket_counts,
    p.explicit_bounds,
    NULL AS scale,
    NULL AS zero_count,
    NULL AS zero_threshold,
    NULL AS positive_offset,
    NULL AS positive_bucket_counts,
    NULL AS negative_offset,
    NULL AS negative_bucket_counts,
    strftime('%Y-%m-%dT%H:%M:%S', ((p.start_time_unix_nano >> 1) & 9223372036854775807) / 500000000, 'unixepoch')
        || printf('.%09dZ', ((p.start_time_unix_nano >> 1) & 9223372036854775807) % 500000000 * 2 + (p.start_time_unix_nano & 1)) AS start_time,
    p.flags,
    p.exemplars,
    p.series_id,
    lower(hex(s.stream_id)) AS stream_id,
    (p.time * 1000 + coalesce(p.time_nanos, 0)) AS time_unix_nano
FROM otlp_histogram_points p
LEFT JOIN otlp_series s ON s.series_id = p.series_id
LEFT JOIN otlp_resources r ON r.resource_id = s.resource_id
LEFT JOIN otlp_scopes c ON c.scope_id = s.scope_id
UNION ALL
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', p.time / 1000000, 'unixepoch')
        || printf('.%06d%03dZ', p.time % 1000000, coalesce(p.time_nanos, 0)) AS time,
    p.metric,
    s.type,
    s.unit,
    CASE WHEN p.count < 0 THEN printf('%u', p.count) ELSE p.count END AS count,
    p.sum,
    p.min,
    p.max,
    p.sum / nullif(CASE WHEN p.count < 0 THEN p.count + 18446744073709551616.0 ELSE p.count END, 0) AS mean,
    s.service_name,
    s.attributes,
    r.attributes AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    CASE s.temporality WHEN 1 THEN 'delta' WHEN 2 THEN 'cumulative' ELSE CAST(s.temporality AS TEXT) END AS temporality,
    s.description,
    NULL,
    NULL,
    p.scale,
    CASE WHEN p.zero_count < 0 THEN printf('%u', p.zero_count) ELSE p.zero_count END,
    p.zero_threshold,
    p.positive_offset,
    p.positive_bucket_counts,
    p.negative_offset,
    p.negative_bucket_counts,
    strftime('%Y-%m-%dT%H:%M:%S', ((p.start_time_unix_nano >> 1) & 9223372036854775807) / 500000000, 'unixepoch')
        || printf('.%09dZ', ((p.start_time_unix_nano >> 1) & 9223372036854775807) % 500000000 * 2 + (p.start_time_unix_nano & 1)) AS start_time,
    p.flags,
    p.exemplars,
    p.series_id,
    lower(hex(s.stream_id)) AS stream_id,
    (p.time * 1000 + coalesce(p.time_nanos, 0)) AS time_unix_nano
FROM otlp_exponential_histogram_points p
LEFT JOIN otlp_series s ON s.series_id = p.series_id
LEFT JOIN otlp_resources r ON r.resource_id = s.resource_id
LEFT JOIN otlp_scopes c ON c.scope_id = s.scope_id;

CREATE VIEW summaries AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', p.time / 1000000, 'unixepoch')
        || printf('.%06d%03dZ', p.time % 1000000, coalesce(p.time_nanos, 0)) AS time,
    p.metric,
    s.unit,
    CASE WHEN p.count < 0 THEN printf('%u', p.count) ELSE p.count END AS count,
    p.sum,
    p.quantiles,
    p.quantile_values,
    s.service_name,
    s.attributes,
    r.attributes AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    s.description,
    strftime('%Y-%m-%dT%H:%M:%S', ((p.start_time_unix_nano >> 1) & 9223372036854775807) / 500000000, 'unixepoch')
        || printf('.%09dZ', ((p.start_time_unix_nano >> 1) & 9223372036854775807) % 500000000 * 2 + (p.start_time_unix_nano & 1)) AS start_time,
    p.flags,
    p.series_id,
    lower(hex(s.stream_id)) AS stream_id,
    (p.time * 1000 + coalesce(p.time_nanos, 0)) AS time_unix_nano
FROM otlp_summary_points p
LEFT JOIN otlp_series s ON s.series_id = p.series_id
LEFT JOIN otlp_resources r ON r.resource_id = s.resource_id
LEFT JOIN otlp_scopes c ON c.scope_id = s.scope_id;

CREATE VIEW spans AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', p.time / 1000000, 'unixepoch')
        || printf('.%06d%03dZ', p.time % 1000000, coalesce(p.time_nanos, 0)) AS time,
    p.service_name,
    p.name,
    CASE p.kind
        WHEN 0 THEN 'unspecified' WHEN 1 THEN 'internal' WHEN 2 THEN 'server' WHEN 3 THEN 'client'
        WHEN 4 THEN 'producer' WHEN 5 THEN 'consumer' ELSE CAST(p.kind AS TEXT)
    END AS kind,
    p.duration_nano / 1e6 AS duration_ms,
    CASE p.status_code
        WHEN 0 THEN 'unset' WHEN 1 THEN 'ok' WHEN 2 THEN 'error' ELSE CAST(p.status_code AS TEXT)
    END AS status,
    p.status_message,
    lower(hex(p.trace_id)) AS trace_id,
    printf('%016x', p.span_id) AS span_id,
    CASE WHEN p.parent_span_id IS NOT NULL THEN printf('%016x', p.parent_span_id) END AS parent_span_id,
    coalesce(p.attributes, '{}') AS attributes,
    p.events,
    p.links,
    r.attributes AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    p.trace_state,
    p.flags,
    strftime('%Y-%m-%dT%H:%M:%S', ((p.end_time_unix_nano >> 1) & 9223372036854775807) / 500000000, 'unixepoch')
        || printf('.%09dZ', ((p.end_time_unix_nano >> 1) & 9223372036854775807) % 500000000 * 2 + (p.end_time_unix_nano & 1)) AS end_time,
    p.duration_nano,
    (p.time * 1000 + coalesce(p.time_nanos, 0)) AS time_unix_nano
FROM (
    SELECT
        p.*,
        CASE typeof(p.time * 1000 + coalesce(p.time_nanos, 0) + p.duration_nano)
            WHEN 'real' THEN -- past 2^63: wrapped by hand
                p.time * 1000 + coalesce(p.time_nanos, 0) - 9223372036854775807 - 1 + p.duration_nano
                - 9223372036854775807 - 1
            ELSE p.time * 1000 + coalesce(p.time_nanos, 0) + p.duration_nano
        END AS end_time_unix_nano
    FROM otlp_spans p
) p
LEFT JOIN otlp_resources r ON r.resource_id = p.resource_id
LEFT JOIN otlp_scopes c ON c.scope_id = p.scope_id;

CREATE VIEW traces AS
SELECT
    t.trace_id,
    strftime('%Y-%m-%dT%H:%M:%S', t.time_unix_nano / 1000000000, 'unixepoch')
        || printf('.%09dZ', t.time_unix_nano % 1000000000) AS time,
    root.service_name,
    root.name,
    t.duration_nano / 1e6 AS duration_ms,
    t.spans,
    t.errors,
    t.services,
    t.time_unix_nano
FROM (
    SELECT
        lower(hex(trace_id)) AS trace_id,
        min((time * 1000 + coalesce(time_nanos, 0))) AS time_unix_nano,
        max((time * 1000 + coalesce(time_nanos, 0)) + duration_nano) - min((time * 1000 + coalesce(time_nanos, 0))) AS duration_nano,
        count(*) AS spans,
        sum(status_code = 2) AS errors,
        count(DISTINCT service_name) AS services
    FROM otlp_spans
    GROUP BY lower(hex(trace_id))
) t
JOIN otlp_spans root ON root.rowid = (
    SELECT o.rowid
    FROM otlp_spans o
    WHERE lower(hex(o.trace_id)) = t.trace_id
    ORDER BY o.parent_span_id IS NOT NULL, (o.time * 1000 + coalesce(o.time_nanos, 0)), o.span_id
    LIMIT 1
);

CREATE VIEW logs AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', p.time / 1000000, 'unixepoch')
        || printf('.%06d%03dZ', p.time % 1000000, coalesce(p.time_nanos, 0)) AS time,
    p.service_name,
    p.severity_number,
    p.severity_text,
    p.body,
    p.event_name,
    coalesce(p.attributes, '{}') AS attributes,
    nullif(lower(hex(p.trace_id)), '') AS trace_id,
    CASE WHEN p.span_id IS NOT NULL THEN printf('%016x', p.span_id) END AS span_id,
    r.attributes AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    p.flags,
    strftime('%Y-%m-%dT%H:%M:%S', ((p.observed_time_unix_nano >> 1) & 9223372036854775807) / 500000000, 'unixepoch')
        || printf('.%09dZ', ((p.observed_time_unix_nano >> 1) & 9223372036854775807) % 500000000 * 2 + (p.observed_time_unix_nano & 1)) AS observed_time,
    (p.time * 1000 + coalesce(p.time_nanos, 0)) AS time_unix_nano
FROM otlp_logs p
LEFT JOIN otlp_resources r ON r.resource_id = p.resource_id
LEFT JOIN otlp_scopes c ON c.scope_id = p.scope_id;

CREATE VIEW services AS
SELECT
    service_name,
    service_namespace,
    count(DISTINCT nullif(service_instance_id, '')) AS instances,
    count(*) AS resources
FROM otlp_resources
GROUP BY service_name, service_namespace;

CREATE VIEW metrics_hourly AS
SELECT
    strftime('%Y-%m-%dT%H:00:00Z', p.hour * 3600, 'unixepoch') AS hour,
    p.metric,
    s.type,
    s.unit,
    s.service_name,
    s.attributes,
    r.attributes AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    count(*) AS points,
    min(p.value) AS min,
    max(p.value) AS max,
    avg(p.value) AS avg,
    sum(p.value) AS sum,
    p.first,
    p.last,
    p.series_id
FROM (
    SELECT
        metric,
        series_id,
        time / 3600000000 AS hour,
        coalesce(value, CAST(value_int AS REAL)) AS value,
        first_value(coalesce(value, CAST(value_int AS REAL))) OVER of_hour AS first,
        last_value(coalesce(value, CAST(value_int AS REAL))) OVER of_hour AS last
    FROM otlp_number_points
    WHERE typeof(coalesce(value, value_int)) IN ('real', 'integer')
    WINDOW of_hour AS (
        PARTITION BY metric, series_id, time / 3600000000
        ORDER BY (time * 1000 + coalesce(time_nanos, 0))
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
) p
LEFT JOIN otlp_series s ON s.series_id = p.series_id
LEFT JOIN otlp_resources r ON r.resource_id = s.resource_id
LEFT JOIN otlp_scopes c ON c.scope_id = s.scope_id
GROUP BY p.metric, p.series_id, p.hour;

-- A percentile by nearest rank is the smallest value with at least that share of the values at or below it.
CREATE VIEW services_hourly AS
SELECT
    strftime('%Y-%m-%dT%H:00:00Z', hour * 3600, 'unixepoch') AS hour,
    service_name,
    count(*) AS requests,
    sum(status_code = 2) AS errors,
    avg(duration_nano) / 1e6 AS avg_ms,
    min(CASE WHEN rank * 100 >= durations * 50 THEN duration_nano END) / 1e6 AS p50_ms,
    min(CASE WHEN rank * 100 >= durations * 95 THEN duration_nano END) / 1e6 AS p95_ms,
    min(CASE WHEN rank * 100 >= durations * 99 THEN duration_nano END) / 1e6 AS p99_ms,
    max(duration_nano) / 1e6 AS max_ms
FROM (
    SELECT
        time / 3600000000 AS hour,
        service_name,
        status_code,
        duration_nano,
        count(duration_nano) OVER (PARTITION BY service_name, time / 3600000000) AS durations,
        row_number() OVER (
            PARTITION BY service_name, time / 3600000000, duration_nano IS NULL ORDER BY duration_nano
        ) AS rank
    FROM otlp_spans
    WHERE kind IN (2, 5) OR parent_span_id IS NULL
)
GROUP BY service_name, hour;

-- Costs: a table for each level of the ledger (collector/storage/README.md, "Costs"). Amounts are text, exact; the functions
-- decimal_sum and decimal_sub are this program's (storage/sqlite/decimals.py).

CREATE TABLE otlp_cost_origins (
    record_id BLOB NOT NULL,
    time INTEGER NOT NULL,
    time_nanos INTEGER,
    origin_id BLOB NOT NULL,
    parent_record_id BLOB,
    corrects_record_id BLOB,
    revision INTEGER NOT NULL,
    charge_period_end_unix_nano INTEGER NOT NULL,
    billing_period_start_unix_nano INTEGER NOT NULL,
    billing_period_end_unix_nano INTEGER NOT NULL,
    charge_category INTEGER NOT NULL,
    charge_class INTEGER NOT NULL,
    source INTEGER NOT NULL,
    subject_kind INTEGER NOT NULL,
    billing_currency TEXT NOT NULL,
    billed_cost TEXT,
    effective_cost TEXT,
    list_cost TEXT,
    contracted_cost TEXT,
    pricing_quantity TEXT,
    consumed_quantity TEXT,
    commitment_discount_quantity TEXT,
    pricing_currency_effective_cost TEXT,
    list_unit_price TEXT,
    contracted_unit_price TEXT,
    pricing_currency_list_unit_price TEXT,
    pricing_currency_contracted_unit_price TEXT,
    charge_description TEXT,
    charge_frequency TEXT,
    pricing_unit TEXT,
    pricing_category TEXT,
    consumed_unit TEXT,
    commitment_discount_unit TEXT,
    pricing_currency TEXT,
    service_provider_name TEXT,
    host_provider_name TEXT,
    invoice_issuer_name TEXT,
    invoice_id TEXT,
    billing_account_id TEXT,
    sub_account_id TEXT,
    region_id TEXT,
    availability_zone TEXT,
    service_category TEXT,
    service_subcategory TEXT,
    service_name TEXT,
    resource_id TEXT,
    resource_name TEXT,
    resource_type TEXT,
    sku_id TEXT,
    sku_meter TEXT,
    sku_price_id TEXT,
    allocated_method_id TEXT,
    rule_id TEXT,
    sku_price_details TEXT,
    tags TEXT,
    columns TEXT,
    subject_service_name TEXT,
    subject_service_namespace TEXT,
    subject_environment TEXT,
    subject_team TEXT,
    subject_tenant TEXT,
    subject_k8s_cluster TEXT,
    subject_k8s_node TEXT,
    subject_k8s_namespace TEXT,
    subject_k8s_workload_kind TEXT,
    subject_k8s_workload TEXT,
    subject_k8s_pod_uid TEXT,
    subject_k8s_pod TEXT,
    subject_k8s_container TEXT,
    subject_operation TEXT,
    subject_resource_id TEXT,
    subject_resource_name TEXT,
    subject_trace_id BLOB,
    subject_span_id INTEGER,
    subject_labels TEXT,
    allocated_elements TEXT,
    rule_version INTEGER,
    recorded_unix_nano INTEGER,
    refined INTEGER NOT NULL
);
CREATE UNIQUE INDEX otlp_cost_origins_once ON otlp_cost_origins (record_id, time);
CREATE INDEX otlp_cost_origins_parts ON otlp_cost_origins (origin_id, time);
CREATE INDEX otlp_cost_origins_time ON otlp_cost_origins ((time * 1000 + coalesce(time_nanos, 0)));

CREATE TABLE otlp_cost_allocations (
    record_id BLOB NOT NULL,
    time INTEGER NOT NULL,
    time_nanos INTEGER,
    origin_id BLOB NOT NULL,
    parent_record_id BLOB,
    corrects_record_id BLOB,
    revision INTEGER NOT NULL,
    charge_period_end_unix_nano INTEGER NOT NULL,
    billing_period_start_unix_nano INTEGER NOT NULL,
    billing_period_end_unix_nano INTEGER NOT NULL,
    charge_category INTEGER NOT NULL,
    charge_class INTEGER NOT NULL,
    source INTEGER NOT NULL,
    subject_kind INTEGER NOT NULL,
    billing_currency TEXT NOT NULL,
    billed_cost TEXT,
    effective_cost TEXT,
    list_cost TEXT,
    contracted_cost TEXT,
    pricing_quantity TEXT,
    consumed_quantity TEXT,
    commitment_discount_quantity TEXT,
    pricing_currency_effective_cost TEXT,
    list_unit_price TEXT,
    contracted_unit_price TEXT,
    pricing_currency_list_unit_price TEXT,
    pricing_currency_contracted_unit_price TEXT,
    charge_description TEXT,
    charge_frequency TEXT,
    pricing_unit TEXT,
    pricing_category TEXT,
    consumed_unit TEXT,
    commitment_discount_unit TEXT,
    pricing_currency TEXT,
    service_provider_name TEXT,
    host_provider_name TEXT,
    invoice_issuer_name TEXT,
    invoice_id TEXT,
    billing_account_id TEXT,
    sub_account_id TEXT,
    region_id TEXT,
    availability_zone TEXT,
    service_category TEXT,
    service_subcategory TEXT,
    service_name TEXT,
    resource_id TEXT,
    resource_name TEXT,
    resource_type TEXT,
    sku_id TEXT,
    sku_meter TEXT,
    sku_price_id TEXT,
    allocated_method_id TEXT,
    rule_id TEXT,
    sku_price_details TEXT,
    tags TEXT,
    columns TEXT,
    subject_service_name TEXT,
    subject_service_namespace TEXT,
    subject_environment TEXT,
    subject_team TEXT,
    subject_tenant TEXT,
    subject_k8s_cluster TEXT,
    subject_k8s_node TEXT,
    subject_k8s_namespace TEXT,
    subject_k8s_workload_kind TEXT,
    subject_k8s_workload TEXT,
    subject_k8s_pod_uid TEXT,
    subject_k8s_pod TEXT,
    subject_k8s_container TEXT,
    subject_operation TEXT,
    subject_resource_id TEXT,
    subject_resource_name TEXT,
    subject_trace_id BLOB,
    subject_span_id INTEGER,
    subject_labels TEXT,
    allocated_elements TEXT,
    rule_version INTEGER,
    recorded_unix_nano INTEGER,
    refined INTEGER NOT NULL
);
CREATE UNIQUE INDEX otlp_cost_allocations_once ON otlp_cost_allocations (record_id, time);
CREATE INDEX otlp_cost_allocations_parts ON otlp_cost_allocations (origin_id, time, parent_record_id);
CREATE INDEX otlp_cost_allocations_time ON otlp_cost_allocations ((time * 1000 + coalesce(time_nanos, 0)));

CREATE TABLE otlp_cost_requests (
    record_id BLOB NOT NULL,
    time INTEGER NOT NULL,
    time_nanos INTEGER,
    origin_id BLOB NOT NULL,
    parent_record_id BLOB,
    corrects_record_id BLOB,
    revision INTEGER NOT NULL,
    charge_period_end_unix_nano INTEGER NOT NULL,
    billing_period_start_unix_nano INTEGER NOT NULL,
    billing_period_end_unix_nano INTEGER NOT NULL,
    charge_category INTEGER NOT NULL,
    charge_class INTEGER NOT NULL,
    source INTEGER NOT NULL,
    subject_kind INTEGER NOT NULL,
    billing_currency TEXT NOT NULL,
    billed_cost TEXT,
    effective_cost TEXT,
    list_cost TEXT,
    contracted_cost TEXT,
    pricing_quantity TEXT,
    consumed_quantity TEXT,
    commitment_discount_quantity TEXT,
    pricing_currency_effective_cost TEXT,
    list_unit_price TEXT,
    contracted_unit_price TEXT,
    pricing_currency_list_unit_price TEXT,
    pricing_currency_contracted_unit_price TEXT,
    charge_description TEXT,
    charge_frequency TEXT,
    pricing_unit TEXT,
    pricing_category TEXT,
    consumed_unit TEXT,
    commitment_discount_unit TEXT,
    pricing_currency TEXT,
    service_provider_name TEXT,
    host_provider_name TEXT,
    invoice_issuer_name TEXT,
    invoice_id TEXT,
    billing_account_id TEXT,
    sub_account_id TEXT,
    region_id TEXT,
    availability_zone TEXT,
    service_category TEXT,
    service_subcategory TEXT,
    service_name TEXT,
    resource_id TEXT,
    resource_name TEXT,
    resource_type TEXT,
    sku_id TEXT,
    sku_meter TEXT,
    sku_price_id TEXT,
    allocated_method_id TEXT,
    rule_id TEXT,
    sku_price_details TEXT,
    tags TEXT,
    columns TEXT,
    subject_service_name TEXT,
    subject_service_namespace TEXT,
    subject_environment TEXT,
    subject_team TEXT,
    subject_tenant TEXT,
    subject_k8s_cluster TEXT,
    subject_k8s_node TEXT,
    subject_k8s_namespace TEXT,
    subject_k8s_workload_kind TEXT,
    subject_k8s_workload TEXT,
    subject_k8s_pod_uid TEXT,
    subject_k8s_pod TEXT,
    subject_k8s_container TEXT,
    subject_operation TEXT,
    subject_resource_id TEXT,
    subject_resource_name TEXT,
    subject_trace_id BLOB,
    subject_span_id INTEGER,
    subject_labels TEXT,
    allocated_elements TEXT,
    rule_version INTEGER,
    recorded_unix_nano INTEGER,
    refined INTEGER NOT NULL
);
CREATE UNIQUE INDEX otlp_cost_requests_once ON otlp_cost_requests (record_id, time);
CREATE INDEX otlp_cost_requests_parts ON otlp_cost_requests (origin_id, time, parent_record_id);
CREATE INDEX otlp_cost_requests_time ON otlp_cost_requests ((time * 1000 + coalesce(time_nanos, 0)));

-- The tables as one. A leaf has no parts; `refined` says so but for those whose parts were too old to be kept.
CREATE VIEW otlp_cost_records AS
SELECT
    'origin' AS level,
    NOT p.refined OR NOT EXISTS (
        SELECT 1 FROM otlp_cost_allocations AS c
        WHERE c.origin_id = p.origin_id AND c.time = p.time AND c.parent_record_id = p.record_id
    ) AS leaf,
    p.*
FROM otlp_cost_origins AS p
UNION ALL
SELECT
    'allocation' AS level,
    NOT p.refined OR NOT EXISTS (
        SELECT 1 FROM otlp_cost_requests AS c
        WHERE c.origin_id = p.origin_id AND c.time = p.time AND c.parent_record_id = p.record_id
    ) AS leaf,
    p.*
FROM otlp_cost_allocations AS p
UNION ALL
SELECT
    'request' AS level,
    true AS leaf,
    p.*
FROM otlp_cost_requests AS p;

CREATE VIEW otlp_cost_records_shown AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', p.time / 1000000, 'unixepoch')
        || printf('.%06d%03dZ', p.time % 1000000, coalesce(p.time_nanos, 0)) AS time,
    strftime('%Y-%m-%dT%H:%M:%S', ((p.charge_period_end_unix_nano >> 1) & 9223372036854775807) / 500000000, 'unixepoch')
        || printf('.%09dZ', ((p.charge_period_end_unix_nano >> 1) & 9223372036854775807) % 500000000 * 2 + (p.charge_period_end_unix_nano & 1)) AS end_time,
    p.level,
    p.billing_currency,
    p.billed_cost,
    p.effective_cost,
    p.list_cost,
    p.contracted_cost,
    p.pricing_quantity,
    p.consumed_quantity,
    p.commitment_discount_quantity,
    p.pricing_currency_effective_cost,
    p.list_unit_price,
    p.contracted_unit_price,
    p.pricing_currency_list_unit_price,
    p.pricing_currency_contracted_unit_price,
    CASE p.charge_category WHEN 1 THEN 'usage' WHEN 2 THEN 'purchase' WHEN 3 THEN 'tax' WHEN 4 THEN 'credit' WHEN 5 THEN 'adjustment' ELSE CAST(p.charge_category AS text) END AS charge_category,
    CASE p.charge_class WHEN 1 THEN 'correction' END AS charge_class,
    CASE p.source WHEN 1 THEN 'price_book' WHEN 2 THEN 'reported_by_provider' WHEN 3 THEN 'reported_by_client' WHEN 4 THEN 'invoice' WHEN 5 THEN 'reconciled' WHEN 6 THEN 'unpriced' ELSE CAST(p.source AS text) END AS source,
    CASE p.subject_kind WHEN 0 THEN 'unspecified' WHEN 1 THEN 'workload' WHEN 2 THEN 'request_group' WHEN 3 THEN 'span' WHEN 4 THEN 'idle' WHEN 5 THEN 'shared' WHEN 6 THEN 'overhead' WHEN 7 THEN 'unallocated' WHEN 8 THEN 'other' ELSE CAST(p.subject_kind AS text) END AS subject_kind,
    p.subject_service_name AS service_name,
    p.subject_service_namespace AS service_namespace,
    p.subject_environment AS environment,
    p.subject_team AS team,
    p.subject_tenant AS tenant,
    p.subject_k8s_cluster AS k8s_cluster,
    p.subject_k8s_node AS k8s_node,
    p.subject_k8s_namespace AS k8s_namespace,
    p.subject_k8s_workload_kind AS k8s_workload_kind,
    p.subject_k8s_workload AS k8s_workload,
    p.subject_k8s_pod_uid AS k8s_pod_uid,
    p.subject_k8s_pod AS k8s_pod,
    p.subject_k8s_container AS k8s_container,
    p.subject_operation AS operation,
    p.subject_resource_id AS allocated_resource_id,
    p.subject_resource_name AS allocated_resource_name,
    p.subject_labels AS labels,
    nullif(lower(hex(p.subject_trace_id)), '') AS trace_id,
    CASE WHEN p.subject_span_id IS NOT NULL THEN printf('%016x', p.subject_span_id) END AS span_id,
    p.charge_description,
    p.charge_frequency,
    p.pricing_unit,
    p.pricing_category,
    p.consumed_unit,
    p.commitment_discount_unit,
    p.pricing_currency,
    p.service_provider_name,
    p.host_provider_name,
    p.invoice_issuer_name,
    p.invoice_id,
    p.billing_account_id,
    p.sub_account_id,
    p.region_id,
    p.availability_zone,
    p.service_category,
    p.service_subcategory,
    p.service_name AS focus_service_name,
    p.resource_id,
    p.resource_name,
    p.resource_type,
    p.sku_id,
    p.sku_meter,
    p.sku_price_id,
    p.allocated_method_id,
    p.rule_id,
    p.sku_price_details,
    p.tags,
    p.columns,
    p.allocated_elements,
    p.rule_version,
    strftime('%Y-%m-%dT%H:%M:%S', ((p.billing_period_start_unix_nano >> 1) & 9223372036854775807) / 500000000, 'unixepoch')
        || printf('.%09dZ', ((p.billing_period_start_unix_nano >> 1) & 9223372036854775807) % 500000000 * 2 + (p.billing_period_start_unix_nano & 1)) AS billing_period_start,
    strftime('%Y-%m-%dT%H:%M:%S', ((p.billing_period_end_unix_nano >> 1) & 9223372036854775807) / 500000000, 'unixepoch')
        || printf('.%09dZ', ((p.billing_period_end_unix_nano >> 1) & 9223372036854775807) % 500000000 * 2 + (p.billing_period_end_unix_nano & 1)) AS billing_period_end,
    strftime('%Y-%m-%dT%H:%M:%S', ((p.recorded_unix_nano >> 1) & 9223372036854775807) / 500000000, 'unixepoch')
        || printf('.%09dZ', ((p.recorded_unix_nano >> 1) & 9223372036854775807) % 500000000 * 2 + (p.recorded_unix_nano & 1)) AS recorded_time,
    lower(hex(p.record_id)) AS record_id,
    lower(hex(p.origin_id)) AS origin_id,
    nullif(lower(hex(p.parent_record_id)), '') AS parent_record_id,
    nullif(lower(hex(p.corrects_record_id)), '') AS corrects_record_id,
    p.revision,
    (p.time * 1000 + coalesce(p.time_nanos, 0)) AS time_unix_nano,
    p.leaf
FROM otlp_cost_records AS p;

CREATE VIEW cost_origins AS
SELECT
    time, end_time, level, billing_currency, billed_cost, effective_cost, list_cost, contracted_cost,
    pricing_quantity, consumed_quantity, commitment_discount_quantity, pricing_currency_effective_cost,
    list_unit_price, contracted_unit_price, pricing_currency_list_unit_price,
    pricing_currency_contracted_unit_price, charge_category, charge_class, source, subject_kind, service_name,
    service_namespace, environment, team, tenant, k8s_cluster, k8s_node, k8s_namespace, k8s_workload_kind,
    k8s_workload, k8s_pod_uid, k8s_pod, k8s_container, operation, allocated_resource_id, allocated_resource_name,
    labels, trace_id, span_id, charge_description, charge_frequency, pricing_unit, pricing_category, consumed_unit,
    commitment_discount_unit, pricing_currency, service_provider_name, host_provider_name, invoice_issuer_name,
    invoice_id, billing_account_id, sub_account_id, region_id, availability_zone, service_category,
    service_subcategory, focus_service_name, resource_id, resource_name, resource_type, sku_id, sku_meter,
    sku_price_id, allocated_method_id, rule_id, sku_price_details, tags, columns, allocated_elements, rule_version,
    billing_period_start, billing_period_end, recorded_time, record_id, origin_id, parent_record_id,
    corrects_record_id, revision, time_unix_nano
FROM otlp_cost_records_shown
WHERE level = 'origin';

CREATE VIEW cost_allocations AS
SELECT
    time, end_time, level, billing_currency, billed_cost, effective_cost, list_cost, contracted_cost,
    pricing_quantity, consumed_quantity, commitment_discount_quantity, pricing_currency_effective_cost,
    list_unit_price, contracted_unit_price, pricing_currency_list_unit_price,
    pricing_currency_contracted_unit_price, charge_category, charge_class, source, subject_kind, service_name,
    service_namespace, environment, team, tenant, k8s_cluster, k8s_node, k8s_namespace, k8s_workload_kind,
    k8s_workload, k8s_pod_uid, k8s_pod, k8s_container, operation, allocated_resource_id, allocated_resource_name,
    labels, trace_id, span_id, charge_description, charge_frequency, pricing_unit, pricing_category, consumed_unit,
    commitment_discount_unit, pricing_currency, service_provider_name, host_provider_name, invoice_issuer_name,
    invoice_id, billing_account_id, sub_account_id, region_id, availability_zone, service_category,
    service_subcategory, focus_service_name, resource_id, resource_name, resource_type, sku_id, sku_meter,
    sku_price_id, allocated_method_id, rule_id, sku_price_details, tags, columns, allocated_elements, rule_version,
    billing_period_start, billing_period_end, recorded_time, record_id, origin_id, parent_record_id,
    corrects_record_id, revision, time_unix_nano
FROM otlp_cost_records_shown
WHERE level = 'allocation';

CREATE VIEW cost_requests AS
SELECT
    time, end_time, level, billing_currency, billed_cost, effective_cost, list_cost, contracted_cost,
    pricing_quantity, consumed_quantity, commitment_discount_quantity, pricing_currency_effective_cost,
    list_unit_price, contracted_unit_price, pricing_currency_list_unit_price,
    pricing_currency_contracted_unit_price, charge_category, charge_class, source, subject_kind, service_name,
    service_namespace, environment, team, tenant, k8s_cluster, k8s_node, k8s_namespace, k8s_workload_kind,
    k8s_workload, k8s_pod_uid, k8s_pod, k8s_container, operation, allocated_resource_id, allocated_resource_name,
    labels, trace_id, span_id, charge_description, charge_frequency, pricing_unit, pricing_category, consumed_unit,
    commitment_discount_unit, pricing_currency, service_provider_name, host_provider_name, invoice_issuer_name,
    invoice_id, billing_account_id, sub_account_id, region_id, availability_zone, service_category,
    service_subcategory, focus_service_name, resource_id, resource_name, resource_type, sku_id, sku_meter,
    sku_price_id, allocated_method_id, rule_id, sku_price_details, tags, columns, allocated_elements, rule_version,
    billing_period_start, billing_period_end, recorded_time, record_id, origin_id, parent_record_id,
    corrects_record_id, revision, time_unix_nano
FROM otlp_cost_records_shown
WHERE level = 'request';

-- Every cost once, as finely as it is known: what is not refined, of all levels.
CREATE VIEW costs AS
SELECT
    time, end_time, level, billing_currency, billed_cost, effective_cost, list_cost, contracted_cost,
    pricing_quantity, consumed_quantity, commitment_discount_quantity, pricing_currency_effective_cost,
    list_unit_price, contracted_unit_price, pricing_currency_list_unit_price,
    pricing_currency_contracted_unit_price, charge_category, charge_class, source, subject_kind, service_name,
    service_namespace, environment, team, tenant, k8s_cluster, k8s_node, k8s_namespace, k8s_workload_kind,
    k8s_workload, k8s_pod_uid, k8s_pod, k8s_container, operation, allocated_resource_id, allocated_resource_name,
    labels, trace_id, span_id, charge_description, charge_frequency, pricing_unit, pricing_category, consumed_unit,
    commitment_discount_unit, pricing_currency, service_provider_name, host_provider_name, invoice_issuer_name,
    invoice_id, billing_account_id, sub_account_id, region_id, availability_zone, service_category,
    service_subcategory, focus_service_name, resource_id, resource_name, resource_type, sku_id, sku_meter,
    sku_price_id, allocated_method_id, rule_id, sku_price_details, tags, columns, allocated_elements, rule_version,
    billing_period_start, billing_period_end, recorded_time, record_id, origin_id, parent_record_id,
    corrects_record_id, revision, time_unix_nano
FROM otlp_cost_records_shown
WHERE leaf;

-- What does not add up: a parent (or parts without one) and an amount in which they differ. Empty when all balances.
CREATE VIEW cost_balance AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', time / 1000000, 'unixepoch') || printf('.%06d000Z', time % 1000000) AS time,
    level,
    lower(hex(parent_record_id)) AS record_id,
    lower(hex(origin_id)) AS origin_id,
    billing_currency,
    amount,
    whole,
    parts,
    decimal_sub(whole, parts) AS difference,
    missing
FROM (
    SELECT c.time, 'origin' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'billed_cost' AS amount,
        p.billed_cost AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(billed_cost) AS parts
        FROM otlp_cost_allocations GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_origins AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.billed_cost IS NOT c.parts
    UNION ALL
    SELECT c.time, 'origin' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'effective_cost' AS amount,
        p.effective_cost AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(effective_cost) AS parts
        FROM otlp_cost_allocations GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_origins AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.effective_cost IS NOT c.parts
    UNION ALL
    SELECT c.time, 'origin' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'list_cost' AS amount,
        p.list_cost AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(list_cost) AS parts
        FROM otlp_cost_allocations GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_origins AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.list_cost IS NOT c.parts
    UNION ALL
    SELECT c.time, 'origin' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'contracted_cost' AS amount,
        p.contracted_cost AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(contracted_cost) AS parts
        FROM otlp_cost_allocations GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_origins AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.contracted_cost IS NOT c.parts
    UNION ALL
    SELECT c.time, 'origin' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'pricing_quantity' AS amount,
        p.pricing_quantity AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(pricing_quantity) AS parts
        FROM otlp_cost_allocations GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_origins AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.pricing_quantity IS NOT c.parts
    UNION ALL
    SELECT c.time, 'origin' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'consumed_quantity' AS amount,
        p.consumed_quantity AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(consumed_quantity) AS parts
        FROM otlp_cost_allocations GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_origins AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.consumed_quantity IS NOT c.parts
    UNION ALL
    SELECT c.time, 'origin' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'commitment_discount_quantity' AS amount,
        p.commitment_discount_quantity AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(commitment_discount_quantity) AS parts
        FROM otlp_cost_allocations GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_origins AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.commitment_discount_quantity IS NOT c.parts
    UNION ALL
    SELECT c.time, 'origin' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'pricing_currency_effective_cost' AS amount,
        p.pricing_currency_effective_cost AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(pricing_currency_effective_cost) AS parts
        FROM otlp_cost_allocations GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_origins AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.pricing_currency_effective_cost IS NOT c.parts
    UNION ALL
    SELECT c.time, 'allocation' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'billed_cost' AS amount,
        p.billed_cost AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(billed_cost) AS parts
        FROM otlp_cost_requests GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_allocations AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.billed_cost IS NOT c.parts
    UNION ALL
    SELECT c.time, 'allocation' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'effective_cost' AS amount,
        p.effective_cost AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(effective_cost) AS parts
        FROM otlp_cost_requests GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_allocations AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.effective_cost IS NOT c.parts
    UNION ALL
    SELECT c.time, 'allocation' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'list_cost' AS amount,
        p.list_cost AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(list_cost) AS parts
        FROM otlp_cost_requests GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_allocations AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.list_cost IS NOT c.parts
    UNION ALL
    SELECT c.time, 'allocation' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'contracted_cost' AS amount,
        p.contracted_cost AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(contracted_cost) AS parts
        FROM otlp_cost_requests GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_allocations AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.contracted_cost IS NOT c.parts
    UNION ALL
    SELECT c.time, 'allocation' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'pricing_quantity' AS amount,
        p.pricing_quantity AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(pricing_quantity) AS parts
        FROM otlp_cost_requests GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_allocations AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.pricing_quantity IS NOT c.parts
    UNION ALL
    SELECT c.time, 'allocation' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'consumed_quantity' AS amount,
        p.consumed_quantity AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(consumed_quantity) AS parts
        FROM otlp_cost_requests GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_allocations AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.consumed_quantity IS NOT c.parts
    UNION ALL
    SELECT c.time, 'allocation' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'commitment_discount_quantity' AS amount,
        p.commitment_discount_quantity AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(commitment_discount_quantity) AS parts
        FROM otlp_cost_requests GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_allocations AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.commitment_discount_quantity IS NOT c.parts
    UNION ALL
    SELECT c.time, 'allocation' AS level, c.parent_record_id, c.origin_id, p.billing_currency, 'pricing_currency_effective_cost' AS amount,
        p.pricing_currency_effective_cost AS whole, c.parts, p.record_id IS NULL AS missing
    FROM (
        SELECT time, origin_id, parent_record_id, decimal_sum(pricing_currency_effective_cost) AS parts
        FROM otlp_cost_requests GROUP BY time, origin_id, parent_record_id
    ) AS c
    LEFT JOIN otlp_cost_allocations AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
    WHERE p.pricing_currency_effective_cost IS NOT c.parts
);

CREATE VIEW costs_hourly AS
SELECT
    substr(time, 1, 13) || ':00:00.000000000Z' AS hour,
    level, billing_currency, charge_category, charge_class, source, subject_kind, service_name, service_namespace,
    environment, team, tenant, k8s_cluster, k8s_namespace, k8s_workload_kind, k8s_workload, service_category,
    focus_service_name, pricing_unit,
    count(*) AS records,
    count(*) - count(effective_cost) AS unpriced,
    decimal_sum(billed_cost) AS billed_cost,
    decimal_sum(effective_cost) AS effective_cost,
    decimal_sum(list_cost) AS list_cost,
    decimal_sum(contracted_cost) AS contracted_cost,
    decimal_sum(pricing_quantity) AS pricing_quantity
FROM costs
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19;

CREATE VIEW costs_daily AS
SELECT
    substr(time, 1, 10) || 'T00:00:00.000000000Z' AS day,
    level, billing_currency, charge_category, charge_class, source, subject_kind, service_name, service_namespace,
    environment, team, tenant, k8s_cluster, k8s_namespace, k8s_workload_kind, k8s_workload, service_category,
    focus_service_name, pricing_unit,
    count(*) AS records,
    count(*) - count(effective_cost) AS unpriced,
    decimal_sum(billed_cost) AS billed_cost,
    decimal_sum(effective_cost) AS effective_cost,
    decimal_sum(list_cost) AS list_cost,
    decimal_sum(contracted_cost) AS contracted_cost,
    decimal_sum(pricing_quantity) AS pricing_quantity
FROM costs
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19;

-- Policies, and what they said about stored costs (collector/storage/README.md, "Policies"). Few rows: plain tables.

CREATE TABLE otlp_policies (
    policy_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT,
    enabled INTEGER NOT NULL,
    on_violation TEXT NOT NULL,
    budget TEXT,
    currency TEXT,
    period TEXT NOT NULL,
    timezone TEXT NOT NULL,
    scope TEXT,
    document TEXT NOT NULL,
    created_unix_nano INTEGER NOT NULL,
    updated_unix_nano INTEGER NOT NULL
);

CREATE TABLE otlp_analyses (
    analysis_id TEXT NOT NULL PRIMARY KEY,
    policy_id TEXT NOT NULL,
    time_unix_nano INTEGER NOT NULL,
    status TEXT NOT NULL,
    severity TEXT,
    mode TEXT,
    period_start_unix_nano INTEGER NOT NULL,
    period_end_unix_nano INTEGER NOT NULL,
    scope TEXT,
    basis TEXT NOT NULL,
    billing_currency TEXT,
    cost TEXT NOT NULL,
    forecast TEXT,
    budget TEXT,
    budget_status TEXT,
    reasons TEXT NOT NULL,
    violation_details TEXT,
    input TEXT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX otlp_analyses_time ON otlp_analyses (time_unix_nano);
CREATE INDEX otlp_analyses_policy ON otlp_analyses (policy_id, time_unix_nano);

CREATE VIEW policies AS
SELECT
    p.policy_id,
    p.name,
    p.description,
    p.enabled,
    p.on_violation,
    p.budget,
    p.currency,
    p.period,
    p.timezone,
    coalesce(p.scope, '{}') AS scope,
    p.document,
    strftime('%Y-%m-%dT%H:%M:%S', p.created_unix_nano / 1000000000, 'unixepoch') || printf('.%09dZ', p.created_unix_nano % 1000000000) AS created_time,
    strftime('%Y-%m-%dT%H:%M:%S', p.updated_unix_nano / 1000000000, 'unixepoch') || printf('.%09dZ', p.updated_unix_nano % 1000000000) AS updated_time
FROM otlp_policies AS p;

CREATE VIEW analyses AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%S', p.time_unix_nano / 1000000000, 'unixepoch') || printf('.%09dZ', p.time_unix_nano % 1000000000) AS time,
    p.policy_id,
    p.status AS policy_status,
    p.severity,
    json_extract(p.reasons, '$[0]') AS reason,
    p.billing_currency,
    p.cost,
    p.forecast,
    p.budget,
    p.budget_status,
    strftime('%Y-%m-%dT%H:%M:%S', p.period_start_unix_nano / 1000000000, 'unixepoch') || printf('.%09dZ', p.period_start_unix_nano % 1000000000) AS period_start,
    strftime('%Y-%m-%dT%H:%M:%S', p.period_end_unix_nano / 1000000000, 'unixepoch') || printf('.%09dZ', p.period_end_unix_nano % 1000000000) AS period_end,
    coalesce(p.scope, '{}') AS scope,
    p.basis,
    p.mode,
    p.reasons,
    coalesce(p.violation_details, '{}') AS violation_details,
    p.input,
    p.document,
    p.analysis_id,
    p.time_unix_nano
FROM otlp_analyses AS p;
