-- Whether the last event that the checkpoint counts as recorded is the last entry (or became a dead letter). In one
-- statement, hence one snapshot: the trail may grow meanwhile.
SELECT
    checkpoint.sequence AS stream_sequence,
    last.audit_sequence,
    (last.stream_sequence = checkpoint.sequence AND last.event_id = checkpoint.message_id) IS TRUE
    OR EXISTS (
        SELECT FROM dead_letters AS letter
        WHERE letter.projection = 'audit' AND letter.stream_sequence = checkpoint.sequence
    ) AS present
FROM projection_checkpoints AS checkpoint
LEFT JOIN LATERAL (
    SELECT entry.audit_sequence, entry.stream_sequence, entry.event_id
    FROM audit_trail AS entry
    ORDER BY entry.audit_sequence DESC
    LIMIT 1
) AS last ON true
WHERE checkpoint.projection = 'audit' AND checkpoint.message_id IS NOT NULL
