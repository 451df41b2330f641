-- A log over 60 days, with its sums made by hand: by the projection, the long one would take its time. They are what its
-- rows add up to, which the benchmark checks of the short one.
SET statement_timeout = 0;
SET synchronous_commit = off;
SELECT task_logs_make_partitions(ARRAY(
    SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - n * interval '1 month')::date FROM generate_series(0, 3) AS n
));
INSERT INTO task_logs (id, stream_sequence, payload_bytes, duration_seconds, captured_at, created_at, event_id, event_type,
    source, phase_name, phase_status, repository, workflow_template, error_message)
SELECT
    n, n, 10240, CASE n % 4 WHEN 0 THEN n % 600 END, at, at, 'x:' || n,
    CASE n % 4 WHEN 0 THEN 'hookstream.workflow.completed' ELSE 'com.github.event_' || n % 4 END,
    CASE n % 4 WHEN 0 THEN 'internal' ELSE 'github' END,
    CASE n % 4 WHEN 0 THEN 'phase_' || 1 + n % 3 || '_complete' ELSE 'webhook_received' END,
    CASE n % 40 WHEN 0 THEN 'failed' ELSE 'completed' END,
    CASE n % 4 WHEN 0 THEN NULL ELSE 'owner/repository_' || n % 5 END,
    CASE n % 4 WHEN 0 THEN 'adw_' || n % 3 || '_iso' END,
    CASE n % 40 WHEN 0 THEN 'error ' || chr(65 + (n % 3)::integer) END
FROM generate_series(1, {rows}) AS n, LATERAL (SELECT now() - n * interval '60 days' / {rows} AS at) AS time;

INSERT INTO webhook_hourly
SELECT date_trunc('hour', captured_at, 'UTC'), source, event_type, coalesce(repository, ''), phase_status, count(*), sum(payload_bytes)
FROM task_logs GROUP BY 1, 2, 3, 4, 5;

INSERT INTO webhook_latency_hourly
SELECT
    hour, source, event_type, repository, phase_status,
    ARRAY(
        SELECT CASE place WHEN 10 THEN event_count - event_count / 3 WHEN 14 THEN event_count / 3 ELSE 0 END
        FROM generate_series(1, 61) AS place
        ORDER BY place
    )
FROM webhook_hourly;

INSERT INTO webhook_daily
SELECT
    (captured_at AT TIME ZONE 'UTC')::date, event_type, phase_status, count(*), count(duration_seconds),
    coalesce(sum(duration_seconds * 1e6), 0), min(duration_seconds * 1e6), max(duration_seconds * 1e6)
FROM task_logs GROUP BY 1, 2, 3;

WITH buckets AS (
    SELECT
        (captured_at AT TIME ZONE 'UTC')::date AS date, workflow_template, phase_name, phase_status,
        width_bucket((duration_seconds * 1e6)::bigint, histogram_bounds()) + 1 AS bucket, count(*) AS count,
        sum(duration_seconds * 1e6) AS duration_us
    FROM task_logs
    WHERE workflow_template IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5
)
INSERT INTO workflow_daily
SELECT
    date, workflow_template, phase_name, phase_status, sum(count), sum(count), sum(duration_us),
    histogram_sum(array_fill(0::bigint, ARRAY[bucket - 1]) || count || array_fill(0::bigint, ARRAY[61 - bucket])), 0, 0
FROM buckets
GROUP BY 1, 2, 3, 4;

INSERT INTO error_daily
SELECT (captured_at AT TIME ZONE 'UTC')::date, workflow_template, error_message, count(*), max(id), min(error_message)
FROM task_logs WHERE error_message IS NOT NULL GROUP BY 1, 2, 3;

ANALYZE;
