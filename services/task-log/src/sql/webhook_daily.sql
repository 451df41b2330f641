INSERT INTO webhook_daily AS sums (
    date, event_type, phase_status, event_count, duration_count, duration_us, duration_us_min, duration_us_max
)
SELECT
    batch.date, batch.event_type, batch.phase_status, batch.event_count, batch.duration_count,
    batch.duration_us::numeric, batch.duration_us_min, batch.duration_us_max
FROM unnest(
    $1::date[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[]
) AS batch (
    date, event_type, phase_status, event_count, duration_count, duration_us, duration_us_min, duration_us_max
)
ON CONFLICT (date, event_type, phase_status) DO UPDATE
SET event_count = sums.event_count + excluded.event_count,
    duration_count = sums.duration_count + excluded.duration_count,
    duration_us = sums.duration_us + excluded.duration_us,
    -- Both pass over nulls.
    duration_us_min = least(sums.duration_us_min, excluded.duration_us_min),
    duration_us_max = greatest(sums.duration_us_max, excluded.duration_us_max)
