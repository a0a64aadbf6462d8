-- Hourly roll-ups: continuous aggregates where TimescaleDB has them (they outlive what they were made of), else
-- plain views with the same columns. Hours are UTC's.
--
-- A sum that is too large for a double would fail the query, and with it the refresh of every series: values
-- near the limit count as infinite.

\if :full
CREATE MATERIALIZED VIEW :"schema".otlp_number_points_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    :"extension".time_bucket(interval '1 hour', time) AS hour,
    metric,
    series_id,
    count(*) AS points,
    min(coalesce(value, value_int::double precision)) AS min,
    max(coalesce(value, value_int::double precision)) AS max,
    sum(CASE WHEN abs(coalesce(value, value_int::double precision)) < 1e290
        THEN coalesce(value, value_int::double precision)
        ELSE coalesce(value, value_int::double precision) * 'Infinity' END) AS sum,
    :"extension".first(coalesce(value, value_int::double precision), time) AS first,
    :"extension".last(coalesce(value, value_int::double precision), time) AS last
FROM :"schema".otlp_number_points
WHERE coalesce(value, value_int::double precision) <> 'NaN'
GROUP BY 1, 2, 3
WITH NO DATA;

CREATE MATERIALIZED VIEW :"schema".otlp_spans_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    :"extension".time_bucket(interval '1 hour', time) AS hour,
    service_name,
    count(*) AS requests,
    count(*) FILTER (WHERE status_code = 2) AS errors,
    avg(duration_nano)::double precision AS avg_nano,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY duration_nano) AS p50_nano,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY duration_nano) AS p95_nano,
    percentile_disc(0.99) WITHIN GROUP (ORDER BY duration_nano) AS p99_nano,
    max(duration_nano) AS max_nano
FROM :"schema".otlp_spans
WHERE kind IN (2, 5) OR parent_span_id IS NULL
GROUP BY 1, 2
WITH NO DATA;
\else
CREATE VIEW :"schema".otlp_number_points_hourly AS
SELECT
    date_trunc('hour', time, 'UTC') AS hour,
    metric,
    series_id,
    count(*) AS points,
    min(coalesce(value, value_int::double precision)) AS min,
    max(coalesce(value, value_int::double precision)) AS max,
    sum(CASE WHEN abs(coalesce(value, value_int::double precision)) < 1e290
        THEN coalesce(value, value_int::double precision)
        ELSE coalesce(value, value_int::double precision) * 'Infinity' END) AS sum,
    (array_agg(coalesce(value, value_int::double precision) ORDER BY time))[1] AS first,
    (array_agg(coalesce(value, value_int::double precision) ORDER BY time DESC))[1] AS last
FROM :"schema".otlp_number_points
WHERE coalesce(value, value_int::double precision) <> 'NaN'
GROUP BY 1, 2, 3;

CREATE VIEW :"schema".otlp_spans_hourly AS
SELECT
    date_trunc('hour', time, 'UTC') AS hour,
    service_name,
    count(*) AS requests,
    count(*) FILTER (WHERE status_code = 2) AS errors,
    avg(duration_nano)::double precision AS avg_nano,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY duration_nano) AS p50_nano,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY duration_nano) AS p95_nano,
    percentile_disc(0.99) WITHIN GROUP (ORDER BY duration_nano) AS p99_nano,
    max(duration_nano) AS max_nano
FROM :"schema".otlp_spans
WHERE kind IN (2, 5) OR parent_span_id IS NULL
GROUP BY 1, 2;
\endif

CREATE VIEW :"schema".metrics_hourly AS
SELECT
    h.hour,
    h.metric,
    s.type,
    s.unit,
    s.service_name,
    :"schema".otlp_json(s.attributes) AS attributes,
    :"schema".otlp_json(r.attributes) AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    h.points,
    h.min,
    h.max,
    :"schema".otlp_mean(h.sum, h.points::double precision) AS avg,
    h.sum,
    h.first,
    h.last,
    h.series_id
FROM :"schema".otlp_number_points_hourly AS h
LEFT JOIN :"schema".otlp_series AS s ON s.series_id = h.series_id
LEFT JOIN :"schema".otlp_resources AS r ON r.resource_id = s.resource_id
LEFT JOIN :"schema".otlp_scopes AS c ON c.scope_id = s.scope_id;

-- Requests: spans that serve somebody (kind server or consumer), and roots.
CREATE VIEW :"schema".services_hourly AS
SELECT
    hour,
    service_name,
    requests,
    errors,
    avg_nano / 1e6 AS avg_ms,
    p50_nano / 1e6::double precision AS p50_ms,
    p95_nano / 1e6::double precision AS p95_ms,
    p99_nano / 1e6::double precision AS p99_ms,
    max_nano / 1e6::double precision AS max_ms
FROM :"schema".otlp_spans_hourly;
