INSERT INTO webhook_latency_hourly AS sums (hour, source, event_type, repository, phase_status, buckets)
SELECT batch.hour, batch.source, batch.event_type, batch.repository, batch.phase_status, batch.buckets::bigint[]
FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS batch (hour, source, event_type, repository, phase_status, buckets)
ON CONFLICT (hour, source, event_type, repository, phase_status) DO UPDATE
SET buckets = histogram_add(sums.buckets, excluded.buckets)
