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
