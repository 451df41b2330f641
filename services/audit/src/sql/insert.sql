INSERT INTO audit_trail (
    audit_sequence, stream_sequence, received_at, recorded_at, version, kind, event_id, source, event_type,
    body_sha256, signature, key_id, previous_hash, entry_hash
)
SELECT
    entries.audit_sequence, entries.stream_sequence, entries.received_at, entries.recorded_at, $5::smallint,
    entries.kind, entries.event_id, entries.source, entries.event_type, entries.body_sha256, entries.signature,
    entries.key_id, entries.previous_hash, entries.entry_hash
FROM unnest(
    $1::bigint[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::bytea[], $11::text[], $12::text[], $13::bytea[], $14::bytea[]
) AS entries (
    audit_sequence, stream_sequence, received_at, recorded_at, kind, event_id, source, event_type, body_sha256,
    signature, key_id, previous_hash, entry_hash
)
