INSERT INTO phase_outbox (cause, ordinal, queue_id, queue_position, subject, phase, phase_data)
SELECT
    told.cause, told.ordinal, told.queue_id, told.queue_position, told.subject, told.phase, told.phase_data
FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::jsonb[])
    AS told (cause, ordinal, queue_id, queue_position, subject, phase, phase_data)
