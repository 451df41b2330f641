INSERT INTO workflow_daily AS sums (
    date, workflow_template, phase_name, phase_status, event_count, duration_count, duration_us, duration_buckets,
    tokens_used, cost_usd
)
SELECT
    batch.date, batch.workflow_template, batch.phase_name, batch.phase_status, batch.event_count, batch.duration_count,
    batch.duration_us::numeric, batch.duration_buckets::bigint[], batch.tokens_used::numeric,
    batch.cost_micros::numeric / 1000000
FROM unnest(
    $1::date[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[],
    $10::text[]
) AS batch (
    date, workflow_template, phase_name, phase_status, event_count, duration_count, duration_us, duration_buckets,
    tokens_used, cost_micros
)
ON CONFLICT (date, workflow_template, phase_name, phase_status) DO UPDATE
SET event_count = sums.event_count + excluded.event_count,
    duration_count = sums.duration_count + excluded.duration_count,
    duration_us = sums.duration_us + excluded.duration_us,
    duration_buckets = histogram_add(sums.duration_buckets, excluded.duration_buckets),
    tokens_used = sums.tokens_used + excluded.tokens_used,
    cost_usd = sums.cost_usd + excluded.cost_usd
