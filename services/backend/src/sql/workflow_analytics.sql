WITH found AS (
    SELECT
        workflow_template, phase_name,
        coalesce(sum(event_count) FILTER (WHERE phase_status = 'started'), 0) AS started,
        coalesce(sum(event_count) FILTER (WHERE phase_status = 'completed'), 0) AS completed,
        coalesce(sum(event_count) FILTER (WHERE phase_status = 'failed'), 0) AS failed,
        coalesce(sum(event_count) FILTER (WHERE phase_status = 'skipped'), 0) AS skipped,
        sum(duration_us) / nullif(sum(duration_count), 0) / 1e6 AS average,
        histogram_sum(duration_buckets) AS buckets,
        sum(tokens_used) AS tokens_used,
        sum(cost_usd) AS cost_usd
    FROM workflow_daily
    WHERE ($1::text IS NULL OR date >= $1::date)
        AND ($2::text IS NULL OR date < $2::date)
        AND ($3::text IS NULL OR workflow_template = $3)
        AND ($4::text IS NULL OR phase_name = $4)
        AND ($5::text IS NULL OR (workflow_template, phase_name) > ($5, $6::text))
    GROUP BY workflow_template, phase_name
    ORDER BY workflow_template, phase_name
    LIMIT $7
)
SELECT
    workflow_template, phase_name, (completed + failed)::bigint AS run_count, started::bigint AS started_count,
    completed::bigint AS completed_count, failed::bigint AS failed_count, skipped::bigint AS skipped_count,
    round(100.0 * completed / nullif(completed + failed, 0), 2)::double precision AS success_rate_percent,
    average::double precision AS avg_duration_seconds,
    histogram_percentile(buckets, 0.5) AS p50_duration_seconds,
    histogram_percentile(buckets, 0.95) AS p95_duration_seconds,
    histogram_percentile(buckets, 0.99) AS p99_duration_seconds,
    least(tokens_used, 9223372036854775807)::bigint AS tokens_used, cost_usd::double precision AS cost_usd
FROM found
ORDER BY workflow_template, phase_name
