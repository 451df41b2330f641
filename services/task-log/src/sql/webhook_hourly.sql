INSERT INTO webhook_hourly AS sums (hour, source, event_type, repository, phase_status, event_count, payload_bytes)
SELECT batch.hour, batch.source, batch.event_type, batch.repository, batch.phase_status, batch.event_count, batch.payload_bytes
FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
    AS batch (hour, source, event_type, repository, phase_status, event_count, payload_bytes)
ON CONFLICT (hour, source, event_type, repository, phase_status) DO UPDATE
SET event_count = sums.event_count + excluded.event_count,
    payload_bytes = sums.payload_bytes + excluded.payload_bytes
