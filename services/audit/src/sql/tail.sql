-- Whether the last event that the checkpoint counts as recorded is in the trail (or became a dead letter). In one
-- statement, hence one snapshot: the trail may grow meanwhile.
SELECT
    checkpoint.sequence AS stream_sequence,
    last.audit_sequence,
    EXISTS (
        SELECT FROM audit_trail AS entry
        WHERE entry.event_id = checkpoint.message_id AND entry.stream_sequence = checkpoint.sequence
    )
    OR EXISTS (
        SELECT FROM dead_letters AS letter
        WHERE letter.projection = 'audit' AND letter.stream_sequence = checkpoint.sequence
    ) AS present
FROM projection_checkpoints AS checkpoint
LEFT JOIN LATERAL (
    SELECT entry.audit_sequence
    FROM audit_trail AS entry
    ORDER BY entry.audit_sequence DESC
    LIMIT 1
) AS last ON true
WHERE checkpoint.projection = 'audit' AND checkpoint.message_id IS NOT NULL
