-- Removes what was announced up to a position ($2 cause, $3 ordinal), if it counts in the stream that was created at $1.
DELETE FROM phase_outbox
WHERE (cause, ordinal) <= ($2, $3) AND EXISTS (
    SELECT FROM projection_checkpoints WHERE projection = 'phase_queue' AND stream_created = $1
)
