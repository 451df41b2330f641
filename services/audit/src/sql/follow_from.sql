-- The next leader follows the stream as it is from behind $3; one that still runs is fenced by the epoch.
UPDATE projection_checkpoints
SET stream_created = $2, sequence = $3, message_id = NULL, epoch = epoch + 1, updated_at = now()
WHERE projection = $1
