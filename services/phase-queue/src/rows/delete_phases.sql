-- Removes phases. What is still to be announced of them keeps what they were to run.
WITH gone AS (
    DELETE FROM phase_queue WHERE queue_id = ANY ($1) RETURNING queue_id, queue_position, phase_data
)
UPDATE phase_outbox
SET phase_data = gone.phase_data
FROM gone
WHERE phase_outbox.queue_id = gone.queue_id AND phase_outbox.queue_position = gone.queue_position
