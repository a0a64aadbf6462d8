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
