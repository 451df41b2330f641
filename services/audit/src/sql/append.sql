-- Entries, the tree's nodes that they complete, and where the trail ends behind them.
WITH nodes AS (
    INSERT INTO audit_tree (level, position, hash)
    SELECT nodes.level, nodes.position, nodes.hash
    FROM unnest($1::smallint[], $2::bigint[], $3::bytea[]) AS nodes (level, position, hash)
),
head AS (
    UPDATE audit_head SET audit_sequence = $4, entry_hash = $5, peaks = $6
)
INSERT INTO audit_trail (
    version, audit_sequence, kind, stream, stream_sequence, event_id, source, event_type, body_sha256, signature,
    key_id, actor, count, details, received_at, recorded_at, previous_hash, entry_hash
)
SELECT
    $7, entries.audit_sequence, entries.kind, entries.stream, entries.stream_sequence, entries.event_id,
    entries.source, entries.event_type, entries.body_sha256, entries.signature, entries.key_id, entries.actor,
    entries.count, entries.details, entries.received_at, entries.recorded_at, entries.previous_hash,
    entries.entry_hash
FROM unnest(
    $8::bigint[], $9::text[], $10::text[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::bytea[],
    $16::text[], $17::text[], $18::text[], $19::bigint[], $20::text[], $21::timestamptz[], $22::timestamptz[],
    $23::bytea[], $24::bytea[]
) AS entries (
    audit_sequence, kind, stream, stream_sequence, event_id, source, event_type, body_sha256, signature, key_id, actor,
    count, details, received_at, recorded_at, previous_hash, entry_hash
)
