DELETE FROM event_memory
WHERE ctid = ANY (ARRAY(
    SELECT memory.ctid
    FROM event_memory AS memory
    WHERE memory.projection = $1 AND memory.received_at < $2
    LIMIT $3
))
