-- The first event of this id and this body that the queue has seen within its memory.
SELECT stream_sequence
FROM event_memory
WHERE projection = 'phase_queue' AND webhook_id = $1 AND body_sha256 = $2 AND NOT id_derived
ORDER BY stream_sequence
LIMIT 1
