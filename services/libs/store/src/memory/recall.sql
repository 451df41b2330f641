-- Known ids, then known digests (webhook_id null), each as it was seen last under an id of its sender's.
SELECT latest.webhook_id, latest.body_sha256, latest.received_at
FROM unnest($2::text[]) AS wanted (webhook_id)
CROSS JOIN LATERAL (
    SELECT memory.webhook_id, memory.body_sha256, memory.received_at
    FROM event_memory AS memory
    WHERE memory.projection = $1 AND memory.webhook_id = wanted.webhook_id AND NOT memory.id_derived
    ORDER BY memory.received_at DESC, memory.stream_sequence DESC
    LIMIT 1
) AS latest
UNION ALL
SELECT NULL AS webhook_id, latest.body_sha256, latest.received_at
FROM unnest($3::bytea[]) AS wanted (body_sha256)
CROSS JOIN LATERAL (
    SELECT memory.body_sha256, memory.received_at
    FROM event_memory AS memory
    WHERE memory.projection = $1 AND memory.body_sha256 = wanted.body_sha256 AND NOT memory.id_derived
    ORDER BY memory.received_at DESC
    LIMIT 1
) AS latest
