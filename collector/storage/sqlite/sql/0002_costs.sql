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
