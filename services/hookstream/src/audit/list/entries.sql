SELECT
    audit_sequence, kind, stream, stream_sequence, event_id, source, event_type, encode(body_sha256, 'hex') AS body_sha256,
    key_id, actor, count, details, received_at, recorded_at, encode(entry_hash, 'hex') AS entry_hash
FROM audit_trail
WHERE ($1::text[] IS NULL OR kind = ANY ($1))
    AND ($2::text IS NULL OR event_id = $2)
    AND ($3::text IS NULL OR source = $3)
    AND ($4::timestamptz IS NULL OR recorded_at >= $4)
ORDER BY audit_sequence DESC
LIMIT $5
