INSERT INTO projection_checkpoints AS checkpoints (projection, stream, stream_created, sequence, epoch, generation)
VALUES ($1, $2, $3, $4, 1, 1)
ON CONFLICT (projection) DO UPDATE
SET epoch = checkpoints.epoch + 1, updated_at = now()
RETURNING projection, stream, stream_created, sequence, message_id, epoch, generation
