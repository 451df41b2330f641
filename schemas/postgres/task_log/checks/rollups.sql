-- Adds up task_logs anew, and returns each row in which a table of sums says otherwise: none, if all is well. It scans
-- everything. Names of phases are taken to be plain ASCII of at most 64 characters; of errors and latencies, which cannot
-- be computed in SQL, it compares how many there are.
WITH rows AS (
    SELECT
        task_logs.*,
        (captured_at AT TIME ZONE 'UTC')::date AS date,
        round(duration_seconds * 1e6)::bigint AS duration_us,
        coalesce(workflow_template, '') AS template,
        event_type IN ('hookstream.workflow.completed', 'hookstream.task.logged') AS is_work
    FROM task_logs
),
buckets AS (
    SELECT
        date, template, phase_name, phase_status, width_bucket(duration_us, histogram_bounds()) + 1 AS bucket, count(*) AS count
    FROM rows
    WHERE is_work AND duration_us IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5
),
hourly AS (
    SELECT
        date_trunc('hour', captured_at, 'UTC') AS hour, source, event_type, coalesce(repository, '') AS repository,
        phase_status, count(*) AS event_count, sum(payload_bytes) AS payload_bytes
    FROM rows
    GROUP BY 1, 2, 3, 4, 5
),
latencies AS (
    SELECT hour, source, event_type, repository, phase_status, (SELECT sum(count) FROM unnest(buckets) AS count) AS event_count
    FROM webhook_latency_hourly
),
daily AS (
    SELECT
        date, event_type, phase_status, count(*) AS event_count, count(duration_us) AS duration_count,
        coalesce(sum(duration_us), 0) AS duration_us, min(duration_us) AS duration_us_min,
        max(duration_us) AS duration_us_max
    FROM rows
    GROUP BY 1, 2, 3
),
workflows AS (
    SELECT
        rows.date, rows.template, rows.phase_name, rows.phase_status, count(*) AS event_count,
        count(rows.duration_us) AS duration_count, coalesce(sum(rows.duration_us), 0) AS duration_us,
        ARRAY(
            SELECT coalesce(max(buckets.count), 0)
            FROM generate_series(1, 61) AS place
            LEFT JOIN buckets ON buckets.bucket = place AND buckets.date = rows.date AND buckets.template = rows.template
                AND buckets.phase_name = rows.phase_name AND buckets.phase_status = rows.phase_status
            GROUP BY place
            ORDER BY place
        ) AS duration_buckets,
        coalesce(sum(rows.tokens_used), 0) AS tokens_used, coalesce(sum(rows.cost_usd), 0) AS cost_usd
    FROM rows
    WHERE rows.is_work
    GROUP BY 1, 2, 3, 4
),
issues AS (
    SELECT
        issue_number, count(*) AS event_count,
        count(*) FILTER (WHERE is_work AND phase_status = 'started') AS started_count,
        count(*) FILTER (WHERE is_work AND phase_status = 'completed') AS completed_count,
        count(*) FILTER (WHERE is_work AND phase_status = 'failed') AS failed_count,
        count(*) FILTER (WHERE is_work AND phase_status = 'skipped') AS skipped_count,
        coalesce(sum(duration_us) FILTER (WHERE is_work), 0) AS duration_us,
        coalesce(sum(tokens_used) FILTER (WHERE is_work), 0) AS tokens_used,
        coalesce(sum(cost_usd) FILTER (WHERE is_work), 0) AS cost_usd,
        min(captured_at) AS first_at, max(captured_at) AS last_at, max(id) AS last_id,
        (array_agg(phase_name ORDER BY id DESC) FILTER (WHERE is_work))[1] AS last_phase_name,
        (array_agg(phase_status ORDER BY id DESC) FILTER (WHERE is_work))[1] AS last_phase_status
    FROM rows
    WHERE issue_number IS NOT NULL
    GROUP BY 1
),
errors AS (
    SELECT date, template, count(*) AS event_count, max(id) AS last_id
    FROM rows
    WHERE is_work AND error_message IS NOT NULL
    GROUP BY 1, 2
),
errors_told AS (
    SELECT date, workflow_template, sum(event_count)::bigint AS event_count, max(last_id) AS last_id
    FROM error_daily
    GROUP BY 1, 2
),
ended AS (
    SELECT
        id, coalesce('issue:' || issue_number, 'adw:' || adw_id) AS run,
        translate(coalesce(workflow_template, phase_name), '>!', '__') AS name, phase_status = 'failed' AS failed
    FROM rows
    WHERE event_type = 'hookstream.workflow.completed' AND phase_status IN ('completed', 'failed')
        AND coalesce(issue_number::text, adw_id) IS NOT NULL
),
steps AS (
    SELECT
        id, run, failed,
        coalesce(string_agg(name || CASE WHEN failed THEN '!' ELSE '' END, ' > ') OVER before || ' > ', '') || name AS path
    FROM ended
    WINDOW before AS (PARTITION BY run ORDER BY id ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING)
),
sequences AS (
    SELECT
        path, count(*) FILTER (WHERE NOT failed) AS completed_count, count(*) FILTER (WHERE failed) AS failed_count,
        max(id) AS last_id
    FROM steps
    GROUP BY 1
),
paths AS (
    SELECT DISTINCT ON (run) run, path || CASE WHEN failed THEN '!' ELSE '' END AS path FROM steps ORDER BY run, id DESC
)
SELECT 'webhook_hourly missing' AS what, to_jsonb(found)::text AS row FROM (TABLE hourly EXCEPT TABLE webhook_hourly) AS found
UNION ALL
SELECT 'webhook_hourly extra', to_jsonb(found)::text FROM (TABLE webhook_hourly EXCEPT TABLE hourly) AS found
UNION ALL
SELECT 'webhook_latency_hourly', to_jsonb(found)::text
FROM (
    SELECT hour, source, event_type, repository, phase_status, event_count FROM hourly EXCEPT TABLE latencies
) AS found
UNION ALL
SELECT 'webhook_daily missing', to_jsonb(found)::text FROM (TABLE daily EXCEPT TABLE webhook_daily) AS found
UNION ALL
SELECT 'webhook_daily extra', to_jsonb(found)::text FROM (TABLE webhook_daily EXCEPT TABLE daily) AS found
UNION ALL
SELECT 'workflow_daily missing', to_jsonb(found)::text FROM (TABLE workflows EXCEPT TABLE workflow_daily) AS found
UNION ALL
SELECT 'workflow_daily extra', to_jsonb(found)::text FROM (TABLE workflow_daily EXCEPT TABLE workflows) AS found
UNION ALL
SELECT 'issue_progress missing', to_jsonb(found)::text FROM (TABLE issues EXCEPT TABLE issue_progress) AS found
UNION ALL
SELECT 'issue_progress extra', to_jsonb(found)::text FROM (TABLE issue_progress EXCEPT TABLE issues) AS found
UNION ALL
SELECT 'error_daily missing', to_jsonb(found)::text FROM (TABLE errors EXCEPT TABLE errors_told) AS found
UNION ALL
SELECT 'error_daily extra', to_jsonb(found)::text FROM (TABLE errors_told EXCEPT TABLE errors) AS found
UNION ALL
SELECT 'phase_sequences missing', to_jsonb(found)::text FROM (TABLE sequences EXCEPT TABLE phase_sequences) AS found
UNION ALL
SELECT 'phase_sequences extra', to_jsonb(found)::text FROM (TABLE phase_sequences EXCEPT TABLE sequences) AS found
UNION ALL
SELECT 'phase_path missing', to_jsonb(found)::text FROM (TABLE paths EXCEPT TABLE phase_path) AS found
UNION ALL
SELECT 'phase_path extra', to_jsonb(found)::text FROM (TABLE phase_path EXCEPT TABLE paths) AS found
