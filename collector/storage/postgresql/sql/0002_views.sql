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
