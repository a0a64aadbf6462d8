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

-- Costs: a table for each level of the ledger (collector/storage/README.md, "Costs"). Rows are inserted once, by
-- record_id, as rows; the policy compresses them when their window is closed, as a rule.

CREATE TABLE :"schema".otlp_cost_origins (
    record_id uuid NOT NULL,
    time timestamptz NOT NULL,
    time_nanos smallint,
    origin_id uuid NOT NULL,
    parent_record_id uuid,
    corrects_record_id uuid,
    revision bigint NOT NULL,
    charge_period_end_unix_nano bigint NOT NULL,
    billing_period_start_unix_nano bigint NOT NULL,
    billing_period_end_unix_nano bigint NOT NULL,
    charge_category smallint NOT NULL,
    charge_class smallint NOT NULL,
    source smallint NOT NULL,
    subject_kind smallint NOT NULL,
    billing_currency text COLLATE "C" NOT NULL,
    billed_cost numeric(38,18),
    effective_cost numeric(38,18),
    list_cost numeric(38,18),
    contracted_cost numeric(38,18),
    pricing_quantity numeric(38,18),
    consumed_quantity numeric(38,18),
    commitment_discount_quantity numeric(38,18),
    pricing_currency_effective_cost numeric(38,18),
    list_unit_price numeric(38,18),
    contracted_unit_price numeric(38,18),
    pricing_currency_list_unit_price numeric(38,18),
    pricing_currency_contracted_unit_price numeric(38,18),
    charge_description text COLLATE "C",
    charge_frequency text COLLATE "C",
    pricing_unit text COLLATE "C",
    pricing_category text COLLATE "C",
    consumed_unit text COLLATE "C",
    commitment_discount_unit text COLLATE "C",
    pricing_currency text COLLATE "C",
    service_provider_name text COLLATE "C",
    host_provider_name text COLLATE "C",
    invoice_issuer_name text COLLATE "C",
    invoice_id text COLLATE "C",
    billing_account_id text COLLATE "C",
    sub_account_id text COLLATE "C",
    region_id text COLLATE "C",
    availability_zone text COLLATE "C",
    service_category text COLLATE "C",
    service_subcategory text COLLATE "C",
    service_name text COLLATE "C",
    resource_id text COLLATE "C",
    resource_name text COLLATE "C",
    resource_type text COLLATE "C",
    sku_id text COLLATE "C",
    sku_meter text COLLATE "C",
    sku_price_id text COLLATE "C",
    allocated_method_id text COLLATE "C",
    rule_id text COLLATE "C",
    sku_price_details text COLLATE "C",
    tags text COLLATE "C",
    columns text COLLATE "C",
    subject_service_name text COLLATE "C",
    subject_service_namespace text COLLATE "C",
    subject_environment text COLLATE "C",
    subject_team text COLLATE "C",
    subject_tenant text COLLATE "C",
    subject_k8s_cluster text COLLATE "C",
    subject_k8s_node text COLLATE "C",
    subject_k8s_namespace text COLLATE "C",
    subject_k8s_workload_kind text COLLATE "C",
    subject_k8s_workload text COLLATE "C",
    subject_k8s_pod_uid text COLLATE "C",
    subject_k8s_pod text COLLATE "C",
    subject_k8s_container text COLLATE "C",
    subject_operation text COLLATE "C",
    subject_resource_id text COLLATE "C",
    subject_resource_name text COLLATE "C",
    subject_trace_id uuid,
    subject_span_id bigint,
    subject_labels text COLLATE "C",
    allocated_elements text COLLATE "C",
    rule_version bigint,
    recorded_unix_nano bigint,
    refined boolean NOT NULL
) :partition_by;
CREATE UNIQUE INDEX otlp_cost_origins_once ON :"schema".otlp_cost_origins (record_id, time);
CREATE INDEX otlp_cost_origins_parts ON :"schema".otlp_cost_origins (origin_id, time);
CREATE INDEX otlp_cost_origins_time ON :"schema".otlp_cost_origins USING brin (time);

CREATE TABLE :"schema".otlp_cost_allocations (
    record_id uuid NOT NULL,
    time timestamptz NOT NULL,
    time_nanos smallint,
    origin_id uuid NOT NULL,
    parent_record_id uuid,
    corrects_record_id uuid,
    revision bigint NOT NULL,
    charge_period_end_unix_nano bigint NOT NULL,
    billing_period_start_unix_nano bigint NOT NULL,
    billing_period_end_unix_nano bigint NOT NULL,
    charge_category smallint NOT NULL,
    charge_class smallint NOT NULL,
    source smallint NOT NULL,
    subject_kind smallint NOT NULL,
    billing_currency text COLLATE "C" NOT NULL,
    billed_cost numeric(38,18),
    effective_cost numeric(38,18),
    list_cost numeric(38,18),
    contracted_cost numeric(38,18),
    pricing_quantity numeric(38,18),
    consumed_quantity numeric(38,18),
    commitment_discount_quantity numeric(38,18),
    pricing_currency_effective_cost numeric(38,18),
    list_unit_price numeric(38,18),
    contracted_unit_price numeric(38,18),
    pricing_currency_list_unit_price numeric(38,18),
    pricing_currency_contracted_unit_price numeric(38,18),
    charge_description text COLLATE "C",
    charge_frequency text COLLATE "C",
    pricing_unit text COLLATE "C",
    pricing_category text COLLATE "C",
    consumed_unit text COLLATE "C",
    commitment_discount_unit text COLLATE "C",
    pricing_currency text COLLATE "C",
    service_provider_name text COLLATE "C",
    host_provider_name text COLLATE "C",
    invoice_issuer_name text COLLATE "C",
    invoice_id text COLLATE "C",
    billing_account_id text COLLATE "C",
    sub_account_id text COLLATE "C",
    region_id text COLLATE "C",
    availability_zone text COLLATE "C",
    service_category text COLLATE "C",
    service_subcategory text COLLATE "C",
    service_name text COLLATE "C",
    resource_id text COLLATE "C",
    resource_name text COLLATE "C",
    resource_type text COLLATE "C",
    sku_id text COLLATE "C",
    sku_meter text COLLATE "C",
    sku_price_id text COLLATE "C",
    allocated_method_id text COLLATE "C",
    rule_id text COLLATE "C",
    sku_price_details text COLLATE "C",
    tags text COLLATE "C",
    columns text COLLATE "C",
    subject_service_name text COLLATE "C",
    subject_service_namespace text COLLATE "C",
    subject_environment text COLLATE "C",
    subject_team text COLLATE "C",
    subject_tenant text COLLATE "C",
    subject_k8s_cluster text COLLATE "C",
    subject_k8s_node text COLLATE "C",
    subject_k8s_namespace text COLLATE "C",
    subject_k8s_workload_kind text COLLATE "C",
    subject_k8s_workload text COLLATE "C",
    subject_k8s_pod_uid text COLLATE "C",
    subject_k8s_pod text COLLATE "C",
    subject_k8s_container text COLLATE "C",
    subject_operation text COLLATE "C",
    subject_resource_id text COLLATE "C",
    subject_resource_name text COLLATE "C",
    subject_trace_id uuid,
    subject_span_id bigint,
    subject_labels text COLLATE "C",
    allocated_elements text COLLATE "C",
    rule_version bigint,
    recorded_unix_nano bigint,
    refined boolean NOT NULL
) :partition_by;
CREATE UNIQUE INDEX otlp_cost_allocations_once ON :"schema".otlp_cost_allocations (record_id, time);
CREATE INDEX otlp_cost_allocations_parts ON :"schema".otlp_cost_allocations (origin_id, time, parent_record_id);
CREATE INDEX otlp_cost_allocations_time ON :"schema".otlp_cost_allocations USING brin (time);

CREATE TABLE :"schema".otlp_cost_requests (
    record_id uuid NOT NULL,
    time timestamptz NOT NULL,
    time_nanos smallint,
    origin_id uuid NOT NULL,
    parent_record_id uuid,
    corrects_record_id uuid,
    revision bigint NOT NULL,
    charge_period_end_unix_nano bigint NOT NULL,
    billing_period_start_unix_nano bigint NOT NULL,
    billing_period_end_unix_nano bigint NOT NULL,
    charge_category smallint NOT NULL,
    charge_class smallint NOT NULL,
    source smallint NOT NULL,
    subject_kind smallint NOT NULL,
    billing_currency text COLLATE "C" NOT NULL,
    billed_cost numeric(38,18),
    effective_cost numeric(38,18),
    list_cost numeric(38,18),
    contracted_cost numeric(38,18),
    pricing_quantity numeric(38,18),
    consumed_quantity numeric(38,18),
    commitment_discount_quantity numeric(38,18),
    pricing_currency_effective_cost numeric(38,18),
    list_unit_price numeric(38,18),
    contracted_unit_price numeric(38,18),
    pricing_currency_list_unit_price numeric(38,18),
    pricing_currency_contracted_unit_price numeric(38,18),
    charge_description text COLLATE "C",
    charge_frequency text COLLATE "C",
    pricing_unit text COLLATE "C",
    pricing_category text COLLATE "C",
    consumed_unit text COLLATE "C",
    commitment_discount_unit text COLLATE "C",
    pricing_currency text COLLATE "C",
    service_provider_name text COLLATE "C",
    host_provider_name text COLLATE "C",
    invoice_issuer_name text COLLATE "C",
    invoice_id text COLLATE "C",
    billing_account_id text COLLATE "C",
    sub_account_id text COLLATE "C",
    region_id text COLLATE "C",
    availability_zone text COLLATE "C",
    service_category text COLLATE "C",
    service_subcategory text COLLATE "C",
    service_name text COLLATE "C",
    resource_id text COLLATE "C",
    resource_name text COLLATE "C",
    resource_type text COLLATE "C",
    sku_id text COLLATE "C",
    sku_meter text COLLATE "C",
    sku_price_id text COLLATE "C",
    allocated_method_id text COLLATE "C",
    rule_id text COLLATE "C",
    sku_price_details text COLLATE "C",
    tags text COLLATE "C",
    columns text COLLATE "C",
    subject_service_name text COLLATE "C",
    subject_service_namespace text COLLATE "C",
    subject_environment text COLLATE "C",
    subject_team text COLLATE "C",
    subject_tenant text COLLATE "C",
    subject_k8s_cluster text COLLATE "C",
    subject_k8s_node text COLLATE "C",
    subject_k8s_namespace text COLLATE "C",
    subject_k8s_workload_kind text COLLATE "C",
    subject_k8s_workload text COLLATE "C",
    subject_k8s_pod_uid text COLLATE "C",
    subject_k8s_pod text COLLATE "C",
    subject_k8s_container text COLLATE "C",
    subject_operation text COLLATE "C",
    subject_resource_id text COLLATE "C",
    subject_resource_name text COLLATE "C",
    subject_trace_id uuid,
    subject_span_id bigint,
    subject_labels text COLLATE "C",
    allocated_elements text COLLATE "C",
    rule_version bigint,
    recorded_unix_nano bigint,
    refined boolean NOT NULL
) :partition_by;
CREATE UNIQUE INDEX otlp_cost_requests_once ON :"schema".otlp_cost_requests (record_id, time);
CREATE INDEX otlp_cost_requests_parts ON :"schema".otlp_cost_requests (origin_id, time, parent_record_id);
CREATE INDEX otlp_cost_requests_time ON :"schema".otlp_cost_requests USING brin (time);

\if :hypertables
-- Few rows: of the coarser levels, longer chunks.
SELECT :"extension".create_hypertable(
    format('%I.%I', :'schema', name)::regclass,
    :"extension".by_range('time', :'chunk_interval'::interval * factor),
    create_default_indexes => false
)
FROM (VALUES ('otlp_cost_origins', 30), ('otlp_cost_allocations', 7), ('otlp_cost_requests', 1)) AS levels (name, factor);
\endif

\if :full
ALTER TABLE :"schema".otlp_cost_origins SET (
    timescaledb.compress, timescaledb.compress_segmentby = '',
    timescaledb.compress_orderby = 'time, origin_id, record_id'
);
ALTER TABLE :"schema".otlp_cost_allocations SET (
    timescaledb.compress, timescaledb.compress_segmentby = '',
    timescaledb.compress_orderby = 'time, origin_id, record_id'
);
ALTER TABLE :"schema".otlp_cost_requests SET (
    timescaledb.compress, timescaledb.compress_segmentby = '',
    timescaledb.compress_orderby = 'time, origin_id, record_id'
);
\endif

-- views -----------------------------------------------------------------------------------------------------

-- The tables as one. A leaf has no parts; `refined` says so but for those whose parts were too old to be kept.
CREATE VIEW :"schema".otlp_cost_records AS
SELECT
    'origin' AS level,
    NOT p.refined OR NOT EXISTS (
        SELECT 1 FROM :"schema".otlp_cost_allocations AS c
        WHERE c.origin_id = p.origin_id AND c.time = p.time AND c.parent_record_id = p.record_id
    ) AS leaf,
    p.*
FROM :"schema".otlp_cost_origins AS p
UNION ALL
SELECT
    'allocation' AS level,
    NOT p.refined OR NOT EXISTS (
        SELECT 1 FROM :"schema".otlp_cost_requests AS c
        WHERE c.origin_id = p.origin_id AND c.time = p.time AND c.parent_record_id = p.record_id
    ) AS leaf,
    p.*
FROM :"schema".otlp_cost_allocations AS p
UNION ALL
SELECT
    'request' AS level,
    true AS leaf,
    p.*
FROM :"schema".otlp_cost_requests AS p;

CREATE VIEW :"schema".otlp_cost_records_shown AS
SELECT
    p.time,
    :"schema".otlp_time(p.charge_period_end_unix_nano) AS end_time,
    p.level,
    p.billing_currency,
    trim_scale(p.billed_cost) AS billed_cost,
    trim_scale(p.effective_cost) AS effective_cost,
    trim_scale(p.list_cost) AS list_cost,
    trim_scale(p.contracted_cost) AS contracted_cost,
    trim_scale(p.pricing_quantity) AS pricing_quantity,
    trim_scale(p.consumed_quantity) AS consumed_quantity,
    trim_scale(p.commitment_discount_quantity) AS commitment_discount_quantity,
    trim_scale(p.pricing_currency_effective_cost) AS pricing_currency_effective_cost,
    trim_scale(p.list_unit_price) AS list_unit_price,
    trim_scale(p.contracted_unit_price) AS contracted_unit_price,
    trim_scale(p.pricing_currency_list_unit_price) AS pricing_currency_list_unit_price,
    trim_scale(p.pricing_currency_contracted_unit_price) AS pricing_currency_contracted_unit_price,
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
    :"schema".otlp_json(p.subject_labels) AS labels,
    p.subject_trace_id AS trace_id,
    :"schema".otlp_span_id(p.subject_span_id) AS span_id,
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
    :"schema".otlp_json(p.sku_price_details) AS sku_price_details,
    :"schema".otlp_json(p.tags) AS tags,
    :"schema".otlp_json(p.columns) AS columns,
    :"schema".otlp_json(p.allocated_elements) AS allocated_elements,
    p.rule_version,
    :"schema".otlp_time(p.billing_period_start_unix_nano) AS billing_period_start,
    :"schema".otlp_time(p.billing_period_end_unix_nano) AS billing_period_end,
    :"schema".otlp_time(p.recorded_unix_nano) AS recorded_time,
    p.record_id,
    p.origin_id,
    p.parent_record_id,
    p.corrects_record_id,
    p.revision,
    :"schema".otlp_unix_nano(p.time, p.time_nanos) AS time_unix_nano,
    p.leaf
FROM :"schema".otlp_cost_records AS p;

CREATE VIEW :"schema".cost_origins AS
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
FROM :"schema".otlp_cost_records_shown
WHERE level = 'origin';

CREATE VIEW :"schema".cost_allocations AS
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
FROM :"schema".otlp_cost_records_shown
WHERE level = 'allocation';

CREATE VIEW :"schema".cost_requests AS
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
FROM :"schema".otlp_cost_records_shown
WHERE level = 'request';

-- Every cost once, as finely as it is known: what is not refined, of all levels.
CREATE VIEW :"schema".costs AS
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
FROM :"schema".otlp_cost_records_shown
WHERE leaf;

-- What does not add up: a parent (or parts without one) and an amount in which they differ. Empty when all balances.
CREATE VIEW :"schema".cost_balance AS
SELECT
    c.time,
    'origin' AS level,
    c.parent_record_id AS record_id,
    c.origin_id,
    p.billing_currency,
    v.amount,
    trim_scale(v.whole) AS whole,
    trim_scale(v.parts) AS parts,
    trim_scale(v.whole - v.parts) AS difference,
    p.record_id IS NULL AS missing
FROM (
    SELECT
        time,
        origin_id,
        parent_record_id,
        count(*) AS count,
        sum(billed_cost) AS billed_cost,
        sum(effective_cost) AS effective_cost,
        sum(list_cost) AS list_cost,
        sum(contracted_cost) AS contracted_cost,
        sum(pricing_quantity) AS pricing_quantity,
        sum(consumed_quantity) AS consumed_quantity,
        sum(commitment_discount_quantity) AS commitment_discount_quantity,
        sum(pricing_currency_effective_cost) AS pricing_currency_effective_cost
    FROM :"schema".otlp_cost_allocations
    GROUP BY time, origin_id, parent_record_id
) AS c
LEFT JOIN :"schema".otlp_cost_origins AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
CROSS JOIN LATERAL (VALUES
    ('billed_cost', p.billed_cost, c.billed_cost),
    ('effective_cost', p.effective_cost, c.effective_cost),
    ('list_cost', p.list_cost, c.list_cost),
    ('contracted_cost', p.contracted_cost, c.contracted_cost),
    ('pricing_quantity', p.pricing_quantity, c.pricing_quantity),
    ('consumed_quantity', p.consumed_quantity, c.consumed_quantity),
    ('commitment_discount_quantity', p.commitment_discount_quantity, c.commitment_discount_quantity),
    ('pricing_currency_effective_cost', p.pricing_currency_effective_cost, c.pricing_currency_effective_cost)
) AS v (amount, whole, parts)
WHERE v.whole IS DISTINCT FROM v.parts
UNION ALL
SELECT
    c.time,
    'allocation' AS level,
    c.parent_record_id AS record_id,
    c.origin_id,
    p.billing_currency,
    v.amount,
    trim_scale(v.whole) AS whole,
    trim_scale(v.parts) AS parts,
    trim_scale(v.whole - v.parts) AS difference,
    p.record_id IS NULL AS missing
FROM (
    SELECT
        time,
        origin_id,
        parent_record_id,
        count(*) AS count,
        sum(billed_cost) AS billed_cost,
        sum(effective_cost) AS effective_cost,
        sum(list_cost) AS list_cost,
        sum(contracted_cost) AS contracted_cost,
        sum(pricing_quantity) AS pricing_quantity,
        sum(consumed_quantity) AS consumed_quantity,
        sum(commitment_discount_quantity) AS commitment_discount_quantity,
        sum(pricing_currency_effective_cost) AS pricing_currency_effective_cost
    FROM :"schema".otlp_cost_requests
    GROUP BY time, origin_id, parent_record_id
) AS c
LEFT JOIN :"schema".otlp_cost_allocations AS p ON p.time = c.time AND p.origin_id = c.origin_id AND p.record_id = c.parent_record_id
CROSS JOIN LATERAL (VALUES
    ('billed_cost', p.billed_cost, c.billed_cost),
    ('effective_cost', p.effective_cost, c.effective_cost),
    ('list_cost', p.list_cost, c.list_cost),
    ('contracted_cost', p.contracted_cost, c.contracted_cost),
    ('pricing_quantity', p.pricing_quantity, c.pricing_quantity),
    ('consumed_quantity', p.consumed_quantity, c.consumed_quantity),
    ('commitment_discount_quantity', p.commitment_discount_quantity, c.commitment_discount_quantity),
    ('pricing_currency_effective_cost', p.pricing_currency_effective_cost, c.pricing_currency_effective_cost)
) AS v (amount, whole, parts)
WHERE v.whole IS DISTINCT FROM v.parts;

-- roll-ups --------------------------------------------------------------------------------------------------
--
-- Of what is not refined, of each level: together everything once, for whatever stretch of time. Hours and days are UTC's,
-- those in which a charge period begins.

\if :full
CREATE MATERIALIZED VIEW :"schema".otlp_cost_origins_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    :"extension".time_bucket(interval '1 hour', time) AS hour,
    billing_currency, charge_category, charge_class, source, subject_kind, subject_service_name,
    subject_service_namespace, subject_environment, subject_team, subject_tenant, subject_k8s_cluster,
    subject_k8s_namespace, subject_k8s_workload_kind, subject_k8s_workload, service_category, service_name,
    pricing_unit,
    count(*) AS records,
    count(*) - count(effective_cost) AS unpriced,
    sum(billed_cost) AS billed_cost,
    sum(effective_cost) AS effective_cost,
    sum(list_cost) AS list_cost,
    sum(contracted_cost) AS contracted_cost,
    sum(pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_origins
WHERE NOT refined
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
WITH NO DATA;

CREATE MATERIALIZED VIEW :"schema".otlp_cost_allocations_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    :"extension".time_bucket(interval '1 hour', time) AS hour,
    billing_currency, charge_category, charge_class, source, subject_kind, subject_service_name,
    subject_service_namespace, subject_environment, subject_team, subject_tenant, subject_k8s_cluster,
    subject_k8s_namespace, subject_k8s_workload_kind, subject_k8s_workload, service_category, service_name,
    pricing_unit,
    count(*) AS records,
    count(*) - count(effective_cost) AS unpriced,
    sum(billed_cost) AS billed_cost,
    sum(effective_cost) AS effective_cost,
    sum(list_cost) AS list_cost,
    sum(contracted_cost) AS contracted_cost,
    sum(pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_allocations
WHERE NOT refined
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
WITH NO DATA;

CREATE MATERIALIZED VIEW :"schema".otlp_cost_requests_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    :"extension".time_bucket(interval '1 hour', time) AS hour,
    billing_currency, charge_category, charge_class, source, subject_kind, subject_service_name,
    subject_service_namespace, subject_environment, subject_team, subject_tenant, subject_k8s_cluster,
    subject_k8s_namespace, subject_k8s_workload_kind, subject_k8s_workload, service_category, service_name,
    pricing_unit,
    count(*) AS records,
    count(*) - count(effective_cost) AS unpriced,
    sum(billed_cost) AS billed_cost,
    sum(effective_cost) AS effective_cost,
    sum(list_cost) AS list_cost,
    sum(contracted_cost) AS contracted_cost,
    sum(pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_requests
WHERE NOT refined
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
WITH NO DATA;

CREATE MATERIALIZED VIEW :"schema".otlp_cost_origins_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    :"extension".time_bucket(interval '1 day', hour) AS day,
    billing_currency, charge_category, charge_class, source, subject_kind, subject_service_name,
    subject_service_namespace, subject_environment, subject_team, subject_tenant, subject_k8s_cluster,
    subject_k8s_namespace, subject_k8s_workload_kind, subject_k8s_workload, service_category, service_name,
    pricing_unit,
    sum(records)::bigint AS records,
    sum(unpriced)::bigint AS unpriced,
    sum(billed_cost) AS billed_cost,
    sum(effective_cost) AS effective_cost,
    sum(list_cost) AS list_cost,
    sum(contracted_cost) AS contracted_cost,
    sum(pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_origins_hourly
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
WITH NO DATA;

CREATE MATERIALIZED VIEW :"schema".otlp_cost_allocations_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    :"extension".time_bucket(interval '1 day', hour) AS day,
    billing_currency, charge_category, charge_class, source, subject_kind, subject_service_name,
    subject_service_namespace, subject_environment, subject_team, subject_tenant, subject_k8s_cluster,
    subject_k8s_namespace, subject_k8s_workload_kind, subject_k8s_workload, service_category, service_name,
    pricing_unit,
    sum(records)::bigint AS records,
    sum(unpriced)::bigint AS unpriced,
    sum(billed_cost) AS billed_cost,
    sum(effective_cost) AS effective_cost,
    sum(list_cost) AS list_cost,
    sum(contracted_cost) AS contracted_cost,
    sum(pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_allocations_hourly
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
WITH NO DATA;

CREATE MATERIALIZED VIEW :"schema".otlp_cost_requests_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    :"extension".time_bucket(interval '1 day', hour) AS day,
    billing_currency, charge_category, charge_class, source, subject_kind, subject_service_name,
    subject_service_namespace, subject_environment, subject_team, subject_tenant, subject_k8s_cluster,
    subject_k8s_namespace, subject_k8s_workload_kind, subject_k8s_workload, service_category, service_name,
    pricing_unit,
    sum(records)::bigint AS records,
    sum(unpriced)::bigint AS unpriced,
    sum(billed_cost) AS billed_cost,
    sum(effective_cost) AS effective_cost,
    sum(list_cost) AS list_cost,
    sum(contracted_cost) AS contracted_cost,
    sum(pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_requests_hourly
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
WITH NO DATA;

CREATE VIEW :"schema".costs_hourly AS
SELECT
    p.hour,
    'origin' AS level,
    p.billing_currency,
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
    p.subject_k8s_namespace AS k8s_namespace,
    p.subject_k8s_workload_kind AS k8s_workload_kind,
    p.subject_k8s_workload AS k8s_workload,
    p.service_category,
    p.service_name AS focus_service_name,
    p.pricing_unit,
    p.records,
    p.unpriced,
    trim_scale(p.billed_cost) AS billed_cost,
    trim_scale(p.effective_cost) AS effective_cost,
    trim_scale(p.list_cost) AS list_cost,
    trim_scale(p.contracted_cost) AS contracted_cost,
    trim_scale(p.pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_origins_hourly AS p
UNION ALL
SELECT
    p.hour,
    'allocation' AS level,
    p.billing_currency,
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
    p.subject_k8s_namespace AS k8s_namespace,
    p.subject_k8s_workload_kind AS k8s_workload_kind,
    p.subject_k8s_workload AS k8s_workload,
    p.service_category,
    p.service_name AS focus_service_name,
    p.pricing_unit,
    p.records,
    p.unpriced,
    trim_scale(p.billed_cost) AS billed_cost,
    trim_scale(p.effective_cost) AS effective_cost,
    trim_scale(p.list_cost) AS list_cost,
    trim_scale(p.contracted_cost) AS contracted_cost,
    trim_scale(p.pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_allocations_hourly AS p
UNION ALL
SELECT
    p.hour,
    'request' AS level,
    p.billing_currency,
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
    p.subject_k8s_namespace AS k8s_namespace,
    p.subject_k8s_workload_kind AS k8s_workload_kind,
    p.subject_k8s_workload AS k8s_workload,
    p.service_category,
    p.service_name AS focus_service_name,
    p.pricing_unit,
    p.records,
    p.unpriced,
    trim_scale(p.billed_cost) AS billed_cost,
    trim_scale(p.effective_cost) AS effective_cost,
    trim_scale(p.list_cost) AS list_cost,
    trim_scale(p.contracted_cost) AS contracted_cost,
    trim_scale(p.pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_requests_hourly AS p;

CREATE VIEW :"schema".costs_daily AS
SELECT
    p.day,
    'origin' AS level,
    p.billing_currency,
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
    p.subject_k8s_namespace AS k8s_namespace,
    p.subject_k8s_workload_kind AS k8s_workload_kind,
    p.subject_k8s_workload AS k8s_workload,
    p.service_category,
    p.service_name AS focus_service_name,
    p.pricing_unit,
    p.records,
    p.unpriced,
    trim_scale(p.billed_cost) AS billed_cost,
    trim_scale(p.effective_cost) AS effective_cost,
    trim_scale(p.list_cost) AS list_cost,
    trim_scale(p.contracted_cost) AS contracted_cost,
    trim_scale(p.pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_origins_daily AS p
UNION ALL
SELECT
    p.day,
    'allocation' AS level,
    p.billing_currency,
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
    p.subject_k8s_namespace AS k8s_namespace,
    p.subject_k8s_workload_kind AS k8s_workload_kind,
    p.subject_k8s_workload AS k8s_workload,
    p.service_category,
    p.service_name AS focus_service_name,
    p.pricing_unit,
    p.records,
    p.unpriced,
    trim_scale(p.billed_cost) AS billed_cost,
    trim_scale(p.effective_cost) AS effective_cost,
    trim_scale(p.list_cost) AS list_cost,
    trim_scale(p.contracted_cost) AS contracted_cost,
    trim_scale(p.pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_allocations_daily AS p
UNION ALL
SELECT
    p.day,
    'request' AS level,
    p.billing_currency,
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
    p.subject_k8s_namespace AS k8s_namespace,
    p.subject_k8s_workload_kind AS k8s_workload_kind,
    p.subject_k8s_workload AS k8s_workload,
    p.service_category,
    p.service_name AS focus_service_name,
    p.pricing_unit,
    p.records,
    p.unpriced,
    trim_scale(p.billed_cost) AS billed_cost,
    trim_scale(p.effective_cost) AS effective_cost,
    trim_scale(p.list_cost) AS list_cost,
    trim_scale(p.contracted_cost) AS contracted_cost,
    trim_scale(p.pricing_quantity) AS pricing_quantity
FROM :"schema".otlp_cost_requests_daily AS p;
\else
CREATE VIEW :"schema".costs_hourly AS
SELECT
    date_trunc('hour', time, 'UTC') AS hour,
    level, billing_currency, charge_category, charge_class, source, subject_kind, service_name, service_namespace,
    environment, team, tenant, k8s_cluster, k8s_namespace, k8s_workload_kind, k8s_workload, service_category,
    focus_service_name, pricing_unit,
    count(*) AS records,
    count(*) - count(effective_cost) AS unpriced,
    trim_scale(sum(billed_cost)) AS billed_cost,
    trim_scale(sum(effective_cost)) AS effective_cost,
    trim_scale(sum(list_cost)) AS list_cost,
    trim_scale(sum(contracted_cost)) AS contracted_cost,
    trim_scale(sum(pricing_quantity)) AS pricing_quantity
FROM :"schema".costs
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19;

CREATE VIEW :"schema".costs_daily AS
SELECT
    date_trunc('day', time, 'UTC') AS day,
    level, billing_currency, charge_category, charge_class, source, subject_kind, service_name, service_namespace,
    environment, team, tenant, k8s_cluster, k8s_namespace, k8s_workload_kind, k8s_workload, service_category,
    focus_service_name, pricing_unit,
    count(*) AS records,
    count(*) - count(effective_cost) AS unpriced,
    trim_scale(sum(billed_cost)) AS billed_cost,
    trim_scale(sum(effective_cost)) AS effective_cost,
    trim_scale(sum(list_cost)) AS list_cost,
    trim_scale(sum(contracted_cost)) AS contracted_cost,
    trim_scale(sum(pricing_quantity)) AS pricing_quantity
FROM :"schema".costs
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19;
\endif

-- Policies, and what they said about stored costs (collector/storage/README.md, "Policies"). Few rows: plain tables.

CREATE TABLE :"schema".otlp_policies (
    policy_id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    description text COLLATE "C",
    enabled boolean NOT NULL,
    on_violation text COLLATE "C" NOT NULL,
    budget numeric(38,18),
    currency text COLLATE "C",
    period text COLLATE "C" NOT NULL,
    timezone text COLLATE "C" NOT NULL,
    scope text COLLATE "C",
    document text COLLATE "C" NOT NULL,
    created_unix_nano bigint NOT NULL,
    updated_unix_nano bigint NOT NULL
);

CREATE TABLE :"schema".otlp_analyses (
    analysis_id text COLLATE "C" PRIMARY KEY,
    policy_id text COLLATE "C" NOT NULL,
    time_unix_nano bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    severity text COLLATE "C",
    mode text COLLATE "C",
    period_start_unix_nano bigint NOT NULL,
    period_end_unix_nano bigint NOT NULL,
    scope text COLLATE "C",
    basis text COLLATE "C" NOT NULL,
    billing_currency text COLLATE "C",
    cost numeric(38,18) NOT NULL,
    forecast numeric(38,18),
    budget numeric(38,18),
    budget_status text COLLATE "C",
    reasons text COLLATE "C" NOT NULL,
    violation_details text COLLATE "C",
    input text COLLATE "C" NOT NULL,
    document text COLLATE "C" NOT NULL
);
CREATE INDEX otlp_analyses_time ON :"schema".otlp_analyses (time_unix_nano);
CREATE INDEX otlp_analyses_policy ON :"schema".otlp_analyses (policy_id, time_unix_nano);

CREATE VIEW :"schema".policies AS
SELECT
    p.policy_id,
    p.name,
    p.description,
    p.enabled,
    p.on_violation,
    trim_scale(p.budget) AS budget,
    p.currency,
    p.period,
    p.timezone,
    coalesce(:"schema".otlp_json(p.scope), '{}') AS scope,
    :"schema".otlp_json(p.document) AS document,
    :"schema".otlp_time(p.created_unix_nano) AS created_time,
    :"schema".otlp_time(p.updated_unix_nano) AS updated_time
FROM :"schema".otlp_policies AS p;

CREATE VIEW :"schema".analyses AS
SELECT
    :"schema".otlp_time(p.time_unix_nano) AS time,
    p.policy_id,
    p.status AS policy_status,
    p.severity,
    :"schema".otlp_json(p.reasons) ->> 0 AS reason,
    p.billing_currency,
    trim_scale(p.cost) AS cost,
    trim_scale(p.forecast) AS forecast,
    trim_scale(p.budget) AS budget,
    p.budget_status,
    :"schema".otlp_time(p.period_start_unix_nano) AS period_start,
    :"schema".otlp_time(p.period_end_unix_nano) AS period_end,
    coalesce(:"schema".otlp_json(p.scope), '{}') AS scope,
    p.basis,
    p.mode,
    :"schema".otlp_json(p.reasons) AS reasons,
    coalesce(:"schema".otlp_json(p.violation_details), '{}') AS violation_details,
    :"schema".otlp_json(p.input) AS input,
    :"schema".otlp_json(p.document) AS document,
    p.analysis_id,
    p.time_unix_nano
FROM :"schema".otlp_analyses AS p;
