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
