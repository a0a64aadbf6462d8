-- What the migrations in sql/ add up to, to be read; nothing runs this file (a test compares).
--
-- Written as they are, in psql's language: `:"schema"` and `:"extension"` are the schemas of these tables and of
-- TimescaleDB; `:partition_by` is `PARTITION BY RANGE (time)` where there is no TimescaleDB; `:hypertables` and
-- `:full` say whether there is one, and whether it is the full edition.

-- The tables of storage/tables.py, which says what every column means.
--
-- Facts are hypertables where the database has TimescaleDB, else tables partitioned by time. No unique index on
-- facts: "not twice" is the business of otlp_positions and the transaction. Text is compared byte by byte, as
-- the writer sorts it.

-- dimensions ------------------------------------------------------------------------------------------------

CREATE TABLE :"schema".otlp_resources (
    resource_id uuid PRIMARY KEY,
    service_name text COLLATE "C" NOT NULL,
    service_namespace text COLLATE "C" NOT NULL,
    service_instance_id text COLLATE "C" NOT NULL,
    attributes text COLLATE "C" NOT NULL,
    dropped_attributes_count bigint,
    entity_refs text COLLATE "C",
    schema_url text COLLATE "C"
);

CREATE TABLE :"schema".otlp_scopes (
    scope_id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    attributes text COLLATE "C" NOT NULL,
    dropped_attributes_count bigint,
    schema_url text COLLATE "C"
);

CREATE TABLE :"schema".otlp_series (
    series_id bigint PRIMARY KEY,
    digest uuid NOT NULL,
    stream_id uuid NOT NULL,
    metric text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    unit text COLLATE "C" NOT NULL,
    temporality integer,
    monotonic boolean,
    description text COLLATE "C" NOT NULL,
    metadata text COLLATE "C",
    attributes text COLLATE "C" NOT NULL,
    service_name text COLLATE "C" NOT NULL,
    resource_id uuid NOT NULL,
    scope_id uuid NOT NULL
);
CREATE INDEX otlp_series_metric ON :"schema".otlp_series (metric, service_name);

-- facts -----------------------------------------------------------------------------------------------------

CREATE TABLE :"schema".otlp_number_points (
    metric text COLLATE "C" NOT NULL,
    series_id bigint NOT NULL,
    time timestamptz NOT NULL,
    time_nanos smallint,
    start_time_unix_nano bigint,
    value double precision,
    value_int bigint,
    flags bigint,
    exemplars text COLLATE "C"
) :partition_by;
CREATE INDEX otlp_number_points_series ON :"schema".otlp_number_points (metric, series_id, time DESC);
CREATE INDEX otlp_number_points_time ON :"schema".otlp_number_points USING brin (time);

CREATE TABLE :"schema".otlp_histogram_points (
    metric text COLLATE "C" NOT NULL,
    series_id bigint NOT NULL,
    time timestamptz NOT NULL,
    time_nanos smallint,
    start_time_unix_nano bigint,
    count bigint NOT NULL,
    sum double precision,
    min double precision,
    max double precision,
    bucket_counts bigint[],
    explicit_bounds double precision[],
    flags bigint,
    exemplars text COLLATE "C"
) :partition_by;
CREATE INDEX otlp_histogram_points_series ON :"schema".otlp_histogram_points (metric, series_id, time DESC);
CREATE INDEX otlp_histogram_points_time ON :"schema".otlp_histogram_points USING brin (time);

CREATE TABLE :"schema".otlp_exponential_histogram_points (
    metric text COLLATE "C" NOT NULL,
    series_id bigint NOT NULL,
    time timestamptz NOT NULL,
    time_nanos smallint,
    start_time_unix_nano bigint,
    count bigint NOT NULL,
    sum double precision,
    min double precision,
    max double precision,
    scale integer NOT NULL,
    zero_count bigint NOT NULL,
    zero_threshold double precision NOT NULL,
    positive_offset integer,
    positive_bucket_counts bigint[],
    negative_offset integer,
    negative_bucket_counts bigint[],
    flags bigint,
    exemplars text COLLATE "C"
) :partition_by;
CREATE INDEX otlp_exponential_histogram_points_series
    ON :"schema".otlp_exponential_histogram_points (metric, series_id, time DESC);
CREATE INDEX otlp_exponential_histogram_points_time
    ON :"schema".otlp_exponential_histogram_points USING brin (time);

CREATE TABLE :"schema".otlp_summary_points (
    metric text COLLATE "C" NOT NULL,
    series_id bigint NOT NULL,
    time timestamptz NOT NULL,
    time_nanos smallint,
    start_time_unix_nano bigint,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    quantiles double precision[],
    quantile_values double precision[],
    flags bigint
) :partition_by;
CREATE INDEX otlp_summary_points_series ON :"schema".otlp_summary_points (metric, series_id, time DESC);
CREATE INDEX otlp_summary_points_time ON :"schema".otlp_summary_points USING brin (time);

CREATE TABLE :"schema".otlp_spans (
    service_name text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    time timestamptz NOT NULL,
    time_nanos smallint,
    duration_nano bigint,
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    parent_span_id bigint,
    kind integer NOT NULL,
    status_code integer NOT NULL,
    status_message text COLLATE "C",
    trace_state text COLLATE "C",
    flags bigint,
    attributes text COLLATE "C",
    dropped_attributes_count bigint,
    events text COLLATE "C",
    dropped_events_count bigint,
    links text COLLATE "C",
    dropped_links_count bigint,
    resource_id uuid NOT NULL,
    scope_id uuid NOT NULL
) :partition_by;
CREATE INDEX otlp_spans_trace ON :"schema".otlp_spans (trace_id);
CREATE INDEX otlp_spans_service ON :"schema".otlp_spans (service_name, time DESC);
CREATE INDEX otlp_spans_time ON :"schema".otlp_spans USING brin (time);

CREATE TABLE :"schema".otlp_logs (
    service_name text COLLATE "C" NOT NULL,
    time timestamptz NOT NULL,
    time_nanos smallint,
    time_unknown boolean,
    observed_time_unix_nano bigint,
    severity_number integer NOT NULL,
    severity_text text COLLATE "C",
    body text COLLATE "C",
    event_name text COLLATE "C",
    trace_id uuid,
    span_id bigint,
    flags bigint,
    attributes text COLLATE "C",
    dropped_attributes_count bigint,
    resource_id uuid NOT NULL,
    scope_id uuid NOT NULL
) :partition_by;
CREATE INDEX otlp_logs_trace ON :"schema".otlp_logs (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX otlp_logs_service ON :"schema".otlp_logs (service_name, time DESC);
CREATE INDEX otlp_logs_time ON :"schema".otlp_logs USING brin (time);

-- the writer's own ------------------------------------------------------------------------------------------

CREATE TABLE :"schema".otlp_positions (
    queue_id uuid PRIMARY KEY,
    position bigint NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 50);  -- one row per queue, updated with every batch: room to do it in place

-- TimescaleDB -----------------------------------------------------------------------------------------------

\if :hypertables
SELECT :"extension".create_hypertable(
    format('%I.%I', :'schema', name)::regclass,
    :"extension".by_range('time', :'chunk_interval'::interval),
    create_default_indexes => false
)
FROM unnest(ARRAY[
    'otlp_number_points', 'otlp_histogram_points', 'otlp_exponential_histogram_points', 'otlp_summary_points',
    'otlp_spans', 'otlp_logs'
]) AS name;
\endif

\if :full
-- Ordered, never segmented: a segment with few rows costs more than it saves. The order is the writer's.
ALTER TABLE :"schema".otlp_number_points SET (
    timescaledb.compress, timescaledb.compress_segmentby = '',
    timescaledb.compress_orderby = 'metric, series_id, time'
);
ALTER TABLE :"schema".otlp_histogram_points SET (
    timescaledb.compress, timescaledb.compress_segmentby = '',
    timescaledb.compress_orderby = 'metric, series_id, time'
);
ALTER TABLE :"schema".otlp_exponential_histogram_points SET (
    timescaledb.compress, timescaledb.compress_segmentby = '',
    timescaledb.compress_orderby = 'metric, series_id, time'
);
ALTER TABLE :"schema".otlp_summary_points SET (
    timescaledb.compress, timescaledb.compress_segmentby = '',
    timescaledb.compress_orderby = 'metric, series_id, time'
);
ALTER TABLE :"schema".otlp_spans SET (
    timescaledb.compress, timescaledb.compress_segmentby = '',
    timescaledb.compress_orderby = 'service_name, time'
);
ALTER TABLE :"schema".otlp_logs SET (
    timescaledb.compress, timescaledb.compress_segmentby = '',
    timescaledb.compress_orderby = 'service_name, time'
);
\endif

-- What people read: names and columns as in storage/tables.py, VIEWS, the same on every store.
--
-- LEFT JOIN although every row has its dimensions: a join whose columns a query does not use is then left out.

-- 64 bits that OTLP means unsigned.
CREATE FUNCTION :"schema".otlp_uint64(value bigint) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN value < 0 THEN value::numeric + 18446744073709551616 ELSE value::numeric END;

CREATE FUNCTION :"schema".otlp_uint64s(counts bigint[]) RETURNS numeric[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN counts IS NOT NULL THEN ARRAY(
        SELECT :"schema".otlp_uint64(one) FROM unnest(counts) WITH ORDINALITY AS list(one, place) ORDER BY place
    ) END;

-- An unsigned number of nanoseconds since 1970, to the microsecond.
CREATE FUNCTION :"schema".otlp_time(unix_nano bigint) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_timestamp(div(:"schema".otlp_uint64(unix_nano), 1000000000)::double precision)
        + div(mod(:"schema".otlp_uint64(unix_nano), 1000000000), 1000)::double precision
        * interval '1 microsecond';

CREATE FUNCTION :"schema".otlp_unix_nano("time" timestamptz, nanos smallint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (extract(epoch FROM "time") * 1000000)::bigint * 1000 + coalesce(nanos, 0);

CREATE FUNCTION :"schema".otlp_span_id(span_id bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN lpad(to_hex(span_id), 16, '0');

-- jsonb knows no NUL character; one is shown as the replacement character instead of failing the query.
CREATE FUNCTION :"schema".otlp_json(document text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN strpos(document, '\u0000') = 0 THEN document::jsonb
        ELSE replace(document, '\u0000', '\ufffd')::jsonb
    END;

-- A quotient that is too small for a double would fail the query.
CREATE FUNCTION :"schema".otlp_mean(total double precision, count double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN count = 0 THEN NULL
        WHEN abs(total) < 1e-280 AND count > 1 THEN 0
        ELSE total / count
    END;

CREATE FUNCTION :"schema".otlp_temporality(temporality integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE temporality WHEN 1 THEN 'delta' WHEN 2 THEN 'cumulative' ELSE temporality::text END;

CREATE FUNCTION :"schema".otlp_span_kind(kind integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE kind
        WHEN 0 THEN 'unspecified' WHEN 1 THEN 'internal' WHEN 2 THEN 'server' WHEN 3 THEN 'client'
        WHEN 4 THEN 'producer' WHEN 5 THEN 'consumer' ELSE kind::text
    END;

CREATE FUNCTION :"schema".otlp_status(code integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE code WHEN 0 THEN 'unset' WHEN 1 THEN 'ok' WHEN 2 THEN 'error' ELSE code::text END;

CREATE VIEW :"schema".metrics AS
SELECT
    p.time,
    p.metric,
    s.type,
    s.unit,
    coalesce(p.value, p.value_int::double precision) AS value,
    p.value_int,
    s.service_name,
    :"schema".otlp_json(s.attributes) AS attributes,
    :"schema".otlp_json(r.attributes) AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    :"schema".otlp_temporality(s.temporality) AS temporality,
    s.monotonic,
    s.description,
    :"schema".otlp_time(p.start_time_unix_nano) AS start_time,
    p.flags,
    :"schema".otlp_json(p.exemplars) AS exemplars,
    p.series_id,
    s.stream_id,
    :"schema".otlp_unix_nano(p.time, p.time_nanos) AS time_unix_nano
FROM :"schema".otlp_number_points AS p
LEFT JOIN :"schema".otlp_series AS s ON s.series_id = p.series_id
LEFT JOIN :"schema".otlp_resources AS r ON r.resource_id = s.resource_id
LEFT JOIN :"schema".otlp_scopes AS c ON c.scope_id = s.scope_id;

CREATE VIEW :"schema".histograms AS
SELECT
    p.time,
    p.metric,
    s.type,
    s.unit,
    :"schema".otlp_uint64(p.count) AS count,
    p.sum,
    p.min,
    p.max,
    :"schema".otlp_mean(p.sum, :"schema".otlp_uint64(p.count)::double precision) AS mean,
    s.service_name,
    :"schema".otlp_json(s.attributes) AS attributes,
    :"schema".otlp_json(r.attributes) AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    :"schema".otlp_temporality(s.temporality) AS temporality,
    s.description,
    :"schema".otlp_uint64s(p.bucket_counts) AS bucket_counts,
    p.explicit_bounds,
    p.scale,
    :"schema".otlp_uint64(p.zero_count) AS zero_count,
    p.zero_threshold,
    p.positive_offset,
    :"schema".otlp_uint64s(p.positive_bucket_counts) AS positive_bucket_counts,
    p.negative_offset,
    :"schema".otlp_uint64s(p.negative_bucket_counts) AS negative_bucket_counts,
    :"schema".otlp_time(p.start_time_unix_nano) AS start_time,
    p.flags,
    :"schema".otlp_json(p.exemplars) AS exemplars,
    p.series_id,
    s.stream_id,
    :"schema".otlp_unix_nano(p.time, p.time_nanos) AS time_unix_nano
FROM (
    SELECT
        metric, series_id, time, time_nanos, start_time_unix_nano, count, sum, min, max,
        bucket_counts, explicit_bounds,
        NULL::integer AS scale, NULL::bigint AS zero_count, NULL::double precision AS zero_threshold,
        NULL::integer AS positive_offset, NULL::bigint[] AS positive_bucket_counts,
        NULL::integer AS negative_offset, NULL::bigint[] AS negative_bucket_counts,
        flags, exemplars
    FROM :"schema".otlp_histogram_points
    UNION ALL
    SELECT
        metric, series_id, time, time_nanos, start_time_unix_nano, count, sum, min, max,
        NULL, NULL,
        scale, zero_count, zero_threshold,
        positive_offset, positive_bucket_counts,
        negative_offset, negative_bucket_counts,
        flags, exemplars
    FROM :"schema".otlp_exponential_histogram_points
) AS p
LEFT JOIN :"schema".otlp_series AS s ON s.series_id = p.series_id
LEFT JOIN :"schema".otlp_resources AS r ON r.resource_id = s.resource_id
LEFT JOIN :"schema".otlp_scopes AS c ON c.scope_id = s.scope_id;

CREATE VIEW :"schema".summaries AS
SELECT
    p.time,
    p.metric,
    s.unit,
    :"schema".otlp_uint64(p.count) AS count,
    p.sum,
    p.quantiles,
    p.quantile_values,
    s.service_name,
    :"schema".otlp_json(s.attributes) AS attributes,
    :"schema".otlp_json(r.attributes) AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    s.description,
    :"schema".otlp_time(p.start_time_unix_nano) AS start_time,
    p.flags,
    p.series_id,
    s.stream_id,
    :"schema".otlp_unix_nano(p.time, p.time_nanos) AS time_unix_nano
FROM :"schema".otlp_summary_points AS p
LEFT JOIN :"schema".otlp_series AS s ON s.series_id = p.series_id
LEFT JOIN :"schema".otlp_resources AS r ON r.resource_id = s.resource_id
LEFT JOIN :"schema".otlp_scopes AS c ON c.scope_id = s.scope_id;

CREATE VIEW :"schema".spans AS
SELECT
    p.time,
    p.service_name,
    p.name,
    :"schema".otlp_span_kind(p.kind) AS kind,
    p.duration_nano / 1e6::double precision AS duration_ms,
    :"schema".otlp_status(p.status_code) AS status,
    p.status_message,
    p.trace_id,
    :"schema".otlp_span_id(p.span_id) AS span_id,
    :"schema".otlp_span_id(p.parent_span_id) AS parent_span_id,
    coalesce(:"schema".otlp_json(p.attributes), '{}') AS attributes,
    :"schema".otlp_json(p.events) AS events,
    :"schema".otlp_json(p.links) AS links,
    :"schema".otlp_json(r.attributes) AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    p.trace_state,
    p.flags,
    p.time + floor((coalesce(p.time_nanos, 0) + p.duration_nano::double precision) / 1000)
        * interval '1 microsecond' AS end_time,
    p.duration_nano,
    :"schema".otlp_unix_nano(p.time, p.time_nanos) AS time_unix_nano
FROM :"schema".otlp_spans AS p
LEFT JOIN :"schema".otlp_resources AS r ON r.resource_id = p.resource_id
LEFT JOIN :"schema".otlp_scopes AS c ON c.scope_id = p.scope_id;

-- A trace is named by its root; while that is missing, or for ever, by the earliest span there is. The sum of
-- a time and a duration can be more than 64 bits hold.
CREATE VIEW :"schema".traces AS
SELECT
    p.trace_id,
    min(p.time) AS time,
    (array_agg(p.service_name ORDER BY p.parent_span_id IS NOT NULL, p.time))[1] AS service_name,
    (array_agg(p.name ORDER BY p.parent_span_id IS NOT NULL, p.time))[1] AS name,
    ((max(:"schema".otlp_unix_nano(p.time, p.time_nanos)::numeric + p.duration_nano)
        - min(:"schema".otlp_unix_nano(p.time, p.time_nanos))) / 1000000)::double precision AS duration_ms,
    count(*) AS spans,
    count(*) FILTER (WHERE p.status_code = 2) AS errors,
    count(DISTINCT p.service_name) AS services,
    min(:"schema".otlp_unix_nano(p.time, p.time_nanos)) AS time_unix_nano
FROM :"schema".otlp_spans AS p
GROUP BY p.trace_id;

CREATE VIEW :"schema".logs AS
SELECT
    p.time,
    p.service_name,
    p.severity_number,
    p.severity_text,
    :"schema".otlp_json(p.body) AS body,
    p.event_name,
    coalesce(:"schema".otlp_json(p.attributes), '{}') AS attributes,
    p.trace_id,
    :"schema".otlp_span_id(p.span_id) AS span_id,
    :"schema".otlp_json(r.attributes) AS resource,
    c.name AS scope_name,
    c.version AS scope_version,
    p.flags,
    :"schema".otlp_time(p.observed_time_unix_nano) AS observed_time,
    :"schema".otlp_unix_nano(p.time, p.time_nanos) AS time_unix_nano
FROM :"schema".otlp_logs AS p
LEFT JOIN :"schema".otlp_resources AS r ON r.resource_id = p.resource_id
LEFT JOIN :"schema".otlp_scopes AS c ON c.scope_id = p.scope_id;

CREATE VIEW :"schema".services AS
SELECT
    service_name,
    service_namespace,
    count(DISTINCT nullif(service_instance_id, '')) AS instances,
    count(*) AS resources
FROM :"schema".otlp_resources
GROUP BY service_name, service_namespace;

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
