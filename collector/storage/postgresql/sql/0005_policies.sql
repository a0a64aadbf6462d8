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
