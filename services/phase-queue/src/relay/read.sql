-- What is to be announced behind a position ($1 cause, $2 ordinal), at most $3 of them, and none once those before hold $4
-- bytes. One row without any if there is nothing: it tells which stream the causes count in.
SELECT
    projection_checkpoints.stream_created, told.cause, told.ordinal, told.queue_id, told.subject, told.phase,
    told.phase_data
FROM projection_checkpoints
LEFT JOIN LATERAL (
    SELECT
        waiting.*,
        sum(octet_length(waiting.phase_data)) OVER (ORDER BY waiting.cause, waiting.ordinal)
            - octet_length(waiting.phase_data) AS bytes_before
    FROM (
        SELECT
            phase_outbox.cause, phase_outbox.ordinal, phase_outbox.queue_id, phase_outbox.subject,
            phase_outbox.phase, coalesce(phase_outbox.phase_data, phase_queue.phase_data, 'null')::text AS phase_data
        FROM phase_outbox
        LEFT JOIN phase_queue ON phase_queue.queue_id = phase_outbox.queue_id
            AND phase_queue.queue_position = phase_outbox.queue_position
        WHERE (phase_outbox.cause, phase_outbox.ordinal) > ($1, $2)
        ORDER BY phase_outbox.cause, phase_outbox.ordinal
        LIMIT $3
    ) AS waiting
) AS told ON told.bytes_before < $4
WHERE projection_checkpoints.projection = 'phase_queue'
ORDER BY told.cause, told.ordinal
