SELECT
    version, audit_sequence, kind, stream, stream_sequence, event_id, source, event_type, body_sha256, signature,
    key_id, actor, count, details, received_at, recorded_at, previous_hash, entry_hash
FROM audit_trail
WHERE kind = $1
ORDER BY audit_sequence
