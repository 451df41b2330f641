SELECT projection, stream, stream_created, sequence, message_id, epoch, generation
FROM projection_checkpoints
WHERE projection = $1
