-- What is to be announced behind a position ($1 cause, $2 ordinal), at most $3 of them, and none once those before hold $4
-- bytes: one after the other, because whatever is only looked at would be unpacked, too. One row without any if there is
-- nothing: it tells which stream the causes count in.
WITH RECURSIVE told AS (
    SELECT
        0 AS place, $1::bigint AS cause, $2::integer AS ordinal, NULL::text AS queue_id, NULL::text AS subject,
        NULL::text AS phase, NULL::text AS phase_data, 0::bigint AS bytes
    UNION ALL
    SELECT
        told.place + 1, waiting.cause, waiting.ordinal, waiting.queue_id, waiting.subject, waiting.phase,
        waiting.phase_data, told.bytes + octet_length(waiting.phase_data)
    FROM told
    CROSS JOIN LATERAL (
        SELECT
            phase_outbox.cause, phase_outbox.ordinal, phase_outbox.queue_id, phase_outbox.subject,
            phase_outbox.phase, coalesce(phase_outbox.phase_data, phase_queue.phase_data, 'null')::text AS phase_data
        FROM phase_outbox
        LEFT JOIN phase_queue ON phase_queue.queue_id = phase_outbox.queue_id
            AND phase_queue.queue_position = phase_outbox.queue_position
        WHERE (phase_outbox.cause, phase_outbox.ordinal) > (told.cause, told.ordinal)
        ORDER BY phase_outbox.cause, phase_outbox.ordinal
        LIMIT 1
    ) AS waiting
    WHERE told.place < $3::bigint AND told.bytes < $4::bigint
)
SELECT
    projection_checkpoints.stream_created, told.cause, told.ordinal, told.queue_id, told.subject, told.phase,
    told.phase_data
FROM projection_checkpoints
LEFT JOIN told ON told.place > 0
WHERE projection_checkpoints.projection = 'phase_queue'
ORDER BY told.place
