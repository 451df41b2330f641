INSERT INTO event_memory (
    projection, stream_sequence, webhook_id, webhook_type, source, body_sha256, adw_id, issue_number, received_at,
    id_derived, processed
)
SELECT
    $1, events.stream_sequence, events.webhook_id, events.webhook_type, events.source, events.body_sha256,
    events.adw_id, events.issue_number, events.received_at, events.id_derived, events.processed
FROM unnest(
    $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::bigint[], $9::timestamptz[],
    $10::boolean[], $11::boolean[]
) AS events (
    stream_sequence, webhook_id, webhook_type, source, body_sha256, adw_id, issue_number, received_at, id_derived,
    processed
)
