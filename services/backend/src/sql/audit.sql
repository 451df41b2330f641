SELECT
    audit_sequence, kind, stream, stream_sequence, event_id, source, event_type, body_sha256, signature, key_id, actor,
    count, details, received_at, recorded_at, version, previous_hash, entry_hash
FROM audit_trail
WHERE ($1::text IS NULL OR kind = $1)
    AND ($2::text IS NULL OR source = $2)
    AND ($3::text IS NULL OR event_id = $3)
    AND ($4::timestamptz IS NULL OR recorded_at >= $4)
    AND ($5::timestamptz IS NULL OR recorded_at < $5)
    AND ($6::bigint IS NULL OR audit_sequence < $6)
    AND ($8::text IS NULL OR stream = $8)
    AND ($9::bigint IS NULL OR stream_sequence = $9)
    AND ($10::bigint IS NULL OR audit_sequence = $10)
ORDER BY audit_sequence DESC
LIMIT $7
