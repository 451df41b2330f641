INSERT INTO issue_progress AS sums (
    issue_number, event_count, started_count, completed_count, failed_count, skipped_count, duration_us, tokens_used,
    cost_usd, first_at, last_at, last_id, last_phase_name, last_phase_status
)
SELECT
    batch.issue_number, batch.event_count, batch.started_count, batch.completed_count, batch.failed_count,
    batch.skipped_count, batch.duration_us::numeric, batch.tokens_used::numeric, batch.cost_micros::numeric / 1000000,
    batch.first_at, batch.last_at, batch.last_id, batch.last_phase_name, batch.last_phase_status
FROM unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
    $9::text[], $10::timestamptz[], $11::timestamptz[], $12::bigint[], $13::text[], $14::text[]
) AS batch (
    issue_number, event_count, started_count, completed_count, failed_count, skipped_count, duration_us, tokens_used,
    cost_micros, first_at, last_at, last_id, last_phase_name, last_phase_status
)
ON CONFLICT (issue_number) DO UPDATE
SET event_count = sums.event_count + excluded.event_count,
    started_count = sums.started_count + excluded.started_count,
    completed_count = sums.completed_count + excluded.completed_count,
    failed_count = sums.failed_count + excluded.failed_count,
    skipped_count = sums.skipped_count + excluded.skipped_count,
    duration_us = sums.duration_us + excluded.duration_us,
    tokens_used = sums.tokens_used + excluded.tokens_used,
    cost_usd = sums.cost_usd + excluded.cost_usd,
    first_at = least(sums.first_at, excluded.first_at),
    last_at = greatest(sums.last_at, excluded.last_at),
    last_id = excluded.last_id,
    last_phase_name = coalesce(excluded.last_phase_name, sums.last_phase_name),
    last_phase_status = coalesce(excluded.last_phase_status, sums.last_phase_status)
