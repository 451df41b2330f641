SELECT
    audit_sequence, stream_sequence, received_at, recorded_at, version, kind, event_id, source, event_type,
    body_sha256, signature, key_id, previous_hash, entry_hash
FROM audit_trail
WHERE audit_sequence > $1
ORDER BY audit_sequence
LIMIT $2
