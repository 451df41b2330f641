UPDATE projection_checkpoints
SET sequence = $4, message_id = $5, updated_at = now()
WHERE projection = $1 AND epoch = $2 AND sequence = $3
